"""What a start waits for, and what it does not: the conditions of dependencies, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.model.ids import ServiceName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import OverrideKind
from stackd.model.plan import BlockerKind, StartContainer
from stackd.model.spec import HealthCheck, MountKind, MountSpec, VolumesFrom
from stackd.model.view import ServiceState
from tests.unit.core.dsl import ALWAYS, COMPLETED, HEALTHY, Toy, needs, service

CHECKED = HealthCheck(("CMD", "true"))


def waits(toy: Toy, name: str = "web") -> list[tuple[BlockerKind, str]]:
    """What the start of a service waits for."""
    return [(one.kind, one.detail) for one in toy.step(StartContainer, name).blocked_by]


def test_an_anonymous_volume_is_waited_for_by_nobody_and_missed_by_nobody() -> None:
    toy = Toy(service("web", mounts=(MountSpec(MountKind.VOLUME, "/data", ""),))).settle()
    assert (toy.box("web").running, toy.plan()) == (True, [])


def test_a_network_of_the_stack_that_is_about_to_be_made_blocks_nobody() -> None:
    assert Toy(service("web")).verdict("web").state is ServiceState.PENDING


def test_one_container_of_a_parent_is_enough_to_be_made_from() -> None:
    child = service("web", needs("data", implicit=True), volumes_from=(VolumesFrom(ServiceName("data")),))
    toy = Toy(service("data", scale=2), child).settle()
    del toy.boxes[toy.box("data", 2).id], toy.boxes[toy.box("web").id]
    toy.images["data:1"] = None
    assert set(toy.frontier()) == {"create web 1", "pull data:1"}


def test_one_running_container_of_a_parent_is_enough_to_share_its_namespace() -> None:
    child = service("web", needs("vpn", required=False), network_mode="service:vpn", networks=())
    toy = Toy(service("vpn", scale=2), child).settle()
    toy.override(OverrideKind.HELD, "vpn")
    toy.alter("vpn", 2, state=ContainerState.EXITED)
    toy.crash("web")
    assert "whose namespace" not in str(waits(toy))


def test_a_held_dependency_that_runs_is_counted_on() -> None:
    toy = Toy(service("db"), service("web", needs("db"))).settle().override(OverrideKind.HELD, "db")
    toy.crash("web")
    assert toy.frontier() == ["start web"]


@pytest.mark.parametrize(("kind", "word"), [(OverrideKind.HELD, "held"), (OverrideKind.STOPPED, "stopped")])
def test_a_dependency_that_is_to_stay_down_is_named_with_what_keeps_it_so(kind: OverrideKind, word: str) -> None:
    toy = Toy(service("db"), service("web", needs("db"))).settle()
    toy.override(kind, "db").settle()
    toy.crash("db"), toy.crash("web")
    assert waits(toy) == [(BlockerKind.DEPENDENCY, f"db is {word}: wanted so (by test)")]


def test_a_dependency_that_is_restarted_always_is_waited_for_only_until_it_has_started() -> None:
    toy = Toy(service("db", restart=ALWAYS), service("web", needs("db"))).settle()
    assert toy.box("web").running


def test_the_completion_of_what_is_restarted_always_never_comes_unless_nobody_requires_it() -> None:
    never = "job is restarted always, so it never completes"
    toy = Toy(service("job", restart=ALWAYS), service("web", needs("job", COMPLETED))).settle()
    assert waits(toy) == [(BlockerKind.FINAL, never)]
    toy = Toy(service("job", restart=ALWAYS), service("web", needs("job", COMPLETED, required=False))).settle()
    assert waits(toy) == [(BlockerKind.DEPENDENCY, "waiting for job to complete")]


@pytest.mark.parametrize("image_has_one", [False, True])
def test_a_health_check_that_the_file_switches_off_never_comes(image_has_one: bool) -> None:
    toy = Toy(service("db", healthcheck=HealthCheck(("NONE",))), service("web", needs("db", HEALTHY)))
    toy.images["db:1"] = replace(toy._image("db:1"), has_healthcheck=image_has_one)
    toy.turn(), toy.turn()
    assert [kind for kind, _ in waits(toy)] == [BlockerKind.FINAL]


def test_the_health_check_of_an_image_or_of_one_not_yet_there_is_waited_for() -> None:
    toy = Toy(service("db"), service("web", needs("db", HEALTHY)))
    toy.images["db:1"] = replace(toy._image("db:1"), has_healthcheck=True)
    toy.settle()
    toy.alter("db", health=Health.STARTING)
    assert [kind for kind, _ in waits(toy)] == [BlockerKind.DEPENDENCY]
    toy.images["db:1"] = None
    assert [kind for kind, _ in waits(toy)] == [BlockerKind.DEPENDENCY]


def test_a_paused_dependency_is_not_healthy_whatever_its_last_check_said() -> None:
    toy = Toy(service("db", healthcheck=CHECKED), service("web", needs("db", HEALTHY))).settle()
    toy.alter("db", state=ContainerState.PAUSED, health=Health.HEALTHY)
    assert waits(toy) == [(BlockerKind.DEPENDENCY, "waiting for db to start and become healthy")]


def test_an_unhealthy_dependency_that_is_not_required_delays_nobody() -> None:
    toy = Toy(service("db", healthcheck=CHECKED), service("web", needs("db", HEALTHY, required=False))).settle()
    assert waits(toy) == [(BlockerKind.DEPENDENCY, "waiting for db to become healthy (now starting)")]
    toy.alter("db", health=Health.UNHEALTHY)
    assert "start web" in toy.frontier()
