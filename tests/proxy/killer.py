"""A process killed just before or just after a chosen engine call: a crash point.

Law: a point is a call by its name and how often it has come, never a time; so a point means the same in every run in
which the calls of one name keep their order, whatever the others do meanwhile.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.proxy.calls import Call
from tests.proxy.proxy import Fault, Proxy, Reset

Side = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Point:
    """Just before the `nth` call of that name is sent on, or just after the engine has answered it."""

    side: Side
    name: str
    nth: int

    def __str__(self) -> str:
        return f"{self.side} {self.name} #{self.nth}"


def points(calls: Sequence[Call], *, reads: bool = False) -> list[Point]:
    """Both sides of every call that changes something (and of every other one, with `reads`), in order."""
    found, seen = [], Counter[str]()
    for call in calls:
        if (call.changes or reads) and not call.streams:
            seen[call.name] += 1
            found += [Point("before", call.name, seen[call.name]), Point("after", call.name, seen[call.name])]
    return found


class Killer:
    """Hooks that kill process `pid` at a point, once; the call's client never gets an answer."""

    def __init__(self, proxy: Proxy, point: Point, pid: int) -> None:
        self.struck = threading.Event()
        self._point = point
        self._pid = pid
        self._seen = 0
        self._chosen = 0
        proxy.before, proxy.after = self._before, self._after

    def _before(self, call: Call) -> Fault | None:
        if call.name != self._point.name:
            return None
        self._seen += 1
        if self._seen == self._point.nth:
            self._chosen = call.number
            return self._strike() if self._point.side == "before" else None
        return None

    def _after(self, call: Call) -> Fault | None:
        return self._strike() if call.number == self._chosen else None

    def _strike(self) -> Fault | None:
        if self.struck.is_set():
            return None
        os.kill(self._pid, signal.SIGKILL)
        self.struck.set()
        return Reset()
