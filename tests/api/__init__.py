"""The API over its real socket, in front of a fake control."""
