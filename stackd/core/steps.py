"""The steps that bring one slot to what it is to be. Every function looks at state only, so a killed daemon resumes.

Order within a slot: create the new one, stop the old ones, start the new one, remove the old ones, give it its name.
"""

from __future__ import annotations

from stackd.core.backoff import cause_in_words, duration, next_health_restart, next_start
from stackd.core.desired import Target
from stackd.core.ends import End, ended, is_answered
from stackd.core.follow import deserted, followed, was_restarted
from stackd.core.gates import (
    Blockers,
    absent_evidence_gate,
    dependency_gate,
    failure_gate,
    loss_gate,
    name_gate,
    resource_gate,
)
from stackd.core.ownership import ours
from stackd.core.sharing import restarted_parent
from stackd.core.slots import Slot, asked
from stackd.core.world import World
from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId
from stackd.model.observed import ContainerState, Health, ObservedContainer
from stackd.model.override import Verb
from stackd.model.plan import (
    Blocker,
    BlockerKind,
    CreateContainer,
    Reason,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    UpdateRestartPolicy,
    Why,
)
from stackd.model.spec import ServiceSpec, UnhealthyAction
from stackd.translate.names import temporary_name

UNCLEAR = (ContainerState.UNKNOWN, ContainerState.REMOVING)
OTHER_HANDS = 30.0
"""Seconds that another hand has for starting what it made."""


def final_name(world: World, spec: ServiceSpec, number: int) -> str:
    """Compose's `project-service-number`, or the service's `container_name`."""
    return spec.container_name or f"{world.view.stack}-{spec.name}-{number}"


def fill(world: World, target: Target, slot: Slot, image: Blockers) -> list[Step]:
    """Steps towards a running container in this slot; `image` = what its image still waits for."""
    assert target.spec is not None
    if any(c.state in UNCLEAR for c in _all(slot)):
        return []
    hands = _hands_gate(world, slot)
    return [Step(step.op, (*hands, *step.blocked_by)) for step in _filling(world, target, slot, image)]


def _hands_gate(world: World, slot: Slot) -> Blockers:
    """Another hand has just made a container here (`docker compose up` replaces so): let it go on."""
    now = world.now
    for container in _all(slot):
        left = container.created_at + OTHER_HANDS - now.wall
        if container.state is ContainerState.CREATED and not container.instance and left > 0:
            text = f"another hand has just made {container.name}; waiting for it to be started"
            return (Blocker(BlockerKind.EVIDENCE, text, now.mono + min(left, OTHER_HANDS)),)
    return ()


def _filling(world: World, target: Target, slot: Slot, image: Blockers) -> list[Step]:
    assert target.spec is not None
    if slot.current is None:
        return _replace(world, target.spec, slot, image) if slot.number <= target.scale else clear(world, slot)
    current = slot.current
    over = _is_at_rest(world, target.spec, current)
    steps = _adopt(world, current)
    steps += _stop_others(world, target.spec, slot)
    start = None if over else start_or_restart(world, target.spec, current, _others_live(slot))
    steps += [start] if start is not None else []
    settled: Blockers = () if current.running or over else (_after("the new container runs"),)
    steps += [_remove(world, other, why, settled) for other, why in slot.others]
    return steps + _rename(world, target.spec, slot, settled) + _held_back(world, target.spec, slot)


def _held_back(world: World, spec: ServiceSpec, slot: Slot) -> list[Step]:
    """The replacement that nobody has accepted yet: it stays in the plan, so that what is held can be seen."""
    if slot.held is None or slot.current is None:
        return []
    name = temporary_name(slot.current.id, final_name(world, spec, slot.number))
    return [Step(CreateContainer(spec, slot.number, name, slot.current.id, slot.held), loss_gate(slot))]


def clear(world: World, slot: Slot, order: Blockers = ()) -> list[Step]:
    """Steps that stop (after `order`) and remove every container of this slot; their reasons stand in `others`."""
    steps: list[Step] = []
    for container, why in slot.others:
        if container.state in UNCLEAR:
            continue
        if container.live:
            steps.append(stop(world, container, why, restart=False, blockers=order))
            steps.append(_remove(world, container, why, (_after("it has stopped"),)))
        else:
            steps.append(_remove(world, container, why, ()))
    return steps


def stop(world: World, container: ObservedContainer, why: Reason, *, restart: bool, blockers: Blockers = ()) -> Step:
    """Stop one run; a stop already sent is only repeated after its failure's curve."""
    gates = (*blockers, *failure_gate(world, f"stop:{container.id}", ""))
    op = StopContainer(container.service, container.id, container.started_at, container.stop_grace, restart, why)
    return Step(op, gates)


def _all(slot: Slot) -> list[ObservedContainer]:
    found = [container for container, _ in slot.others]
    return [slot.current, *found] if slot.current is not None else found


def _others_live(slot: Slot) -> bool:
    return any(container.live for container, _ in slot.others)


def _after(text: str) -> Blocker:
    return Blocker(BlockerKind.STEP, f"after {text}")


