"""stackd: the daemon that keeps Compose stacks running."""

__version__ = "0.1.0"
