"""A fault-injecting proxy between stackd and an engine: see `proxy`."""
