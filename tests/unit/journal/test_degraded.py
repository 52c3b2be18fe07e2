"""A database that cannot be used: readers are told why, nothing raises, nobody waits, and all is written in the end."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stackd.model.override import OverrideKind
from stackd.runtime import database as database_module
from stackd.runtime import writer as writer_module
from stackd.runtime.database import Batch, Database
from stackd.runtime.journal import GIVEN_UP
from tests.unit.journal.world import (
    BLOG,
    bundle,
    entry,
    ledger,
    opened,
    outsider,
    override,
    read,
    until,
)  # fmt: skip

HELD = override(OverrideKind.HELD)


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes everything below the test's folder read-only, or writable again (root may write anything, so the call that
    asks the kernel is answered here)."""
    real, state = os.open, {"on": False}

    def opening(path: object, flags: int, *rest: int) -> int:
        if state["on"] and str(path).startswith(str(tmp_path)) and flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(writer_module, "LAG", 0.01)

    def switch(on: bool) -> None:
        state["on"] = on

    return switch


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lets the database grow by no page, or grow again: SQLite itself answers SQLITE_FULL."""
    state, commit = {"on": False}, Database.commit

    def limited(self: Database, batch: Batch, *, durable: bool) -> None:
        connection = self._require()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages if state['on'] else 1_000_000}")
        commit(self, batch, durable=durable)

    monkeypatch.setattr(Database, "commit", limited)
    monkeypatch.setattr(writer_module, "LAG", 0.01)

    def switch(on: bool) -> None:
        state["on"] = on

    return switch


async def test_a_read_only_directory_is_told_its_content_is_in_force_and_all_is_written_once_it_can_be(
    tmp_path: Path, read_only: Callable[[bool], None]
) -> None:
    async with opened(tmp_path) as (journal, _):
        await journal.put_override(override())
        journal.save_crash(bundle(1))
    read_only(True)
    async with opened(tmp_path) as (journal, contents):
        assert contents.overrides == (override(),)
        assert [one.id for one in journal.crashes(BLOG)] == [1]
        assert "Read-only file system" in journal.problem
        assert not await journal.put_override(HELD)
        journal.append_history(entry(1))
        journal.save_ledger(BLOG, ledger(90.0))
        read_only(False)
        await until(lambda: journal.healthy)
    kept = await read(tmp_path)
    assert set(kept.overrides) == {override(), HELD}
    assert kept.history == (entry(1),)
    assert kept.ledgers == {BLOG: ledger(90.0)}


async def test_a_directory_that_is_writable_again_is_locked_before_it_is_written(
    tmp_path: Path, read_only: Callable[[bool], None]
) -> None:
    read_only(True)
    async with opened(tmp_path) as (journal, _):
        read_only(False)
        async with opened(tmp_path) as (other, _):  # Another daemon was faster.
            assert not await journal.put_override(HELD)
            assert "another stackd uses the state directory" in journal.problem
            assert other.healthy
        await until(lambda: journal.flush(5))
        assert journal.healthy
    assert (await read(tmp_path)).overrides == (HELD,)


async def test_a_full_disk_is_told_and_all_is_written_once_there_is_room(
    tmp_path: Path, full: Callable[[bool], None]
) -> None:
    async with opened(tmp_path) as (journal, _):
        assert await journal.put_override(override())
        full(True)
        big = override(OverrideKind.HELD, reason="x" * 100_000)
        assert not await journal.put_override(big)
        journal.append_history(entry(1))
        journal.save_crash(bundle(1))
        assert "full" in journal.problem
        assert [one.id for one in journal.crashes(BLOG)] == [1], "readers are served from memory"
        assert await journal.crash(1) == bundle(1)
        full(False)
        await until(lambda: journal.healthy)
    kept = await read(tmp_path)
    assert set(kept.overrides) == {override(), big}
    assert kept.history == (entry(1),)


async def test_crashes_wait_in_memory_with_bounds_and_the_oldest_lose_their_evidence_first(
    tmp_path: Path, full: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "PENDING_EVIDENCE", 3)
    async with opened(tmp_path) as (journal, _):
        full(True)
        journal.append_history(entry(1))
        assert not await journal.put_override(override(reason="x" * 100_000))
        for number in range(1, 8):
            journal.save_crash(bundle(number))
        given_up = [number for number in range(1, 8) if (await journal.crash(number) or bundle(0)).gaps == (GIVEN_UP,)]
        assert given_up == [1, 2, 3, 4]
        full(False)
        await until(lambda: journal.healthy)
    async with opened(tmp_path) as (journal, _):
        assert [one.id for one in journal.crashes(BLOG)] == [7, 6, 5, 4, 3, 2, 1]
        assert (await journal.crash(7)) == bundle(7)
        first = await journal.crash(1)
        assert first is not None and first.gaps == (GIVEN_UP,)


async def test_a_database_locked_by_another_process_at_the_start_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (journal, _):
        await journal.put_override(override())
    monkeypatch.setattr(database_module, "BUSY", 0.05)
    monkeypatch.setattr(database_module, "MIGRATIONS", (*database_module.MIGRATIONS, ("CREATE TABLE further (a)",)))
    other = outsider(tmp_path)
    other.execute("BEGIN IMMEDIATE")
    async with opened(tmp_path) as (journal, contents):
        assert contents.overrides == (override(),)
        assert "locked" in journal.problem
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: journal.healthy)


async def test_a_database_that_could_not_be_opened_is_tried_again_though_nobody_puts_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LAG", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "open", _cannot)
        later = opened(tmp_path)
        journal, _ = await later.__aenter__()
        assert "unable to open" in journal.problem
    await until(lambda: journal.healthy)
    await later.__aexit__(None, None, None)


async def test_what_could_not_be_read_at_the_start_is_told_later_and_no_number_is_used_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, last_seq=5) as (journal, _):
        journal.append_history(entry(5))
        journal.save_crash(bundle(journal.next_crash()))
        await journal.put_override(override())
    monkeypatch.setattr(writer_module, "LAG", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "open", _cannot)
        patch.setattr(Database, "peek", _cannot)
        journal_later = opened(tmp_path)
        journal, contents = await journal_later.__aenter__()
        assert (contents.overrides, journal.unread) == ((), True)
        assert contents.next_seq > 5
        assert journal.next_crash() > 1
    await until(lambda: not journal.unread and bool(journal.crashes(BLOG)))
    assert await journal.crash(1) == bundle(1)
    await journal_later.__aexit__(None, None, None)
    assert (await read(tmp_path)).overrides == (override(),), "what was not known is not overwritten"


ON_A_SMALL_DISK = """
import asyncio, sys
from pathlib import Path
from tests.unit.journal.world import *
from stackd.runtime import writer

