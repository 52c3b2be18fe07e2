"""What an observation asks the engine for, and what it does not wait for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from stackd.model.ids import ContainerId, ImageId, ServiceName
from stackd.model.observed import ObservedContainer
from stackd.model.override import Override, OverrideKind
from stackd.model.view import Pin
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import service
from tests.unit.runtime.world import STACK, running, until


class LockingEngine(FakeEngine):
    """Holds an inspect back while that container is being started, as 20.10 does; starts of `slow` wait for `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.slow: set[ContainerId] = set()
        self.starting: set[ContainerId] = set()

    async def start_container(self, container: ContainerId) -> None:
        """See `Engine.start_container`."""
        if container in self.slow:
            self.starting.add(container)
            await self.go.wait()
        await super().start_container(container)
        self.starting.discard(container)

    async def inspect_container(self, container: ContainerId) -> ObservedContainer | None:
        """See `Engine.inspect_container`."""
        if container in self.starting:
            await self.go.wait()
        return await super().inspect_container(container)


async def test_a_slow_start_keeps_no_other_service_from_being_restarted(tmp_path: Path) -> None:
    engine = LockingEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("slow"), service("web"))
        await until(lambda: daemon.running("slow", "web"))
        slow, web = engine.of_service("slow")[0], engine.of_service("web")[0]
        engine.slow.add(slow.id)
        engine.process_ends(slow, 1)
        await until(lambda: slow.id in engine.starting)
        engine.process_ends(web, 1)
        await until(lambda: web.runs == 2)
        engine.go.set()
        await until(lambda: slow.runs == 2 and daemon.running("slow", "web"))


async def test_a_container_whose_row_is_the_same_is_not_inspected_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("db"), service("web"))
        await until(lambda: daemon.running("db", "web"))
        db, web = engine.of_service("db")[0], engine.of_service("web")[0]
        before = daemon.store.view(STACK).observed
        daemon.observer.look(STACK)
        await until(lambda: daemon.store.view(STACK).observed is not before)
        engine.calls.clear()
        engine.process_ends(web, 1)
        await until(lambda: web.runs == 2 and daemon.running("db", "web"))
        assert {call.args for call in engine.called("inspect_container")} == {(str(web.id),)}, str(db.id)


async def test_the_images_of_a_revision_that_is_put_in_force_are_looked_for_at_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        before = daemon.store.view(STACK)
        assert before.project is not None
        ran = ImageId("sha256:" + "9" * 64)
        pin = Pin(1, before.project, {ServiceName("web"): ran})
        override = Override(STACK, None, OverrideKind.PINNED, "rolled back", "a test", time.time(), value=1)
        await daemon.intents.put(override, pin=pin)
        await until(lambda: ran in (seen.images if (seen := daemon.store.view(STACK).observed) else {}))


async def test_a_look_that_is_asked_for_while_one_is_under_way_is_another_round(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web") and daemon.observer._seen[STACK].task is None)
        before = len(engine.called("list_containers"))
        daemon.observer.look(STACK)
        await until(lambda: len(engine.called("list_containers")) > before)
        daemon.observer.look(STACK)
        await until(lambda: len(engine.called("list_containers")) > before + 1)
