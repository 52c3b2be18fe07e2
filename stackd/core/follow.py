"""When a running container follows another one's restart: a shared namespace, or `depends_on: restart: true`.

Law: told from state alone, so nothing is lost with our memory, and no dependent is restarted twice for one cause: what
started after the dependency has followed it. What cannot be told is left running: the removal and remaking of a number
above 1 looks like scaling up, and so does that of a dependency that the dependent was not made with.
"""

from __future__ import annotations

from stackd.core.gates import Blockers, dependency_gate
from stackd.core.sharing import restarted_parent
from stackd.core.slots import Slot
from stackd.core.world import World
from stackd.model.observed import ObservedContainer
from stackd.model.plan import Reason, Why
from stackd.model.spec import Dependency, ServiceSpec


def followed(world: World, spec: ServiceSpec, container: ObservedContainer) -> tuple[Reason, Blockers] | None:
    """Why a running container is to be restarted after another one, and what that still waits for."""
    parent = restarted_parent(container, world.seen)
    if parent is not None:
        text = f"{parent.service}, whose namespace it shares, was restarted"
        return Reason(Why.DEPENDENCY_RESTARTED, text), dependency_gate(world, spec)
    for dependency in spec.depends_on:
        if dependency.restart and any(_renewed(world, dependency, s, container) for s in _slots(world, dependency)):
            why = Reason(Why.DEPENDENCY_RESTARTED, f"{dependency.service} was restarted")
            return why, dependency_gate(world, spec)
    return None


def _slots(world: World, dependency: Dependency) -> tuple[Slot, ...]:
    return world.slots_of(dependency.service)


def _renewed(world: World, dependency: Dependency, slot: Slot, dependent: ObservedContainer) -> bool:
    """Whether this number, there when the dependent started, was restarted or replaced since."""
    current = slot.current
    if current is None or not current.running or current.started_at <= dependent.started_at:
        return False
    restarted = 0 < current.created_at <= dependent.started_at
    known = any(one.service == dependency.service for one in dependent.depends_on)
    replaced = bool(current.replaces) or (slot.number == 1 and known)
    if not restarted and not replaced:
        return False
    return bool(current.instance and dependent.instance) or _watched(world, dependent, current.started_at)


def _watched(world: World, dependent: ObservedContainer, at: float) -> bool:
    """Whether we kept the dependent already when that happened: adopting a stack restarts nothing in it."""
    ledger, now = world.ledger_of(dependent.service), world.now
    if ledger.stable == dependent.incarnation:
        since = ledger.stable_since
    elif ledger.sick == dependent.incarnation:
        since = ledger.sick_since
    else:
        return False
    return now.wall - (now.mono - since) < at
