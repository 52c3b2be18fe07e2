"""Calls to the disk that may hang: each in a thread that is given up after a time.

Law: a call that hangs (a network file system whose server is away) costs its own answer and one thread, not the others'
answers; it is not made again before the thread that hangs in it has ended. What this module does NOT do: stop such a
thread: nothing can.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SECONDS = 5.0
"""How long a call may take. The threads are daemon threads: they do not keep the process from ending."""


class Patience:
    """To be used by one thread at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._stuck: dict[Path, threading.Thread] = {}

    def call(self, place: Path, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Raises TimeoutError when it, or one before it, hangs at `place`."""
        before = self._stuck.pop(place, None)
        if before is not None and before.is_alive():
            self._stuck[place] = before
            raise TimeoutError(self.words)
        found: list[T] = []
        raised: list[BaseException] = []

        def run() -> None:
            try:
                found.append(work())
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=run, name=f"read {place}", daemon=True)
        thread.start()
        thread.join(self._seconds)
        if thread.is_alive():
            self._stuck[place] = thread
            raise TimeoutError(self.words)
        if raised:
            raise raised[0]
        return found[0]

    @property
    def words(self) -> str:
        """What to say of a place that hangs."""
        return f"it did not answer within {self._seconds:g} s; is it on a network file system that is away?"
