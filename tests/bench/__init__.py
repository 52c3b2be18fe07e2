"""The bench: the same work on stackd, on the real docker compose and on bare engine calls, in turns.

Law: nothing is asserted on time. All three work on one engine of the bench's own, one after another in every round and
in another order each round, so that what the machine does meanwhile falls on all alike; what counts is the ratio. An
instant is always the engine's own: the time stamp of its event, not that of whoever heard of it.
"""
