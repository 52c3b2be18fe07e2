"""The command line as a process, in front of a real server with a fake control."""
