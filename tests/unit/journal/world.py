"""A journal on real files, and what is put into it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import Incarnation
from stackd.model.override import Override, OverrideKind
from stackd.model.record import Crash, CrashBundle
from stackd.model.status import Happening
from stackd.model.view import Death, Ledger, Now, ServiceLedger
from stackd.runtime.database import Bounds
from stackd.runtime.journal import Journal, JournalContents

BLOG, WEB = StackName("blog"), ServiceName("web")
BOUNDS = Bounds(max_events=100, max_age=1000.0)
RUN = Incarnation(ContainerId("c1"), 5.0)


class Clock:
    """Both clocks, set by hand."""

    def __init__(self, mono: float = 100.0, wall: float = 10_000.0) -> None:
        self.now = Now(mono, wall)

    def __call__(self) -> Now:
        return self.now


@asynccontextmanager
async def opened(
    place: Path, clock: Clock | None = None, bounds: Bounds = BOUNDS, last_seq: int = 0
) -> AsyncIterator[tuple[Journal, JournalContents]]:
    journal = Journal(place, bounds, clock or Clock())
    contents = await journal.load()
    try:
        yield journal, contents
    finally:
        await journal.close(last_seq)


async def read(place: Path, clock: Clock | None = None) -> JournalContents:
    async with opened(place, clock) as (_, contents):
        return contents


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


def override(kind: OverrideKind = OverrideKind.STOPPED, reason: str = "asked", at: float = 1.0) -> Override:
    return Override(BLOG, WEB, kind, reason, "uid 1000", at, None, "digest")


def entry(seq: int, at: float = 10_000.0) -> Happening:
    return Happening(seq, at, BLOG, WEB, "container.exited", "web exited 137", (("exit_code", 137), ("oom", False)))


def ledger(seen_at: float) -> Ledger:
    web = ServiceLedger(
        fingerprint="f",
        deaths=(Death(RUN, seen_at, 137, False, "killed"),),
        health_restarts=((RUN, seen_at - 1),),
        completed=frozenset({RUN}),
        stable=RUN,
        stable_since=seen_at - 2,
        sick=RUN,
        sick_since=seen_at - 3,
        usurped=((ContainerId("c2"), seen_at - 4),),
    )
    return Ledger({WEB: web})


def outsider(place: Path) -> sqlite3.Connection:
    return sqlite3.connect(place / "stackd.db", isolation_level=None)


def bundle(number: int, service: ServiceName = WEB, at: float = 10_000.0, line: str = "out of luck") -> CrashBundle:
    crash = Crash(number, at, BLOG, service, ContainerId("c1"), "blog-web-1", 5.0, 137, 9, True, "exited 137")
    return CrashBundle(crash, "web:1", logs=(line,))
