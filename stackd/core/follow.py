"""When a running container follows what became of another one: a shared namespace, or `depends_on: restart: true`.

Law: told from state alone, so nothing is lost with our memory, and no dependent is restarted twice for one cause: what
started after the dependency has followed it. What cannot be told is left running: the removal and remaking of a number
above 1 looks like scaling up, and so does that of a dependency that the dependent was not made with.
"""

from __future__ import annotations

from stackd.core.desired import Want
from stackd.core.ends import awaited_stop
from stackd.core.gates import Blockers, dependency_gate
from stackd.core.sharing import lost_parents, restarted_parent
from stackd.core.slots import Slot
from stackd.core.world import World
from stackd.model.observed import ObservedContainer
from stackd.model.plan import Blocker, BlockerKind, Reason, Why
from stackd.model.spec import Dependency, ServiceSpec


def followed(world: World, spec: ServiceSpec, container: ObservedContainer) -> tuple[Reason, Blockers] | None:
    """Why a running container is to be restarted after another one, and what that still waits for."""
    parent = restarted_parent(container, world.seen)
    if parent is not None:
        return Reason(Why.DEPENDENCY_RESTARTED, was_restarted(parent)), dependency_gate(world, spec)
    for dependency in spec.depends_on:
        if dependency.restart and any(_renewed(world, dependency, s, container) for s in _slots(world, dependency)):
            why = Reason(Why.DEPENDENCY_RESTARTED, f"{dependency.service} was restarted")
            return why, dependency_gate(world, spec)
    return None


def was_restarted(parent: ObservedContainer) -> str:
    """The owner of a shared namespace began another run, in words."""
    return f"{parent.service}, whose namespace it shares, was restarted"


def deserted(world: World, spec: ServiceSpec, container: ObservedContainer) -> tuple[Reason, Blockers] | None:
    """Why a running container is to wait, stopped, for one whose namespace it shares, and what that stop waits for.

    The namespace of a container that is down is a dead one, and nobody starts it while a person or another hand wants
    it down: as with our own stop of it (`core.cascade`), the child ends too. One that is about to run again is awaited
    instead, for its child follows its restart. A child that another hand is just stopping as well is not stopped first.
    """
    for parent in lost_parents(spec, container, world.seen):
        target = world.targets.get(parent)
        if target is None or target.want is Want.RUN or target.override is None:
            continue
        word = "held" if target.want is Want.LEAVE else "stopped"
        evidence = world.view.evidence.get(container.id)
        until = awaited_stop(evidence, world.now) if evidence is not None else None
        text = f"{parent}, whose namespace it shares, is down and {word}: {target.reason}"
        waits = Blocker(BlockerKind.EVIDENCE, "it was stopped or killed; finding out by whom", until)
        return Reason(Why.DEPENDENCY_RESTARTED, text), (waits,) if until is not None else ()
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
