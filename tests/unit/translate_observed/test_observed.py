"""Lists and inspects of engines, as JSON, become values of the model."""

from __future__ import annotations

import copy

import pytest

from stackd.model.ids import NetworkId, ServiceName
from stackd.model.observed import ContainerState, Health, ObservedDependency, ObservedMount
from stackd.translate import labels, observed
from stackd.translate.image import image
from stackd.translate.node import Json, Node, as_node

LABELS: dict[str, Json] = {
    "com.docker.compose.project": "blog",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "2",
    "com.docker.compose.config-hash": "abc",
    "com.docker.compose.oneoff": "False",
    "com.docker.compose.depends_on": "db:service_healthy:true,cache:service_started:false",
    "com.docker.compose.project.working_dir": "/srv/blog",
    "io.stackd.instance": "main",
    "io.stackd.root": "/srv",
    "io.stackd.content": "v1:9",
}
INSPECT: dict[str, Json] = {
    "Id": "c" * 64,
    "Created": "2024-05-01T10:00:00.5Z",
    "Name": "/blog-web-2",
    "Image": "sha256:1",
    "State": {
        "Status": "running", "ExitCode": 0, "OOMKilled": False, "Error": "", "Pid": 4711,
        "StartedAt": "2024-05-01T10:00:01.25Z", "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "unhealthy", "FailingStreak": 2, "Log": [
            {"Start": "2024-05-01T09:00:00Z", "ExitCode": 1, "Output": "of the run before"},
            {"Start": "2024-05-01T12:00:02+02:00", "ExitCode": 1, "Output": " no route \n"},
            {"Start": "2024-05-01T10:00:03Z", "ExitCode": 0, "Output": "fine"},
        ]},
    },
    "Config": {"Image": "web:1", "Labels": LABELS, "StopTimeout": 30},
    "HostConfig": {
        "RestartPolicy": {"Name": "always"}, "NetworkMode": "blog_default", "VolumesFrom": ["d" * 64 + ":ro"],
    },
    "NetworkSettings": {
        "Networks": {"blog_default": {"NetworkID": "n1"}},
        "Ports": {
            "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": "8080"}],
            "443/tcp": None,
        },
    },
    "Mounts": [
        {"Type": "volume", "Name": "blog_data", "Source": "/var/lib/x", "Destination": "/data"},
        {"Type": "bind", "Source": "/srv/blog/conf", "Destination": "/conf"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.123456789Z", 1.123456789),
        ("1970-01-01T01:00:01.5+01:00", 1.5),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        ("yesterday", 0.0),
    ],
)
def test_an_engines_time_is_unix_seconds_and_its_zero_is_zero(text: str, seconds: float) -> None:
    assert observed.instant(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("2024-05-01T10:00:00.000000001Z", 1_714_557_600_000_000_001),
        ("2024-05-01T10:00:00.9Z", 1_714_557_600_900_000_000),
        ("2024-05-01T10:00:00Z", 1_714_557_600_000_000_000),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_a_log_lines_time_keeps_every_nanosecond(text: str, nano: int) -> None:
    assert observed.nanoseconds(text) == nano


def test_an_inspect_is_read_in_full() -> None:
    found = observed.container(Node(INSPECT))
    assert (found.id, found.name, found.stack, found.service, found.number) == (
        "c" * 64,
        "blog-web-2",
        "blog",
        "web",
        2,
    )
    assert (found.state, found.health, found.pid, found.engine_policy) == (
        ContainerState.RUNNING, Health.UNHEALTHY, 4711, "always",
    )  # fmt: skip
    assert (found.created_at, found.started_at, found.finished_at) == (1714557600.5, 1714557601.25, 0.0)
    assert (found.image, found.image_id, found.config_hash, found.content) == ("web:1", "sha256:1", "abc", "v1:9")
    assert (found.instance, found.root, found.working_dir, found.oneoff) == ("main", "/srv", "/srv/blog", False)
    assert (found.stop_grace, found.network_mode, found.networks) == (
        30.0,
        "blog_default",
        {"blog_default": NetworkId("n1")},
    )
    assert found.volumes_from == ("d" * 64 + ":ro",)


def test_what_is_in_no_order_is_sorted_so_that_equal_states_are_equal() -> None:
    shuffled = copy.deepcopy(INSPECT)
    assert isinstance(shuffled["Mounts"], list)
    shuffled["Mounts"].reverse()
    assert observed.container(Node(shuffled)) == observed.container(Node(INSPECT))
    found = observed.container(Node(INSPECT))
    assert found.mounts == (
        ObservedMount("bind", "/srv/blog/conf", "/conf"),
        ObservedMount("volume", "blog_data", "/data"),
    )
    assert found.ports == ("127.0.0.1:8080->80/tcp", "[::1]:8080->80/tcp")


def test_a_failed_probe_of_an_earlier_run_is_not_this_runs_output() -> None:
    assert observed.container(Node(INSPECT)).health_output == "no route"


def test_dependencies_are_read_with_and_without_conditions() -> None:
    assert labels.dependencies("db:service_healthy:true,cache") == (
        ObservedDependency(ServiceName("cache"), "service_started", False),
        ObservedDependency(ServiceName("db"), "service_healthy", True),
    )
    assert labels.dependencies("") == ()


def test_a_container_without_anything_is_still_a_container() -> None:
    found = observed.container(Node({"Id": "x", "Config": {"Labels": None}, "Mounts": None, "HostConfig": {}}))
    assert (found.id, found.state, found.number, found.engine_policy) == ("x", ContainerState.UNKNOWN, 0, "no")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("exited", ContainerState.EXITED), ("dead", ContainerState.DEAD), ("stopped", ContainerState.EXITED),
        ("configured", ContainerState.CREATED), ("stopping", ContainerState.RUNNING), ("odd", ContainerState.UNKNOWN),
    ],
)  # fmt: skip
def test_every_engines_word_for_a_state_is_understood_or_unknown(word: str, state: ContainerState) -> None:
    assert observed.container_state(word) is state


