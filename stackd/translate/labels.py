"""The labels that carry a container's place: Compose's own, and stackd's.

Law: the names stand here once; who reads or writes a label takes it from here. Which labels Compose itself needs to
recognise a container: project, service, oneoff, container-number, config-hash, image. What this module does not do:
decide whose a container is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stackd.model.ids import ServiceName, StackName
from stackd.model.observed import ObservedDependency

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
CONFIG_HASH = "com.docker.compose.config-hash"
CONFIG_FILES = "com.docker.compose.project.config_files"
WORKING_DIR = "com.docker.compose.project.working_dir"
DEPENDS_ON = "com.docker.compose.depends_on"
ONEOFF = "com.docker.compose.oneoff"
IMAGE = "com.docker.compose.image"
REPLACE = "com.docker.compose.replace"
HOOK = "com.docker.compose.hook"
VERSION = "com.docker.compose.version"
NETWORK = "com.docker.compose.network"
VOLUME = "com.docker.compose.volume"

INSTANCE = "io.stackd.instance"
ROOT = "io.stackd.root"
BUILD = "io.stackd.build"
CONTENT = "io.stackd.content"


@dataclass(frozen=True, slots=True)
class ContainerLabels:
    """A container's labels, parsed. `number` 0 = not told."""

    stack: StackName
    service: ServiceName
    number: int
    config_hash: str
    working_dir: str
    oneoff: bool
    hook: bool
    replaces: str
    depends_on: tuple[ObservedDependency, ...]
    instance: str
    root: str
    content: str


def container_labels(labels: Mapping[str, str]) -> ContainerLabels:
    """Read what a container's labels say; nothing here is required, whatever is missing is empty."""
    return ContainerLabels(
        stack=StackName(labels.get(PROJECT, "")),
        service=ServiceName(labels.get(SERVICE, "")),
        number=number(labels.get(NUMBER, "")),
        config_hash=labels.get(CONFIG_HASH, ""),
        working_dir=labels.get(WORKING_DIR, ""),
        oneoff=is_oneoff(labels),
        hook=HOOK in labels,
        replaces=labels.get(REPLACE, ""),
        depends_on=dependencies(labels.get(DEPENDS_ON, "")),
        instance=labels.get(INSTANCE, ""),
        root=labels.get(ROOT, ""),
        content=labels.get(CONTENT, ""),
    )


def is_of_a_project(labels: Mapping[str, str]) -> bool:
    """Whether somebody made this container for a Compose project: stackd, `docker compose`, podman-compose.

    Project and service alone are inherited from an image that was built for a service. The classic builder's containers
    and those of `docker run` have them so; each maker of a project's containers also numbers them.
    """
    return PROJECT in labels and not {NUMBER, ONEOFF, HOOK}.isdisjoint(labels)


def is_oneoff(labels: Mapping[str, str]) -> bool:
    """Whether it is the container of a `docker compose run`."""
    return labels.get(ONEOFF, "").lower() == "true"


def dependencies(label: str) -> tuple[ObservedDependency, ...]:
    """Parse `db:service_healthy:true,cache:service_started:false`; old Compose wrote the names alone. Sorted: Compose
    writes them in random order, and equal dependencies must compare equal."""
    found = []
    for entry in filter(None, (part.strip() for part in label.split(","))):
        name, _, rest = entry.partition(":")
        condition, _, restart = rest.partition(":")
        found.append(ObservedDependency(ServiceName(name), condition or "service_started", restart.lower() == "true"))
    return tuple(sorted(found, key=lambda dependency: dependency.service))


def number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
