"""What the engine's events bring about."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.engine.base import CreateRequest
from stackd.model.evidence import EventKind
from stackd.translate import labels as label
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import service
from tests.unit.runtime.world import STACK, running, until


async def test_a_stop_of_another_daemons_container_of_the_same_names_holds_nothing_of_ours(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add_image("busybox")
    async with running(tmp_path, engine) as daemon:
        labels = {label.PROJECT: STACK, label.SERVICE: "web", label.INSTANCE: "another", label.NUMBER: "1"}
        theirs = await engine.create_container(CreateRequest("theirs", {"Image": "busybox", "Labels": {**labels}}))
        await engine.start_container(theirs)
        daemon.load(service("web"))
        await until(lambda: daemon.box(theirs) is not None)
        await engine.human_stop(theirs)
        await until(lambda: any(told.kind is EventKind.STOP for told in engine.bus.history))
        await until(lambda: (box := daemon.box(theirs)) is not None and box.ended)
        assert not daemon.store.evidence(STACK)
        assert daemon.store.view(STACK).overrides == ()


async def test_an_event_that_stackd_cannot_take_costs_a_contact_not_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        with monkeypatch.context() as patch:
            patch.setattr(daemon.intake, "_concerned", lambda event: 1 / 0)
            await engine.create_network({"Name": "other"})
            await until(lambda: not daemon.store.host.engine_up)
            assert "fault of stackd" in daemon.intake.problem
        await until(lambda: daemon.store.host.engine_up and not daemon.intake.problem)
