"""The two streams: history and logs, as NDJSON or as text for people.

Law: a slow client is never waited for by anybody but its own task: it is told `lagged` with the cursor to go on from,
and closed. Cursors are exclusive. The history is read from the journal at each client's own pace: nothing is queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

from aiohttp import web

from stackd.api import text
from stackd.api.convert import event_view, instant, log_view, stack_view
from stackd.api.problems import ProblemAnswer, nearest
from stackd.api.reads import find_stack
from stackd.api.replies import encoded, wants_text
from stackd.api.schemas import EventsQuery, LogsQuery
from stackd.api.serving import Call, within
from stackd.errors import RequestError
from stackd.model.happenings import EVENT_TYPES, families, is_of_type
from stackd.model.ids import ServiceName
from stackd.model.status import Happening
from stackd.runtime.control import LogQuery, ServiceLog

PAGE = 200
"""History entries read at once."""


_LAST_WORDS = 0.05
"""Seconds: enough to hand a line to the kernel or to the connection's buffer."""


class Lagging(Exception):
    """The client has taken nothing for too long, or asks for what is no longer kept."""


class Feed:
    """An answer that goes on. Headers go out at once; every `send` is a whole line and has a deadline."""

    def __init__(self, call: Call, *, as_text: bool) -> None:
        self.as_text = as_text
        self._request = call.request
        self._stall = call.serving.settings.stall
        self._response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._response.content_type = "text/plain" if as_text else "application/x-ndjson"
        self._response.charset = "utf-8" if as_text else None
        self.headers_only = call.request.method == "HEAD"

    async def open(self) -> None:
        """Send the headers: from here on nothing can become a problem+json."""
        await self._response.prepare(self._request)

    async def send(self, line: bytes) -> None:
        """Send one line. Raises `Lagging`."""
        try:
            async with asyncio.timeout(self._stall):
                await self._response.write(line)
        except TimeoutError:
            raise Lagging from None

    async def heartbeat(self, seq: int, at: float) -> None:
        """A sign of life; people need none."""
        if not self.as_text:
            await self.send(encoded({"type": "heartbeat", "seq": seq, "at": instant(at)}))

    async def lagged(self, view: Mapping[str, object]) -> None:
        """Say that lines are missing from here on, and close; what is on its way is given `stall` more seconds."""
        line = b"(lagged: lines are missing from here on)\n" if self.as_text else encoded({"type": "lagged", **view})
        for last in (self._response.write(line), self._response.write_eof()):
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(_LAST_WORDS):
                    await last
        transport = self._request.transport
        if transport is not None:
            transport.close()
            asyncio.get_running_loop().call_later(self._stall, transport.abort)

    async def finish(self) -> web.StreamResponse:
        """End the answer."""
        with suppress(ConnectionError):
            await self._response.write_eof()
        return self._response

    @property
    def response(self) -> web.StreamResponse:
        """The answer itself."""
        return self._response


async def events(call: Call) -> web.StreamResponse:
    """The history from a cursor on, and with `follow` what happens next."""
    query = call.query(EventsQuery)
    _check_known(call, query)
    if query.snapshot:
        await call.serving.started()
    cursor = _cursor(call, query)
    pending = call.control.happenings(cursor, PAGE)
    with call.serving.follower():
        feed = Feed(call, as_text=wants_text(call.request))
        await feed.open()
        if feed.headers_only:
            return await feed.finish()
        try:
            if query.snapshot:
                await _snapshot(call, feed)
            cursor = await _history(call, feed, query, cursor, pending)
        except _Behind as behind:
            await feed.lagged({"from": behind.cursor})
            return feed.response
        return await feed.finish()


class _Behind(Exception):
    def __init__(self, cursor: int) -> None:
        super().__init__(cursor)
        self.cursor = cursor


async def _history(call: Call, feed: Feed, query: EventsQuery, cursor: int, pending: tuple[Happening, ...]) -> int:
    """Send entries until all are sent or, with `follow`, for ever; the cursor behind the last one."""
    control, settings = call.control, call.serving.settings
    end = control.last_seq()
    try:
        while True:
            for happening in pending:
                cursor = happening.seq  # before the send: a line that stalls is on its way already
                if _matches(query, happening):
                    await feed.send(_event_line(feed, happening))
            if not pending and not query.follow:
                return cursor
            if not pending and not await within(control.happened(cursor), settings.heartbeat):
                await feed.heartbeat(cursor, settings.wall())
            if not query.follow and cursor >= end:
                return cursor
            pending = control.happenings(cursor, PAGE)
    except (Lagging, RequestError):
        raise _Behind(cursor) from None


