"""An HTTP proxy on a Unix socket, between stackd and an engine, that records every call and breaks the ones it is told.

Law: without a hook it changes nothing: bodies go both ways piece by piece (builds, events, logs), a client that goes
away takes its request at the engine with it, and an engine that is not there is a connection that breaks. Hooks run on
the proxy's own thread, one at a time. What this module does not do: hijacked connections (attach, exec), which stackd
does not use.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.proxy.calls import Call, named

_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length"}
_LARGEST = 1 << 30


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with this instead of what the engine says."""

    status: int = 500
    message: str = "injected"


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Go on after so many seconds; `math.inf` = hang until the client goes away."""

    seconds: float


Fault = Answer | Reset | Delay
Hook = Callable[[Call], Fault | None]
"""Asked about a call; None = let it be."""


def _let_be(_: Call) -> None:
    return None


class Proxy:
    """A proxy that runs on a thread of its own from `start` to `close`.

    `before` is asked when a call has arrived and nothing of it has been sent on. `after` is asked when the engine has
    answered in full (a stream: has come to its end) and nothing (a stream: not its end) has been passed on.
    """

    def __init__(self, socket: Path, engine: Path) -> None:
        self.socket = socket
        self.before: Hook = _let_be
        self.after: Hook = _let_be
        self._engine = engine
        self._calls: list[Call] = []
        self._open: set[asyncio.Transport] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def host(self) -> str:
        """The address, as DOCKER_HOST takes it."""
        return f"unix://{self.socket}"

    def calls(self) -> tuple[Call, ...]:
        """The calls so far, in the order in which they came."""
        return tuple(self._calls)

    def mark(self) -> int:
        """A place among the calls: those recorded later have a higher index."""
        return len(self._calls)

    def calm(self) -> None:
        """Break nothing more."""
        self.before = self.after = _let_be

    def reset_all(self) -> int:
        """Break every open request, event streams too; returns how many there were."""

        async def broken() -> int:
            found = list(self._open)
            for transport in found:
                transport.abort()
            return len(found)

        return asyncio.run_coroutine_threadsafe(broken(), self._loop).result(10)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._runner = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def close(self) -> None:
        """Break what is open and end."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self) -> web.AppRunner:
        connector = aiohttp.UnixConnector(str(self._engine), limit=0, force_close=True)
        patience = aiohttp.ClientTimeout(total=None)
        self._client = aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=patience)
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(self.socket)).start()
        return runner

    async def _end(self) -> None:
        for transport in list(self._open):
            transport.abort()
        await self._runner.cleanup()
        await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = named(len(self._calls) + 1, request.method, request.rel_url.raw_path, dict(request.query))
        self._calls.append(call)
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._open.add(transport)
        try:
            return await self._route(call, request)
        except (aiohttp.ClientError, ConnectionError):
            return _break(request)
        finally:
            self._open.discard(transport)

    async def _route(self, call: Call, request: web.Request) -> web.StreamResponse:
        if (broken := await self._fault(self.before(call), request)) is not None:
            return broken
        async with self._client.request(
            request.method,
            f"http://engine{request.rel_url.raw_path_qs}",
            data=_body(request),
            headers={name: value for name, value in request.headers.items() if name.lower() not in _HOP},
        ) as answer:
            if call.streams and answer.status < 300:
                return await self._stream(call, request, answer)
            content = await answer.read()
            call = self._answered(call, answer.status)
            if (broken := await self._fault(self.after(call), request)) is not None:
                return broken
            return web.Response(status=answer.status, body=content, headers=_passed(answer))

    def _answered(self, call: Call, status: int) -> Call:
        answered = self._calls[call.number - 1] = call.answered(status)
        return answered

    async def _stream(self, call: Call, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=_passed(answer))
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        call = self._answered(call, answer.status)
        if await self._fault(self.after(call), request) is None:
            await response.write_eof()
        return response

    async def _fault(self, fault: Fault | None, request: web.Request) -> web.StreamResponse | None:
        """What is answered instead, None = the call goes on."""
        match fault:
            case None:
                return None
            case Delay(seconds):
                await asyncio.sleep(seconds)
                return None
            case Reset():
                return _break(request)
            case Answer(status, message):
                return web.json_response({"message": message}, status=status)


def _break(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    async for piece in request.content.iter_any():
        yield piece


def _body(request: web.Request) -> object:
    return _pieces(request) if request.body_exists else None


def _passed(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}


@contextlib.contextmanager
def proxy(socket: Path, engine: Path) -> Iterator[Proxy]:
    """A proxy that listens on `socket` before the engine's socket `engine`."""
    made = Proxy(socket, engine)
    made.start()
    try:
        yield made
    finally:
        made.close()
