"""Folders with definition files, and what the loader makes of them."""