def _cursor(call: Call, query: EventsQuery) -> int:
    """Where to begin. Raises 410 for a cursor that is no longer kept, or that never was given out."""
    control = call.control
    last = control.last_seq()
    match query.start or ("now" if query.follow else "oldest"):
        case "now":
            return last
        case "oldest":
            return -1
        case number:
            cursor = int(number)
    try:
        if cursor > last:
            raise RequestError(410, "cursor_expired", f"the history ends at {last}: {cursor} belongs to another one")
        control.happenings(cursor, 1)
    except RequestError as error:
        raise _expired(call, error) from None
    return cursor


def _expired(call: Call, error: RequestError) -> ProblemAnswer:
    """410 with the oldest cursor that works."""
    kept = call.control.happenings(-1, 1)
    answer = ProblemAnswer(error.status, error.code, error.detail)
    answer.oldest = kept[0].seq - 1 if kept else call.control.last_seq()
    return answer


def _check_known(call: Call, query: EventsQuery) -> None:
    """Refuse a type that no entry can have (400), and a stack that neither exists nor is in the history (404)."""
    if not any(is_of_type(known, query.type) for known in EVENT_TYPES):
        hint = nearest(query.type, (*families(), *EVENT_TYPES))
        kinds = ", ".join(families())
        text = (
            f'there is no event type "{query.type}"{hint}; a type is a family ({kinds}) or one of it (container.exited)'
        )
        raise RequestError(400, "unknown_event_type", text)
    names = [stack.name for stack in call.control.stacks()] if query.stack else []
    if query.stack and query.stack not in names and not _is_in_history(call, query.stack):
        raise RequestError(404, "no_such_stack", f'there is no stack "{query.stack}"{nearest(query.stack, names)}')


def _is_in_history(call: Call, stack: str) -> bool:
    """Whether an entry about a stack that is gone is still kept."""
    pending = call.control.happenings(-1, PAGE)
    while pending:
        if any(happening.stack == stack for happening in pending):
            return True
        pending = call.control.happenings(pending[-1].seq, PAGE)
    return False


def _matches(query: EventsQuery, happening: Happening) -> bool:
    return (not query.stack or happening.stack == query.stack) and is_of_type(happening.type, query.type)


def _event_line(feed: Feed, happening: Happening) -> bytes:
    view = event_view(happening)
    return (text.event_line(view) + "\n").encode() if feed.as_text else encoded(view)


async def _snapshot(call: Call, feed: Feed) -> None:
    """Everything as it is now, in one line."""
    stacks = [stack_view(stack) for stack in call.control.stacks()]
    if not feed.as_text:
        await feed.send(encoded({"type": "snapshot", "seq": call.control.last_seq(), "stacks": stacks}))


async def logs(call: Call) -> web.StreamResponse:
    """Log lines of a stack's services."""
    query = call.query(LogsQuery)
    stack = find_stack(call)
    wanted = LogQuery(
        services=tuple(ServiceName(name) for name in query.service),
        tail=query.tail,
        since=query.since.timestamp() if query.since else 0.0,
        follow=query.follow,
    )
    width = max((len(f"{r_name}-1") for r_name in query.service or [s.name for s in stack.services]), default=0)
    with call.serving.follower():
        async with call.control.logs(stack.name, wanted) as lines:
            feed = Feed(call, as_text=wants_text(call.request))
            await feed.open()
            if feed.headers_only:
                return await feed.finish()
            try:
                await _lines(call, feed, lines, lambda entry: _log_line(feed, entry, width, query.timestamps))
            except Lagging:
                await feed.lagged({})
                return feed.response
        return await feed.finish()


async def _lines(
    call: Call, feed: Feed, lines: AsyncIterator[ServiceLog], line_of: Callable[[ServiceLog], bytes]
) -> None:
    """Send lines as they come, a heartbeat when none comes."""
    settings = call.serving.settings
    following = asyncio.ensure_future(anext(lines, None))
    try:
        while True:
            await asyncio.wait({following}, timeout=settings.heartbeat)
            if not following.done():
                await feed.heartbeat(call.control.last_seq(), settings.wall())
                continue
            entry = following.result()
            if entry is None:
                return
            await feed.send(line_of(entry))
            following = asyncio.ensure_future(anext(lines, None))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _log_line(feed: Feed, entry: ServiceLog, width: int, timestamps: bool) -> bytes:
    view = log_view(entry)
    if feed.as_text:
        return (text.log_line(view, width, timestamps=timestamps) + "\n").encode()
    return encoded(view)
