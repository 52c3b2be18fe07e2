"""What another hand does with the engine, from its events to the overrides that come of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from stackd.core.ends import pending_stop
from stackd.engine.base import CreateRequest
from stackd.model.evidence import EventKind, Evidence, Verdict
from stackd.model.ids import ServiceName
from stackd.model.observed import ContainerState
from stackd.model.override import OperationState, Override, OverrideKind, Verb
from stackd.model.view import ServiceState
from stackd.runtime import holds
from stackd.translate import labels as label
from tests.fake import Behaviour, Dialect, Fault, FaultKind
from tests.fake.engine import FakeEngine
from tests.fake.values import FakeContainer
from tests.unit.core.dsl import FOLDER, needs, service
from tests.unit.runtime.world import STACK, Running, clock, running, until

WEB, DB, JOB = ServiceName("web"), ServiceName("db"), ServiceName("job")
APP = (service("db"), service("web", needs("db")))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "PROOF_AGAIN", 0.3)


async def up(daemon: Running, *names: str) -> dict[str, FakeContainer]:
    """The stack runs and events flow; its containers by service."""
    daemon.load(*(one for one in APP if one.name in names))
    await until(lambda: daemon.running(*names) and not daemon.intake.problem)
    return {str(one.labels.service): one for one in daemon.engine.containers.values()}


def overrides(daemon: Running) -> list[Override]:
    return list(daemon.store.view(STACK).overrides)


def scopes(daemon: Running) -> list[ServiceName | None]:
    return [one.service for one in overrides(daemon)]


def states(daemon: Running) -> list[ServiceState]:
    decision = daemon.store.decision(STACK)
    return [one.state for one in decision.verdicts] if decision is not None else []


async def take_down(daemon: Running, boxes: dict[str, FakeContainer]) -> None:
    """`docker compose down`: dependents first, then the network."""
    for name in ("web", "db"):
        await daemon.engine.human_stop(boxes[name].id)
        await daemon.engine.human_rm(boxes[name].id)
    for network in list(daemon.engine.networks):
        await daemon.engine.remove_network(network)


async def test_a_stack_taken_down_is_one_hold_and_its_network_is_not_made_again(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await take_down(daemon, await up(daemon, "db", "web"))
        await until(lambda: scopes(daemon) == [None])
        (hold,) = overrides(daemon)
        assert (hold.kind, hold.by) == (OverrideKind.HELD, "docker")
        assert "`docker compose down`" in hold.reason
        decision = daemon.store.decision(STACK)
        assert decision is not None
        await until(lambda: (made := daemon.store.decision(STACK)) is not None and not made.plan.steps)
        assert not daemon.engine.networks
        assert not daemon.engine.containers
        assert len(daemon.engine.called("create_network")) == 1


async def test_a_stack_stopped_as_one_is_one_hold_that_one_start_narrows_and_the_last_releases(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        boxes = await up(daemon, "db", "web")
        for name in ("web", "db"):
            await daemon.engine.human_stop(boxes[name].id)
        await until(lambda: scopes(daemon) == [None])
        assert "`docker compose stop`" in overrides(daemon)[0].reason
        await daemon.engine.human_start(boxes["db"].id)
        await until(lambda: scopes(daemon) == [WEB])
        await until(lambda: daemon.running("db"))
        assert boxes["web"].state is ContainerState.EXITED
        await daemon.engine.human_start(boxes["web"].id)
        await until(lambda: not overrides(daemon) and daemon.running("db", "web"))
        assert [one.runs for one in boxes.values()] == [2, 2]


async def test_stops_far_apart_are_two_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackd.core.hands.TOGETHER", 0.0)
    async with running(tmp_path, FakeEngine()) as daemon:
        boxes = await up(daemon, "db", "web")
        for name in ("web", "db"):
            await daemon.engine.human_stop(boxes[name].id)
            await until(lambda name=name: ServiceName(name) in scopes(daemon))  # type: ignore[misc]
        assert {*scopes(daemon)} == {WEB, DB}


async def test_a_stop_of_one_service_holds_no_other(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        boxes = await up(daemon, "db", "web")
        await daemon.engine.human_stop(boxes["web"].id)
        await until(lambda: scopes(daemon) == [WEB])
        await until(lambda: daemon.running("db"))
        assert scopes(daemon) == [WEB]


async def test_what_crashed_and_is_removed_first_belongs_to_the_down_that_follows(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.load(*APP, service("job"))
        await until(lambda: daemon.running("db", "web", "job") and not daemon.intake.problem)
        boxes = {str(one.labels.service): one for one in daemon.engine.containers.values()}
        for runs in (1, 2):
            await until(lambda runs=runs: boxes["job"].runs == runs and boxes["job"].live)  # type: ignore[misc]
            daemon.engine.crash(boxes["job"].id, 1)
        await until(lambda: ServiceState.BACKING_OFF in states(daemon))
        await daemon.engine.human_rm(boxes["job"].id)
        await take_down(daemon, boxes)
        await until(lambda: scopes(daemon) == [None])
        await until(lambda: not daemon.intake._holds._proofs)
        assert len(daemon.engine.called("create_container")) == 3
        assert not daemon.engine.networks


async def test_up_after_a_down_by_hand_makes_everything_again_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await take_down(daemon, await up(daemon, "db", "web"))
        await until(lambda: scopes(daemon) == [None])
        await daemon.commands().submit(STACK, Verb.UP, (), "a test")
        await until(lambda: daemon.running("db", "web"))
        assert not daemon.store.evidence(STACK) or all(
            one.verdict is not Verdict.FOREIGN_STOP for one in daemon.store.evidence(STACK).values()
        )


async def test_a_replacement_by_docker_compose_is_neither_held_nor_fought(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        old = (await up(daemon, "db"))["db"]
        labels = {**old.raw_labels, label.INSTANCE: "", label.WORKING_DIR: str(FOLDER), label.REPLACE: old.id}
        body = {
            "Image": "db:1",
            "Labels": {k: v for k, v in labels.items() if v},
            "NetworkingConfig": {"EndpointsConfig": {"app_default": {}}},
        }
        new = await engine.create_container(CreateRequest("tmp_app-db-1", body))  # type: ignore[arg-type]
        await until(lambda: daemon.box(new) is not None)
        await engine.human_stop(old.id)
        await engine.human_rm(old.id)
        await engine.human_rename(new, "app-db-1")
        await engine.human_start(new)
        await until(lambda: daemon.running("db"))
        pending = daemon.store.evidence
        await until(lambda: all(one.verdict is not Verdict.PENDING for one in pending(STACK).values()))
        assert (list(engine.containers), engine.containers[new].runs, overrides(daemon)) == ([new], 1, [])
        assert not engine.called("remove_container")
        assert len(engine.called("create_container")) == 2


async def test_the_end_of_its_time_releases_a_hold_and_starts_what_exited_zero(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.intake._holds._in = replace(daemon.intake._holds._in, hold_for=0.5)
        box = (await up(daemon, "db"))["db"]
        await daemon.engine.human_stop(box.id)
        await until(lambda: [one.until is not None for one in overrides(daemon)] == [True])
        await until(lambda: not overrides(daemon) and daemon.running("db"))
        assert box.runs == 2
        released = [one for one in daemon.history.after(0, 1000) if one.type == "override.released"]
        assert "its time is over" in released[0].message


async def test_a_hold_says_what_was_seen(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await daemon.engine.human_stop((await up(daemon, "db", "web"))["web"].id)
        await until(lambda: bool(overrides(daemon)))
        (hold,) = overrides(daemon)
        assert "`docker stop`" in hold.reason and "SIGTERM" in hold.reason
        entry = next(one for one in daemon.history.after(0, 1000) if one.type == "override.set")
        assert dict(entry.data) == {"kind": "held", "by": "docker", "reason": hold.reason, "until": None}


async def test_a_removal_by_hand_is_made_good_or_held_as_configured(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db", "web"))["web"]
        await daemon.engine.human_rm(box.id)
        await until(lambda: any(one.live for one in daemon.engine.of_service("web")))
        await until(lambda: daemon.box(box.id) is None and daemon.running("db", "web"))
        assert not overrides(daemon)
        daemon.store.update_host(on_external_remove_hold=True)
        (again,) = daemon.engine.of_service("web")
        await daemon.engine.human_rm(again.id)
        await until(lambda: scopes(daemon) == [WEB])
        assert "`docker rm -f`" in overrides(daemon)[0].reason
        await until(lambda: daemon.running("db"))
        assert not daemon.engine.of_service("web")


async def test_a_removal_of_our_own_is_no_hold(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db", "web"))["web"]
        daemon.store.update_host(on_external_remove_hold=True)
        daemon.engine.crash(box.id, 0)
        await until(lambda: daemon.running("db"))
        daemon.load(service("db"), service("web", needs("db"), version="2"))
        told = daemon.engine.bus.history
        await until(lambda: any(one.kind is EventKind.DESTROY and one.container == box.id for one in told))
        await until(lambda: daemon.running("db", "web") and not daemon.intake._holds._proofs)
        assert not overrides(daemon)


async def test_a_kill_by_hand_is_answered_by_another_run(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db"))["db"]
        await daemon.engine.human_kill(box.id)
        await until(lambda: box.runs == 2 and daemon.running("db"))
        assert not overrides(daemon)
        exits = [dict(one.data) for one in daemon.history.after(0, 1000) if one.type == "container.exited"]
        assert [one["cause"] for one in exits] == ["foreign"]


async def test_a_paused_container_says_who_and_when_and_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db"))["db"]
        await daemon.engine.human_pause(box.id)

        def verdict() -> tuple[ServiceState, str]:
            decision = daemon.store.decision(STACK)
            assert decision is not None
            return decision.verdicts[0].state, decision.verdicts[0].detail

        await until(lambda: verdict()[0] is ServiceState.PAUSED)
        assert verdict()[1].startswith("paused by another hand (20")
        assert any(one.type == "container.paused" for one in daemon.history.after(0, 1000))
        await daemon.engine.human_unpause(box.id)
        await until(lambda: daemon.running("db"))
        assert box.runs == 1


async def test_a_hold_whose_start_by_hand_was_missed_is_released_at_the_next_look(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db", "web"))["web"]
        await daemon.engine.human_stop(box.id)
        await until(lambda: scopes(daemon) == [WEB])
        daemon.engine.bus.mangle = lambda event: []
        await daemon.engine.human_start(box.id)
        daemon.observer.look(STACK)
        await until(lambda: not overrides(daemon))


async def test_a_release_waits_for_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db", "web"))["web"]

        async def stalled(override: Override) -> bool:
            await asyncio.Event().wait()
            return False

        monkeypatch.setattr(daemon.journal, "put_override", stalled)
        monkeypatch.setattr(daemon.journal, "delete_override", stalled)
        await daemon.engine.human_stop(box.id)
        await until(lambda: scopes(daemon) == [WEB])
        await daemon.engine.human_start(box.id)
        await until(lambda: not overrides(daemon) and daemon.running("db", "web"))
        for task in daemon.intents._writes:
            task.cancel()


@pytest.mark.parametrize("dialect", list(Dialect))
async def test_a_stop_whose_grace_is_long_is_held_all_the_same(tmp_path: Path, dialect: Dialect) -> None:
    async with running(tmp_path, FakeEngine(dialect=dialect)) as daemon:
        daemon.engine.behave("web", Behaviour(stop_takes=3.3))
        box = (await up(daemon, "db", "web"))["web"]
        await daemon.engine.human_stop(box.id)
        await until(lambda: scopes(daemon) == [WEB])
        assert box.runs == 1


async def test_an_event_of_an_earlier_run_explains_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db"))["db"]
        start = next(told for told in daemon.engine.bus.history if told.kind is EventKind.START)
        late = replace(start, kind=EventKind.KILL, signal=15, time_nano=round((box.started_at - 5) * 1e9))
        daemon.engine.bus.publish(late)
        daemon.engine.bus.publish(replace(late, kind=EventKind.DIE, exit_code=0))
        daemon.engine.bus.publish(replace(start, kind=EventKind.PAUSE, time_nano=round(box.started_at * 1e9) + 1))
        await until(lambda: bool(daemon.store.evidence(STACK)))
        (told,) = daemon.store.evidence(STACK).values()
        assert (told.kill_at, told.died_at) == (None, None)


async def test_a_stop_that_comes_before_the_new_run_was_seen_is_held(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db"))["db"]
        daemon.engine.crash(box.id, 1)
        await until(lambda: box.runs == 2 and daemon.running("db"))
        seen = daemon.box(box.id)
        assert seen is not None
        old = replace(seen, started_at=seen.started_at - 10)  # as it was seen before it was started again
        view = daemon.store.view(STACK)
        assert view.observed is not None
        start = [told for told in daemon.engine.bus.history if told.kind is EventKind.START][-1]
        told = replace(start, time_nano=round(seen.started_at * 1e9) + 1)
        earlier = Evidence(box.id, ServiceName("db"), old.started_at, verdict=Verdict.RESTARTED)
        daemon.store.put_evidence(STACK, earlier)
        with patch.object(daemon.intake, "_container", lambda stack, container: old):
            daemon.intake._container_event(replace(told, kind=EventKind.KILL, signal=15))
        daemon.intake._container_event(replace(told, kind=EventKind.DIE, exit_code=143))
        daemon.intake._container_event(replace(told, kind=EventKind.STOP))
        evidence = daemon.store.evidence(STACK)[box.id]
        assert (evidence.verdict, evidence.signal) == (Verdict.PENDING, 15)


async def test_a_start_by_another_hand_of_what_it_had_stopped_is_awaited_in_the_list(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon, "db")
        (box,) = daemon.engine.of_service("db")
        seen = daemon.box(box.id)
        assert seen is not None
        long_ago = Evidence(box.id, ServiceName("db"), seen.started_at, kill_at=1.0, stop_at=1.0)
        daemon.store.put_evidence(STACK, replace(long_ago, verdict=Verdict.FOREIGN_STOP))
        start = [told for told in daemon.engine.bus.history if told.kind is EventKind.START][-1]
        daemon.intake._container_event(replace(start, time_nano=start.time_nano + 1))
        evidence = daemon.store.evidence(STACK)[box.id]
        assert evidence.verdict is Verdict.RESTARTED
        assert pending_stop(evidence, clock()) is not None


async def test_a_signal_before_contact_broke_explains_no_stop_after_it(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.engine.behave("web", Behaviour(stop_takes=3600))
        await up(daemon, "db", "web")
        (box,) = daemon.engine.of_service("web")
        stopping = asyncio.create_task(daemon.engine.human_stop(box.id, 3600))
        await until(lambda: any(one.kill_at is not None for one in daemon.store.evidence(STACK).values()))
        daemon.engine.bus.break_streams()
        await until(lambda: not daemon.store.evidence(STACK))
        await until(lambda: daemon.store.host.engine_up and not daemon.intake.problem)
        daemon.engine.crash(box.id, 1)
        await stopping
        await until(lambda: box.runs == 2)
        assert not overrides(daemon)


async def test_a_start_that_is_asked_for_before_the_end_was_seen_is_carried_out_all_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = (await up(daemon, "db"))["db"]
        daemon.engine.fail("list_containers", Fault(FaultKind.ERROR_BEFORE), times=1000)
        await daemon.engine.human_stop(box.id)
        await until(lambda: scopes(daemon) == [DB])
        seen = daemon.box(box.id)
        assert seen is not None and seen.running  # the end is not seen yet
        asked = await daemon.commands().submit(STACK, Verb.START, (DB,), "a test")
        daemon.engine._faults.clear()
        done = await daemon.commands().settled(asked.request.id, 20)
        assert (done.state, done.changed, box.runs) == (OperationState.SUCCEEDED, True, 2)


@pytest.mark.parametrize("way", ["resume", "start by hand", "edit", "restart of stackd"])
async def test_a_stop_by_hand_is_no_crash_when_its_hold_is_over(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.engine.behave("web", Behaviour(stop_code=143))
        boxes = await up(daemon, "web", "db")
        await daemon.engine.human_stop(boxes["web"].id)
        await until(lambda: scopes(daemon) == [WEB])
        (hold,) = overrides(daemon)
        assert boxes["web"].exit_code == 143
        monkeypatch.setattr("stackd.core.ends.PROOF_WAIT", 0.0)  # the hold has stood for long
        if way == "restart of stackd":
            daemon.store.drop_evidence(STACK, boxes["web"].id)
        if way == "start by hand":
            await daemon.engine.human_start(boxes["web"].id)
        elif way == "edit":
            daemon.intents.let_go(STACK, [hold], "an edit released it")
        else:
            await daemon.commands().submit(STACK, Verb.RESUME, (WEB,), "a test")
        await until(lambda: not overrides(daemon) and daemon.running("db", "web"))
        known = daemon.store.view(STACK).ledger.services
        assert WEB not in known or (known[WEB].attempts, known[WEB].deaths) == (0, ())


async def test_what_another_hand_stopped_during_a_hold_that_was_asked_for_runs_when_that_is_over(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        boxes = await up(daemon, "web", "db")
        asked = Override(STACK, WEB, OverrideKind.HELD, "a backup", "a test", clock().wall)
        await daemon.intents.put(asked)
        await daemon.engine.human_stop(boxes["web"].id)
        await until(lambda: any(one.verdict is Verdict.FOREIGN_STOP for one in daemon.store.evidence(STACK).values()))
        daemon.intents.let_go(STACK, [asked], "its time is over")
        await until(lambda: daemon.running("db", "web"))
