"""The daemon's insides, put together as the daemon does, on an engine in memory."""
