"""What the real docker compose asks of the engine for a file, and what stackd asks for the same file, are the same.

Left out of the comparison: empty values, the engine's restart policy (stackd's is always "no"), the labels of either
side's own, the order of lists without order, the address that compose repeats beside IPAMConfig, the `:ro` of
volumes_from (compose drops it), and what an engine below API 1.44 does not know (compose sends it all the same).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackd.compose.tree import Json
from stackd.model.ids import ContainerId, ImageId, InstanceName, ServiceName
from stackd.model.spec import Project, ServiceSpec
from stackd.translate.bind import SEVERAL_NETWORKS, Bindings, create_body, network_body, volume_body
from stackd.translate.names import container_name
from tests.golden.compose.folders import folders, loaded
from tests.oracle.compose import run
from tests.oracle.recorder import IMAGE_ID, Recorded, recording

pytestmark = pytest.mark.oracle

CASES = frozenset(
    [
        "busybox",
        "booleans",
        "build",
        "command-forms",
        "environment-list",
        "env-file-order",
        "expose-links",
        "healthcheck",
        "healthcheck-disable",
        "healthcheck-list",
        "identity",
        "interpolated-types",
        "labels-forms",
        "namespaces",
        "network-mode",
        "networks",
        "networks-list",
        "ports",
        "replicas",
        "restart-always",
        "scale",
        "scalars-in-environment",
        "secrets-files",
        "tmpfs",
        "tmpfs-string",
        "volumes-from",
        "volumes-long",
        "volumes-short",
        "volumes-top",
        "podman-575-completed",
        "podman-1189-reset-override",
        "podman-1042-override-replaces",
        "podman-326-partial-build",
    ]
)
FOLDERS = [folder for folder in folders() if folder.name in CASES]
INSTANCE = InstanceName("test")
_OWN = ("io.stackd.", "com.docker.compose.version", "com.docker.compose.depends_on")
_SETS = frozenset(("Binds", "Mounts", "Env", "Links", "Aliases"))
_DROPPED = frozenset(("RestartPolicy", "CheckDuplicate", "IPAddress", "IPv6Gateway", "ConsoleSize"))
_NEWER = frozenset(("StartInterval", "MacAddress"))


def _essence(value: Json, key: str = "") -> Json:
    match value:
        case dict():
            kept = {k: _essence(v, k) for k, v in value.items() if k not in _DROPPED and not k.startswith(_OWN)}
            kept = {k: v for k, v in kept.items() if k != "ReadOnly" or v}
            inside = key in ("ExposedPorts", "Labels", "PortBindings", "EndpointsConfig", "Options", "Tmpfs")
            return {
                k: v
                for k, v in kept.items()
                if inside or v not in (None, "", 0, False, [], {}) or (k in ("Cmd", "Entrypoint") and v == [])
            }
        case list():
            items = [_essence(item, key if isinstance(item, str) else "") for item in value]
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if key in _SETS else items
        case str() if key == "VolumesFrom":
            return value.removesuffix(":ro")
        case _:
            return value


def _bindings(spec: ServiceSpec, project: Project, number: int, seen: Recorded) -> Bindings:
    parents: dict[ServiceName, tuple[tuple[ContainerId, str], ...]] = {}
    for name, other in project.services.items():
        names = [container_name(project.name, other, one) for one in range(1, other.scale + 1)]
        parents[name] = tuple((ContainerId(seen.new_id("c:" + one)), one) for one in names)
    return Bindings(container_name(project.name, spec, number), INSTANCE, "/root", ImageId(IMAGE_ID), parents=parents)


def _without(value: Json, dropped: frozenset[str]) -> Json:
    match value:
        case dict():
            return {key: _without(item, dropped) for key, item in value.items() if key not in dropped}
        case list():
            return [_without(item, dropped) for item in value]
        case _:
            return value


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("api", ["1.51", "1.43"])
def test_the_requests_are_those_of_docker_compose(folder: Path, api: str, tmp_path: Path) -> None:
    with recording(tmp_path, api) as (host, seen):
        answer = run(folder, "create", DOCKER_HOST=host)
    assert answer.returncode == 0, answer.stderr
    project = loaded(folder).project
    assert project is not None
    version = (1, int(api.partition(".")[2]))
    dropped = _NEWER if version < SEVERAL_NETWORKS else frozenset()
    ours: dict[str, Json] = {}
    connects: list[Json] = []
    for spec in project.services.values():
        for number in range(1, spec.scale + 1):
            request = create_body(spec, project, number, _bindings(spec, project, number, seen), version)
            assert request.platform == seen.platforms[request.name]
            connects += [[network, _essence(dict(settings))] for network, settings in request.connects]
            ours[request.name] = _essence(dict(request.body))
    assert _without(ours, dropped) == _without(
        {name: _essence(body) for name, body in seen.containers.items()}, dropped
    )
    theirs: list[Json] = [[name, _essence(settings)] for name, settings in seen.connects]
    assert sorted(map(repr, connects)) == sorted(map(repr, [_without(one, dropped) for one in theirs]))
    made = [spec for spec in project.networks.values() if not spec.external]
    assert {one.name: _essence(network_body(one, project, INSTANCE, "/root")) for one in made} == {
        name: _essence(body) for name, body in seen.networks.items()
    }
    kept = [one for one in project.volumes.values() if not one.external]
    assert {one.name: _essence(volume_body(one, project, INSTANCE, "/root")) for one in kept} == {
        name: _essence(body) for name, body in seen.volumes.items()
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_docker_compose_finds_nothing_to_do_on_what_stackd_made(folder: Path, tmp_path: Path) -> None:
    project = loaded(folder).project
    assert project is not None
    with recording(tmp_path) as (host, seen):
        for network in project.networks.values():
            if not network.external:
                seen.networks[network.name] = network_body(network, project, INSTANCE, "/root")
        for volume in project.volumes.values():
            if not volume.external:
                seen.volumes[volume.name] = volume_body(volume, project, INSTANCE, "/root")
        for spec in project.services.values():
            for number in range(1, spec.scale + 1):
                request = create_body(spec, project, number, _bindings(spec, project, number, seen), (1, 51))
                seen.containers[request.name] = dict(request.body)
        answer = run(folder, "create", DOCKER_HOST=host)
    assert answer.returncode == 0, answer.stderr
    assert seen.calls == []
