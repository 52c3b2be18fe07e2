"""What an event stream told, and the comparison with what it must tell.

Law: the order is part of the contract, except within a group given as a set: engines differ in who comes first of
`stop` and `die`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from stackd.errors import EngineError
from stackd.model.evidence import EngineEvent, EventKind
from stackd.model.ids import ContainerId

Expected = Sequence[str | set[str]]

_CONTAINERS_OWN = frozenset(EventKind) - {EventKind.NETWORK, EventKind.VOLUME, EventKind.IMAGE}


def word(event: EngineEvent) -> str:
    """An event in one word: `kill(15)`, `die(0)`, `start`, `health_status: healthy`."""
    detail = event.signal if event.kind is EventKind.KILL else event.exit_code if event.kind is EventKind.DIE else None
    return event.action if detail is None else f"{event.action}({detail})"


class Seen:
    """The events of one stream."""

    def __init__(self, fence: Callable[[], Awaitable[str]]) -> None:
        self.events: list[EngineEvent] = []
        self.error: EngineError | None = None
        self._fence = fence
        self._more = asyncio.Event()

    def take(self, event: EngineEvent) -> None:
        """One more."""
        self.events.append(event)
        self._more.set()

    def broke(self, error: EngineError) -> None:
        """The stream's end."""
        self.error = error
        self._more.set()

    def words(self, container: ContainerId) -> list[str]:
        """What was told of a container."""
        return [word(e) for e in self.events if e.container == container and e.kind in _CONTAINERS_OWN]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for it, 20 s at most."""
        try:
            async with asyncio.timeout(20):
                while not holds():
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"seen only {[word(event) for event in self.events]}, {self.error}") from None

    async def exactly(self, container: ContainerId, expected: Expected) -> None:
        """Of this container these events are told, in this order, and no others."""
        size = sum(1 if isinstance(part, str) else len(part) for part in expected)
        await self.until(lambda: len(self.words(container)) >= size)
        fence = await self._fence()
        await self.until(lambda: any(event.actor == fence for event in self.events))
        told = self.words(container)
        position = 0
        for part in expected:
            group = [part] if isinstance(part, str) else sorted(part)
            assert sorted(told[position : position + len(group)]) == group, (told, expected)
            position += len(group)
        assert len(told) == size, (told, expected)

    async def ended(self) -> EngineError:
        """Wait for the stream's end."""
        await self.until(lambda: self.error is not None)
        assert self.error is not None
        return self.error
