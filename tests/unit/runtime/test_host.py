"""What the host tells: storms and sleep hold health restarts back, once told, and end by themselves."""

from __future__ import annotations

import pytest

from stackd.model.ids import ContainerId, InstanceName, ServiceName, StackName
from stackd.model.observed import Incarnation
from stackd.model.plan import Plan
from stackd.model.status import Happening
from stackd.model.view import (
    Death,
    Decision,
    HostFacts,
    Ledger,
    Now,
    ServiceLedger,
    ServiceState,
    ServiceVerdict,
)
from stackd.runtime.history import History
from stackd.runtime.host import HostWatch
from stackd.runtime.store import Store

APP = StackName("app")
NAMES = tuple(map(ServiceName, ("a", "b", "c", "d")))


class World:
    """A watch on clocks of its own."""

    def __init__(self) -> None:
        self.mono, self.asleep = 1000.0, 0.0
        self.told: list[Happening] = []
        self.store = Store(HostFacts(InstanceName("ours")), lambda: self.mono, lambda name: None)
        history = History(lambda: self.mono, self.told.append, (), 1)
        self.watch = HostWatch(self.store, history, lambda: Now(self.mono, self.mono), lambda: self.mono + self.asleep)
        self.ledgers: dict[ServiceName, ServiceLedger] = {}
        self.states = dict.fromkeys(NAMES, ServiceState.HEALTHY)

    def note(self) -> None:
        verdicts = tuple(ServiceVerdict(name, state) for name, state in self.states.items())
        self.watch.note(self.store.view(APP), Decision(Plan(), Ledger(dict(self.ledgers)), verdicts=verdicts))

    def wait(self, seconds: float) -> None:
        self.mono += seconds
        self.watch.check()

    def sicken(self, *names: ServiceName) -> None:
        for name in names:
            self.states[name] = ServiceState.UNHEALTHY
            self.ledgers[name] = ServiceLedger(sick=Incarnation(ContainerId(name), 1.0), sick_since=self.mono)
        self.note()

    def crash(self, *names: ServiceName) -> None:
        for name in names:
            self.states[name] = ServiceState.BACKING_OFF
            death = Death(Incarnation(ContainerId(name), self.mono), self.mono, 1, False, "exited 1")
            self.ledgers[name] = ServiceLedger(deaths=(death,), attempts=1)
        self.note()

    @property
    def storm(self) -> str:
        return self.store.host.storm

    def types(self) -> list[str]:
        return [one.type for one in self.told]


def test_services_that_fail_together_are_a_storm_told_once_and_over_after_a_minute() -> None:
    world = World()
    world.note()
    world.wait(60)
    world.sicken(*NAMES[:2])
    assert world.storm == ""
    world.crash(NAMES[2])
    assert world.storm.startswith("3 of 4 services failed within 30 s")
    world.wait(30)
    world.note()
    assert (bool(world.storm), world.types()) == (True, ["host.storm"])
    world.wait(30)
    assert (world.storm, world.types()) == ("", ["host.storm", "host.storm_over"])


def test_what_was_not_well_before_feeds_no_storm() -> None:
    world = World()
    world.note()
    world.wait(60)
    world.sicken(*NAMES)
    assert world.storm
    for _ in range(4):
        world.wait(20)
        world.sicken(*NAMES)
    assert world.types() == ["host.storm", "host.storm_over"]


def test_runs_that_end_soon_after_their_start_feed_no_storm() -> None:
    world = World()
    world.note()
    world.wait(5)
    world.crash(*NAMES)
    assert world.storm == ""


def test_services_that_a_person_stopped_do_not_count() -> None:
    world = World()
    world.note()
    world.wait(60)
    world.states[NAMES[3]] = ServiceState.STOPPED
    world.crash(*NAMES[:2])
    assert world.storm == ""


def test_a_host_that_slept_makes_health_verdicts_wait() -> None:
    world = World()
    world.asleep += 1.9
    world.wait(5)
    assert world.store.host.health_ignored_until == 0
    world.asleep += 3600
    world.wait(5)
    assert world.store.host.health_ignored_until == world.mono + 60
    assert world.types() == ["host.resumed"]
    world.wait(5)
    assert world.types() == ["host.resumed"]


def test_a_stack_that_is_gone_feeds_no_storm() -> None:
    world = World()
    world.note()
    world.wait(20)
    world.crash(*NAMES)
    assert world.store.host.storm
    world.watch.forget(APP)
    assert not world.watch._services
    world.wait(61)
    assert not world.store.host.storm


@pytest.mark.parametrize(
    "state",
    [
        ServiceState.COMPLETED, ServiceState.STOPPED, ServiceState.HELD, ServiceState.PAUSED, ServiceState.ABSENT,
        ServiceState.REMOVING,
    ],
)  # fmt: skip
def test_a_service_that_is_not_to_run_is_none_of_those_that_could_have_failed(state: ServiceState) -> None:
    world = World()
    world.note()
    world.wait(60)
    world.states[NAMES[3]] = state
    world.crash(*NAMES[:3])
    assert world.storm.startswith("3 of 3 services failed")


def test_a_service_without_a_health_check_was_well_when_it_ran() -> None:
    world = World()
    world.states = dict.fromkeys(NAMES, ServiceState.RUNNING)
    world.note()
    world.wait(60)
    world.crash(*NAMES)
    assert world.storm


def test_a_service_that_was_not_well_in_between_is_well_only_since_then() -> None:
    world = World()
    world.note()
    world.wait(60)
    world.states = dict.fromkeys(NAMES, ServiceState.STARTING)
    world.note()
    world.states = dict.fromkeys(NAMES, ServiceState.HEALTHY)
    world.note()
    world.wait(5)
    world.crash(*NAMES)
    assert world.storm == ""


def test_a_stack_that_is_gone_takes_no_other_stacks_services_along() -> None:
    world = World()
    world.note()
    world.watch.forget(StackName("other"))
    assert len(world.watch._services) == len(NAMES)


def test_the_end_of_a_stack_is_judged_at_once() -> None:
    world = World()
    world.note()
    world.wait(60)
    world.crash(*NAMES)
    world.mono += 61
    world.watch.forget(APP)
    assert world.storm == ""
