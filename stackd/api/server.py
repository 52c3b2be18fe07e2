"""The HTTP server on the unix socket: its life, and the one way a request takes through it.

Law: who may call is decided before anything is read; every error becomes a problem; the seam `except Exception` of the
API stands here. Ending: no new connections, streams and waits end at once, writes finish, then the socket goes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web

from stackd.api.connections import Connection, Door
from stackd.api.guard import admit
from stackd.api.listening import Listener
from stackd.api.peer import peer_of
from stackd.api.problems import from_http, problem_response
from stackd.api.routes import TABLE, Route
from stackd.api.serving import Call, Serving, Settings, parse_body, parse_query
from stackd.errors import RequestError
from stackd.runtime.control import Control

log = logging.getLogger(__name__)

_Inner = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SHUTDOWN = 3.0
"""Seconds that an answer under way has when serving ends."""


class Server:
    """Serves a `Control` on a socket."""

    def __init__(self, control: Control, settings: Settings | None = None) -> None:
        self.serving = Serving(control, settings or Settings(), TABLE)
        self._runner: web.AppRunner | None = None
        self._door: Door | None = None
        self._listener: Listener | None = None

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._door) if self._door is not None else 0

    async def start(self, listener: Listener) -> None:
        """Answer from now on; the listener is the server's from here on."""
        self._listener = listener
        app = _application(self.serving)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN, handle_signals=False)
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("a runner that is set up has a server")
        self._door = Door(self._runner.server, self.serving.settings)
        self._door.open(listener.socket)

    async def stop(self) -> None:
        """End serving; returns when every answer has ended. Stopping twice is stopping once."""
        runner, listener, self._runner, self._listener = self._runner, self._listener, None, None
        if self._door is not None:
            await self._door.close()
        if runner is not None:
            await runner.cleanup()
        if listener is not None:
            listener.close()


def _application(serving: Serving) -> web.Application:
    @web.middleware
    async def every(request: web.Request, handler: _Inner) -> web.StreamResponse:
        connection = request.protocol
        if not isinstance(connection, Connection):
            raise TypeError("every connection comes by the door")
        with connection.answering():
            return await _sent(request, await _answer(request, handler, serving), serving.settings.stall)

    async def close(_: web.Application) -> None:
        await serving.close()

    app = web.Application(middlewares=[every], client_max_size=serving.settings.body_limit)
    for route in serving.routes:
        for method in (route.method,) if route.writes else ("GET", "HEAD"):
            app.router.add_route(method, route.path, _handler(route, serving))
    app.on_shutdown.append(close)
    return app


async def _answer(request: web.Request, handler: _Inner, serving: Serving) -> web.StreamResponse:
    """One request, from who asks to its answer or problem. Cancellation and broken connections pass."""
    request_id = secrets.token_hex(6)
    try:
        admit(request, serving.settings.allowed_uids)
        response = await handler(request)
    except RequestError as error:
        response = problem_response(error, request_id)
    except web.HTTPException as error:
        known = dict.fromkeys(route.path for route in serving.routes)
        response = problem_response(from_http(error, request, known), request_id)
    except ConnectionError:
        raise
    except Exception:
        log.exception("request %s failed: %s %s", request_id, request.method, request.path)
        response = problem_response(
            RequestError(500, "internal", f"a defect of stackd; its log tells more about {request_id}"), request_id
        )
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
    return response


async def _sent(request: web.Request, response: web.StreamResponse, stall: float) -> web.StreamResponse:
    """Send an answer; a client that does not take it within `stall` seconds is cut off."""
    try:
        async with asyncio.timeout(stall):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client does not take its answer") from None
    return response


def _handler(route: Route, serving: Serving) -> _Inner:
    limit = serving.settings.body_time

    async def handle(request: web.Request) -> web.StreamResponse:
        query = parse_query(request, route.query)
        body = await parse_body(request, route.body, limit) if route.body is not None else None
        if not route.early:
            await serving.started()
        return await route.handler(Call(request, serving, peer_of(request), query, body))

    return handle
