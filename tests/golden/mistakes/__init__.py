"""Mistakes that people make in Compose files, and the exact words that they get."""
