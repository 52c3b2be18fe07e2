"""The watchdog is fed by a daemon that works, and by no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from stackd import daemon as daemon_module
from stackd.config import parse
from stackd.daemon import Daemon
from stackd.model.ids import StackName
from stackd.runtime.database import Bounds
from stackd.runtime.journal import Journal
from stackd.runtime.sdnotify import Notifier
from tests.fake.engine import FakeEngine
from tests.unit.runtime.world import clock, until

BEAT = 0.05


class Fed(Notifier):
    """The instants at which the watchdog was fed; it wants that every four beats."""

    def __init__(self) -> None:
        super().__init__({"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": str(int(4e6 * BEAT))})
        self.at: list[float] = []

    def alive(self) -> None:
        self.at.append(time.monotonic())


@asynccontextmanager
async def watched(place: Path) -> AsyncIterator[tuple[Daemon, Fed]]:
    """A daemon of which only the watchdog's task runs."""
    journal, fed = Journal(place, Bounds(100, 100.0), clock), Fed()
    contents = await journal.load()
    daemon = Daemon(parse("", "config.toml", {"HOME": str(place)}), FakeEngine(), journal, contents)
    task = asyncio.create_task(daemon._watchdog(fed))
    try:
        await until(lambda: len(fed.at) >= 2)
        yield daemon, fed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await journal.close(0)


async def test_the_watchdog_starves_while_a_stack_oversleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path) as (daemon, fed):
        asked: list[float] = []

        def late(now: float, grace: float) -> list[StackName]:
            asked.append(grace)
            return [StackName("app")]

        with monkeypatch.context() as patch:
            patch.setattr(daemon.stacks, "late", late)
            before = len(fed.at)
            await until(lambda: len(asked) >= 3)
            assert len(fed.at) == before
        await until(lambda: len(fed.at) > before)


async def test_the_watchdog_is_not_fed_right_after_the_loop_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "LAG", 0.2)
    async with watched(tmp_path) as (_, fed):
        time.sleep(0.5)  # noqa: ASYNC251 - the hang itself
        woke, before = time.monotonic(), len(fed.at)
        await until(lambda: len(fed.at) > before)
        assert fed.at[before] - woke >= BEAT * 0.9
