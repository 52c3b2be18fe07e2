"""On a clean stop the engine gets each container's own policy, if configured; operations outlive the daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ServiceName
from stackd.model.override import Operation, OperationState, OverrideKind, Request, Verb
from stackd.model.view import Ledger, Now, ServiceLedger
from stackd.runtime import handing
from tests.fake import Fault, FaultKind
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import ALWAYS, service
from tests.unit.runtime.world import STACK, Running, running, until

APP = (service("web", restart=ALWAYS), service("db", restart=ALWAYS))


async def up(daemon: Running) -> None:
    daemon.load(*APP)
    await until(lambda: daemon.running("web", "db"))


def policies(engine: FakeEngine) -> dict[str, str]:
    return {str(one.labels.service): one.policy for one in engine.containers.values()}


async def test_containers_handed_over_are_the_engines_until_the_next_life_takes_them_back(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        await up(daemon)
        await daemon.stacks.stop()
        await handing.hand_over(engine, daemon.store, 5)
        assert policies(engine) == {"web": "always", "db": "always"}
    runs = {one.id: one.runs for one in engine.containers.values()}
    async with running(tmp_path, engine) as daemon:
        await up(daemon)
        await until(lambda: policies(engine) == {"web": "no", "db": "no"})
    assert {one.id: one.runs for one in engine.containers.values()} == runs


async def test_what_was_stopped_by_request_is_not_handed_over(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        await up(daemon)
        await daemon.intents.put(daemon.override("db"))
        await until(lambda: daemon.running("web"))
        assert daemon.store.view(STACK).overrides[0].kind is OverrideKind.STOPPED
        await daemon.stacks.stop()
        await handing.hand_over(engine, daemon.store, 5)
        assert policies(engine) == {"web": "always", "db": "no"}


@pytest.mark.parametrize("kind", [FaultKind.HANG_BEFORE, FaultKind.ERROR_BEFORE])
async def test_one_that_cannot_be_handed_over_keeps_no_other_and_ends_in_time(tmp_path: Path, kind: FaultKind) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        await up(daemon)
        await daemon.stacks.stop()
        refused = EngineError(EngineErrorKind.FAILED, "no")
        engine.fail("update_restart_policy", Fault(kind, error=refused))
        async with asyncio.timeout(10):
            await handing.hand_over(engine, daemon.store, 0.5)
        assert sorted(policies(engine).values()) == ["always", "no"]


async def test_an_operation_under_way_is_known_to_the_next_life_and_ends_there(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        request = Request(daemon.intents.new_id(), STACK, Verb.START, (ServiceName("web"),), "a test", 1.0)
        done = Operation(Request(daemon.intents.new_id(), STACK, Verb.UP, (), "a test", 2.0), OperationState.FAILED)
        lost = Operation(Request(daemon.intents.new_id(), STACK, Verb.PULL, (), "a test", 3.0), OperationState.RUNNING)
        daemon.intents.restore((request,), (done, lost))
        daemon.store.set_requests(STACK, (request,))
        known = {one.request.id: one.state for one in daemon.intents.operations()}
        assert known[request.id] is OperationState.RUNNING
        assert known[done.request.id] is OperationState.FAILED
        assert known[lost.request.id] is OperationState.SUCCEEDED
        await up(daemon)
        ended = await daemon.intents.settled(request.id, 20)
        assert ended is not None
        assert ended.state is OperationState.SUCCEEDED


async def test_how_an_operation_ended_is_kept(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        await up(daemon)
        asked = await daemon.commands().submit(STACK, Verb.RESTART, (ServiceName("web"),), "a test")
        await daemon.intents.settled(asked.request.id, 20)
    async with running(tmp_path, engine) as daemon:
        (kept,) = daemon.contents.operations
        assert (kept.request.id, kept.state) == (asked.request.id, OperationState.SUCCEEDED)


async def test_ids_grow_whatever_is_done_to_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        walls = iter([2000.0, 1000.0, 1000.0, 2000.0005, 3000.0])
        monkeypatch.setattr(daemon.intents, "_clock", lambda: Now(0.0, next(walls)))
        ids = [daemon.intents.new_id() for _ in range(5)]
        assert ids == sorted(set(ids))
        assert {len(one) for one in ids} == {17}


@pytest.mark.parametrize("named_by", ["request", "operation", "ledger"])
async def test_ids_grow_over_a_restart_of_the_daemon_before_which_the_clock_was_ahead(
    tmp_path: Path, named_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(daemon.intents, "_clock", lambda: Now(0.0, 4e9))
            ahead = Request(daemon.intents.new_id(), STACK, Verb.START, (), "a test", 4e9)
    async with running(tmp_path, FakeEngine()) as daemon:
        if named_by == "ledger":
            ledger = Ledger({ServiceName("web"): ServiceLedger(forgiven=ahead.id)})
            daemon.store.restore(STACK, ledger, {}, (), ())
        over = Operation(ahead, OperationState.SUCCEEDED)
        daemon.intents.restore((ahead,) if named_by == "request" else (), (over,) if named_by == "operation" else ())
        assert daemon.intents.new_id() > ahead.id
