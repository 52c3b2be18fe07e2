"""What goes, when, in which order; and what never does: foreign containers, one-off runs, another instance's."""

from __future__ import annotations

from dataclasses import replace

from stackd.errors import EngineErrorKind
from stackd.model.ids import ContainerId, InstanceName, NetworkId, ServiceName
from stackd.model.observed import ContainerState, Health, ObservedContainer, ObservedDependency, ObservedVolume
from stackd.model.override import OverrideKind
from stackd.model.plan import RemoveContainer, StopContainer, Why
from stackd.model.spec import HealthCheck, VolumeSpec
from stackd.model.view import Presence, ServiceState
from tests.unit.core.dsl import FOLDER, STACK, Toy, needs, removed, service, words


def stranger(toy: Toy, **fields: object) -> ObservedContainer:
    """A running container of our project name that is not ours."""
    base = replace(toy.box("web"), id=ContainerId("e" * 64), name="stranger", **fields)  # type: ignore[arg-type]
    return toy.put(base)


def test_a_service_that_left_the_file_is_stopped_and_removed_with_the_reason() -> None:
    toy = Toy(service("web"), service("old")).settle()
    toy.edit(service("web"))
    assert toy.plan() == ["stop old", "remove old"]
    assert str(toy.step(StopContainer).op.reason) == "service old is no longer in compose.yaml"
    toy.settle()
    assert {c.service for c in toy.boxes.values()} == {"web"}
    assert set(toy.networks) == {"app_default"}


def test_an_orphan_stays_until_its_absence_was_read_twice() -> None:
    toy = Toy(service("web"), service("old")).settle()
    toy.edit(service("web"))
    assert toy.desired is not None
    toy.desired = replace(toy.desired, services_settled=False)
    assert toy.plan() == []
    toy.desired = replace(toy.desired, services_settled=True)
    assert toy.step(StopContainer).op.reason.why is Why.ORPHANED


def test_a_service_behind_a_profile_is_no_orphan() -> None:
    toy = Toy(service("web"), service("debug")).settle()
    toy.edit(service("web"))
    assert toy.desired is not None and toy.desired.project is not None
    toy.desired = replace(toy.desired, project=replace(toy.desired.project, inactive=frozenset({ServiceName("debug")})))
    assert toy.plan() == []


def test_a_removed_stack_takes_containers_and_networks_along_and_leaves_volumes() -> None:
    toy = Toy(service("web", needs("db")), service("db"), volumes=(VolumeSpec("pg", "app_pg"),)).settle()
    toy.volumes["app_pg"] = ObservedVolume("app_pg", STACK, "pg")
    removed(toy).settle()
    assert (toy.boxes, toy.networks) == ({}, {})
    assert set(toy.volumes) == {"app_pg"}


def test_a_removed_stack_stops_dependents_first() -> None:
    toy = Toy(service("web", needs("db")), service("db")).settle()
    removed(toy)
    assert toy.turn() == ["stop web"]
    assert "stop db" in toy.turn()


def test_a_missing_definition_removes_nothing() -> None:
    toy = Toy(service("web")).settle()
    assert toy.desired is not None
    toy.desired = replace(toy.desired, presence=Presence.MISSING)
    assert toy.plan() == []
    toy.desired = replace(toy.desired, project=None)
    assert toy.plan() == []
    toy.desired = None
    assert toy.plan() == []


def test_a_removed_stack_leaves_what_is_not_wholly_ours() -> None:
    toy = Toy(service("web")).settle()
    adopted = stranger(toy, instance="", root="")
    other_root = toy.put(replace(adopted, id=ContainerId("d" * 64), name="elsewhere", instance="here", root="/other"))
    removed(toy).settle()
    assert list(toy.boxes.values()) == [adopted, other_root]


def test_a_removed_stack_keeps_its_network_while_a_stranger_is_on_it() -> None:
    toy = Toy(service("web")).settle()
    stranger(toy, instance=InstanceName("other"))
    removed(toy).settle()
    assert set(toy.networks) == {"app_default"}


def test_another_instances_containers_are_never_touched() -> None:
    toy = Toy(service("web")).settle()
    other = stranger(toy, instance=InstanceName("other"), config_hash="else")
    toy.edit(service("new")).settle()
    assert toy.boxes[other.id] == other
    removed(toy).settle()
    assert list(toy.boxes.values()) == [other]


def test_one_off_runs_and_hooks_are_never_touched() -> None:
    toy = Toy(service("web")).settle()
    oneoff = stranger(toy, oneoff=True, config_hash="else")
    hook = toy.put(replace(oneoff, id=ContainerId("d" * 64), name="hook", oneoff=False, hook=True))
    toy.edit(service("web", version="2")).settle()
    toy.edit(service("new")).settle()
    removed(toy).settle()
    assert list(toy.boxes.values()) == [oneoff, hook]


def test_a_container_of_compose_is_ours_only_from_the_stacks_own_folder() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", instance="", working_dir="/elsewhere")
    before = toy.put(replace(toy.box("web"), name="theirs"))
    toy.edit(service("web", version="2"))
    assert [words(op) for op in toy.decide().plan.frontier()] == ["create web 1"]
    assert not any(before.id in repr(step.op) for step in toy.steps(StopContainer))
    toy.put(replace(before, working_dir=str(FOLDER)))
    assert toy.steps(StopContainer)


