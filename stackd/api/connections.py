"""The connections of the server: how many there may be, how long they may idle, what is said of those that fail.

Law: fewer than the process has descriptors, so that stackd's own work never lacks one; when all are taken, the one that
has idled longest makes room, and else the newcomer waits in the kernel's queue. Nothing that a client sends is worth
more than one line of the log a minute. Idle and half-sent heads end by aiohttp's keep-alive timer, bodies by
`serving.parse_body`. What this module does not do: know routes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aiohttp import http_exceptions, web

from stackd.api.peer import peer_of
from stackd.api.problems import problem_response
from stackd.api.serving import Settings
from stackd.errors import RequestError
from stackd.runtime.descriptors import open_files
from stackd.runtime.repeated import Repeated

log = logging.getLogger(__name__)

LINGER = 2.0
"""Seconds for which the rest of a body that nobody reads is taken after its answer, so that the client sees that."""
IDLES = 1.0
"""Seconds after which a connection may be ended for another one: before, its request may just be on its way."""
ACCEPT_RETRY = 1.0
"""Seconds until connections are accepted again after that failed."""


class Connection(web.RequestHandler):
    """One connection. While a request is answered, a stream too, it is not idle."""

    def __init__(self, door: Door, manager: web.Server, idle: float) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=idle,
            lingering_time=LINGER,
            access_log=None,  # type: ignore[arg-type]
        )
        self._door = door
        self._answering = 0
        self._since = self._loop.time()

    @property
    def idle_for(self) -> float:
        """Seconds since the last answer (or the beginning); 0 while a request is being answered."""
        return 0.0 if self._answering else self._loop.time() - self._since

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around the answering of one request."""
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1
            self._since = self._loop.time()
            self._door.changed()

    def make_room(self) -> None:
        """End it at once."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._door.came(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Count it no more."""
        super().connection_lost(exc)
        self._door.left(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP becomes a problem and one line of the log, where aiohttp would log a traceback for each.

        Raises ConnectionError, which aiohttp passes over in silence, when there is nobody to answer any more.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        if not isinstance(exc, http_exceptions.HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        self._door.malformed(f"{_whose(self)}: {_words(exc)}")
        request_id = secrets.token_hex(6)
        error = RequestError(400, "malformed_request", f"this is not a request of HTTP/1.1: {_words(exc)}")
        response = problem_response(error, request_id)
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """A body that cannot be decoded, found while nobody wanted it, is no defect."""
        if isinstance(kw.get("exc_info"), web.RequestPayloadError):
            self._door.malformed(f"{_whose(self)}: a body that cannot be decoded")
        else:
            super().log_exception(*args, **kw)


class Door:
    """Accepts the connections of a listening socket, from `open` to `close`."""

    def __init__(self, manager: web.Server, settings: Settings) -> None:
        self._manager = manager
        self._settings = settings
        self._here: dict[Connection, None] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._malformed, self._failed, self._full = (Repeated(log) for _ in range(3))

    def __len__(self) -> int:
        return len(self._here)

    def open(self, listening: socket.socket) -> None:
        """Accept from now on."""
        self._task = asyncio.create_task(self._accept(listening), name="accept connections")

    async def close(self) -> None:
        """Accept no more; the connections that there are stay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for warnings in (self._malformed, self._failed, self._full):
            warnings.close()

    def came(self, one: Connection) -> None:
        """A connection begins."""
        self._here[one] = None

    def left(self, one: Connection) -> None:
        """A connection has ended."""
        self._here.pop(one, None)
        self.changed()

    def changed(self) -> None:
        """A connection has ended, or idles now."""
        self._news.set()

    def malformed(self, what: str) -> None:
        """Say now and then that what came is not HTTP."""
        self._malformed.note(f"malformed request: {what}")

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
                await self._take(accepted)
            except OSError as error:
                self._failed.note(
                    f"cannot accept a connection: {error.strerror or error} ({open_files()} open files are allowed; "
                    "in the unit: LimitNOFILE=)"
                )
                await asyncio.sleep(ACCEPT_RETRY)

    async def _take(self, accepted: socket.socket) -> None:
        try:
            await self._room()
        except BaseException:
            accepted.close()
            raise
        await asyncio.get_running_loop().connect_accepted_socket(self._connection, accepted)

    def _connection(self) -> Connection:
        return Connection(self, self._manager, self._settings.idle)

    async def _room(self) -> None:
        """Return when one more connection may come."""
        most = self._settings.max_connections
        while len(self._here) >= most:
            idle = max(self._here, key=lambda one: one.idle_for)
            if idle.idle_for < IDLES:
                self._full.note(f"all {most} connections are in use; others wait until one of them ends")
            else:
                idle.make_room()
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLES):
                    await self._news.wait()


def _whose(connection: Connection) -> str:
    return "from a client that is gone" if connection.transport is None else f"from {peer_of(connection).described()}"


def _words(error: http_exceptions.HttpProcessingError) -> str:
    """What is wrong, without what the client sent: that may hold a secret, or megabytes."""
    match error:
        case http_exceptions.LineTooLong():
            return "a line of its head is too long"
        case http_exceptions.BadHttpMethod():
            return "its method is none"
        case http_exceptions.BadStatusLine() | http_exceptions.InvalidURLError():
            return "its first line is not METHOD PATH HTTP/1.1"
        case http_exceptions.InvalidHeader():
            return "a header is malformed"
        case http_exceptions.TransferEncodingError() | http_exceptions.ContentLengthError():
            return "its body is not of the length that it says"
        case http_exceptions.ContentEncodingError():
            return "its body is not encoded as it says"
        case _:
            return "its head is malformed"
