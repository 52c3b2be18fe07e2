"""The version of a stack's inputs: what moves it, and what must not, or the loop would wake itself for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stackd.model.evidence import Condemned, Evidence
from stackd.model.ids import ContainerId, InstanceName, ServiceName
from stackd.model.observed import ContainerState, ObservedContainer, ObservedStack
from stackd.model.plan import CreateNetwork, Plan, Reason, RemoveContainer, Why
from stackd.model.spec import NetworkSpec
from stackd.model.view import Decision, DesiredStack, HostFacts, Ledger
from stackd.runtime.store import Store
from tests.unit.core.dsl import project, service
from tests.unit.runtime.world import OURS, STACK

WEB = ServiceName("web")
NETWORK = CreateNetwork(NetworkSpec("default", "app_default"), "app_default", Reason(Why.NEEDED))


class Told:
    """A store whose clock stands at `mono`, and the version of the one stack in it."""

    def __init__(self) -> None:
        self.mono = 10.0
        self.store = Store(HostFacts(OURS), lambda: self.mono, lambda stack: None)

    @property
    def version(self) -> int:
        return self.store.view(STACK).version


def seen(sent_at: float, state: ContainerState = ContainerState.RUNNING) -> ObservedStack:
    box = ObservedContainer(ContainerId("c"), "w", STACK, WEB, 1, state, started_at=5.0, instance=OURS)
    return ObservedStack(STACK, (box,), sent_at=sent_at)


def test_a_decision_is_no_input() -> None:
    told = Told()
    before = told.version
    told.store.commit(STACK, before, Decision(Plan(), Ledger()))
    told.store.started(STACK, NETWORK)
    assert told.version == before


def test_an_input_counts_once() -> None:
    told = Told()
    desired = DesiredStack(STACK, project(service("web")))
    facts = Evidence(ContainerId("c"), WEB, 1.0, kill_at=2.0)
    gifts: tuple[Callable[[], None], ...] = (
        lambda: told.store.set_desired(desired),
        lambda: told.store.put_evidence(STACK, facts),
        lambda: told.store.set_host(replace(told.store.host, engine_up=True)),
        lambda: told.store.set_observed(seen(11.0)),
    )
    for give in gifts:
        before = told.version
        give()
        assert told.version == before + 1
        give()
        assert told.version == before + 1


def test_an_equal_observation_is_news_only_to_those_who_wait_for_one() -> None:
    told = Told()
    told.store.set_observed(seen(11.0))
    before = told.version
    told.store.set_observed(seen(12.0))
    assert told.version == before
    told.mono = 13.0
    told.store.started(STACK, NETWORK)
    told.store.succeeded(STACK, NETWORK, "network:app_default", None)
    before = told.version
    told.store.set_observed(seen(14.0))
    assert told.version == before + 1


def test_an_observation_that_was_overtaken_is_dropped() -> None:
    told = Told()
    told.store.set_observed(seen(12.0, ContainerState.EXITED))
    told.store.set_observed(seen(11.0))
    (box,) = (told.store.view(STACK).observed or seen(0.0)).containers
    assert box.state is ContainerState.EXITED


def test_what_a_list_shows_no_more_and_nobody_here_removed_is_noted_as_gone() -> None:
    told, empty = Told(), ObservedStack(STACK, (), sent_at=12.0)
    told.store.set_observed(seen(11.0))
    told.store.set_observed(empty)
    assert [one.over_at for one in told.store.evidence(STACK).values()] == [10.0]


def test_a_run_that_a_list_shows_over_is_noted_as_such() -> None:
    told = Told()
    told.store.set_observed(seen(11.0))
    told.store.set_observed(seen(12.0, ContainerState.EXITED))
    told.mono = 14.0
    told.store.set_observed(seen(13.0, ContainerState.EXITED))
    (box,) = (told.store.view(STACK).observed or seen(0.0)).containers
    (noted,) = told.store.evidence(STACK).values()
    assert (noted.container, noted.started_at, noted.over_at) == (box.id, box.started_at, 10.0)


def test_what_events_told_of_an_earlier_run_is_not_kept_for_the_one_that_a_list_shows_over() -> None:
    told = Told()
    told.store.set_observed(seen(11.0))
    (box,) = (told.store.view(STACK).observed or seen(0.0)).containers
    told.store.put_evidence(STACK, Evidence(box.id, box.service, box.started_at - 1, kill_at=8.0))
    told.store.set_observed(seen(12.0, ContainerState.EXITED))
    (noted,) = told.store.evidence(STACK).values()
    assert (noted.started_at, noted.kill_at, noted.over_at) == (box.started_at, None, 10.0)


def test_a_stop_that_stackd_sent_itself_needs_no_telling() -> None:
    told = Told()
    told.store.set_observed(seen(11.0))
    (box,) = (told.store.view(STACK).observed or seen(0.0)).containers
    told.store.set_condemned(STACK, Condemned(box.id, box.started_at, Why.REQUESTED, "asked", restart=False))
    told.store.set_observed(seen(12.0, ContainerState.EXITED))
    assert not told.store.evidence(STACK)


def test_nothing_is_noted_of_a_container_that_is_not_ours() -> None:
    told = Told()
    (box,) = seen(11.0).containers
    other = replace(box, instance=InstanceName("another"))
    told.store.set_observed(ObservedStack(STACK, (other,), sent_at=11.0))
    told.store.set_observed(ObservedStack(STACK, (), sent_at=12.0))
    assert not told.store.evidence(STACK)


def test_what_stackd_removed_itself_is_not_noted_as_gone() -> None:
    told, empty = Told(), ObservedStack(STACK, (), sent_at=12.0)
    told.store.set_observed(seen(11.0))
    told.store.started(STACK, RemoveContainer(WEB, ContainerId("c"), False, Reason(Why.ORPHANED)))
    told.store.set_observed(empty)
    assert not told.store.evidence(STACK)
