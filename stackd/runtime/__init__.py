"""The running daemon's insides: store, the loop around each stack, jobs, observation, history. Effects live here."""
