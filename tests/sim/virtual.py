"""Virtual time on plain asyncio: when nothing is ready, the clock jumps to the next timer.

Law: no code under test is changed, and nothing waits for real. A loop that turns for ever without letting time pass is
starved, and one that waits for nothing is stuck: both are errors here, not hangs.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

OWNER: contextvars.ContextVar[int] = contextvars.ContextVar("owner", default=0)
"""Which daemon a task belongs to: inherited by every task that it starts."""
TURNS = 20_000
"""Turns of the loop at one instant after which it counts as starved (a busy instant takes some hundreds)."""


class Starved(Exception):
    """Something turns round and round, and time stands still."""


class Stuck(Exception):
    """Nothing is ready and nothing ever will be."""


class _Selector(selectors.DefaultSelector):
    """Never sleeps: time passes instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.turns = 0
        self.slept = 0.0
        self.each: Callable[[float], None] = lambda now: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.each(self.now)
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self.turns += 1
            if self.turns > TURNS:
                raise Starved(f"time stands still at {self.now:.3f}")
            return ready
        if timeout is None:
            raise Stuck(f"nothing to wait for at {self.now:.3f}")
        self.now += timeout
        self.turns = 0
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is its own; it knows whose every task is."""

    def __init__(self) -> None:
        self._clockwork = _Selector()
        super().__init__(self._clockwork)
        self._owners: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self.set_task_factory(self._make)  # type: ignore[arg-type]

    def time(self) -> float:
        return self._clockwork.now

    def boottime(self) -> float:
        """The clock that goes on while the machine sleeps; `time` stands still then."""
        return self._clockwork.now + self._clockwork.slept

    def suspend(self, seconds: float) -> None:
        """The machine sleeps for so long, and has just woken up."""
        self._clockwork.slept += seconds

    def each_turn(self, look: Callable[[float], None]) -> None:
        """Call `look` with the clock before every turn: between two turns every task stands at an await."""
        self._clockwork.each = look

    def _make(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **how: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **how)
        self._owners[task] = OWNER.get()
        return task

    def put_down(self) -> None:
        """End whatever is left after a story that broke off, and close."""
        while tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()
            self._clockwork.turns = 0
            self.run_until_complete(asyncio.wait(tasks))
        self.run_until_complete(self.shutdown_asyncgens())
        self.close()

    def tasks_of(self, owner: int) -> set[asyncio.Task[Any]]:
        """What a daemon has running."""
        return {task for task in asyncio.all_tasks(self) if self._owners.get(task) == owner}


def complaint(context: Mapping[str, Any]) -> str:
    """What the loop's exception handler was told, in one line."""
    return f"{context.get('message', '')} {context.get('exception', '')!r}"