def test_surplus_containers_go_when_a_service_is_scaled_down() -> None:
    toy = Toy(service("web", scale=3)).settle()
    toy.edit(service("web", scale=1)).settle()
    assert [c.number for c in toy.boxes.values()] == [1]


def test_anonymous_volumes_and_volumes_are_never_removed_by_the_daemon() -> None:
    toy = Toy(service("web"), service("db")).settle()
    toy.edit(service("web", version="2")).settle()
    removed(toy).settle()
    assert not any(op.volumes for op in toy.done if isinstance(op, RemoveContainer))


def test_down_removes_the_stack_and_up_brings_it_back() -> None:
    toy = Toy(service("web", needs("db")), service("db")).settle()
    toy.override(OverrideKind.STOPPED)
    assert toy.turn() == ["stop web"]
    toy.settle()
    assert (toy.boxes, toy.networks) == ({}, {})
    assert {v.state for v in toy.decide().verdicts} == {ServiceState.STOPPED}
    toy.overrides = ()
    toy.settle()
    assert toy.box("web").running


def test_down_leaves_the_networks_of_another_instance() -> None:
    toy = Toy(service("web")).settle()
    theirs = replace(
        toy.networks["app_default"], id=NetworkId("theirs"), name="app_else", instance=InstanceName("other")
    )
    toy.networks["app_else"] = theirs
    toy.override(OverrideKind.STOPPED).settle()
    assert set(toy.networks) == {"app_else"}


def test_a_removed_stack_leaves_networks_that_do_not_say_they_are_ours() -> None:
    toy = Toy(service("web")).settle()
    toy.networks["app_default"] = replace(toy.networks["app_default"], instance=InstanceName(""))
    removed(toy).settle()
    assert set(toy.networks) == {"app_default"}


def test_an_unknown_container_of_a_removed_stack_waits() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", state=ContainerState.UNKNOWN)
    removed(toy)
    assert toy.frontier() == []


def test_nothing_of_a_stack_whose_folder_has_just_gone_is_begun() -> None:
    toy = Toy(service("web"), service("db", healthcheck=HealthCheck(("CMD", "true")))).settle()
    toy.crash("web", 1)
    toy.alter("db", health=Health.UNHEALTHY)
    assert toy.desired is not None
    toy.desired = replace(toy.desired, presence=Presence.GOING, services_settled=False)
    assert toy.frontier() == []
    toy.desired = replace(toy.desired, presence=Presence.MISSING)
    assert toy.frontier() == ["start web", "stop db"]


def going(toy: Toy) -> Toy:
    """The stack's folder has just gone."""
    assert toy.desired is not None
    toy.desired = replace(toy.desired, presence=Presence.GOING, services_settled=False)
    return toy


def test_what_was_begun_of_a_stack_whose_folder_has_just_gone_is_brought_to_its_end() -> None:
    toy = Toy(service("web")).settle().edit(service("web", version="2"))
    assert toy.turn() + toy.turn() + toy.turn() == ["create web 1", "stop web", "start web"]
    assert going(toy).turn() + toy.turn() == ["remove web", "rename web"]


def test_a_stop_that_a_person_wants_is_done_though_the_folder_has_just_gone() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.STOPPED, "web")
    assert going(toy).frontier() == ["stop web"]


def test_a_stop_of_what_left_the_file_waits_out_its_curve_like_any_other() -> None:
    toy = Toy(service("web"), service("old")).settle()
    toy.edit(service("web")).fail(f"stop:{toy.box('old').id}", "old", EngineErrorKind.FAILED)
    assert toy.frontier() == []
    assert toy.wait(2).frontier() == ["stop old"]


def test_a_stop_that_a_person_wants_ends_every_container_of_a_number() -> None:
    toy = Toy(service("web")).settle()
    toy.put(replace(toy.box("web"), id=ContainerId("e" * 64), name="copy"))
    assert toy.override(OverrideKind.STOPPED, "web").plan() == ["stop web", "stop web"]
    assert not any(box.live for box in toy.settle().boxes.values())


def test_a_service_that_left_the_file_goes_with_every_container_of_a_number() -> None:
    toy = Toy(service("web"), service("old")).settle()
    toy.put(replace(toy.box("old"), id=ContainerId("e" * 64), name="copy"))
    toy.edit(service("web"))
    assert sorted(toy.plan()) == ["remove old", "remove old", "stop old", "stop old"]


def test_a_container_that_says_that_it_needs_itself_is_stopped_all_the_same() -> None:
    toy = Toy(service("web"), service("old")).settle()
    toy.alter("old", depends_on=(ObservedDependency(ServiceName("old"), "service_started", False),))
    assert toy.edit(service("web")).frontier() == ["stop old"]


def test_a_stop_waits_for_no_dependent_that_is_to_run_on() -> None:
    toy = Toy(service("web", needs("db")), service("db")).settle().override(OverrideKind.STOPPED, "db")
    assert toy.frontier() == ["stop db"]


def test_the_order_of_stops_is_that_of_the_file_not_of_the_containers() -> None:
    toy = Toy(service("web"), service("db")).settle().edit(service("web", needs("db")), service("db"))
    assert toy.override(OverrideKind.STOPPED).frontier() == ["stop web"]


def test_down_removes_a_network_that_docker_compose_made_for_the_stack() -> None:
    toy = Toy(service("web")).settle()
    toy.networks["app_default"] = replace(toy.networks["app_default"], instance=InstanceName(""))
    toy.override(OverrideKind.STOPPED).settle()
    assert toy.networks == {}
