"""What a step waits for. Each gate is a function from the world to blockers; a new rule is a new gate.

Gates delay; none of them starts or stops anything. `depends_on` gates start, never create or pull.
"""

from __future__ import annotations

from typing import assert_never

from stackd.core.backoff import in_words, next_call
from stackd.core.desired import Want
from stackd.core.ends import End, awaited_removal, awaited_stop, ended, is_answered
from stackd.core.ownership import foreign
from stackd.core.sharing import held_parents, made_from, namespaces
from stackd.core.slots import Slot
from stackd.core.world import World
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import Health, ObservedContainer
from stackd.model.plan import (
    Blocker,
    BlockerKind,
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Op,
    PullImage,
    StartContainer,
    StopContainer,
    service_of,
)
from stackd.model.spec import Dependency, DependencyCondition, RestartCondition, ServiceSpec
from stackd.model.view import Presence

Blockers = tuple[Blocker, ...]


def engine_gate(world: World) -> Blockers:
    """Nothing is done while the engine is away."""
    if world.view.host.engine_up:
        return ()
    return (Blocker(BlockerKind.ENGINE, "the engine does not answer"),)


def observation_gate(world: World, service: ServiceName | None) -> Blockers:
    """After an answer, look first: an observation sent before it shows the past. One call per service at a time."""
    if any(service_of(op) == service for op in world.view.running):
        return (Blocker(BlockerKind.STEP, "the step before is under way"),)
    if world.seen.sent_at < world.view.host.contact_at:
        return (Blocker(BlockerKind.OBSERVATION, "looking at what the engine has, now that it is back"),)
    answered = world.view.answered.get(service)
    if answered is not None and world.seen.sent_at < answered:
        return (Blocker(BlockerKind.OBSERVATION, "looking at what the last step did"),)
    return ()


def going_gate(world: World, op: Op) -> Blockers:
    """A stack whose entry has just gone is perhaps being removed: nothing of it is begun until that is believed or not.

    (A daemon killed while it removed a stack must not start again what it had stopped.)
    """
    desired = world.view.desired
    if desired is None or desired.presence is not Presence.GOING:
        return ()
    begins = isinstance(op, CreateContainer | StartContainer | CreateNetwork | CreateVolume | PullImage | BuildImage)
    if begins or (isinstance(op, StopContainer) and op.restart):
        return (Blocker(BlockerKind.CONFIRMATION, "its folder is gone; waiting to see whether it comes back"),)
    return ()


def failure_gate(world: World, key: str, fingerprint: str) -> Blockers:
    """A call that went wrong waits out its curve; a refused payload waits for another definition."""
    failure = world.view.failures.get(key)
    if failure is None or failure.fingerprint != fingerprint:
        return ()
    owner = world.targets.get(failure.service) if failure.service is not None else None
    due = next_call(failure, owner.spec.restart.slow_delay) if owner and owner.spec else next_call(failure)
    if due is None:
        return (Blocker(BlockerKind.FINAL, f"the engine refuses it: {failure.message}"),)
    if due <= world.now.mono:
        return ()
    return (Blocker(BlockerKind.BACKOFF, in_words(failure), until=due),)


def absent_evidence_gate(world: World, service: ServiceName) -> Blockers:
    """Before a vanished container is made again: was its service being taken down by another hand?"""
    host, present = world.view.host, {container.id for container in world.seen.containers}
    if not (host.on_external_stop_hold or host.on_external_remove_hold):
        return ()
    for evidence in world.view.evidence.values():
        if evidence.service == service and evidence.container not in present:
            until = awaited_stop(evidence, world.now) or awaited_removal(evidence, world.now)
            if until is not None:  # the list may run ahead of the events
                return (Blocker(BlockerKind.EVIDENCE, "it was removed; finding out by whom", until),)
    return ()


def loss_gate(slot: Slot) -> Blockers:
    """A container is never replaced by one that carries out less than it did, unless somebody has accepted that."""
    return (Blocker(BlockerKind.LOSS, slot.loss),) if slot.held is not None else ()


def resource_gate(world: World, spec: ServiceSpec) -> Blockers:
    """Create waits for the networks and volumes it names, external ones included, and for its parents' containers."""
    assert world.project is not None
    blockers: list[Blocker] = []
    networks = {network.name for network in world.seen.networks}
    volumes = {volume.name for volume in world.seen.volumes}
    for place in spec.networks:
        network = world.project.networks.get(place.network)
        if network is not None and network.name not in networks:
            blockers.append(_missing("network", network.name, network.external))
    for mount in spec.mounts:
        volume = world.project.volumes.get(mount.source) if mount.kind.value == "volume" else None
        if volume is not None and volume.name not in volumes:
            blockers.append(_missing("volume", volume.name, volume.external))
    for parent in made_from(spec):
        if not any(slot.current is not None for slot in world.slots_of(parent)):
            blockers.append(Blocker(BlockerKind.DEPENDENCY, f"waiting for {parent}'s container"))
    return tuple(blockers)


