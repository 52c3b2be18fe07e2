"""The command line: a thin client of the REST API.

Law: light. It imports no aiohttp, aiodocker, asyncio or pydantic, and each command only what it needs: `run` the
daemon, `config` and `validate` the compose loader. It decides nothing; the daemon answers.
"""
