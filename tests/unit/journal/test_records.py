"""Crashes, applied revisions and operations on real files: what is kept, how much of it, and from where it is read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.errors import Span, StateError
from stackd.model.ids import ImageId, OperationId, ServiceName, StackName
from stackd.model.observed import HealthProbe
from stackd.model.override import Operation, OperationState, Request, Verb
from stackd.model.plan import FieldChange
from stackd.model.record import RULE, Applied, AppliedImage
from stackd.runtime.database import Batch, Bounds, Database
from stackd.runtime.journal import CRASH_GAP, LOST
from tests.unit.journal.world import BLOG, BOUNDS, WEB, Clock, bundle, opened, outsider, override

DB = ServiceName("db")


def applied(number: int, stack: StackName = BLOG) -> Applied:
    image = AppliedImage("web:1", ImageId("sha256:1"), ("web@sha256:2",))
    return Applied(
        stack, number, 1.0, f"d{number}", number, "{}", "services: {}", (WEB,), {WEB: image}, ("a: 1 -> 2",), rule=RULE
    )


def operation(number: int, state: OperationState = OperationState.RUNNING, at: float = 10_000.0) -> Operation:
    return Operation(Request(OperationId(f"{number:04}"), BLOG, Verb.UP, (), "me", at), state)


async def test_a_crash_is_kept_with_all_its_evidence(tmp_path: Path) -> None:
    whole = replace(
        bundle(1), config_hash="h", revision=3, probes=(HealthProbe(7.0, 1, "refused"),), stable_at=4.0, gaps=("one",),
        changes=(FieldChange("image", "a", None, Span("f", 1, 2)),), logs=("one", "zwei \u2603"), rule=RULE,
    )  # fmt: skip
    async with opened(tmp_path) as (journal, _):
        journal.save_crash(whole)
    async with opened(tmp_path) as (journal, _):
        assert journal.crashes(BLOG) == (whole.crash,)
        assert await journal.crash(1) == whole
        assert await journal.crash(2) is None
        assert journal.crashes(StackName("other")) == ()


async def test_a_crash_that_is_not_written_yet_is_told_from_memory(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        journal.save_crash(bundle(1, line="in short"))
        journal.save_crash(bundle(1))
        assert await journal.crash(1) == bundle(1)
    async with opened(tmp_path) as (journal, _):
        assert await journal.crash(1) == bundle(1)


async def test_evidence_that_comes_while_the_summary_is_being_written_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Database.commit
    async with opened(tmp_path) as (journal, _):

        def overtaken(self: Database, batch: Batch, *, durable: bool) -> None:
            commit(self, batch, durable=durable)
            if batch.crashes:
                monkeypatch.setattr(Database, "commit", commit)
                journal.save_crash(bundle(1, line="whole"))

        monkeypatch.setattr(Database, "commit", overtaken)
        journal.save_crash(bundle(1, line="in short"))
        assert await journal.flush(5)
    async with opened(tmp_path) as (journal, _):
        assert await journal.crash(1) == bundle(1, line="whole")


async def test_the_number_of_a_crash_is_never_used_twice(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        assert (journal.next_crash(), journal.next_crash()) == (1, 2)
        assert await journal.flush(5)
    async with opened(tmp_path) as (journal, _):
        assert journal.next_crash() == 3
        assert await journal.flush(5)
    with outsider(tmp_path) as other:
        other.execute("DELETE FROM meta WHERE key = 'ended_at_seq'")  # As after a kill.
    other.close()
    async with opened(tmp_path) as (journal, _):
        assert journal.next_crash() == 3 + CRASH_GAP


async def test_crashes_are_bounded_by_service_count_and_age_in_memory_as_on_disk(tmp_path: Path) -> None:
    bounds = Bounds(100, 1000.0, max_crashes=6, max_crashes_of_service=4)
    wanted = [9, 8, 7, 6, 4, 2]
    async with opened(tmp_path, bounds=bounds) as (journal, _):
        for number in range(1, 10):
            journal.save_crash(bundle(number, DB if number in (2, 4) else WEB))
            if number % 2:
                assert await journal.flush(5)
        assert [one.id for one in journal.crashes(BLOG)] == wanted
        assert await journal.crash(1) is None
    with outsider(tmp_path) as other:
        assert [id for (id,) in other.execute("SELECT id FROM crashes ORDER BY id DESC")] == wanted
    other.close()
    async with opened(tmp_path, Clock(wall=99_999.0), bounds=bounds) as (journal, _):
        assert journal.crashes(BLOG) == ()
        with outsider(tmp_path) as other:
            assert other.execute("SELECT count(*) FROM crashes").fetchone() == (0,)
        other.close()


async def test_evidence_that_the_database_lost_is_a_gap_and_no_error(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        journal.save_crash(bundle(1))
        assert await journal.flush(5)
        with outsider(tmp_path) as other:
            other.execute("DELETE FROM crashes")
        other.close()
        found = await journal.crash(1)
        assert found is not None
        assert (found.crash, found.gaps) == (bundle(1).crash, (LOST,))


async def test_a_database_that_does_not_answer_makes_the_reader_wait_no_longer_than_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackd.runtime.database.BUSY", 60.0)
    async with opened(tmp_path) as (journal, _):
        journal.save_crash(bundle(1))
        assert await journal.flush(5)
        monkeypatch.setattr("stackd.runtime.journal._REPLY", 0.05)
        other = outsider(tmp_path)
        other.execute("BEGIN IMMEDIATE")
        stalled = asyncio.create_task(journal.put_override(override()))
        await asyncio.wait({stalled})
        with pytest.raises(StateError, match="has not answered"):
            await journal.crash(1)
        other.execute("ROLLBACK")
        other.close()


async def test_applied_revisions_are_kept_by_stack_and_the_oldest_go(tmp_path: Path) -> None:
    bounds = Bounds(100, 1000.0, max_revisions=3)
    async with opened(tmp_path, bounds=bounds) as (journal, _):
        for number in range(1, 12):
            journal.save_applied(applied(number))
        journal.save_applied(applied(1, StackName("other")))
        assert journal.applied(BLOG) == (applied(9), applied(10), applied(11))
    async with opened(tmp_path, bounds=bounds) as (journal, _):
        assert journal.applied(BLOG) == (applied(9), applied(10), applied(11))
        assert journal.applied(StackName("other")) == (applied(1, StackName("other")),)


async def test_a_stack_that_is_gone_for_good_leaves_no_revision_with_its_secrets(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, _):
        journal.save_applied(applied(1))
        journal.set_meta("stable/blog/web", "[]")
        assert await journal.flush(5)
        journal.forget_stack(BLOG, (), ())
        assert journal.applied(BLOG) == ()
    async with opened(tmp_path) as (journal, contents):
        assert journal.applied(BLOG) == ()
        assert not [key for key in contents.meta if key.startswith("stable/")]


async def test_operations_outlive_the_daemon_and_the_oldest_go(tmp_path: Path) -> None:
    bounds = Bounds(100, 1000.0, max_operations=2)
    async with opened(tmp_path, bounds=bounds) as (journal, _):
        for number in (1, 2, 3):
            journal.save_operation(operation(number))
        journal.save_operation(operation(3, OperationState.SUCCEEDED))
    async with opened(tmp_path, bounds=bounds) as (_, contents):
        assert contents.operations == (operation(2), operation(3, OperationState.SUCCEEDED))
    async with opened(tmp_path, Clock(wall=99_999.0)) as (journal, contents):
        assert contents.operations == (), "nothing older than max_age"
    with outsider(tmp_path) as other:
        assert other.execute("SELECT count(*) FROM operations").fetchone() == (0,)
    other.close()


def test_the_default_bounds_are_those_that_are_promised() -> None:
    assert (BOUNDS.max_crashes, BOUNDS.max_crashes_of_service) == (500, 20)
    assert (BOUNDS.max_revisions, BOUNDS.max_operations) == (20, 200)