def _replace(world: World, spec: ServiceSpec, slot: Slot, image: Blockers) -> list[Step]:
    """No fitting container: create one, under a temporary name while another holds the final one."""
    old, why = slot.others[0] if slot.others else (None, Reason(Why.MISSING, f"{spec.name} has no container"))
    final = final_name(world, spec, slot.number)
    name = _free_name(world, slot, final)
    gates = (
        *image,
        *name_gate(world, name),
        *resource_gate(world, spec),
        *absent_evidence_gate(world, spec.name),
        *_paused_gate(slot),
        *failure_gate(world, f"create:{spec.name}:{slot.number}", spec.config_hash),
    )
    op = CreateContainer(spec, slot.number, name, old.id if old is not None else None, why)
    new = ContainerId(f"new {name}")
    steps = [Step(op, gates)]
    steps += [
        stop(world, container, reason, restart=False, blockers=(_after("the new container is there"),))
        for container, reason in slot.others
        if container.live
    ]
    steps.append(Step(StartContainer(spec.name, new, why), (_after("it is created"), *dependency_gate(world, spec))))
    steps += [_remove(world, c, reason, (_after("the new container runs"),)) for c, reason in slot.others]
    if name != final:
        steps.append(Step(RenameContainer(spec.name, new, final, why), (_after("the old container is removed"),)))
    return steps


def _free_name(world: World, slot: Slot, final: str) -> str:
    """The final name, or the temporary one of the first container replaced whose own is not held.

    (Edited again in the middle of a replacement, the one before already bears the first's.)
    """
    held = {container.name for container in world.seen.containers}
    names = (final, *(temporary_name(old.id, final) for old, _ in slot.others))
    return next((name for name in names if name not in held), names[-1])


def _paused_gate(slot: Slot) -> Blockers:
    if any(container.state is ContainerState.PAUSED for container, _ in slot.others):
        return (Blocker(BlockerKind.PAUSED, "its container is paused; unpause it and the change is applied"),)
    return ()


def _adopt(world: World, container: ObservedContainer) -> list[Step]:
    if container.engine_policy in ("", "no"):
        return []
    why = Reason(Why.ADOPTED, f"stackd restarts it now, not the engine (its policy was {container.engine_policy})")
    gates = failure_gate(world, f"update:{container.id}", "")
    return [Step(UpdateRestartPolicy(container.service, container.id, "no", 0, why), gates)]


def _stop_others(world: World, spec: ServiceSpec, slot: Slot) -> list[Step]:
    """The old ones run until the new one could start at once."""
    assert slot.current is not None
    gates: Blockers = () if slot.current.live else dependency_gate(world, spec)
    gates = (*gates, *_paused_gate(slot))
    return [
        stop(world, container, why, restart=False, blockers=gates) for container, why in slot.others if container.live
    ]


def _remove(world: World, container: ObservedContainer, why: Reason, blockers: Blockers) -> Step:
    gates = blockers
    if container.live and not blockers:
        gates = (_after("it has stopped"),)
    gates = (*gates, *failure_gate(world, f"remove:{container.id}", ""))
    return Step(RemoveContainer(container.service, container.id, False, why), gates)


def _rename(world: World, spec: ServiceSpec, slot: Slot, settled: Blockers) -> list[Step]:
    assert slot.current is not None
    final = final_name(world, spec, slot.number)
    if slot.current.name == final or not slot.current.replaces:
        return []
    gates = (*settled, *name_gate(world, final))
    if any(other.name == final for other in ours(world.view)):
        gates = (*gates, _after("the old container is removed"))
    gates = (*gates, *failure_gate(world, f"rename:{slot.current.id}", final))
    why = Reason(Why.REPLACED, "it takes over the name of the one it replaces")
    return [Step(RenameContainer(spec.name, slot.current.id, final, why), gates)]


def _is_at_rest(world: World, spec: ServiceSpec, container: ObservedContainer) -> bool:
    """Whether it ran and is not to run again: completed, its policy says no, or its attempts are used up."""
    if not container.ended or asked(world.view, container) is not None:
        return False
    how = ended(world.view, container, spec.restart, world.now)
    if how.end is End.COMPLETED:
        return True
    if how.end in (End.ENGINE, End.CRASHED) and not is_answered(spec.restart, how, container.exit_code):
        return True
    return how.end is End.CRASHED and _due(world, spec) is None


def _due(world: World, spec: ServiceSpec) -> float | None:
    """When the curve allows the next start; None = never."""
    return next_start(world.view.stack, spec.name, world.ledger_of(spec.name), spec.restart)


def start_or_restart(world: World, spec: ServiceSpec, container: ObservedContainer, busy: bool) -> Step | None:
    """The step, if any, that the fitting container needs; `busy` = an old one still holds its ports."""
    if container.state is ContainerState.PAUSED:
        return _as_asked(world, container)
    if container.live:
        return restart(world, spec, container)
    gates: Blockers = (_after("the old container has stopped"),) if busy else ()
    gates = (*gates, *failure_gate(world, f"start:{container.id}", ""), *dependency_gate(world, spec, container))
    why, wait = _cause_of_start(world, spec, container)
    return Step(StartContainer(spec.name, container.id, why), (*wait, *gates))


