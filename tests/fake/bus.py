"""The fake engine's event streams: late, and as unreliable as the test wants.

Law: an event carries the engine's time of its cause, whenever it is delivered. A stream that breaks raises
`EngineError(unavailable)` in its reader, after what was delivered before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import EngineEvent

Deliveries = Sequence[tuple[float, EngineEvent]]
"""When (seconds from now) and what a stream delivers: empty = lost, two = duplicated, longer = late."""


class EventBus:
    """All open event streams of the engine."""

    def __init__(self, lag: float) -> None:
        self.lag = lag
        self.mangle: Callable[[EngineEvent], Deliveries] | None = None
        self.history: list[EngineEvent] = []
        self._streams: dict[asyncio.Queue[EngineEvent | None], None] = {}
        self._last = (0.0, 0)

    @property
    def readers(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def publish(self, event: EngineEvent) -> None:
        """Tell every open stream."""
        self.history.append(event)
        deliveries = [(self.lag, event)] if self.mangle is None else self.mangle(event)
        loop = asyncio.get_running_loop()
        for delay, told in deliveries:
            due = loop.time() + delay + self._turn()
            for queue in self._streams:
                loop.call_at(due, queue.put_nowait, told)

    def break_streams(self, delay: float | None = None) -> None:
        """End every open stream, after what is under way to it (lag), or after `delay` seconds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + (self.lag if delay is None else delay) + self._turn()
        for queue in self._streams:
            loop.call_at(due, queue.put_nowait, None)

    def _turn(self) -> float:
        """A microsecond for each event of one instant: timers of equal time would fire in any order."""
        now = asyncio.get_running_loop().time()
        self._last = (now, self._last[1] + 1 if self._last[0] == now else 0)
        return self._last[1] * 1e-6

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """A stream from now on."""
        queue: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._streams[queue] = None
        try:
            yield _read(queue)
        finally:
            self._streams.pop(queue, None)


async def _read(queue: asyncio.Queue[EngineEvent | None]) -> AsyncIterator[EngineEvent]:
    while (event := await queue.get()) is not None:
        yield event
    raise EngineError(EngineErrorKind.UNAVAILABLE, "the event stream ended")
