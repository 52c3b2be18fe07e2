"""What becomes of a stack's memory when the stack goes, before its file has been read, and when its task fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ContainerState, ObservedContainer, ObservedStack
from stackd.model.plan import Plan, Why
from stackd.model.view import Decision, DesiredStack, HostFacts, Ledger, Now, View
from stackd.runtime import reconciler
from stackd.runtime.host import _Service
from stackd.runtime.store import Store
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import project, service
from tests.unit.runtime.whole import whole
from tests.unit.runtime.world import OURS, STACK, clock, running, until


async def test_a_stack_that_is_gone_leaves_no_stop_for_a_later_one_of_its_name(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.load()
        await daemon.intents.put(daemon.override())
        await until(lambda: daemon.store.view(STACK).observed is not None)
        daemon.store.drop_desired(STACK)
        await until(lambda: STACK not in daemon.store.names())
    async with running(tmp_path, FakeEngine()) as again:
        assert again.contents.overrides == ()


async def test_who_remembers_something_of_a_stack_hears_that_it_is_gone(tmp_path: Path) -> None:
    async with whole(tmp_path, FakeEngine()) as daemon:
        daemon.publish(DesiredStack(STACK, project()))
        await until(lambda: STACK in daemon.crashes._seen and daemon.store.host.sources_loaded)
        key = STACK, ServiceName("web")
        daemon.host._services[key] = _Service()
        daemon.withdraw(STACK)
        await until(lambda: STACK not in daemon.store.names())
        assert (STACK not in daemon.crashes._seen, key not in daemon.host._services) == (True, True)


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


async def test_a_stack_whose_task_failed_and_rests_does_not_starve_the_watchdog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        now = clock().mono
        due = replace(daemon.store.decision(STACK) or Decision(Plan(), Ledger()), wake_at=now - 100)

        def broken(view: View, now: Now) -> Decision:
            raise ZeroDivisionError

        monkeypatch.setattr(reconciler, "decide", broken)
        daemon.store.wake(STACK)
        await until(lambda: bool(daemon.store.trouble(STACK)))
        daemon.store.commit(STACK, 0, due)
        assert daemon.stacks.late(now, 30) == []
        assert daemon.stacks.late(now + 300, 30) == [STACK]


def _store(*containers: ObservedContainer) -> Store:
    store = Store(HostFacts(OURS), lambda: 0.0, lambda stack: None)
    store.set_condemned(STACK, Condemned(ContainerId("c1"), 5.0, Why.CONFIG_CHANGED, "edited", restart=False))
    store.set_observed(ObservedStack(STACK, containers))
    return store


@pytest.mark.parametrize(
    ("state", "started_at", "kept"),
    [
        (ContainerState.RUNNING, 5.0, True),
        (ContainerState.UNKNOWN, 0.0, True),
        (ContainerState.RUNNING, 6.0, False),
    ],
)
def test_what_we_stopped_is_remembered_until_its_run_is_seen_to_be_another(
    state: ContainerState, started_at: float, kept: bool
) -> None:
    box = ObservedContainer(ContainerId("c1"), "w", STACK, ServiceName("web"), 1, state, started_at=started_at)
    assert bool(_store(box).view(STACK).condemned) is kept
