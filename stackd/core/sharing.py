"""Which containers are made from which others: shared namespaces, volumes_from, links.

The engine binds a container to the ids of its parents. Law: a parent's new id asks for a new child, a parent's new run
for a new run of a child that shares its namespace (behaviour.md 6). What this module does not do: plan.
"""

from __future__ import annotations

from collections.abc import Mapping

from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ObservedContainer, ObservedStack
from stackd.model.spec import ServiceSpec

_OF_SERVICE = "service:"
_OF_CONTAINER = "container:"


def namespaces(spec: ServiceSpec) -> tuple[ServiceName, ...]:
    """The services whose namespaces this one shares: `network_mode`, `ipc` or `pid` of `service:NAME`."""
    modes = (spec.network_mode, spec.ipc, spec.pid)
    names = (ServiceName(mode.removeprefix(_OF_SERVICE)) for mode in modes if mode.startswith(_OF_SERVICE))
    return tuple(dict.fromkeys(names))


def parents(spec: ServiceSpec) -> tuple[ServiceName, ...]:
    """The services whose containers this one is made from: their ids stand in its own definition in the engine."""
    names = (source.service for source in spec.volumes_from if source.service is not None)
    return tuple(dict.fromkeys((*names, *namespaces(spec))))


def made_from(spec: ServiceSpec) -> tuple[ServiceName, ...]:
    """The services whose containers must exist before this one's can be created: parents, and those it links to."""
    return tuple(dict.fromkeys((*parents(spec), *(link.service for link in spec.links))))


def shared_with(container: ObservedContainer) -> frozenset[ContainerId]:
    """The containers whose namespaces this one shares."""
    modes = (container.network_mode, container.ipc_mode, container.pid_mode)
    return frozenset(ContainerId(mode.removeprefix(_OF_CONTAINER)) for mode in modes if mode.startswith(_OF_CONTAINER))


def held_parents(spec: ServiceSpec, container: ObservedContainer) -> Mapping[ServiceName, ContainerId]:
    """Which containers this one was really made from, by service, as far as its own definition tells."""
    modes = (
        (spec.network_mode, container.network_mode),
        (spec.ipc, container.ipc_mode),
        (spec.pid, container.pid_mode),
    )
    found = {
        ServiceName(wanted.removeprefix(_OF_SERVICE)): ContainerId(held.removeprefix(_OF_CONTAINER))
        for wanted, held in modes
        if wanted.startswith(_OF_SERVICE) and held.startswith(_OF_CONTAINER)
    }
    if len(spec.volumes_from) == len(container.volumes_from):
        for source, reference in zip(spec.volumes_from, container.volumes_from, strict=True):
            if source.service is not None:
                found.setdefault(source.service, ContainerId(reference.split(":", 1)[0]))
    return found


def replaced_parent(
    spec: ServiceSpec, container: ObservedContainer, currents: Mapping[ServiceName, tuple[ContainerId, ...]]
) -> ServiceName | None:
    """The first parent that has a container of another id now; a parent without one yet proves nothing."""
    taken = {reference.split(":", 1)[0] for reference in container.volumes_from}
    sources = {source.service for source in spec.volumes_from}
    modes = (
        (spec.network_mode, container.network_mode),
        (spec.ipc, container.ipc_mode),
        (spec.pid, container.pid_mode),
    )
    for parent in parents(spec):
        ids = currents.get(parent, ())
        if not ids:
            continue
        if parent in sources and not taken & set(ids):
            return parent
        wanted = f"{_OF_SERVICE}{parent}"
        references = [held for mode, held in modes if mode == wanted and held.startswith(_OF_CONTAINER)]
        if any(reference.removeprefix(_OF_CONTAINER) not in ids for reference in references):
            return parent
    return None


def restarted_parent(container: ObservedContainer, seen: ObservedStack) -> ObservedContainer | None:
    """A container whose namespace this one shares and that began another run since: the namespace is a dead one."""
    shared = shared_with(container)
    return next(
        (one for one in seen.containers if one.id in shared and one.running and one.started_at > container.started_at),
        None,
    )


def lost_parents(spec: ServiceSpec, container: ObservedContainer, seen: ObservedStack) -> tuple[ServiceName, ...]:
    """The services whose namespaces this running container shares though the containers that made them are down.

    A pid namespace ends with its first process, and whoever lives in it is killed with that: there is nothing to do.
    """
    held, down = held_parents(spec, container), {one.id: one.ended for one in seen.containers}
    outlived = [name for name in namespaces(spec) if name in held and container.pid_mode != _OF_CONTAINER + held[name]]
    return tuple(name for name in outlived if down.get(held[name], True))


DIES_WITHIN = 2.0
"""A process of a pid namespace is killed within 50 ms of the namespace's first one (behaviour.md 6); seconds."""
KILLED = 137


def killed_with(container: ObservedContainer, seen: ObservedStack | None) -> ObservedContainer | None:
    """The container with whose end this one was killed, because it lives in its pid namespace: no crash of its own."""
    if seen is None or not container.pid_mode.startswith(_OF_CONTAINER) or container.exit_code != KILLED:
        return None
    parent = container.pid_mode.removeprefix(_OF_CONTAINER)
    for one in seen.containers:
        ended = one.id == parent and one.finished_at > 0 and (not one.live or one.started_at > container.started_at)
        if ended and abs(container.finished_at - one.finished_at) <= DIES_WITHIN:
            return one
    return None
