"""Whether a removal belongs to what another hand is just taking down, and what a broken contact leaves of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from stackd.model.evidence import Condemned, EngineEvent, EventKind, Evidence, Verdict
from stackd.model.ids import ContainerId, InstanceName, ServiceName, StackName
from stackd.model.observed import ContainerState, ObservedContainer, ObservedStack
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import Why
from stackd.model.view import HostFacts, Now
from stackd.runtime.holds import Holds, Proving
from stackd.runtime.intents import BY_ENGINE
from stackd.runtime.store import Store

APP, WEB, DB = StackName("app"), ServiceName("web"), ServiceName("db")
GONE, OTHER = ContainerId("gone"), ContainerId("other")
NOW = 1000.0


class World:
    """Holds beside a store, at an instant that stands still; nothing is asked of the engine."""

    def __init__(self) -> None:
        self.store = Store(HostFacts(InstanceName("ours")), lambda: NOW, lambda name: None)
        unused = cast("Any", None)
        self.holds = Holds(Proving(unused, self.store, unused, lambda: Now(NOW, NOW)))

    def is_kept(self) -> bool:
        """Whether what was killed and removed now is waited with, as part of something larger."""
        event = EngineEvent(EventKind.DESTROY, GONE, "destroy", APP, 0, WEB, GONE)
        told = Evidence(GONE, WEB, 1.0, kill_at=NOW, died_at=NOW)
        self.store.put_evidence(APP, told)
        self.holds.removed(event, told)
        return GONE in self.store.evidence(APP)

    def other(self, **instants: Any) -> World:
        """Events of another container of the stack."""
        self.store.put_evidence(APP, Evidence(OTHER, DB, 1.0, **instants))
        return self


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.holds.stop()


async def test_a_stop_of_stackds_own_is_none_by_another_hand_though_it_is_told_when_its_container_is_gone(
    world: World,
) -> None:
    here = ObservedContainer(GONE, "app-web-1", APP, WEB, 1, ContainerState.RUNNING, started_at=1.0)
    world.store.set_observed(ObservedStack(APP, (here,), sent_at=NOW - 2))
    world.store.set_condemned(APP, Condemned(GONE, 1.0, Why.REQUESTED, "asked", restart=True))
    world.store.set_observed(ObservedStack(APP, (), sent_at=NOW - 1))
    event = EngineEvent(EventKind.STOP, GONE, "stop", APP, 0, WEB, GONE)
    world.holds.stopped(event, Evidence(GONE, WEB, 1.0, kill_at=NOW, died_at=NOW))
    assert world.store.evidence(APP)[GONE].verdict is Verdict.OWN


async def test_a_removal_alone_is_no_part_of_a_down(world: World) -> None:
    assert not world.is_kept()


async def test_a_removal_beside_a_stop_that_is_being_explained_is_part_of_it(world: World) -> None:
    assert world.other(kill_at=NOW - 60, died_at=NOW, verdict=Verdict.PENDING).is_kept()


async def test_a_removal_beside_a_signal_whose_grace_runs_is_part_of_a_down(world: World) -> None:
    assert world.other(kill_at=NOW - 19.9).is_kept()


@pytest.mark.parametrize(
    "instants",
    [
        {"kill_at": NOW - 20},
        {"kill_at": NOW - 1, "died_at": NOW},
        {"kill_at": NOW - 1, "verdict": Verdict.OWN},
        {"kill_at": NOW - 1, "verdict": Verdict.RESTARTED},
        {"kill_at": NOW - 1, "removal": True, "verdict": Verdict.PENDING},
        {"kill_at": None, "verdict": Verdict.PENDING},
    ],
    ids=["long ago", "it has ended", "ours", "it runs again", "a removal", "no signal"],
)
async def test_a_removal_is_no_part_of_what_is_over_ours_or_no_stop(world: World, instants: dict[str, Any]) -> None:
    assert not world.other(**instants).is_kept()


async def test_a_removal_beside_a_stop_that_we_sent_is_no_part_of_a_down(world: World) -> None:
    world.store.set_condemned(APP, Condemned(OTHER, 1.0, Why.REQUESTED, "asked for", False))
    assert not world.other(kill_at=NOW - 1).is_kept()


@pytest.mark.parametrize(
    ("by", "age", "kept"), [(BY_ENGINE, 1.9, True), (BY_ENGINE, 2.0, False), ("a person", 1.0, False)]
)
async def test_a_removal_just_after_a_hold_by_another_hand_is_part_of_it(
    world: World, by: str, age: float, kept: bool
) -> None:
    world.store.set_overrides(APP, (Override(APP, DB, OverrideKind.HELD, "stopped", by, NOW - age),))
    assert world.is_kept() is kept


@pytest.mark.parametrize(
    ("instants", "kept"),
    [
        ({"verdict": Verdict.PENDING, "died_at": NOW}, False),
        ({"verdict": Verdict.FOREIGN_STOP, "died_at": NOW}, False),
        ({"verdict": Verdict.UNPROVEN}, False),
        ({"verdict": Verdict.UNPROVEN, "died_at": NOW}, True),
        ({"verdict": Verdict.OWN}, True),
    ],
)
async def test_a_broken_contact_leaves_only_what_needs_no_proof_any_more(
    world: World, instants: dict[str, Any], kept: bool
) -> None:
    world.other(kill_at=NOW - 1, **instants).holds.lost()
    assert (OTHER in world.store.evidence(APP)) is kept
