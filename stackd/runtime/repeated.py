"""A warning that may come a thousand times a second: logged at once, then at most once a minute with its number.

Law: the first one is never held back, and none is lost from the count. What this module does not do: choose the level
of other records, or the words.
"""

from __future__ import annotations

import asyncio
import logging

EVERY = 60.0
"""Seconds between two lines of one kind."""


class Repeated:
    """One kind of warning. To be used on the event loop; `close` ends its timer."""

    def __init__(self, log: logging.Logger, every: float = EVERY) -> None:
        self._log = log
        self._every = every
        self._count = 0
        self._last = ""
        self._timer: asyncio.TimerHandle | None = None

    def note(self, text: str) -> None:
        """Log `text` now, or count it for the next line."""
        if self._timer is None:
            self._log.warning("%s", text)
            self._rest()
        else:
            self._count += 1
            self._last = text

    def close(self) -> None:
        """Log what is still counted."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._flush()

    def _rest(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._over)

    def _over(self) -> None:
        self._timer = None
        if self._flush():
            self._rest()

    def _flush(self) -> bool:
        """Whether there was something to log."""
        count, self._count = self._count, 0
        if count:
            self._log.warning("%s (%d more since the line before)", self._last, count)
        return count > 0
