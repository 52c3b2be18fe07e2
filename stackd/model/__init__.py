"""The nouns of stackd: frozen values that every layer shares.

Law: no behaviour beyond small derived properties, no IO, no clock. Durations are seconds (float), sizes bytes (int),
instants of the engine are Unix wall-clock seconds, instants of our own timers are monotonic seconds.
"""
