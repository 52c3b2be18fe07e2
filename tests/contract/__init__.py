"""One contract for every engine: the same tests on `FakeEngine` and on a real one, so that the fake cannot drift.

The real half is marked `engine`; without a bed it fails, it is never skipped.
"""
