"""Unit tests of the pure decision, and the small language that builds its worlds."""
