"""A plan in words: each step's action and target, and what the plan does to what runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.status import plan_status
from stackd.model.ids import ContainerId, NetworkId, ServiceName
from stackd.model.observed import ContainerState
from stackd.model.override import OverrideKind
from stackd.model.plan import (
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Op,
    Plan,
    PullImage,
    Reason,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    UpdateRestartPolicy,
    Why,
)
from stackd.model.spec import BuildSpec, NetworkSpec, VolumeSpec
from tests.unit.core.dsl import Toy, service

WHY = Reason(Why.CONFIG_CHANGED, "edited")
WEB, BOX = ServiceName("web"), ContainerId("abcdef012345" + "6" * 52)
NEW = StartContainer(WEB, ContainerId("new app-web-1"), WHY)


def told(toy: Toy, *ops: Op) -> list[tuple[str, str]]:
    """The steps of a plan of these operations, as action and target."""
    decision = replace(toy.decide(), plan=Plan(tuple(map(Step, ops))))
    return [(one.action, one.target) for one in plan_status(toy.view(), decision, {}).steps]


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (CreateContainer(service("web"), 1, "app-web-1", None, WHY), ("create", "app-web-1")),
        (NEW, ("start", "app-web-1")),
        (StopContainer(WEB, BOX, 0.0, None, False, WHY), ("stop", "abcdef012345")),
        (RemoveContainer(WEB, BOX, False, WHY), ("remove", "abcdef012345")),
        (RenameContainer(WEB, BOX, "app-web-1", WHY), ("rename", "app-web-1")),
        (PullImage(WEB, "web:1", "", None, WHY), ("pull", "web:1")),
        (BuildImage(WEB, "web:1", BuildSpec("/src"), None, WHY), ("build", "web:1")),
        (CreateNetwork(NetworkSpec("a", "app_a"), "app_a", WHY), ("create network", "app_a")),
        (RemoveNetwork(NetworkId("1"), "app_a", WHY), ("remove network", "app_a")),
        (CreateVolume(VolumeSpec("v", "app_v"), "app_v", WHY), ("create volume", "app_v")),
        (UpdateRestartPolicy(WEB, BOX, "no", 0, WHY), ("update restart policy", "abcdef012345")),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else type(one).__name__,
)
def test_a_step_is_told_by_what_it_does_and_to_what(op: Op, words: tuple[str, str]) -> None:
    assert told(Toy(service("web")), op) == [words]


def test_a_container_that_is_known_is_told_by_its_name() -> None:
    toy = Toy(service("web")).settle()
    known = toy.box("web").id
    ops = (
        StartContainer(WEB, known, WHY), StopContainer(WEB, known, 0.0, None, False, WHY),
        RemoveContainer(WEB, known, False, WHY), UpdateRestartPolicy(WEB, known, "no", 0, WHY),
    )  # fmt: skip
    assert {target for _, target in told(toy, *ops)} == {toy.box("web").name}


def test_a_plan_of_what_is_not_observed_yet_is_told_without_names() -> None:
    toy = Toy(service("web"))
    decision = replace(toy.decide(), plan=Plan((Step(NEW),)))
    (step,) = plan_status(replace(toy.view(), observed=None), decision, {}).steps
    assert step.target == "app-web-1"


def test_a_stack_that_is_not_decided_yet_has_no_plan() -> None:
    status = plan_status(Toy(service("web")).view(), None, {})
    assert (status.steps, status.disruption) == ((), "")


def test_a_plan_that_stops_nothing_disrupts_nothing() -> None:
    toy = Toy(service("web"))
    assert plan_status(toy.view(), toy.decide(), {}).disruption == ""


def test_a_plan_tells_how_many_of_the_running_services_it_stops_and_why() -> None:
    toy = Toy(service("web"), service("db"), service("job")).settle()
    toy.alter("job", state=ContainerState.EXITED)
    toy.edit(service("web", version="2"), service("db"), service("job"))
    status = plan_status(toy.view(), toy.decide(), {})
    (stop,) = (one for one in status.steps if one.action == "stop")
    assert status.disruption == f"stops 1 of 2 running services: {stop.reason}"


def test_a_plan_gives_the_reason_of_its_stop_not_of_another_step() -> None:
    toy = Toy(service("web")).settle()
    stop = StopContainer(WEB, toy.box("web").id, 0.0, None, False, Reason(Why.ORPHANED, "gone"))
    decision = replace(toy.decide(), plan=Plan((Step(NEW), Step(stop))))
    assert plan_status(toy.view(), decision, {}).disruption == "stops 1 of 1 running services: gone"


def test_a_stop_of_what_runs_no_more_counts_among_the_services_it_is_one_of() -> None:
    toy = Toy(service("web"), service("db")).settle()
    toy.crash("web")
    stop = StopContainer(WEB, toy.box("web").id, 0.0, None, False, Reason(Why.ORPHANED, "gone"))
    decision = replace(toy.decide(), plan=Plan((Step(stop),)))
    assert plan_status(toy.view(), decision, {}).disruption == "stops 1 of 2 running services: gone"


def test_an_operation_under_way_waits_for_nothing_but_itself() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.STOPPED, "web")
    toy.running = frozenset({toy.step(StopContainer).op})
    toy.host = replace(toy.host, engine_up=False)
    (step,) = plan_status(toy.view(), toy.decide(), {}).steps
    assert (step.in_flight, step.waits_for) == (True, ("under way",))
