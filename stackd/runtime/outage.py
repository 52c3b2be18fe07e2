"""Saying that there is no engine: at once and each minute in the log, and all the time in the status line.

Law: a daemon that can do nothing is never silent. What this module does NOT do: try to connect (`intake` does).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two log lines of one outage."""
KEEPING = "keeping stacks"
"""The status line while all is well."""


class Outage:
    """One line of status, and when it was logged last. `mono` is the monotonic clock in seconds."""

    def __init__(self, mono: Callable[[], float]) -> None:
        self._mono = mono
        self._logged_at: float | None = None
        self._announce: Callable[[str], None] = lambda text: None
        self._text, self._note = KEEPING, ""
        self.status = KEEPING
        """What is to be shown of the daemon as a whole."""

    def announce_to(self, announce: Callable[[str], None]) -> None:
        """Call `announce` with the status line now and whenever it changes."""
        self._announce = announce
        announce(self.status)

    def failed(self, text: str) -> None:
        """A try to connect has failed."""
        now = self._mono()
        if self._logged_at is None or now - self._logged_at >= EVERY:
            self._logged_at = now
            log.warning("%s", text)
        self._show(text)

    def lost(self, text: str) -> None:
        """Contact broke, which is logged already: the next failure is logged at once."""
        self._logged_at = None
        self._show(text)

    def over(self) -> None:
        """There is contact."""
        self._logged_at = None
        self._show(KEEPING)

    def note(self, text: str) -> str:
        """Show this beside it until the next note ("" = nothing more); the whole status line."""
        self._note = text
        self._show(self._text)
        return self.status

    def _show(self, text: str) -> None:
        self._text = text
        status = f"{text}; {self._note}" if self._note else text
        if status != self.status:
            self.status = status
            self._announce(status)
