"""The order of stops and starts around one that is about to be stopped: whoever shares its namespace, whoever needs it.

Law: children stop before the container whose namespace they share, and start after it runs again (behaviour.md 6: a
child that is started while its parent is down is left ended). What this module does not do: decide that anything is
stopped; it orders what is planned, and adds the stops of children.
"""

from __future__ import annotations

from stackd.core.desired import Target, Want
from stackd.core.gates import failure_gate
from stackd.core.ownership import ours
from stackd.core.sharing import namespaces, shared_with
from stackd.core.world import World
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ContainerState, ObservedContainer
from stackd.model.plan import Blocker, BlockerKind, Reason, StartContainer, Step, StopContainer, Why


def ordered(world: World, steps: list[Step]) -> list[Step]:
    """The plan's steps with what its own stops mean for others."""
    return _behind_stops(world, _children_first(world, steps))


def _imminent(step: Step) -> bool:
    """Whether a stop waits for nothing but other stops."""
    return all(blocker.kind is BlockerKind.ORDER for blocker in step.blocked_by)


def _children_first(world: World, steps: list[Step]) -> list[Step]:
    """Every stop of a container waits for the stops of those that live in its namespaces."""
    out, at = list(steps), 0
    while at < len(out):
        op = out[at].op
        if isinstance(op, StopContainer) and _imminent(out[at]):
            waits = []
            for child in _children(world, op.container):
                _stop_child(world, out, child, op)
                text = f"waiting for {child.service}, which shares its namespace, to stop"
                waits.append(Blocker(BlockerKind.ORDER, text))
            out[at] = Step(op, tuple(dict.fromkeys((*out[at].blocked_by, *waits))))
        at += 1
    return out


def _children(world: World, parent: ContainerId) -> list[ObservedContainer]:
    """Running containers of ours in a namespace of `parent`; a held or paused one is left as it is."""
    found = []
    for container in ours(world.view):
        target = world.targets.get(container.service)
        left = target is None or target.want is Want.LEAVE or container.state is ContainerState.PAUSED
        if container.live and not left and parent in shared_with(container):
            found.append(container)
    return found


def _stop_child(world: World, steps: list[Step], child: ObservedContainer, parent: StopContainer) -> None:
    """See that the child's stop is planned, and that it does not itself wait for its parent's next run.

    It is added at the end, where it is looked at for children of its own.
    """
    for at, step in enumerate(steps):
        if isinstance(step.op, StopContainer) and step.op.container == child.id:
            kept = tuple(one for one in step.blocked_by if one.kind is not BlockerKind.DEPENDENCY)
            if kept != step.blocked_by:
                del steps[at]
                steps.append(Step(step.op, kept))
            return
    why = Reason(Why.DEPENDENCY_RESTARTED, f"{parent.service}, whose namespace it shares, is about to be stopped")
    op = StopContainer(child.service, child.id, child.started_at, child.stop_grace, True, why)
    steps.append(Step(op, failure_gate(world, f"stop:{child.id}", "")))


def _behind_stops(world: World, steps: list[Step]) -> list[Step]:
    """A start does not count on a dependency whose run this very plan is about to end."""
    stopping = {step.op.service for step in steps if isinstance(step.op, StopContainer) and _imminent(step)}
    out = []
    for step in steps:
        target = world.targets.get(step.op.service) if isinstance(step.op, StartContainer) else None
        for name in sorted(_needed(target) & stopping) if target is not None else ():
            wait = Blocker(BlockerKind.DEPENDENCY, f"waiting for {name}, which is about to be stopped")
            step = Step(step.op, (*step.blocked_by, wait))
        out.append(step)
    return out


def _needed(target: Target) -> set[ServiceName]:
    if target.spec is None:
        return set()
    return {*(one.service for one in target.spec.depends_on if one.required), *namespaces(target.spec)}