def _cause_of_start(world: World, spec: ServiceSpec, container: ObservedContainer) -> tuple[Reason, Blockers]:
    if not container.ended:
        text = "it replaces another one" if container.replaces else "it was created and has not run yet"
        return Reason(Why.NEEDED, text), ()
    request = asked(world.view, container)
    if request is not None:
        return Reason(Why.REQUESTED, f"{request.verb} asked for by {request.by}"), ()
    how = ended(world.view, container, spec.restart, world.now)
    if how.end is End.WAIT:
        return Reason(Why.EXITED, how.detail), (Blocker(BlockerKind.EVIDENCE, how.detail, how.until),)
    if how.end is End.ENGINE:
        return Reason(Why.ENGINE_RESTARTED, how.detail), ()
    if how.end is End.HELD:
        return Reason(Why.REQUESTED, how.detail), ()
    condemned = world.view.condemned.get(container.id)
    if how.end is End.OWN and how.restart and condemned is not None:
        return Reason(condemned.why, _by_now(world, condemned, container)), ()
    if how.end is End.OWN and how.restart:
        return Reason(Why.DEPENDENCY_RESTARTED, how.detail), ()
    if how.end is End.OWN:
        return Reason(Why.REQUESTED, f"it was stopped by stackd: {how.detail}"), ()
    due = _due(world, spec)
    if due is not None and due > world.now.mono:
        text = cause_in_words(world.ledger_of(spec.name), spec.restart)
        return Reason(Why.EXITED, how.detail), (Blocker(BlockerKind.BACKOFF, text, until=due),)
    return Reason(Why.EXITED, how.detail), ()


def _by_now(world: World, condemned: Condemned, container: ObservedContainer) -> str:
    """The cause of a stop as it is to be told at the start that follows: what was about to happen then has happened."""
    parent = restarted_parent(container, world.seen) if condemned.why is Why.DEPENDENCY_RESTARTED else None
    return condemned.reason if parent is None else was_restarted(parent)


def restart(world: World, spec: ServiceSpec, container: ObservedContainer) -> Step | None:
    """Why a fitting, running container is to be stopped and started again, if it is."""
    condemned = world.view.condemned.get(container.id)
    if condemned is not None and condemned.started_at == container.started_at:
        return stop(world, container, Reason(condemned.why, condemned.reason), restart=condemned.restart)
    alone = deserted(world, spec, container)
    if alone is not None:
        return stop(world, container, alone[0], restart=True, blockers=alone[1])
    return _as_asked(world, container) or _heal(world, spec, container) or _follow(world, spec, container)


def _as_asked(world: World, container: ObservedContainer) -> Step | None:
    """A person asked for a restart: the one thing that ends a paused run too."""
    for request in world.view.requests:
        if request.verb is Verb.RESTART and container.incarnation in request.targets:
            why = Reason(Why.REQUESTED, f"restart asked for by {request.by}")
            return stop(world, container, why, restart=True)
    return None


def _heal(world: World, spec: ServiceSpec, container: ObservedContainer) -> Step | None:
    """Unhealthy, and the policy says restart: after the grace, at most `limit` times in a window."""
    policy, ledger, now = spec.restart, world.ledger_of(spec.name), world.now.mono
    if container.health is not Health.UNHEALTHY or policy.unhealthy is not UnhealthyAction.RESTART:
        return None
    host = world.view.host
    if host.storm:
        waits: Blockers = (Blocker(BlockerKind.EVIDENCE, host.storm),)
    else:
        waits = _until(host.health_ignored_until, now, "health verdicts are ignored after a suspend")
    since = ledger.sick_since if ledger.sick == container.incarnation else now  # one replica after the other
    grace = f"it is restarted if it stays so for {duration(policy.unhealthy_grace)}"
    waits += _until(since + policy.unhealthy_grace, now, grace)
    due = next_health_restart(ledger, policy, now)
    if due is not None:
        window = duration(policy.unhealthy_window)
        text = f"restarted {policy.unhealthy_limit} times for its health within {window}, which is its limit"
        waits += _until(due, now, text)
    why = Reason(Why.UNHEALTHY, f"unhealthy: {container.health_output}" if container.health_output else "unhealthy")
    return stop(world, container, why, restart=True, blockers=waits)


def _until(due: float, now: float, text: str) -> Blockers:
    return (Blocker(BlockerKind.BACKOFF, text, until=due),) if due > now else ()


def _follow(world: World, spec: ServiceSpec, container: ObservedContainer) -> Step | None:
    """A container whose namespace it shares, or a dependency with `restart: true`, began another run."""
    cause = followed(world, spec, container)
    return stop(world, container, cause[0], restart=True, blockers=cause[1]) if cause is not None else None
