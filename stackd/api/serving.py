"""What all handlers share: the control, who may call, the followers, the writes in flight, the end of serving.

Law: every task started for a request has its owner here. A client that goes away cancels its own waiting, no write.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from stackd.api.peer import Peer
from stackd.api.problems import from_validation
from stackd.errors import RequestError
from stackd.runtime.control import Control
from stackd.runtime.descriptors import open_files

if TYPE_CHECKING:
    from stackd.api.routes import Route

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def _same_user_or_root() -> frozenset[int]:
    return frozenset({0, os.geteuid()})


def _connections() -> int:
    """How many connections are served at once: three quarters of the descriptors stay stackd's own."""
    return max(8, min(256, open_files() // 4))


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve; instants in seconds.

    `stall`: a client that takes nothing of an answer for so long is closed. `idle`: how long a connection may be
    without a whole head of a request; `body_time`: how long a body may take; `start_time`: how long a request waits
    for the first reading of the files.
    """

    allowed_uids: frozenset[int] = field(default_factory=_same_user_or_root)
    heartbeat: float = 15.0
    stall: float = 20.0
    idle: float = 30.0
    body_time: float = 10.0
    start_time: float = 10.0
    max_followers: int = 64
    max_connections: int = field(default_factory=_connections)
    body_limit: int = 1024 * 1024
    wall: Callable[[], float] = time.time


class Serving:
    """The state of a server; made once by `server`, handed to every handler."""

    def __init__(self, control: Control, settings: Settings, routes: tuple[Route, ...]) -> None:
        self.control = control
        self.settings = settings
        self.routes = routes
        self._started = False
        self._closing = asyncio.Event()
        self._followers: set[asyncio.Task[object]] = set()
        self._writes: set[asyncio.Task[object]] = set()

    @property
    def followers(self) -> int:
        """How many streams are open."""
        return len(self._followers)

    @contextmanager
    def follower(self) -> Iterator[None]:
        """Count the current task as a stream, to be cancelled when serving ends; 429 when there are too many."""
        if len(self._followers) >= self.settings.max_followers:
            raise RequestError(
                429, "too_many_followers", f"{self.settings.max_followers} streams are open already; close one"
            )
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream needs a task")
        self._followers.add(task)
        try:
            yield
        finally:
            self._followers.discard(task)

    async def write(self, work: Coroutine[object, object, T]) -> T:
        """Do a write to its end, even if its client goes away meanwhile."""
        task: asyncio.Task[T] = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def unless_closing(self, waiting: Awaitable[T]) -> T | None:
        """The result of a wait, or None when serving ends before."""
        wait = asyncio.ensure_future(waiting)
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait({wait, closing}, return_when=asyncio.FIRST_COMPLETED)
            return wait.result() if wait.done() else None
        finally:
            wait.cancel()
            closing.cancel()
            await asyncio.gather(wait, closing, return_exceptions=True)

    async def started(self) -> None:
        """Wait until the files have been read once; 503 `starting` when that takes too long."""
        if self._started:
            return
        unread = await self.unless_closing(self.control.started(self.settings.start_time))
        if unread is None:
            raise RequestError(503, "shutting_down", "stackd is shutting down")
        if unread:
            raise RequestError(
                503, "starting", f"stackd is still reading the stacks: {unread}; ask again in a few seconds"
            )
        self._started = True

    async def close(self) -> None:
        """End the waits and the streams; let the writes finish."""
        self._closing.set()
        for task in self._followers:
            task.cancel()
        if self._writes:
            await asyncio.wait(self._writes)


async def within(waiting: Awaitable[object], timeout: float) -> bool:
    """Whether something comes about within `timeout` seconds; it is cancelled when not."""
    try:
        async with asyncio.timeout(timeout):
            await waiting
    except TimeoutError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Call:
    """One request, parsed."""

    request: web.Request
    serving: Serving
    peer: Peer
    parsed_query: BaseModel
    parsed_body: BaseModel | None

    @property
    def control(self) -> Control:
        """The seam to the daemon."""
        return self.serving.control

    @property
    def by(self) -> str:
        """Who asks, for the history."""
        return self.peer.described()

    def part(self, name: str) -> str:
        """A named part of the path."""
        return self.request.match_info[name]

    def query(self, model: type[M]) -> M:
        """The parameters; `model` is the one that the route declares."""
        return _is(self.parsed_query, model)

    def body(self, model: type[M]) -> M:
        """The body; `model` is the one that the route declares."""
        return _is(self.parsed_body, model)


def _is(parsed: BaseModel | None, model: type[M]) -> M:
    if not isinstance(parsed, model):
        raise TypeError(f"the route declares {type(parsed).__name__}, its handler reads {model.__name__}")
    return parsed


def parse_query(request: web.Request, model: type[BaseModel]) -> BaseModel:
    """The parameters of the URL; one that is a tuple in the model may be repeated, any other may not."""
    values: dict[str, object] = {}
    for key in dict.fromkeys(request.query):
        given = request.query.getall(key)
        wanted = next((info for name, info in model.model_fields.items() if (info.alias or name) == key), None)
        many = wanted is not None and "tuple" in str(wanted.annotation)
        values[key] = tuple(given) if many or len(given) > 1 else given[0]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise from_validation(error, "query", model) from None


async def parse_body(request: web.Request, model: type[BaseModel], within: float) -> BaseModel:
    """The JSON body; nothing stands for `{}`. 400 for one that is malformed, 408 when it takes longer than `within`.

    A compressed body that is cut off in its own head decodes to nothing, and so it is malformed.
    """
    try:
        async with asyncio.timeout(within):
            text = await request.read()
    except TimeoutError:
        raise RequestError(408, "body_timeout", f"the body was not there within {within:g} s") from None
    except web.RequestPayloadError:
        raise _undecodable(request) from None
    if not text and request.body_exists and "Content-Encoding" in request.headers:
        raise _undecodable(request)
    try:
        return model.model_validate_json(text.strip() or b"{}")
    except ValidationError as error:
        raise from_validation(error, "body", model) from None


def _undecodable(request: web.Request) -> RequestError:
    encoding = request.headers.get("Content-Encoding", "")
    how = f"it is not {encoding}, as its Content-Encoding says" if encoding else "it is not of the length it says"
    return RequestError(400, "bad_body", f"body: {how}")
