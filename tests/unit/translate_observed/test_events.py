"""Lines of the event stream become events, or nothing."""

from __future__ import annotations

import pytest

from stackd.model.evidence import EventKind
from stackd.translate.events import FILTERS, event
from stackd.translate.node import Json, Node


def line(action: str, kind: str = "container", **attributes: Json) -> Node:
    told: dict[str, Json] = {
        "name": "blog-web-1", "com.docker.compose.project": "blog", "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False", **attributes,
    }  # fmt: skip
    return Node(
        {"Type": kind, "Action": action, "Actor": {"ID": "c1", "Attributes": told}, "timeNano": 1714557600000000001}
    )


def test_a_death_tells_its_exit_code_and_whose_it_was() -> None:
    found = event(line("die", exitCode="137"))
    assert found is not None
    assert (found.kind, found.exit_code, found.stack, found.service) == (EventKind.DIE, 137, "blog", "web")
    assert (found.container, found.name, found.time_nano) == ("c1", "blog-web-1", 1714557600000000001)


def test_a_kill_tells_its_signal() -> None:
    found = event(line("kill", signal="3"))
    assert found is not None
    assert (found.kind, found.signal, found.exit_code) == (EventKind.KILL, 3, None)


def test_a_health_verdict_keeps_its_words() -> None:
    found = event(line("health_status: healthy"))
    assert found is not None
    assert (found.kind, found.action) == (EventKind.HEALTH, "health_status: healthy")


@pytest.mark.parametrize("action", ["exec_create: sh -c x", "exec_die", "attach", "top", "resize"])
def test_what_means_nothing_to_us_is_nothing(action: str) -> None:
    assert event(line(action)) is None


@pytest.mark.parametrize("document", [{}, {"Type": "daemon", "Action": "reload"}, {"Type": "container"}])
def test_what_is_not_understood_is_nothing(document: dict[str, Json]) -> None:
    assert event(Node(document)) is None


def test_a_network_is_told_by_name_with_the_container_on_it() -> None:
    found = event(line("connect", "network", name="blog_default", container="c9"))
    assert found is not None
    assert (found.kind, found.actor, found.action, found.container) == (
        EventKind.NETWORK,
        "blog_default",
        "connect",
        "c9",
    )


def test_podmans_words_are_understood() -> None:
    removed, died = event(line("remove")), event(line("died", containerExitCode="3"))
    assert removed is not None
    assert died is not None
    assert (removed.kind, died.kind, died.exit_code) == (EventKind.DESTROY, EventKind.DIE, 3)


def test_a_run_of_docker_compose_is_marked() -> None:
    found = event(line("start", **{"com.docker.compose.oneoff": "True"}))
    assert found is not None
    assert found.oneoff


@pytest.mark.parametrize("action", ["create", "start", "die", "destroy"])
def test_a_container_that_only_inherits_its_images_labels_is_nothing(action: str) -> None:
    document = line(action)
    told = document["Actor"].strings("Attributes")
    inherited: dict[str, Json] = {
        "name": "goofy_banzai",
        "image": "sha256:1",
        **{key: told[key] for key in ("com.docker.compose.project", "com.docker.compose.service")},
        "io.stackd.build": "v1:9",
    }
    built: dict[str, Json] = {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": "c2", "Attributes": inherited},
        "timeNano": 1,
    }
    assert event(document) is not None
    assert event(Node(built)) is None


def test_probes_are_not_asked_for() -> None:
    assert not [action for action in FILTERS["event"] if action.startswith("exec")]
    assert "health_status" in FILTERS["event"]
