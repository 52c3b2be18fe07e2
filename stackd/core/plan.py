"""The whole plan of a stack, in order: networks and volumes, then every service, then what is torn down.

It is the complete list of what is left to do; only steps that nothing blocks now are started. A step blocks only its
own service.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackd.core.cascade import ordered
from stackd.core.desired import Target, Want
from stackd.core.gates import Blockers, absent_evidence_gate, engine_gate, failure_gate, going_gate, observation_gate
from stackd.core.handover import left_behind, released
from stackd.core.images import image_steps
from stackd.core.ownership import is_our_network, ours
from stackd.core.slots import Slot
from stackd.core.steps import clear, fill, stop
from stackd.core.world import World
from stackd.model.ids import ServiceName
from stackd.model.observed import ObservedContainer
from stackd.model.plan import (
    Blocker,
    BlockerKind,
    CreateNetwork,
    CreateVolume,
    Plan,
    Reason,
    RemoveNetwork,
    Step,
    Why,
    service_of,
)
from stackd.model.spec import ServiceSpec
from stackd.model.view import Presence


def make_plan(world: World) -> Plan:
    """Every step that is left, with what it waits for."""
    steps = [*_networks(world), *_volumes(world)]
    claimed: dict[str, str] = {}
    for target in world.wanted.targets:
        steps.extend(_service(world, target, claimed))
    steps.extend(_handed_back(world))
    steps.extend(_teardown(world))
    return Plan(tuple(_gated(world, step) for step in ordered(world, steps)))


def _handed_back(world: World) -> list[Step]:
    """A released stack, and what is left of a removed one, are the engine's own again."""
    ops = released(world.view) if world.view.released else left_behind(world.view)
    return [Step(op, failure_gate(world, f"update:{op.container}", "")) for op in ops]


def _gated(world: World, step: Step) -> Step:
    """The gates that hold for every step. An operation already in flight is not gated by itself."""
    if step.op in world.view.running:
        return Step(step.op, (Blocker(BlockerKind.STEP, "under way"),))
    general = (*engine_gate(world), *going_gate(world, step.op), *observation_gate(world, service_of(step.op)))
    return Step(step.op, (*general, *step.blocked_by))


def _service(world: World, target: Target, claimed: dict[str, str]) -> list[Step]:
    slots = world.slots_of(target.service)
    match target.want:
        case Want.LEAVE:
            return []
        case Want.STOP:
            order = _stop_order(world, target.service)
            return [step for slot in slots for step in _stops(world, target, slot, order)]
        case Want.ABSENT:
            order = _stop_order(world, target.service)
            return [step for slot in slots for step in clear(world, _all_others(slot, target.reason), order)]
        case Want.RUN:
            steps, image = image_steps(world, target, claimed)
            for slot in slots:
                steps.extend(fill(world, target, slot, image))
            return steps


def _stops(world: World, target: Target, slot: Slot, order: Blockers) -> list[Step]:
    containers = [c for c in (slot.current, *(c for c, _ in slot.others)) if c is not None and c.live]
    return [stop(world, container, target.reason, restart=False, blockers=order) for container in containers]


def _all_others(slot: Slot, reason: Reason) -> Slot:
    """The slot with its present container among those that are to go."""
    if slot.current is None:
        return slot
    return Slot(slot.service, slot.number, None, ((slot.current, reason), *slot.others))


def _stop_order(world: World, service: ServiceName) -> Blockers:
    """Dependents stop first. Where no definition is left, the label that Compose writes tells who depends on whom."""
    waits = []
    for container in ours(world.view):
        target = world.targets.get(container.service)
        if container.service == service or not container.live or target is None:
            continue
        if target.want in (Want.ABSENT, Want.STOP) and service in _dependencies(target, container):
            waits.append(Blocker(BlockerKind.ORDER, f"waiting for {container.service}, which needs it, to stop"))
    return tuple(dict.fromkeys(waits))


def _dependencies(target: Target, container: ObservedContainer) -> set[ServiceName]:
    if target.spec is not None:
        return {dependency.service for dependency in target.spec.depends_on}
    return {dependency.service for dependency in container.depends_on}


def _running_specs(world: World) -> Iterator[ServiceSpec]:
    """What networks and volumes are made for; not what another hand may just be taking down."""
    for t in world.wanted.targets:
        if t.want is Want.RUN and t.spec is not None and t.scale > 0 and not absent_evidence_gate(world, t.service):
            yield t.spec


def _networks(world: World) -> list[Step]:
    if world.project is None:
        return []
    there = {network.name for network in world.seen.networks}
    used = {place.network for spec in _running_specs(world) for place in spec.networks}
    steps = []
    for key, spec in world.project.networks.items():
        if key in used and not spec.external and spec.name not in there:
            why = Reason(Why.NEEDED, f"network {spec.name} does not exist")
            steps.append(Step(CreateNetwork(spec, spec.name, why), failure_gate(world, f"network:{spec.name}", "")))
    return steps


def _volumes(world: World) -> list[Step]:
    if world.project is None:
        return []
    there = {volume.name for volume in world.seen.volumes}
    used = {mount.source for spec in _running_specs(world) for mount in spec.mounts}
    steps = []
    for key, spec in world.project.volumes.items():
        if key in used and not spec.external and spec.name not in there:
            why = Reason(Why.NEEDED, f"volume {spec.name} does not exist")
            steps.append(Step(CreateVolume(spec, spec.name, why), failure_gate(world, f"volume:{spec.name}", "")))
    return steps


def _teardown(world: World) -> list[Step]:
    """The stack's own networks go last, once nothing of the project is left on them. Volumes are never removed."""
    reason = world.wanted.teardown
    if reason is None:
        return []
    removed = world.view.desired is not None and world.view.desired.presence is Presence.REMOVED
    steps = []
    for network in world.seen.networks:
        if not is_our_network(network, world.view) or (removed and network.instance != world.view.host.instance):
            continue
        gates: Blockers = (Blocker(BlockerKind.STEP, "after its containers are removed"),)
        if not world.seen.containers:
            gates = failure_gate(world, f"rmnet:{network.id}", "")
        steps.append(Step(RemoveNetwork(network.id, network.name, reason), gates))
    return steps
