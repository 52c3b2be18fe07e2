"""Shared namespaces: children stop first and start last, follow every restart, and are made anew with their parent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stackd.model.evidence import Verdict
from stackd.model.ids import ServiceName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import BlockerKind, StartContainer, StopContainer, Why
from stackd.model.spec import HealthCheck, RestartCondition, RestartPolicy, ServiceSpec, VolumesFrom
from stackd.model.view import ServiceLedger, ServiceState
from tests.unit.core.dsl import NEVER, Toy, evidence, needs, service, words

KINDS = ("network_mode", "ipc", "pid")


def child(kind: str, name: str = "child", of: str = "vpn", **fields: Any) -> ServiceSpec:
    """A service that shares a namespace of `vpn`."""
    fields |= {kind: f"service:{of}"} | ({"networks": ()} if kind == "network_mode" else {})
    return service(name, needs(of, implicit=True, restart=True), **fields)


def shared(kind: str, **fields: Any) -> Toy:
    """A running parent with a running child."""
    return Toy(service("vpn"), child(kind, **fields)).settle()


def done(toy: Toy) -> list[str]:
    """What has been done, in order."""
    return [words(op) for op in toy.done]


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_stops_before_its_parent_is_restarted_and_starts_after_it(kind: str) -> None:
    toy = shared(kind)
    toy.done.clear()
    toy.ask(Verb.RESTART, "vpn").settle()
    assert done(toy) == ["stop child", "stop vpn", "start vpn", "start child"]
    assert (toy.plan(), toy.requests) == ([], ())


@pytest.mark.parametrize("held", [False, True], ids=["restarted", "held and started again"])
def test_a_child_is_started_for_what_has_become_of_its_parent_and_not_for_what_was_about_to(held: bool) -> None:
    toy = shared("network_mode")
    if held:
        toy.crash("vpn", 0)
        toy.override(OverrideKind.HELD, "vpn").settle().overrides = ()
        toy.ask(Verb.START, "vpn")
    else:
        toy.ask(Verb.RESTART, "vpn")
    toy.done.clear()
    toy.settle()
    (start,) = (op for op in toy.done if isinstance(op, StartContainer) and op.service == "child")
    assert str(start.reason) == "vpn, whose namespace it shares, was restarted"


@pytest.mark.parametrize("kind", KINDS)
def test_a_replaced_parent_gets_a_new_child_the_old_one_stopped_first_the_new_one_started_last(kind: str) -> None:
    toy = shared(kind)
    toy.done.clear()
    toy.edit(service("vpn", version="2"), child(kind)).settle()
    order = [one for one in done(toy) if one.startswith(("create", "st"))]
    assert order == ["create vpn 1", "create child 1", "stop child", "stop vpn", "start vpn", "start child"]
    assert getattr(toy.box("child"), f"{kind.removesuffix('_mode')}_mode") == f"container:{toy.box('vpn').id}"
    assert toy.plan() == []


def test_a_child_waits_for_the_very_container_whose_namespace_it_has() -> None:
    toy = Toy(service("vpn", scale=2, restart=NEVER), child("network_mode", restart=RestartPolicy())).settle()
    mine = next(one for one in toy.boxes.values() if one.service == "child")
    (owner,) = (one for one in toy.boxes.values() if mine.network_mode == f"container:{one.id}")
    for one in (owner, mine):
        toy.boxes[one.id] = replace(
            one, state=ContainerState.EXITED, exit_code=int(one is mine), finished_at=toy.now.wall, health=Health.NONE
        )
    toy.settle()
    assert "start child" not in toy.frontier()
    assert "waiting for vpn, whose namespace it shares, to run" in toy.verdict("child").detail


def test_a_parent_is_not_stopped_while_its_child_cannot_be_made() -> None:
    toy = shared("network_mode")
    toy.edit(service("vpn", version="2"), child("network_mode", image="child:2"))
    toy.images["child:2"] = None
    toy.turn()
    assert "stop vpn" not in toy.frontier()
    waits = [b for s in toy.steps(StopContainer, "vpn") for b in s.blocked_by]
    assert [b.kind for b in waits] == [BlockerKind.ORDER]
    assert "child" in waits[0].detail


@pytest.mark.parametrize("kind", ["network_mode", "ipc"])
def test_a_crashed_parent_runs_again_before_its_child_is_restarted(kind: str) -> None:
    toy = shared(kind)
    toy.crash("vpn")
    assert [toy.turn() for _ in range(5)] == [["start vpn"], ["stop child"], ["start child"], [], []]


def test_a_child_of_a_pid_namespace_dies_with_its_parent_and_is_charged_with_no_crash() -> None:
    toy = shared("pid", restart=NEVER)
    toy.crash("vpn")
    assert toy.box("child").exit_code == 137
    toy.wait(0.1)
    assert toy.frontier() == ["start vpn"]
    assert toy.turn() + toy.turn() == ["start vpn", "start child"]
    assert toy.ledger.services.get(ServiceName("child"), ServiceLedger()).deaths == ()
    assert toy.plan() == []


def test_a_child_of_a_pid_namespace_that_dies_alone_is_charged_with_its_crash() -> None:
    toy = shared("pid")
    toy.wait(60).crash("child", 137)
    toy.decide()
    assert len(toy.ledger.services[ServiceName("child")].deaths) == 1
    toy.wait(60).crash("vpn")
    assert toy.step(StartContainer, "child").op.reason.why is Why.EXITED


def test_a_health_restart_of_the_parent_stops_its_child_only_when_it_is_due() -> None:
    vpn = service("vpn", healthcheck=HealthCheck(("CMD", "x")), restart=RestartPolicy(unhealthy_grace=30))
    toy = Toy(vpn, child("network_mode")).settle()
    toy.alter("vpn", health=Health.UNHEALTHY)
    assert toy.frontier() == []
    assert toy.wait(31).frontier() == ["stop child"]


def test_a_child_is_not_started_between_its_own_stop_and_its_parents() -> None:
    toy = shared("network_mode").ask(Verb.RESTART, "vpn")
    assert toy.turn() == ["stop child"]
    assert toy.frontier() == ["stop vpn"]
    toy.forget()
    assert toy.frontier() == ["stop vpn"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_child_of_a_replaced_parent_runs_on_until_its_new_container_can_be_made(kind: str) -> None:
    toy = shared(kind)
    toy.edit(service("vpn", version="2"), child(kind, image="child:2"))
    toy.images["child:2"] = None
    assert [toy.turn(), toy.turn()] == [["create vpn 1"], ["pull child:2"]]
    assert toy.box("child").running
    assert [toy.turn(), toy.turn()] == [["create child 1"], ["stop child"]]


def test_a_child_that_is_to_stop_anyway_is_planned_to_stop_once_and_for_its_own_reason() -> None:
    toy = shared("network_mode").override(OverrideKind.STOPPED, "child").ask(Verb.RESTART, "vpn")
    (stop,) = (step.op for step in toy.steps(StopContainer, "child") if isinstance(step.op, StopContainer))
    assert (stop.restart, stop.reason.why) == (False, Why.STOPPED_BY_OVERRIDE)


def test_a_child_behind_a_profile_is_left_running_while_its_parent_is_restarted() -> None:
    toy = shared("network_mode")
    project = replace(toy.edit(service("vpn")).definition, inactive=frozenset({ServiceName("child")}))
    assert toy.desired is not None
    toy.desired = replace(toy.desired, project=project)
    toy.done.clear()
    assert done(toy.ask(Verb.RESTART, "vpn").settle()) == ["stop vpn", "start vpn"]


def test_a_held_or_paused_child_does_not_keep_its_parent_from_a_restart_and_is_left_alone() -> None:
    held = shared("network_mode").override(OverrideKind.HELD, "child")
    assert held.ask(Verb.RESTART, "vpn").frontier() == ["stop vpn"]
    paused = shared("network_mode")
    paused.alter("child", state=ContainerState.PAUSED)
    paused.done.clear()
    assert done(paused.ask(Verb.RESTART, "vpn").settle()) == ["stop vpn", "start vpn"]
    paused.alter("child", state=ContainerState.RUNNING)
    assert paused.frontier() == ["stop child"]


def test_children_of_children_stop_first_of_all() -> None:
    toy = Toy(service("vpn"), child("pid"), child("pid", "grandchild", "child")).settle()
    toy.done.clear()
    toy.ask(Verb.RESTART, "vpn").settle()
    assert done(toy) == [
        "stop grandchild", "stop child", "stop vpn", "start vpn", "start child", "start grandchild"
    ]  # fmt: skip


def test_a_child_waits_for_a_parent_that_is_not_required() -> None:
    spec = service("child", needs("vpn", required=False), network_mode="service:vpn", networks=())
    toy = Toy(service("vpn"), spec).settle().override(OverrideKind.STOPPED, "vpn").settle()
    assert toy.box("child").state is ContainerState.EXITED
    assert toy.verdict("child").state is ServiceState.WAITING
    toy.overrides = ()
    assert toy.settle().box("child").running


@pytest.mark.parametrize("kind", ["network_mode", "ipc"])
@pytest.mark.parametrize("how", [OverrideKind.HELD, OverrideKind.STOPPED])
def test_a_child_whose_parent_is_down_and_is_to_stay_so_is_stopped_and_comes_back_with_it(
    kind: str, how: OverrideKind
) -> None:
    toy = shared(kind)
    toy.crash("vpn", 0)
    toy.override(how, "vpn")
    (stop,) = toy.steps(StopContainer, "child")
    word = "held" if how is OverrideKind.HELD else "stopped"
    assert str(stop.op.reason) == f"vpn, whose namespace it shares, is down and {word}: wanted so (by test)"
    toy.settle()
    assert not toy.box("child").live
    verdict = toy.verdict("child")
    assert (verdict.state, verdict.detail) == (ServiceState.WAITING, f"vpn is {word}: wanted so (by test)")
    toy.overrides = ()
    toy.done.clear()
    toy.ask(Verb.START, "vpn")
    assert done(toy.settle()) == ["start vpn", "start child"]


def test_a_child_of_a_parent_that_another_hand_removed_and_that_is_held_is_stopped() -> None:
    toy = shared("network_mode")
    del toy.boxes[toy.box("vpn").id]
    assert toy.override(OverrideKind.HELD, "vpn").frontier() == ["stop child"]


def test_a_hold_of_a_parent_that_runs_or_is_paused_changes_nothing_for_its_child() -> None:
    toy = shared("network_mode").override(OverrideKind.HELD, "vpn")
    assert toy.plan() == []
    toy.alter("vpn", state=ContainerState.PAUSED)
    assert toy.plan() == []


def test_a_child_whose_parent_is_about_to_run_again_is_not_stopped_before_that() -> None:
    toy = shared("network_mode")
    toy.crash("vpn")
    assert toy.frontier() == ["start vpn"]


def test_a_child_whose_parent_is_over_runs_on_and_says_that_it_has_no_network() -> None:
    toy = shared("network_mode")
    toy.crash("vpn", 0)
    verdict = toy.wait(60).verdict("child")
    assert (toy.plan(), verdict.state, verdict.good) == ([], ServiceState.RUNNING, False)
    assert verdict.detail == "it has no network: vpn, whose network it shares, does not run"
    other = shared("ipc")
    other.crash("vpn", 0)
    assert other.wait(60).verdict("child").detail == ""


def test_a_child_that_is_held_itself_is_left_running_beside_its_held_parent() -> None:
    toy = shared("network_mode").override(OverrideKind.HELD, "vpn").override(OverrideKind.HELD, "child")
    toy.crash("vpn")
    assert toy.plan() == []


def test_a_child_of_a_pid_namespace_still_seen_running_beside_its_held_dead_parent_is_not_stopped() -> None:
    toy = shared("pid")
    before = toy.box("child")
    toy.crash("vpn")
    toy.put(before)
    assert toy.override(OverrideKind.HELD, "vpn").plan() == []


def test_a_child_that_another_hand_is_just_stopping_too_is_not_stopped_first() -> None:
    toy = shared("network_mode")
    toy.crash("vpn")
    box = toy.box("child")
    toy.override(OverrideKind.HELD, "vpn").evidence[box.id] = evidence(box, Verdict.PENDING, kill_at=toy.mono)
    assert (toy.plan(), toy.frontier()) == (["stop child"], [])
    assert toy.wait(60).frontier() == ["stop child"]


def test_volumes_of_a_restarted_container_restart_nobody_and_those_of_a_replaced_one_replace() -> None:
    spec = service("web", needs("data", implicit=True), volumes_from=(VolumesFrom(ServiceName("data")),))
    toy = Toy(service("data"), spec).settle()
    before = toy.box("web")
    toy.ask(Verb.RESTART, "data").settle()
    assert toy.box("web") == before
    toy.edit(service("data", version="2"), spec).settle()
    assert toy.box("web").volumes_from == (toy.box("data").id,)


def test_a_finished_job_is_not_run_again_for_a_new_parent() -> None:
    toy = shared("network_mode", restart=NEVER)
    toy.crash("child", 0)
    before = toy.box("child")
    toy.edit(service("vpn", version="2"), child("network_mode", restart=NEVER)).settle(patience=60)
    assert (toy.box("child"), toy.plan()) == (before, [])


@pytest.mark.parametrize("verb", [Verb.RESTART, Verb.START, Verb.UP])
def test_a_finished_job_that_is_asked_for_again_gets_the_new_parent(verb: Verb) -> None:
    toy = shared("network_mode", restart=NEVER)
    toy.crash("child", 0)
    toy.edit(service("vpn", version="2"), child("network_mode", restart=NEVER)).settle(patience=60)
    toy.ask(verb, "child").settle(patience=60)
    assert toy.box("child").live
    assert toy.box("child").network_mode == f"container:{toy.box('vpn').id}"


@pytest.mark.parametrize(("condition", "runs"), [(RestartCondition.ON_FAILURE, True), (RestartCondition.NO, False)])
@pytest.mark.parametrize("noted", [False, True])
def test_what_ended_with_the_engine_is_no_finished_job_and_gets_the_new_parent(
    condition: RestartCondition, runs: bool, noted: bool
) -> None:
    toy = shared("network_mode", restart=RestartPolicy(condition))
    toy.wait(60).crash("child", 0)
    if noted:  # it had finished by itself, before
        toy.decide()
        toy.wait(60)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall)
    toy.edit(service("vpn", version="2"), child("network_mode", restart=RestartPolicy(condition))).settle(patience=60)
    assert toy.box("child").live is (runs and not noted)
    assert (toy.box("child").network_mode == f"container:{toy.box('vpn').id}") is (runs and not noted)


def test_a_container_that_was_made_before_its_namespace_was_carried_out_is_left_running() -> None:
    toy = shared("ipc")
    toy.alter("child", ipc_mode="private")
    assert toy.plan() == []


# `depends_on: restart: true`


def dependent() -> Toy:
    """A dependent that follows its dependency's restarts."""
    return Toy(service("db"), service("web", needs("db", restart=True))).settle()


