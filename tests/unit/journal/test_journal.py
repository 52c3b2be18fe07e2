"""The journal on real files: what is kept, what a crash may cost, and what a bad database may not do."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.errors import StateError
from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, OperationId, ServiceName
from stackd.model.override import OverrideKind, Request, Verb
from stackd.model.plan import Why
from stackd.model.view import Ledger, Now
from stackd.runtime import database as database_module
from stackd.runtime import rows
from stackd.runtime.database import MIGRATIONS, Batch, Bounds, Database, Table
from stackd.runtime.history import History
from stackd.runtime.journal import SEQ_GAP, Journal, JournalContents
from stackd.source.revision import Revision, encoded
from tests.unit.journal.world import (
    BLOG,
    BOUNDS,
    RUN,
    WEB,
    Clock,
    entry,
    ledger,
    opened,
    outsider,
    override,
    read,
    until,
)  # fmt: skip


async def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    request = Request(OperationId("op1"), BLOG, Verb.RESTART, (WEB,), "uid 0", 2.0, frozenset({RUN}), accept_loss=True)
    condemned = {ContainerId("c1"): Condemned(ContainerId("c1"), 5.0, Why.CONFIG_CHANGED, "config changed", False)}
    texts = encoded({Path("/f"): b"\xff"})
    revision = Revision(BLOG, tmp_path, "blog", tmp_path / "blog", (1, 2), (1, 1), "mark", "digest", 3, (), texts)
    async with opened(tmp_path) as (journal, _):
        assert await journal.put_override(override())
        assert await journal.put_request(request)
        journal.save_ledger(BLOG, ledger(90.0))
        journal.save_condemned(BLOG, condemned)
        journal.save_revision(revision)
        journal.append_history(entry(1))
        journal.set_meta("cursor", "77")
    kept = await read(tmp_path)
    assert kept.overrides == (override(),)
    assert kept.requests == (request,)
    assert kept.ledgers == {BLOG: ledger(90.0)}
    assert kept.condemned == {BLOG: condemned}
    assert kept.revisions == {BLOG: revision}
    assert kept.revisions[BLOG].read(Path("/f")) == b"\xff"
    assert kept.history == (entry(1),)
    assert kept.meta["cursor"] == "77"


async def test_what_was_forgotten_stays_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        await journal.put_override(override())
        await journal.put_override(override(OverrideKind.SCALED))
        await journal.delete_override(override(reason="another wording of the same"))
        journal.save_ledger(BLOG, ledger(90.0))
        journal.save_ledger(BLOG, Ledger())
        journal.save_condemned(BLOG, {ContainerId("c"): Condemned(ContainerId("c"), 1.0, Why.UNHEALTHY, "", True)})
        journal.save_condemned(BLOG, {})
        await journal.put_request(Request(OperationId("op1"), BLOG, Verb.UP, (), "me", 1.0))
        journal.delete_request(OperationId("op1"))
        journal.save_revision(Revision(BLOG, tmp_path, "b", tmp_path, (1, 1), (1, 1)))
        journal.forget_revision(BLOG)
    kept = await read(tmp_path)
    assert kept.overrides == (override(OverrideKind.SCALED),)
    assert (kept.ledgers, kept.condemned, kept.requests, kept.revisions) == ({}, {}, (), {})


async def test_an_empty_ledger_written_after_a_restart_removes_the_old_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        journal.save_ledger(BLOG, ledger(90.0))
    async with opened(tmp_path) as (journal, _):
        journal.save_ledger(BLOG, Ledger())
    assert (await read(tmp_path)).ledgers == {}


async def test_ledger_instants_move_with_the_wall_clock_across_a_reboot(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock(mono=100.0, wall=10_000.0)) as (journal, _):
        journal.save_ledger(BLOG, ledger(90.0))
    kept = await read(tmp_path, Clock(mono=7.0, wall=10_050.0))
    assert kept.ledgers[BLOG] == ledger(-53.0)  # 60 s ago then and now


async def test_a_clock_set_back_puts_no_death_into_the_future(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock(mono=100.0, wall=10_000.0)) as (journal, _):
        journal.save_ledger(BLOG, ledger(95.0))
    web = (await read(tmp_path, Clock(mono=3.0, wall=1_000.0))).ledgers[BLOG].services[WEB]
    assert web.deaths[0].seen_at == 3.0
    assert web.health_restarts == ((RUN, 3.0),)
    assert web.stable_since == 3.0
    assert web.usurped == ((ContainerId("c2"), 3.0),)


async def test_fire_and_forget_data_is_written_without_being_asked(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        journal.append_history(entry(1))
        with outsider(tmp_path) as other:
            await until(lambda: other.execute("SELECT count(*) FROM history").fetchone() == (1,))
        other.close()


async def test_history_numbers_go_on_after_a_clean_end_and_skip_after_a_crash(tmp_path: Path) -> None:
    async with opened(tmp_path, last_seq=3) as (journal, contents):
        assert contents.next_seq == 1
        for seq in (1, 2, 3):
            journal.append_history(entry(seq))
    journal = Journal(tmp_path, BOUNDS, Clock())
    assert (await journal.load()).next_seq == 4
    journal.append_history(entry(4))
    assert await journal.flush(5)
    with outsider(tmp_path) as other:  # What a crash leaves: an end that nobody wrote down.
        assert other.execute("SELECT count(*) FROM meta WHERE key = 'ended_at_seq'").fetchone() == (0,)
    other.close()
    await journal.close(4)
    with outsider(tmp_path) as other:
        other.execute("DELETE FROM meta WHERE key = 'ended_at_seq'")
    other.close()
    assert (await read(tmp_path)).next_seq == 4 + SEQ_GAP


async def test_history_is_bounded_by_count_and_by_age(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        journal.append_history(entry(1, at=8_000.0))
        for seq in range(2, 20):
            journal.append_history(entry(seq))
    async with opened(tmp_path, bounds=Bounds(max_events=5, max_age=1000.0)) as (_, contents):
        assert [one.seq for one in contents.history] == [15, 16, 17, 18, 19]
    async with opened(tmp_path, Clock(wall=99_999.0)) as (_, contents):
        assert contents.history == ()


async def test_the_directory_is_private_and_so_are_the_files(tmp_path: Path) -> None:
    place = tmp_path / "a" / "state"
    place.mkdir(parents=True, mode=0o755)
    async with opened(place) as (journal, _):
        await journal.put_override(override())
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert {stat.S_IMODE(one.stat().st_mode) for one in place.iterdir()} == {0o600}


async def test_a_second_daemon_with_the_same_state_directory_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StateError, match=f"another stackd uses the state directory .* \\(pid {os.getpid()}\\)"):
            await Journal(tmp_path, BOUNDS, Clock()).load()
    await read(tmp_path)


async def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(StateError, match="not a directory"):
        await Journal(tmp_path / "f", BOUNDS, Clock()).load()


async def test_a_database_of_a_newer_stackd_is_left_alone(tmp_path: Path) -> None:
    await read(tmp_path)
    with outsider(tmp_path) as other:
        other.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    other.close()
    with pytest.raises(StateError, match="newer stackd"):
        await Journal(tmp_path, BOUNDS, Clock()).load()
    assert not list(tmp_path.glob("*corrupt*"))


async def test_a_corrupt_file_is_moved_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / "stackd.db").write_bytes(b"this is no database, and it is long enough to be looked at" * 100)
    async with opened(tmp_path) as (journal, contents):
        assert contents.overrides == ()
        assert await journal.put_override(override())
        assert journal.healthy
    [aside] = tmp_path.glob("stackd.db.corrupt-*")
    assert aside.read_bytes().startswith(b"this is no database")
    assert (await read(tmp_path)).overrides == (override(),)


async def test_a_file_that_becomes_corrupt_costs_no_override(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        await journal.put_override(override())
        other = outsider(tmp_path)
        other.execute("INSERT INTO meta VALUES ('foreign', 'so that the journal reads its pages anew')")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with (tmp_path / "stackd.db").open("r+b") as file:  # Every page but the first.
            size = file.seek(0, os.SEEK_END)
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        await until(lambda: journal.put_override(override(OverrideKind.HELD)))
        await until(lambda: journal.healthy)
    assert set((await read(tmp_path)).overrides) == {override(), override(OverrideKind.HELD)}
    assert list(tmp_path.glob("stackd.db.corrupt-*"))


async def test_a_locked_database_is_told_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY", 0.05)
    async with opened(tmp_path) as (journal, _):
        other = outsider(tmp_path)
        other.execute("BEGIN IMMEDIATE")
        assert not await journal.put_override(override())
        journal.append_history(entry(1))
        journal.append_history(entry(2))
        assert not await journal.flush(5)
        assert not journal.healthy
        assert "locked" in journal.problem
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: journal.healthy)  # It tries again by itself.
    kept = await read(tmp_path)
    assert kept.overrides == (override(),)
    assert [one.seq for one in kept.history] == [1, 2]


async def test_a_database_that_cannot_be_opened_keeps_everything_in_memory(tmp_path: Path) -> None:
    (tmp_path / "stackd.db").mkdir()
    async with opened(tmp_path) as (journal, contents):
        assert contents == JournalContents(next_seq=10_000), "later than any number that the file may hold"
        assert not await journal.put_override(override())
        assert "cannot be used" in journal.problem
        (tmp_path / "stackd.db").rmdir()
        await until(lambda: journal.flush(5))
        assert journal.healthy
    assert (await read(tmp_path)).overrides == (override(),)


async def test_a_stalled_database_delays_the_answer_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY", 60.0)
    monkeypatch.setattr("stackd.runtime.journal._REPLY", 0.05)
    monkeypatch.setattr("stackd.runtime.writer.STALLED", 0.1)
    async with opened(tmp_path) as (journal, _):
        other = outsider(tmp_path)
        other.execute("BEGIN IMMEDIATE")
        assert not await journal.put_override(override())
        journal.save_ledger(BLOG, ledger(1.0))
        await until(lambda: "has not answered" in journal.problem)
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: journal.healthy)
    assert (await read(tmp_path)).overrides == (override(),)


async def test_an_entry_that_cannot_be_read_is_told_and_left_where_it_is(tmp_path: Path) -> None:
    await read(tmp_path)
    with outsider(tmp_path) as other:
        other.execute("INSERT INTO overrides VALUES ('x', '{}')")
    other.close()
    async with opened(tmp_path) as (journal, contents):
        assert contents.overrides == ()
        assert journal.problem == "1 overrides or requests in the database cannot be read"
    with outsider(tmp_path) as other:
        assert other.execute("SELECT count(*) FROM overrides").fetchone() == (1,)
    other.close()


async def test_the_answer_to_an_override_waits_for_the_disk_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronous: list[int] = []
    commit = Database.commit

    def watched(self: Database, batch: Batch, *, durable: bool) -> None:
        commit(self, batch, durable=durable)
        if any(table is Table.OVERRIDES for table, _ in batch.rows):
            (level,) = self._require().execute("PRAGMA synchronous").fetchone()
            synchronous.append(level)

    monkeypatch.setattr(Database, "commit", watched)
    async with opened(tmp_path) as (journal, _):
        assert await journal.put_override(override())
        assert synchronous == [2], "2 = FULL: the write-ahead log is synced before the commit returns"


async def test_a_cancelled_put_is_written_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        put = asyncio.create_task(journal.put_override(override()))
        await asyncio.sleep(0)
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
    assert (await read(tmp_path)).overrides == (override(),)


WRITER = """
import asyncio, sys
from pathlib import Path
from stackd.model.override import Override, OverrideKind
from stackd.model.view import Now
from stackd.runtime.database import Bounds
from stackd.runtime.journal import Journal

