"""The decisions. Law: pure functions of a View and a Now: no clock, no chance, no IO.

Read in this order: `decide` (the whole), `desired` (files + overrides), `slots` (which container is whose, and whether
it still fits), `ends` (how a run ended), `backoff` (when to try again), `gates` (what a start waits for), `plan` (the
steps), `verdicts` and `status` (the same, in words).
"""