def test_a_dependent_follows_a_replacement_and_a_remaking_of_its_dependency() -> None:
    toy = dependent()
    toy.edit(service("db", version="2"), service("web", needs("db", restart=True)))
    toy.done.clear()
    assert [one for one in done(toy.settle()) if "web" in one] == ["stop web", "start web"]
    del toy.boxes[toy.box("db").id]
    toy.done.clear()
    assert [one for one in done(toy.settle()) if "web" in one] == ["stop web", "start web"]


def test_scaling_a_dependency_up_restarts_nobody() -> None:
    toy = dependent()
    before = toy.box("web")
    toy.wait(60).edit(service("db", scale=3), service("web", needs("db", restart=True))).settle()
    assert (len(toy.boxes), toy.box("web")) == (4, before)


def test_a_restart_of_any_number_restarts_the_dependent() -> None:
    toy = Toy(service("db", scale=2), service("web", needs("db", restart=True))).settle()
    box = toy.box("db", 2)
    toy.put(replace(box, state=ContainerState.EXITED, exit_code=1, finished_at=toy.now.wall))
    toy.done.clear()
    assert done(toy.settle(patience=5)) == ["start db", "stop web", "start web"]


def test_a_replacement_of_any_number_restarts_the_dependent() -> None:
    toy = Toy(service("db", scale=2), service("web", needs("db", restart=True))).settle()
    toy.alter("db", 2, networks={})
    toy.done.clear()
    assert [one for one in done(toy.settle()) if "web" in one] == ["stop web", "start web"]
    assert toy.plan() == []


def test_a_dependent_is_left_while_the_dependency_that_was_restarted_is_down_again() -> None:
    toy = dependent().ask(Verb.RESTART, "db")
    assert toy.turn() + toy.turn() == ["stop db", "start db"]
    toy.crash("db")
    assert toy.plan() == ["start db"]


def test_a_dependency_that_was_added_later_restarts_nobody_when_it_first_starts() -> None:
    toy = Toy(service("web")).settle()
    before = toy.box("web")
    toy.wait(60).edit(service("db"), service("web", needs("db", restart=True))).settle()
    assert toy.box("web") == before


@pytest.mark.parametrize("adopted", [("db", "web"), ("db",), ("web",)])
def test_adopting_containers_restarts_no_dependent_for_what_happened_before(adopted: tuple[str, ...]) -> None:
    toy = dependent()
    toy.alter("db", started_at=toy.now.wall - 0.001)
    for name in adopted:
        toy.alter(name, instance="")
    toy.forget()
    assert toy.box("db").started_at > toy.box("web").started_at
    assert toy.wait(60).plan() == []
    toy.wait(1).crash("db")
    toy.done.clear()
    assert done(toy.settle(patience=5)) == ["start db", "stop web", "start web"]