def row(**changed: Json) -> Node:
    base: dict[str, Json] = {
        "Id": "c", "Names": ["/other/alias", "/blog-web-2"], "State": "running", "Status": "Up 5 minutes (healthy)",
        "Labels": LABELS, "NetworkSettings": {"Networks": {"blog_default": {"NetworkID": "n1"}}},
    }  # fmt: skip
    return Node({**base, **changed})


def test_a_row_knows_its_own_name_among_links() -> None:
    found = observed.container_row(row())
    assert (found.name, found.stack, found.instance) == ("blog-web-2", "blog", "main")


@pytest.mark.parametrize(
    "changed",
    [
        {"State": "exited"},
        {"Status": "Up 5 minutes (unhealthy)"},
        {"Status": "Up About a minute (healthy)"},
        {"Names": ["/renamed"]},
        {"NetworkSettings": {"Networks": {}}},
    ],
)
def test_a_rows_signature_changes_with_its_state(changed: dict[str, Json]) -> None:
    assert observed.container_row(row(**changed)).signature != observed.container_row(row()).signature


@pytest.mark.parametrize("status", ["Up 5 seconds", "Up Less than a second", "Exited (0) 3 seconds ago"])
def test_a_young_rows_signature_changes_with_every_second_of_its_age(status: str) -> None:
    older = observed.container_row(row(Status="Up 6 seconds")).signature
    assert observed.container_row(row(Status=status)).signature not in ("", older)


def test_networks_and_volumes_carry_their_projects_key() -> None:
    network = observed.network(
        Node({"Id": "n", "Name": "blog_back", "Labels": {labels.PROJECT: "blog", labels.NETWORK: "back"}})
    )
    volume = observed.volume(Node({"Name": "blog_data", "Labels": {labels.PROJECT: "blog", labels.VOLUME: "data"}}))
    assert (network.id, network.name, network.stack, network.key) == ("n", "blog_back", "blog", "back")
    assert (volume.name, volume.stack, volume.key) == ("blog_data", "blog", "data")
    assert observed.volume(Node({"Name": "bare", "Labels": None})).stack == ""


def test_an_image_tells_its_volumes_and_whether_it_has_a_probe() -> None:
    document = {"Id": "sha256:1", "Config": {"Volumes": {"/b": {}, "/a": {}}, "Healthcheck": {"Test": ["CMD", "x"]}}}
    found = image("db:1", as_node(document))
    assert (found.id, found.volumes, found.has_healthcheck) == ("sha256:1", ("/a", "/b"), True)
    assert not image("db:1", as_node({"Id": "x", "Config": {"Healthcheck": {"Test": ["NONE"]}}})).has_healthcheck


def test_an_image_tells_by_which_names_registries_know_it() -> None:
    document = {"Id": "sha256:1", "RepoDigests": ["db@sha256:2", "localhost:5000/db@sha256:3"]}
    assert image("db:1", as_node(document)).digests == ("db@sha256:2", "localhost:5000/db@sha256:3")
    assert image("db:1", as_node({"Id": "sha256:1", "RepoDigests": None})).digests == ()


def test_a_container_that_was_paused_is_not_called_unhealthy_before_a_probe_has_failed() -> None:
    """20.10.24: pause writes `unhealthy` with a streak of 0, and unpause leaves it so until the next probe."""
    told: Json = {"Status": "unhealthy", "FailingStreak": 0, "Log": [{"Start": "2026-11-24T11:53:38Z", "ExitCode": 0}]}
    document = {**INSPECT, "State": {"Status": "running", "Health": told}}
    assert observed.container(as_node(document)).health is Health.STARTING


def test_a_health_log_is_read_in_order_and_its_output_is_cut() -> None:
    runs = [
        {"Start": "1970-01-01T00:00:01Z", "ExitCode": 1, "Output": "x" * 5000},
        {"Start": "1970-01-01T00:00:02Z", "ExitCode": 0, "Output": "ok"},
    ]
    found = observed.health_log(as_node({"State": {"Health": {"Log": runs}}}))
    assert [(probe.at, probe.exit_code, len(probe.output)) for probe in found] == [(1.0, 1, 400), (2.0, 0, 2)]
    assert observed.health_log(as_node({"State": {}})) == ()
