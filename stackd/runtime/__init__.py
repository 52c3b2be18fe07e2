"""The running daemon's insides: the store, the loop around each stack, jobs, observation, history. Effects live here."""
