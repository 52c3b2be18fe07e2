"""A stop that stackd did not send: held only when two fresh connections prove that the engine itself stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import Evidence, Verdict
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.override import Override, OverrideKind, Verb
from stackd.runtime import holds, intake
from tests.fake.engine import FakeEngine
from tests.fake.values import FakeContainer
from tests.unit.core.dsl import service
from tests.unit.runtime.world import STACK, Running, clock, running, until

WEB = ServiceName("web")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "PROOF_AGAIN", 0.05)


async def web(daemon: Running) -> FakeContainer:
    """A running web, with the events flowing."""
    daemon.load(service("web"))
    await until(lambda: daemon.running("web") and not daemon.intake.problem)
    (box,) = daemon.engine.containers.values()
    return box


def held(daemon: Running) -> list[Override]:
    return [one for one in daemon.store.view(STACK).overrides if one.kind is OverrideKind.HELD]


async def test_a_proven_stop_by_hand_is_a_hold_until_it_is_started_by_hand(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = await web(daemon)
        await daemon.engine.human_stop(box.id)
        await until(lambda: [one.service for one in held(daemon)] == [WEB])
        assert len(daemon.engine.called("ping_fresh")) >= 2
        await until(daemon.running)
        await daemon.engine.human_start(box.id)
        await until(lambda: not held(daemon) and daemon.running("web"))
        assert box.runs == 2


async def test_a_hold_is_released_by_a_start_that_is_asked_for(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = await web(daemon)
        await daemon.engine.human_stop(box.id)
        await until(lambda: bool(held(daemon)))
        await daemon.commands().submit(STACK, Verb.START, (WEB,), "a test")
        assert not held(daemon)
        await until(lambda: daemon.running("web"))


@pytest.mark.parametrize("answered", [0, 1])
async def test_a_stop_is_no_hold_when_a_fresh_connection_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        box = await web(daemon)
        epoch, pings = daemon.store.host.engine_epoch, [True] * answered + [False]

        async def ping(timeout: float) -> bool:
            return pings.pop(0) if pings else True

        monkeypatch.setattr(engine, "ping_fresh", ping)
        await engine.human_stop(box.id)
        await until(lambda: daemon.store.host.engine_epoch > epoch)
        await until(lambda: daemon.running("web"))
        assert not held(daemon)


async def test_a_stop_that_is_not_proven_when_contact_breaks_never_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "PROOF_AGAIN", 60.0)
    async with running(tmp_path, FakeEngine()) as daemon:
        box = await web(daemon)
        await daemon.engine.human_stop(box.id)
        verdicts = daemon.store.evidence
        await until(lambda: [one.verdict for one in verdicts(STACK).values()] == [Verdict.PENDING])
        daemon.engine.bus.break_streams()
        await until(lambda: not daemon.store.host.engine_up)
        # a list that was under way may still show that the run is over: that says nothing of a stop
        assert not [one for one in verdicts(STACK).values() if one.stop_at is not None or one.kill_at is not None]
        await until(lambda: daemon.running("web"))
        assert not held(daemon)


async def test_what_happened_while_no_events_came_is_seen_at_the_next_contact(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = await web(daemon)
        daemon.engine.bus.mangle = lambda event: []
        daemon.engine.crash(box.id, 1)
        daemon.engine.bus.break_streams()
        await until(lambda: box.runs == 2 and daemon.running("web"))


async def test_a_stop_of_our_own_is_known_as_such(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = await web(daemon)
        before = len(daemon.engine.called("ping_fresh"))
        await daemon.commands().submit(STACK, Verb.RESTART, (WEB,), "a test")
        await until(lambda: box.runs == 2 and daemon.running("web"))
        assert not held(daemon)
        assert len(daemon.engine.called("ping_fresh")) == before


async def test_an_engine_that_shuts_down_is_not_in_contact_again_by_the_connections_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await web(daemon)
        asked = []

        async def refused(timeout: float) -> bool:
            asked.append(timeout)
            return False

        with monkeypatch.context() as shutdown:
            shutdown.setattr(daemon.engine, "ping_fresh", refused)
            daemon.engine.bus.break_streams()
            await until(lambda: len(asked) > 1)
            assert not daemon.store.host.engine_up
            assert "no engine at" in daemon.intake.problem
        await until(lambda: daemon.store.host.engine_up)


async def test_an_engine_that_answers_no_fresh_connection_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PING_EVERY", 0.05)
    async with running(tmp_path, FakeEngine()) as daemon:
        await web(daemon)

        async def silent(timeout: float) -> bool:
            return False

        async def refused() -> None:
            raise EngineError(EngineErrorKind.UNAVAILABLE, "refused")

        monkeypatch.setattr(daemon.engine, "ping_fresh", silent)
        monkeypatch.setattr(daemon.engine, "info", refused)
        await until(lambda: not daemon.store.host.engine_up)
        assert daemon.intake.problem


async def test_everything_is_looked_at_again_from_time_to_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "RESYNC_EVERY", 1.0)
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.engine.bus.mangle = lambda event: []
        box = await web(daemon)
        await until(lambda: daemon.observer._seen[STACK].task is None)
        daemon.engine.crash(box.id, 1)
        await until(lambda: box.runs == 2)


async def test_a_look_at_everything_keeps_what_a_list_has_just_shown_gone(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await web(daemon)
        gone = Evidence(ContainerId("gone"), WEB, 1.0, over_at=clock().mono)
        daemon.store.put_evidence(STACK, gone)
        daemon.intake._clean(STACK)
        assert gone in daemon.store.evidence(STACK).values()


async def test_a_restart_by_hand_is_known_as_one_and_not_helped(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        box = await web(daemon)
        await daemon.engine.human_restart(box.id)
        evidence = daemon.store.evidence
        await until(lambda: [one.verdict for one in evidence(STACK).values()] == [Verdict.RESTARTED])
        await until(lambda: daemon.running("web"))
        assert box.runs == 2
        assert not held(daemon)