async def main():
    journal = Journal(Path(sys.argv[1]), Bounds(1000, 1e9), lambda: Now(1.0, 1.0))
    await journal.load()
    number = 0
    while True:
        journal.set_meta("noise", str(number))
        assert await journal.put_override(Override(f"s{number}", None, OverrideKind.STOPPED, "", "", 1.0))
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


async def test_kill_9_of_the_writer_loses_no_acknowledged_override(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    acknowledged = [int(await process.stdout.readline()) for _ in range(30)]
    process.kill()
    acknowledged += [int(line) for line in (await process.stdout.read()).split()]
    assert await process.wait() == -signal.SIGKILL
    kept = {one.stack for one in (await read(tmp_path)).overrides}
    assert {f"s{number}" for number in acknowledged} <= kept


async def test_a_ledger_is_written_by_service_and_only_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    commit = Database.commit

    def spied(database: Database, batch: Batch, *, durable: bool) -> None:
        written.extend(key for (table, key) in batch.rows if table is Table.LEDGER)
        commit(database, batch, durable=durable)

    monkeypatch.setattr(Database, "commit", spied)
    names = [ServiceName(f"s{number}") for number in range(10)]
    of, clock = ledger(90.0).services[WEB], Clock()
    async with opened(tmp_path, clock) as (journal, _):
        journal.save_ledger(BLOG, Ledger(dict.fromkeys(names, of)))
        assert await journal.flush(5)
        assert sorted(written) == [rows.ledger_key(BLOG, name) for name in names]
        written.clear()
        clock.now = Now(101.0, 10_001.5)  # the wall clock was set by half a second
        crashed = Ledger({**dict.fromkeys(names, of), names[3]: replace(of, attempts=1)})
        journal.save_ledger(BLOG, crashed)
        journal.save_ledger(BLOG, crashed)
        assert await journal.flush(5)
        assert written == [rows.ledger_key(BLOG, names[3])]
        journal.save_ledger(BLOG, Ledger({names[3]: of}))
    assert (await read(tmp_path, clock)).ledgers == {BLOG: Ledger({names[3]: of})}


async def test_a_text_that_is_no_utf_8_stops_neither_the_history_nor_an_override(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, contents):
        history = History(lambda: 10_000.0, journal.append_history, contents.history, contents.next_seq)
        history.add(BLOG, None, "definition.error", "/srv/caf\udce9/compose.yaml:1:1: error", file="caf\udce9")
        assert await journal.put_override(override())
        assert journal.problem == ""
    (kept,) = (await read(tmp_path)).history
    assert (kept.message, kept.data) == ("/srv/caf\\udce9/compose.yaml:1:1: error", (("file", "caf\\udce9"),))
