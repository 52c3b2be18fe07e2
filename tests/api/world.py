"""A running server and a client, in one value: `async with serving(control) as api`."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import aiohttp

from stackd.api.listening import listen
from stackd.api.server import Server
from stackd.api.serving import Settings
from stackd.model.status import StackStatus
from tests.fake.control import NOON, FakeControl, stack

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> dict[str, Json]:
        """The body as an object."""
        body = json.loads(self.text)
        assert isinstance(body, dict)
        return body

    def error(self) -> tuple[int, Json]:
        """Status and code of a problem, whose shape is checked."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.text
        problem = self.json
        assert {"type", "title", "status", "detail", "instance", "code", "errors"} <= problem.keys()
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:stackd:problem:{problem['code']}"
        assert problem["instance"] == f"urn:stackd:request:{self.headers['X-Request-Id']}"
        return self.status, problem["code"]


@dataclass(frozen=True, slots=True)
class Api:
    """A server with its control, its socket and a client."""

    control: FakeControl
    server: Server
    path: Path
    session: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, *, data: str | io.BytesIO | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; a body is JSON unless its headers say otherwise."""
        headers = ({"Content-Type": "application/json"} if data is not None else {}) | {**(headers or {})}
        async with self.session.request(method, f"http://stackd{path}", data=data, headers=headers) as response:
            return Answer(response.status, response.headers.copy(), await response.text())

    async def get(self, path: str, **headers: str) -> Answer:
        """GET; headers with `_` for `-`."""
        return await self.ask("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})

    async def post(self, path: str, data: str | None = None) -> Answer:
        """POST."""
        return await self.ask("POST", path, data=data)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until the server, which tells nobody, has come so far."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


@asynccontextmanager
async def serving(*stacks: StackStatus, settings: Settings | None = None) -> AsyncIterator[Api]:
    """A server in front of a fake control with these stacks (default: one, `blog`)."""
    with tempfile.TemporaryDirectory(prefix="stackd-api-") as directory:
        path = Path(directory) / "run" / "stackd.sock"
        control = FakeControl(*(stacks or (stack(),)))
        server = Server(control, settings or Settings(wall=lambda: NOON + 300))
        await server.start(listen(path))
        try:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path), limit=0)) as session:
                yield Api(control, server, path, session)
        finally:
            await server.stop()
