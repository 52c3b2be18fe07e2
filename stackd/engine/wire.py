"""The connection to the engine: requests and streams over a Unix socket, each with its deadline.

Law: this is the only module that touches aiodocker's insides (`_do_query`; hence the pinned version), and it closes
every response itself: the library leaks the connection of every stream that is left early (reproduced with 0.27). Two
pools: streams never take a slot from requests. No call before the API version is negotiated; never above the newest
tested one.
What this module does not do: know any path of the API, or judge an answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO

import aiohttp

from stackd.engine.failures import FAILURES, failure
from stackd.engine.library import aiodocker
from stackd.engine.locate import socket_path
from stackd.errors import EngineError, EngineErrorKind
from stackd.translate.node import Json, Node, as_node

NEWEST_TESTED = (1, 51)
_UNARY_CONNECTIONS = 32
_CONNECT_TIMEOUT = 3.0
_CHUNK = 1 << 16
_LONGEST_LINE = 16 << 20


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `doing` names it in errors; `body` is JSON, `payload` bytes of another kind (a tar)."""

    method: str
    path: str
    doing: str
    params: Mapping[str, Json] = field(default_factory=dict)
    body: Mapping[str, Json] | None = None
    payload: IO[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Stream:
    """An answer that goes on. Iterating and reading raise EngineError; it ends where the engine ends it."""

    def __init__(self, response: aiohttp.ClientResponse, doing: str) -> None:
        self._response = response
        self._doing = doing
        self._buffer = bytearray()

    async def read(self, silence: float | None = None) -> bytes:
        """The next bytes, b"" at the end. `silence`: seconds without any after which it is a time-out."""
        try:
            async with asyncio.timeout(silence):
                return await self._response.content.readany()
        except FAILURES as error:
            raise failure(error, self._doing) from error

    async def line(self, silence: float | None = None) -> bytes:
        """The next line without its end, b"" at the end of the stream; empty lines are passed over."""
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                found = bytes(self._buffer[:end]).strip()
                del self._buffer[: end + 1]
                if found:
                    return found
                continue
            chunk = await self.read(silence)
            if not chunk:
                rest = bytes(self._buffer).strip()
                self._buffer.clear()
                return rest
            self._buffer += chunk
            if len(self._buffer) > _LONGEST_LINE:
                raise EngineError(EngineErrorKind.FAILED, f"{self._doing}: a line of more than {_LONGEST_LINE} bytes")

    async def document(self, silence: float | None = None) -> Node | None:
        """The next line as JSON, None at the end of the stream."""
        line = await self.line(silence)
        if not line:
            return None
        try:
            return as_node(json.loads(line))
        except ValueError as error:
            raise failure(error, self._doing) from error


class Wire:
    """Both pools to one engine. Made inside a running event loop."""

    def __init__(self, url: str) -> None:
        self.socket = socket_path(url)
        self.version: tuple[int, int] | None = None
        self._negotiating = asyncio.Lock()
        self._unary = self._client(aiohttp.UnixConnector(self.socket, limit=_UNARY_CONNECTIONS))
        self._streams = self._client(aiohttp.UnixConnector(self.socket, limit=0, force_close=True))

    def _client(self, connector: aiohttp.UnixConnector) -> aiodocker.Docker:
        patience = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT)
        return aiodocker.Docker(url="unix://localhost", connector=connector, timeout=patience)

    async def negotiate(self, deadline: float) -> Node:
        """Ask anew for the engine's version and speak the newest that both know. Raises EngineError."""
        async with self._negotiating:
            return await self._negotiate(deadline)

    async def _negotiate(self, deadline: float) -> Node:
        told = await self._answer(Ask("GET", "version", "ask the engine's version"), deadline, versioned=False)
        self.version = min(_version(told.text("ApiVersion")), NEWEST_TESTED)
        self._unary.api_version = self._streams.api_version = f"v{self.version[0]}.{self.version[1]}"
        return told

    async def ready(self, deadline: float) -> tuple[int, int]:
        """The API version in use, negotiated if it is not yet."""
        if self.version is None:
            async with self._negotiating:
                if self.version is None:
                    await self._negotiate(deadline)
        assert self.version is not None
        return self.version

    async def ask(self, ask: Ask, deadline: float) -> Node:
        """Send a request and read the whole answer (an empty one is an empty Node). Raises EngineError."""
        await self.ready(deadline)
        return await self._answer(ask, deadline, versioned=True)

    async def _answer(self, ask: Ask, deadline: float, *, versioned: bool) -> Node:
        try:
            async with asyncio.timeout(deadline):
                response = await self._send(self._unary, ask, versioned=versioned)
                try:
                    content = await response.read()
                finally:
                    response.close()
            return as_node(json.loads(content)) if content.strip() else Node(None)
        except FAILURES as error:
            raise failure(error, ask.doing) from error

    @asynccontextmanager
    async def stream(self, ask: Ask, deadline: float) -> AsyncIterator[Stream]:
        """Send a request whose answer goes on; entered when the engine has answered. `deadline` is for that alone."""
        await self.ready(deadline)
        try:
            async with asyncio.timeout(deadline):
                response = await self._send(self._streams, ask, versioned=True)
        except FAILURES as error:
            raise failure(error, ask.doing) from error
        try:
            yield Stream(response, ask.doing)
        finally:
            response.close()

    async def _send(self, client: aiodocker.Docker, ask: Ask, *, versioned: bool) -> aiohttp.ClientResponse:
        data: object = ask.payload if ask.body is None else json.dumps(ask.body).encode()
        return await client._do_query(
            ask.path,
            ask.method,
            params={name: _param(value) for name, value in ask.params.items()},
            data=data,
            headers=dict(ask.headers),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT),
            versioned_api=versioned,
        )

    async def close(self) -> None:
        """Close both pools; not by the library's own close, which raises after a broken event stream."""
        for client in (self._unary, self._streams):
            await client.session.close()
            await client.connector.close()


def _param(value: Json) -> str:
    match value:
        case bool():
            return "1" if value else "0"
        case str():
            return value
        case _:
            return json.dumps(value, separators=(",", ":"))


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    try:
        return int(major), int(minor)
    except ValueError:
        raise EngineError(EngineErrorKind.FAILED, f'ask the engine\'s version: "{text}" is no API version') from None
