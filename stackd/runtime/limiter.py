"""How much is done at once, over all stacks: one limiter before the engine.

Law: within a kind of call, restarts go before roll-outs, and first come first served within that. What it does NOT do:
decide what to do.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import assert_never

from stackd.model.plan import (
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Op,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    StopContainer,
    UpdateRestartPolicy,
    Why,
)

URGENT = (Why.EXITED, Why.UNSTARTABLE, Why.UNHEALTHY, Why.ENGINE_RESTARTED, Why.DEPENDENCY_RESTARTED)


@dataclass(slots=True)
class _Gate:
    """A semaphore whose waiters have a rank."""

    free: int
    waiters: list[tuple[int, int, asyncio.Future[None]]] = field(default_factory=list)
    ticket: itertools.count[int] = field(default_factory=itertools.count)

    async def enter(self, rank: int) -> None:
        if self.free > 0:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiters, (rank, next(self.ticket), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        while self.waiters:
            _, _, turn = heapq.heappop(self.waiters)
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls of each kind may be under way."""

    starts: int = 4
    creates: int = 4
    stops: int = 16
    pulls: int = 2
    builds: int = 1


class Limiter:
    """Hands out turns."""

    def __init__(self, limits: Limits) -> None:
        self._starts = _Gate(limits.starts)
        self._creates = _Gate(limits.creates)
        self._stops = _Gate(limits.stops)
        self._pulls = _Gate(limits.pulls)
        self._builds = _Gate(limits.builds)

    @asynccontextmanager
    async def turn(self, op: Op) -> AsyncIterator[None]:
        """Hold a turn for an operation; cancelling while waiting gives it back."""
        gate = self._gate(op)
        await gate.enter(0 if op.reason.why in URGENT else 1)
        try:
            yield
        finally:
            gate.leave()

    def _gate(self, op: Op) -> _Gate:
        match op:
            case StartContainer():
                return self._starts
            case CreateContainer() | CreateNetwork() | CreateVolume() | RenameContainer() | UpdateRestartPolicy():
                return self._creates
            case StopContainer() | RemoveContainer() | RemoveNetwork():
                return self._stops
            case PullImage():
                return self._pulls
            case BuildImage():
                return self._builds
            case _:
                assert_never(op)
