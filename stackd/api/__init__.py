"""The REST face on a unix socket: one table of routes, snapshots out, verbs and overrides in.

Law: nothing here changes the engine and nothing here decides; every write goes through `runtime.control.Control`.
"""
