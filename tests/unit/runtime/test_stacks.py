"""What becomes of a stack's memory when the stack goes, and before its file has been read."""

from __future__ import annotations

from pathlib import Path

from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import service
from tests.unit.runtime.world import STACK, running, until


async def test_a_stack_that_is_gone_leaves_no_stop_for_a_later_one_of_its_name(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.load()
        await daemon.intents.put(daemon.override())
        await until(lambda: daemon.store.view(STACK).observed is not None)
        daemon.store.drop_desired(STACK)
        await until(lambda: STACK not in daemon.store.names())
    async with running(tmp_path, FakeEngine()) as again:
        assert again.contents.overrides == ()


async def test_a_stop_stands_though_the_engine_is_seen_before_the_files_are_read(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.load(service("web"))
        await daemon.intents.put(daemon.override())
    engine = FakeEngine()
    async with running(tmp_path, engine) as again:
        await until(lambda: again.store.view(STACK).observed is not None)
        seen = again.store.view(STACK).version
        again.store.wake(STACK)
        await until(lambda: again.store.decided_version(STACK) > seen)
        again.load(service("web"))
        await until(lambda: again.store.decision(STACK) is not None)
        assert [override.reason for override in again.store.view(STACK).overrides] == ["asked"]
