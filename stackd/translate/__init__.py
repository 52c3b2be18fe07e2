"""Between the model and the engine's JSON, both ways, pure.

Law: nothing here decides or does IO. Requests are bound here (`bind`), answers are parsed here (`observed`, `events`,
`image`): beyond this package nobody sees the engine's JSON.
"""