async def main(place):
    writer.LAG = 0.01
    async with opened(place / "state") as (journal, _):
        assert await journal.put_override(override())
        ballast = place / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        except OSError:
            pass
        assert not await journal.put_override(override(OverrideKind.HELD, reason="x" * 60_000))
        journal.append_history(entry(1))
        print(journal.problem)
        ballast.unlink()
        await until(lambda: journal.healthy)
    kept = await read(place / "state")
    print(len(kept.overrides), len(kept.history))

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.engine  # a mount of its own, which the machine of the bed allows
async def test_a_disk_that_is_really_full_costs_nothing_but_time(tmp_path: Path) -> None:
    mounted = f'mount -t tmpfs -o size=512k tmpfs "{tmp_path}" && exec "$0" -c "$1" "{tmp_path}"'
    process = await asyncio.create_subprocess_exec(
        "unshare", "-m" if os.geteuid() == 0 else "-Urm", "sh", "-c", mounted, sys.executable, ON_A_SMALL_DISK,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    told, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    problem, kept = told.decode().splitlines()
    assert "database or disk is full" in problem
    assert kept == "2 1"


def _cannot(*_: object) -> None:
    raise sqlite3.OperationalError("unable to open database file")


async def test_nothing_of_supervision_waits_for_a_database_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY", 60.0)
    monkeypatch.setattr(writer_module, "STALLED", 0.0)
    async with opened(tmp_path) as (journal, _):
        other = outsider(tmp_path)
        other.execute("BEGIN IMMEDIATE")
        put = asyncio.create_task(journal.put_override(override()))
        await until(lambda: "has not answered" in journal.problem)
        # None of these is awaited: what the loop calls returns though the thread hangs.
        journal.append_history(entry(1))
        journal.save_ledger(BLOG, ledger(90.0))
        journal.save_crash(bundle(journal.next_crash()))
        assert [one.id for one in journal.crashes(BLOG)] == [1]
        assert not put.done()
        other.execute("ROLLBACK")
        other.close()
        assert await put
    kept = await read(tmp_path)
    assert (kept.overrides, kept.history) == ((override(),), (entry(1),))
