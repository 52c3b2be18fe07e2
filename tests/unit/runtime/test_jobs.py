"""Operations in flight, cut short."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stackd.engine.base import CreateRequest
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.plan import Op, Reason, StopContainer, Why
from stackd.model.status import Happening
from stackd.model.view import DesiredStack
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import project, service
from tests.unit.runtime.world import STACK, Running, running, until


async def test_a_stop_that_is_dropped_before_it_is_sent_condemns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        (box,) = engine.containers.values()
        reached, never = asyncio.Event(), asyncio.Event()

        async def stalled(timeout: float) -> bool:
            reached.set()
            return await never.wait()

        with monkeypatch.context() as patch:
            patch.setattr(daemon.journal, "flush", stalled)
            why = Reason(Why.CONFIG_CHANGED, "edited")
            stop = StopContainer(ServiceName("web"), box.id, box.started_at, None, False, why)
            daemon.jobs.start(STACK, [stop])
            await reached.wait()
            daemon.jobs.cancel(STACK, [stop])
            await until(lambda: not daemon.store.view(STACK).running)
        assert not daemon.store.view(STACK).condemned
        assert not engine.called("stop_container")
        assert box.runs == 1


async def test_a_call_that_the_engine_was_away_for_is_nobodys_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, told = FakeEngine(), asyncio.Event()
    async with running(tmp_path, engine) as daemon:

        async def away(request: CreateRequest) -> ContainerId:
            told.set()
            raise EngineError(EngineErrorKind.UNAVAILABLE, "connection refused")

        with monkeypatch.context() as patch:
            patch.setattr(engine, "create_container", away)
            daemon.load(service("web"))
            await told.wait()
            await until(lambda: ServiceName("web") in daemon.store.view(STACK).answered)
            assert not daemon.store.view(STACK).failures
        await until(lambda: daemon.running("web"))


async def test_an_answer_is_followed_by_a_look_even_when_no_event_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    monkeypatch.setattr(engine.bus, "publish", lambda event: None)
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))


async def test_a_call_that_was_sent_is_not_cut_when_its_step_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        (box,) = engine.containers.values()
        sent, go, outcomes = asyncio.Event(), asyncio.Event(), list[str]()
        stopping = engine.stop_container

        async def slow(container: ContainerId, grace: float | None) -> None:
            sent.set()
            try:
                await go.wait()
            except asyncio.CancelledError:
                outcomes.append("cut")
                raise
            outcomes.append("answered")
            go.clear()  # it runs on here, so that it is stopped again

        def told() -> list[Happening]:
            return [one for one in daemon.history.newest(STACK, 100) if one.type == "container.stopped"]

        monkeypatch.setattr(engine, "stop_container", slow)
        why = Reason(Why.CONFIG_CHANGED, "edited")
        stop = StopContainer(ServiceName("web"), box.id, box.started_at, None, False, why)
        daemon.jobs.start(STACK, [stop])
        await sent.wait()
        daemon.jobs.cancel(STACK, [stop])
        for _ in range(20):  # turns of the loop, more than a cancellation needs to arrive
            await asyncio.sleep(0)
        go.set()
        await until(lambda: bool(outcomes))
        assert "cut" not in outcomes
        await until(lambda: bool(told()))
        assert ([one.message for one in told()], outcomes) == (["stopped web: edited"], ["answered"])
        monkeypatch.setattr(engine, "stop_container", stopping)
        go.set()


async def test_a_pull_that_an_edit_made_needless_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, begun, ended = FakeEngine(), asyncio.Event(), asyncio.Event()

    async def endless(ref: str, platform: str, progress: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(engine, "pull_image", endless)
    async with running(tmp_path, engine) as daemon:
        daemon.store.set_desired(DesiredStack(STACK, project(service("web", image="far:1"))))
        daemon.loaded()
        daemon.observer.look(STACK)
        await begun.wait()
        daemon.load(service("web", version="2", image="near:1"))
        await until(lambda: daemon.running("web"))
        assert ended.is_set()


async def test_a_replacement_takes_over_the_volumes_that_the_image_declares(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add_image("web:1", volumes=("/data",))
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        engine.add_image("web:1", volumes=("/data",))
        await until(lambda: daemon.running("web"))
        (old,) = engine.containers.values()
        before = daemon.box(old.id)
        assert before is not None and [mount.target for mount in before.mounts] == ["/data"]
        daemon.load(service("web", version="2"))
        engine.add_image("web:1", volumes=("/data",))
        await until(lambda: old.id not in engine.containers and daemon.running("web"))
        (new,) = engine.containers.values()
        after = daemon.box(new.id)
        assert after is not None and after.mounts == before.mounts


async def test_nothing_is_begun_once_the_daemon_is_ending(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        await daemon.jobs.drain(5)
        daemon.load(service("web"))
        await until(lambda: daemon.store.decision(STACK) is not None and bool(_frontier(daemon)))
        assert not daemon.store.view(STACK).running
        assert not engine.called("create_network")


def _frontier(daemon: Running) -> tuple[Op, ...]:
    decision = daemon.store.decision(STACK)
    return decision.plan.frontier() if decision is not None else ()
