"""From a definition to running containers: what is made first, what waits for what, and that nothing else is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.decide import decide
from stackd.errors import EngineErrorKind
from stackd.model.ids import ServiceName, StackName
from stackd.model.observed import ContainerState, Health, ObservedVolume
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import BlockerKind, CreateContainer, StartContainer, Why
from stackd.model.spec import (
    BuildSpec,
    DependencyCondition,
    HealthCheck,
    MountKind,
    MountSpec,
    NetworkAttachment,
    NetworkSpec,
    PullPolicy,
    RestartCondition,
    RestartPolicy,
    VolumesFrom,
    VolumeSpec,
)
from stackd.model.view import Failure, ServiceState
from tests.unit.core.dsl import COMPLETED, HEALTHY, NEVER, Toy, needs, service, words

CHECKED = HealthCheck(("CMD", "true"))


def test_a_new_stack_gets_its_network_its_containers_and_their_starts() -> None:
    toy = Toy(service("web"))
    assert toy.plan() == ["network app_default", "create web 1", "start web"]
    assert toy.frontier() == ["network app_default"]
    assert [toy.turn() for _ in range(4)] == [["network app_default"], ["create web 1"], ["start web"], []]
    assert toy.verdict("web").state is ServiceState.RUNNING


def test_a_dependent_is_created_early_and_started_after_what_it_needs() -> None:
    toy = Toy(service("web", needs("db")), service("db"))
    toy.turn()
    assert toy.turn() == ["create db 1", "create web 1"]
    assert toy.turn() == ["start db"]
    assert toy.turn() == ["start web"]


def test_a_dependent_waits_for_health() -> None:
    toy = Toy(service("db", healthcheck=CHECKED), service("web", needs("db", HEALTHY))).settle()
    assert toy.box("web").state is ContainerState.CREATED
    assert toy.verdict("web").state is ServiceState.WAITING
    assert "db" in toy.verdict("web").detail
    toy.alter("db", health=Health.HEALTHY)
    assert toy.frontier() == ["start web"]


def test_an_unhealthy_dependency_delays_and_does_not_fail() -> None:
    toy = Toy(service("db", healthcheck=CHECKED), service("web", needs("db", HEALTHY))).settle()
    toy.alter("db", health=Health.UNHEALTHY)
    assert "start web" not in toy.frontier()
    toy.settle()
    toy.alter("db", health=Health.HEALTHY)
    assert toy.frontier() == ["start web"]


def test_a_dependency_without_health_check_is_said_to_never_become_healthy() -> None:
    toy = Toy(service("db"), service("web", needs("db", HEALTHY))).settle()
    assert "no health check" in toy.verdict("web").detail


def test_a_wait_for_a_health_that_never_comes_is_known_before_anything_runs() -> None:
    toy = Toy(service("db"), service("web", needs("db", HEALTHY)))
    toy.turn(), toy.turn()
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.settled) == (ServiceState.BLOCKED, True)
    assert not toy.box("db").running


def test_a_stopped_dependency_that_is_not_required_delays_nobody() -> None:
    toy = Toy(service("db"), service("web", needs("db", required=False)))
    toy.override(OverrideKind.STOPPED, "db").settle()
    assert toy.box("web").running


def test_a_dependent_waits_for_the_completion_of_a_job() -> None:
    toy = Toy(service("job", restart=NEVER), service("web", needs("job", COMPLETED))).settle()
    assert toy.frontier() == []
    toy.crash("job", 0)
    assert toy.frontier() == ["start web"]


def test_a_failed_job_keeps_its_dependent_waiting_with_the_reason() -> None:
    toy = Toy(service("job", restart=NEVER), service("web", needs("job", COMPLETED))).settle()
    toy.crash("job", 3)
    assert toy.frontier() == []
    assert "exited 3" in toy.verdict("web").detail


@pytest.mark.parametrize(("condition", "code"), [(DependencyCondition.COMPLETED, 3), (DependencyCondition.HEALTHY, 1)])
def test_what_is_not_required_delays_nobody_when_it_fails(condition: DependencyCondition, code: int) -> None:
    toy = Toy(service("job", restart=NEVER), service("web", needs("job", condition, required=False))).settle()
    toy.crash("job", code)
    assert toy.frontier() == ["start web"]


def test_a_dependency_that_profiles_leave_out_delays_nobody() -> None:
    assert Toy(service("web", needs("debug"))).settle().box("web").running


def test_a_finished_data_container_counts_as_started() -> None:
    toy = Toy(service("data"), service("web", needs("data")))
    toy.turn(), toy.turn(), toy.turn()
    toy.crash("data", 0)
    assert toy.frontier() == ["start web"]


def test_volumes_from_waits_for_the_parents_container_and_is_made_from_it() -> None:
    toy = Toy(service("data"), service("web", needs("data", implicit=True), volumes_from=(VolumesFrom("data"),)))  # type: ignore[arg-type]
    toy.turn()
    assert toy.turn() == ["create data 1"]
    toy.settle()
    assert toy.box("web").volumes_from == (toy.box("data").id,)
    assert toy.plan() == []


def test_every_number_of_a_scaled_service_gets_its_container() -> None:
    toy = Toy(service("web", scale=3)).settle()
    assert sorted(c.number for c in toy.boxes.values() if c.running) == [1, 2, 3]
    assert toy.plan() == []


def test_volumes_are_made_before_their_containers_and_only_when_used() -> None:
    mount = MountSpec(MountKind.VOLUME, "/data", "pg")
    toy = Toy(
        service("db", mounts=(mount,)),
        volumes=(VolumeSpec("pg", "app_pg"), VolumeSpec("spare", "app_spare")),
    ).settle()
    assert set(toy.volumes) == {"app_pg"}
    assert [words(op) for op in toy.done][:2] == ["network app_default", "volume app_pg"]


@pytest.mark.parametrize("noun", ["network", "volume"])
def test_a_missing_external_resource_blocks_with_its_name_until_it_appears(noun: str) -> None:
    outside = NetworkSpec("proxy", "proxy", external=True)
    shared = VolumeSpec("shared", "shared", external=True)
    if noun == "network":
        toy = Toy(service("web", networks=(NetworkAttachment("proxy"),)), networks=(outside,))
    else:
        toy = Toy(service("web", mounts=(MountSpec(MountKind.VOLUME, "/s", "shared"),)), volumes=(shared,))
    toy.settle()
    verdict = toy.verdict("web")
    assert (verdict.state, toy.boxes) == (ServiceState.BLOCKED, {})
    assert f"{noun} {'proxy' if noun == 'network' else 'shared'}" in verdict.detail
    if noun == "network":
        toy.networks["proxy"] = toy.network(outside)
    else:
        toy.volumes["shared"] = ObservedVolume("shared", StackName(""))
    assert toy.settle().box("web").running


def test_a_missing_image_is_pulled_and_delays_only_its_own_service() -> None:
    toy = Toy(service("web"), service("db"))
    toy.images["web:1"] = None
    assert toy.frontier() == ["network app_default", "pull web:1"]
    pull = frozenset(op for op in toy.decide().plan.frontier() if words(op) == "pull web:1")
    toy.running = pull
    assert toy.turn() == ["network app_default"]
    assert toy.turn() == ["create db 1"]
    assert toy.turn() == ["start db"]
    toy.running = frozenset()
    assert toy.settle().box("web").running


def test_an_image_not_yet_asked_about_is_looked_for_and_not_pulled() -> None:
    toy = Toy(service("web"))
    del toy.images["web:1"]
    toy.turn()
    assert toy.frontier() == []


def test_pull_policy_never_blocks_for_good_and_says_so() -> None:
    toy = Toy(service("web", pull_policy=PullPolicy.NEVER))
    toy.images["web:1"] = None
    toy.settle()
    assert toy.verdict("web").state is ServiceState.BLOCKED
    assert "pull_policy is never" in toy.verdict("web").detail


def test_pull_policy_always_pulls_once_for_a_creation_and_never_again() -> None:
    toy = Toy(service("web", pull_policy=PullPolicy.ALWAYS)).settle()
    assert [words(op) for op in toy.done].count("pull web:1") == 1
    assert toy.plan() == []


def test_two_services_of_one_image_pull_it_once() -> None:
    toy = Toy(service("a", image="app:1"), service("b", image="app:1"))
    toy.images["app:1"] = None
    toy.settle()
    assert [words(op) for op in toy.done].count("pull app:1") == 1
    assert toy.box("a").running and toy.box("b").running


def test_a_built_service_is_built_when_its_image_is_missing_and_again_when_its_build_is_edited() -> None:
    first, second = BuildSpec("/src"), BuildSpec("/src", target="prod")
    toy = Toy(service("web", build=first))
    toy.images["web:1"] = None
    toy.settle()
    before = toy.box("web").id
    toy.edit(service("web", build=second)).settle()
    assert [words(op) for op in toy.done].count("build web:1") == 2
    assert toy.box("web").id != before
    assert toy.plan() == []


def test_a_converged_stack_has_an_empty_plan_at_any_later_time() -> None:
    toy = Toy(service("web", needs("db")), service("db")).settle()
    for _ in range(5):
        assert toy.wait(3600).plan() == []


def test_not_yet_seen_and_not_yet_loaded_plan_nothing() -> None:
    toy = Toy(service("web"))
    assert decide(replace(toy.view(), observed=None), toy.now).plan.steps == ()
    toy.host = replace(toy.host, sources_loaded=False)
    assert toy.plan() == []


def test_nothing_is_started_while_the_engine_is_away_and_the_plan_is_kept() -> None:
    toy = Toy(service("web"))
    toy.host = replace(toy.host, engine_up=False)
    assert toy.frontier() == []
    assert toy.plan() == ["network app_default", "create web 1", "start web"]


def test_after_an_answer_a_service_waits_for_an_observation_sent_later() -> None:
    toy = Toy(service("web"), service("db"))
    toy.turn()
    toy.answered[ServiceName("web")] = toy.mono + 1
    assert toy.frontier() == ["create db 1"]
    toy.wait(1.0)
    assert "create web 1" in toy.frontier()


def test_one_call_per_service_at_a_time() -> None:
    toy = Toy(service("web", scale=2))
    toy.turn()
    toy.running = frozenset(toy.decide().plan.frontier()[:1])
    assert toy.frontier() == []


@pytest.mark.parametrize("kind", [EngineErrorKind.FAILED, EngineErrorKind.TIMEOUT, EngineErrorKind.CONFLICT])
def test_a_failed_create_waits_out_its_curve_and_is_tried_again(kind: EngineErrorKind) -> None:
    toy = Toy(service("web"))
    toy.turn()
    toy.fail("create:web:1", "web", kind, fingerprint="web@1")
    assert toy.frontier() == []
    assert toy.verdict("web").state is ServiceState.BACKING_OFF
    assert toy.settle(patience=5).box("web").running


def test_a_refused_payload_is_final_until_it_is_edited() -> None:
    toy = Toy(service("web"))
    toy.turn()
    toy.fail("create:web:1", "web", EngineErrorKind.BAD_REQUEST, "bad hostname", fingerprint="web@1")
    toy.settle(patience=86400)
    assert (toy.boxes, toy.verdict("web").state) == ({}, ServiceState.BLOCKED)
    assert "bad hostname" in toy.verdict("web").detail
    assert toy.edit(service("web", version="2")).settle().box("web").running


def test_a_taken_port_is_asked_for_again_within_seconds_for_ever() -> None:
    toy = Toy(service("web"))
    toy.turn(), toy.turn()
    key = f"start:{toy.box('web').id}"
    for _ in range(20):
        toy.fail(key, "web", EngineErrorKind.FAILED, "Bind for 0.0.0.0:80 failed: port is already allocated")
        (blocker,) = [b for b in toy.step(StartContainer).blocked_by if b.kind is BlockerKind.BACKOFF]
        assert blocker.until is not None and blocker.until - toy.mono <= 6.5
        toy.mono = blocker.until
        assert toy.frontier() == ["start web"]


def test_an_unknown_or_removing_container_is_left_alone_and_not_doubled() -> None:
    toy = Toy(service("web")).settle()
    for state in (ContainerState.UNKNOWN, ContainerState.REMOVING):
        toy.alter("web", state=state)
        assert toy.plan() == []


def test_a_vanished_container_is_made_again() -> None:
    toy = Toy(service("web")).settle()
    toy.boxes.clear()
    assert toy.step(CreateContainer).op.reason.why is Why.MISSING
    assert toy.settle().box("web").running


def test_an_adopted_container_only_loses_the_engines_restart_policy() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", engine_policy="always", instance="")
    assert toy.turn() == ["policy web no"]
    assert toy.plan() == []


def test_a_service_scaled_to_nothing_has_no_container_and_is_good() -> None:
    toy = Toy(service("web", scale=0)).settle()
    assert (toy.boxes, toy.verdict("web").good) == ({}, True)


def test_nothing_is_made_for_a_service_scaled_to_nothing() -> None:
    mount = MountSpec(MountKind.VOLUME, "/data", "pg")
    toy = Toy(service("web", scale=0, mounts=(mount,)), volumes=(VolumeSpec("pg", "app_pg"),)).settle()
    assert (toy.networks, toy.volumes) == ({}, {})


def test_a_cycle_raises_nothing() -> None:
    toy = Toy(service("a", needs("b")), service("b", needs("a")))
    toy.settle()
    assert {c.state for c in toy.boxes.values()} == {ContainerState.CREATED}


def test_an_on_failure_policy_starts_a_created_container() -> None:
    policy = RestartPolicy(RestartCondition.ON_FAILURE, max_attempts=1)
    assert Toy(service("web", restart=policy)).settle().box("web").running


def test_nothing_is_started_on_a_dependency_that_the_same_plan_stops() -> None:
    toy = Toy(service("db"), service("web", needs("db"))).settle()
    toy.crash("web")
    toy.ask(Verb.RESTART, "db")
    assert toy.frontier() == ["stop db"]
    assert toy.turn() + toy.turn() + toy.turn() == ["stop db", "start db", "start web"]


def test_a_dependency_whose_stop_still_waits_is_counted_on_until_it_is_due() -> None:
    toy = Toy(
        service("db", healthcheck=CHECKED, restart=RestartPolicy(unhealthy_grace=30)), service("web", needs("db"))
    )
    toy.settle()
    toy.alter("db", health=Health.UNHEALTHY)
    toy.crash("web")
    assert toy.frontier() == ["start web"]
    assert toy.wait(31).frontier() == ["stop db"]


def test_a_start_does_not_wait_for_the_stop_of_what_it_does_not_require() -> None:
    toy = Toy(service("db"), service("web", needs("db", required=False))).settle()
    toy.crash("web")
    assert toy.ask(Verb.RESTART, "db").frontier() == ["stop db", "start web"]


def test_a_start_that_waits_for_a_stop_keeps_what_else_it_waits_for() -> None:
    toy = Toy(service("db"), service("web", needs("db"))).settle()
    toy.crash("web")
    toy.settle().crash("web")
    toy.ask(Verb.RESTART, "db").decide()
    kinds = [blocker.kind for blocker in toy.step(StartContainer, "web").blocked_by]
    assert kinds == [BlockerKind.BACKOFF, BlockerKind.DEPENDENCY]


def test_a_network_that_could_not_be_made_waits_out_its_curve() -> None:
    toy = Toy(service("web"))
    toy.failures["network:app_default"] = Failure(
        "network:app_default", None, 1, toy.mono, EngineErrorKind.FAILED, "no address is left"
    )
    assert toy.frontier() == []
    assert toy.wait(2).frontier() == ["network app_default"]
