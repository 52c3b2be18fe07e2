"""Random faults on a real engine, a real daemon and real files: see `__main__`."""
