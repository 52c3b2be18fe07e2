"""Log lines of a stack: all its containers merged by time, following on over restarts and recreation.

Law: reading logs changes nothing and delays nobody; a slow reader only holds back its own streams. No line is lost or
doubled for its instant: an engine stamps stdout and stderr apart and then writes them down one after the other, so a
line may follow one that is newer, or as old (seen on 20.10 under load). Its `since` looks at each line by itself.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from stackd.core.ownership import ours
from stackd.engine.base import Engine, LogLine
from stackd.errors import EngineError, EngineErrorKind, RequestError
from stackd.model.ids import ContainerId, StackName
from stackd.model.observed import ObservedContainer
from stackd.runtime.control import LogQuery, ServiceLog
from stackd.runtime.store import Store

_BUFFER = 256
_BUFFER_BYTES = 1024 * 1024
"""Lines, and characters of them, that are read ahead of the reader, over all containers."""
_OVERLAP = 256
"""Lines read once more when a container's log is followed anew: so far behind its place a line may be written."""


@asynccontextmanager
async def follow_logs(
    engine: Engine, store: Store, stack: StackName, query: LogQuery
) -> AsyncIterator[AsyncIterator[ServiceLog]]:
    """The lines that a query asks for; ends by itself, and may raise RequestError 503, unless it follows."""
    if not query.follow:
        async with AsyncExitStack() as streams:
            found = [await _opened(engine, one, query, streams) for one in _containers(store, stack, query)]
            yield _merged([log for log in found if log is not None])
        return
    lines = Ahead()
    following = asyncio.create_task(_follow(engine, store, stack, query, lines), name=f"logs {stack}")
    try:
        yield _queued(lines, following)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


class Ahead:
    """Lines read ahead of their reader; who puts one waits while there are _BUFFER, or _BUFFER_BYTES of them."""

    def __init__(self) -> None:
        self._lines: deque[ServiceLog] = deque()
        self._size = 0
        self._changed = asyncio.Condition()

    @property
    def size(self) -> int:
        """How many characters wait to be read."""
        return self._size

    async def put(self, line: ServiceLog) -> None:
        """Add a line once there is room; into an empty queue always."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._has_room(len(line.line.text)))
            self._lines.append(line)
            self._size += len(line.line.text)
            self._changed.notify_all()

    async def get(self) -> ServiceLog:
        """The oldest line, once there is one."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._lines))
            line = self._lines.popleft()
            self._size -= len(line.line.text)
            self._changed.notify_all()
            return line

    def _has_room(self, more: int) -> bool:
        return not self._lines or (len(self._lines) < _BUFFER and self._size + more <= _BUFFER_BYTES)


def _containers(store: Store, stack: StackName, query: LogQuery) -> list[ObservedContainer]:
    found = ours(store.view(stack)) if stack in store.names() else ()
    return [one for one in found if not query.services or one.service in query.services]


@dataclass(slots=True)
class _Past:
    """One container's log, and the line of it that comes next."""

    container: ObservedContainer
    lines: AsyncIterator[LogLine]
    head: LogLine


async def _opened(
    engine: Engine, container: ObservedContainer, query: LogQuery, streams: AsyncExitStack
) -> _Past | None:
    """None when there is no line, or no such container any more. Raises RequestError 503."""
    since = int(query.since * 1e9)
    try:
        log = engine.logs(container.id, tail=query.tail, since=since, follow=False)
        lines = aiter(await streams.enter_async_context(log))
        head = await anext(lines, None)
    except EngineError as error:
        if error.kind is EngineErrorKind.MISSING:
            return None
        raise RequestError(503, "engine_unavailable", f"the engine does not give the log: {error.message}") from error
    return _Past(container, lines, head) if head is not None else None


async def _merged(logs: list[_Past]) -> AsyncIterator[ServiceLog]:
    """By time, with no more than one line of each container in memory: a log may be larger than that."""
    heap = [(log.head.at, index, log) for index, log in enumerate(logs)]
    heapq.heapify(heap)
    while heap:
        _, index, log = heap[0]
        yield ServiceLog(log.container.service, log.container.number, log.head)
        following = await anext(log.lines, None)
        if following is None:
            heapq.heappop(heap)
            continue
        log.head = following
        heapq.heapreplace(heap, (following.at, index, log))


async def _queued(lines: Ahead, following: asyncio.Task[None]) -> AsyncIterator[ServiceLog]:
    while True:
        line = asyncio.ensure_future(lines.get())
        try:
            await asyncio.wait({line, following}, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                following.result()
                return
            yield line.result()
        finally:
            line.cancel()


@dataclass(slots=True)
class _Told:
    """What was told of one container: all that counts before `since` (nanoseconds), and the lines of these instants."""

    since: int
    recent: deque[int] = field(default_factory=deque)

    def add(self, line: LogLine, *, first: bool) -> None:
        """A line is told; `first` of a log read by its tail: what is older was not wanted."""
        if first:
            self.since = max(self.since, line.at)
        self.recent.append(line.at)
        if len(self.recent) > _OVERLAP:
            self.since = max(self.since, self.recent.popleft() + 1)


async def _follow(engine: Engine, store: Store, stack: StackName, query: LogQuery, lines: Ahead) -> None:
    """One reader per live container; a container that runs anew, or is new, gets a new one where the last one ended."""
    told: dict[ContainerId, _Told] = {}
    first = {container.id for container in _containers(store, stack, query)}
    readers: dict[ContainerId, asyncio.Task[None]] = {}
    version = -1
    try:
        while True:
            for container in _containers(store, stack, query):
                reader = readers.get(container.id)
                if (reader is None or reader.done()) and (container.live or container.id not in readers):
                    since = int(query.since * 1e9) if container.id in first else 0
                    known = told.setdefault(container.id, _Told(since))
                    tail = query.tail if container.id in first and not known.recent else None
                    read = _read(engine, container, tail, known, lines)
                    readers[container.id] = asyncio.create_task(read)
            if stack not in store.names():
                return
            await store.changed(stack, version, None)
            version = store.view(stack).version
    finally:
        for reader in readers.values():
            reader.cancel()
        await asyncio.gather(*readers.values(), return_exceptions=True)


async def _read(engine: Engine, container: ObservedContainer, tail: int | None, told: _Told, lines: Ahead) -> None:
    again = Counter(told.recent)
    try:
        async with engine.logs(container.id, tail=tail, since=told.since, follow=True) as stream:
            async for line in stream:
                if again[line.at]:
                    again[line.at] -= 1
                    continue
                told.add(line, first=tail is not None and not told.recent)
                await lines.put(ServiceLog(container.service, container.number, line))
    except EngineError:
        return
