"""The real runtime on the fake engine in virtual time: seeded stories with faults, laws checked at every step.

`pytest tests/sim` runs them all; `pytest tests/sim -k story --seed N` repeats one.
"""