def name_gate(world: World, name: str) -> Blockers:
    """A name is free, or ours, or waited for: another hand's container of this project may bear it."""
    for container in foreign(world.view):
        if container.name == name:
            text = f"waiting for the name {name}: a container that is not stackd's has it"
            return (Blocker(BlockerKind.EXTERNAL, text),)
    return ()


def _missing(noun: str, name: str, external: bool) -> Blocker:
    if external:
        return Blocker(BlockerKind.EXTERNAL, f"waiting for {noun} {name}, which is external and does not exist")
    return Blocker(BlockerKind.STEP, f"waiting for {noun} {name}")


def dependency_gate(world: World, spec: ServiceSpec, container: ObservedContainer | None = None) -> Blockers:
    """Every start waits for what the service depends on: first up, after a crash, after a reboot. `container` = the one
    to be started, if it is made already."""
    found = [_dependency(world, dependency) for dependency in spec.depends_on]
    held = held_parents(spec, container) if container is not None else {}
    found += [_namespace(world, parent, held.get(parent)) for parent in namespaces(spec)]
    return tuple(dict.fromkeys(blocker for blocker in found if blocker is not None))


def _namespace(world: World, parent: ServiceName, held: ContainerId | None) -> Blocker | None:
    """A namespace is there only while its owner runs, which is one of the parent's containers, `held` if it is known; a
    child that is started before is refused, or left ended by the engine."""
    owners = (slot.current for slot in world.slots_of(parent))
    if any(owner is not None and owner.running and held in (None, owner.id) for owner in owners):
        return None
    return Blocker(BlockerKind.DEPENDENCY, f"waiting for {parent}, whose namespace it shares, to run")


def _dependency(world: World, dependency: Dependency) -> Blocker | None:
    target = world.targets.get(dependency.service)
    if target is None or target.spec is None:
        return None
    slots = world.slots_of(dependency.service)[: target.scale]
    if target.want is not Want.RUN and not any(_is_live(slot) for slot in slots):
        if not dependency.required:
            return None
        word = "held" if target.want is Want.LEAVE else "stopped"
        return Blocker(BlockerKind.DEPENDENCY, f"{dependency.service} is {word}: {target.reason}")
    for slot in slots:
        if (
            dependency.condition is DependencyCondition.HEALTHY
            and dependency.required
            and _unchecked(world, target.spec)
        ):
            never = f"{dependency.service} has no health check, so it never becomes healthy"
            return Blocker(BlockerKind.FINAL, never)
        if (
            dependency.condition is DependencyCondition.COMPLETED
            and dependency.required
            and target.spec.restart.condition is RestartCondition.ALWAYS
        ):
            never = f"{dependency.service} is restarted always, so it never completes"
            return Blocker(BlockerKind.FINAL, never)
        text = _unmet(world, dependency, slot, target.spec)
        if text is not None:
            return Blocker(BlockerKind.DEPENDENCY, text)
    return None


def _unchecked(world: World, spec: ServiceSpec) -> bool:
    """Whether neither the file nor the image, as far as it is known, has a health check."""
    if spec.healthcheck is not None and spec.healthcheck.test != ("NONE",):
        return False
    image = world.seen.images.get(spec.image)
    return image is not None and (spec.healthcheck is not None or not image.has_healthcheck)


def _is_live(slot: Slot) -> bool:
    return slot.current is not None and slot.current.live


def _unmet(world: World, dependency: Dependency, slot: Slot, spec: ServiceSpec) -> str | None:
    name, container = dependency.service, slot.current
    if container is None:
        return f"waiting for {name} to be created"
    match dependency.condition:
        case DependencyCondition.STARTED:
            met = container.running or _is_over(world, container, spec)
            return None if met else f"waiting for {name} to start"
        case DependencyCondition.HEALTHY:
            return _unhealthy(name, container, dependency)
        case DependencyCondition.COMPLETED:
            return _incomplete(world, container, dependency, spec)
        case _:
            assert_never(dependency.condition)


def _is_over(world: World, container: ObservedContainer, spec: ServiceSpec) -> bool:
    """Whether it ran and is not to run again by itself: a data container, a finished job."""
    if not container.ended:
        return False
    how = ended(world.view, container, spec.restart, world.now)
    return how.end is End.COMPLETED or not is_answered(spec.restart, how, container.exit_code)


def _unhealthy(name: ServiceName, container: ObservedContainer, dependency: Dependency) -> str | None:
    if container.running and container.health is Health.HEALTHY:
        return None
    if not dependency.required and (container.ended or container.health is Health.UNHEALTHY):
        return None
    if not container.running:
        return f"waiting for {name} to start and become healthy"
    if container.health is Health.NONE:
        return f"{name} has no health check, so it never becomes healthy"
    return f"waiting for {name} to become healthy (now {container.health})"


def _incomplete(world: World, container: ObservedContainer, dependency: Dependency, spec: ServiceSpec) -> str | None:
    """An exit 0 that came from the engine's own end, or that is to be followed by another run, completes nothing."""
    name = dependency.service
    if not container.ended:
        return f"waiting for {name} to complete"
    if container.exit_code != 0:
        return f"{name} did not complete: it exited {container.exit_code}" if dependency.required else None
    return None if _is_over(world, container, spec) else f"waiting for {name} to run again and complete"
