"""What happened, in order: kept in memory for readers and handed to the journal.

Law: an entry's `seq` grows by one and is never used twice; adding never blocks; readers follow by cursor, so a slow one
delays nobody. Callers redact; nothing secret comes in. No text of an entry is longer than `values.MOST_TEXT`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable

from stackd.model.ids import ServiceName, StackName
from stackd.model.status import Happening
from stackd.runtime.log import about
from stackd.values import shortened

log = logging.getLogger("stackd.history")

_LEVELS = {
    "definition.error": logging.ERROR,
    "definition.warning": logging.WARNING,
    "journal.behind": logging.WARNING,
}
"""Types of entries that are logged at another level than info."""

Fact = str | int | float | bool | None


class History:
    """The newest entries (at most `size`); `keep` is called with each new one, `clock` gives wall-clock seconds."""

    def __init__(
        self, clock: Callable[[], float], keep: Callable[[Happening], None], past: Iterable[Happening], next_seq: int,
        size: int = 10_000,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._keep = keep
        self._entries: deque[Happening] = deque(past, maxlen=size)
        self._next = next_seq
        self._news = asyncio.Event()

    @property
    def last_seq(self) -> int:
        """The newest entry's number, 0 when there is none."""
        return self._entries[-1].seq if self._entries else 0

    @property
    def oldest_seq(self) -> int:
        """The oldest entry still held, 0 when there is none."""
        return self._entries[0].seq if self._entries else 0

    def add(self, stack: StackName, service: ServiceName | None, type: str, message: str, **data: Fact) -> None:
        """Append one entry and wake all followers."""
        message = shortened(message)
        facts = tuple((key, shortened(value) if isinstance(value, str) else value) for key, value in data.items())
        entry = Happening(self._next, self._clock(), stack, service, type, message, facts)
        self._next += 1
        self._entries.append(entry)
        self._keep(entry)
        with about(stack, service or ""):
            log.log(_LEVELS.get(type, logging.INFO), "%s", message)
        news, self._news = self._news, asyncio.Event()
        news.set()

    def after(self, seq: int, limit: int) -> tuple[Happening, ...]:
        """Entries with a number above `seq`, oldest first, at most `limit`."""
        found = []
        for entry in reversed(self._entries):
            if entry.seq <= seq:
                break
            found.append(entry)
        return tuple(reversed(found))[:limit]

    def newest(self, stack: StackName, limit: int) -> tuple[Happening, ...]:
        """The newest entries of a stack, oldest first, at most `limit`."""
        found = itertools.islice((entry for entry in reversed(self._entries) if entry.stack == stack), limit)
        return tuple(reversed(list(found)))

    async def wait(self, seq: int) -> None:
        """Return once there is an entry with a number above `seq`."""
        while self.last_seq <= seq:
            await self._news.wait()
