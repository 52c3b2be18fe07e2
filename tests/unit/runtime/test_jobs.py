"""Operations in flight, cut short."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stackd.engine.base import CreateRequest
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.plan import Reason, StopContainer, Why
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import service
from tests.unit.runtime.world import STACK, running, until


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
