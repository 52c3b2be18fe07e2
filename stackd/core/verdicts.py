"""How every service fares, in one word and one line, derived from the decision: status and plan cannot disagree."""

from __future__ import annotations

from collections.abc import Iterable

from stackd.core.backoff import is_crash_looping, next_health_restart
from stackd.core.desired import Target, Want
from stackd.core.ends import End, ended
from stackd.core.hands import how_it_was_paused, instant
from stackd.core.sharing import lost_parents
from stackd.core.world import World
from stackd.model.observed import ContainerState, Health, ObservedContainer
from stackd.model.plan import (
    Blocker,
    BlockerKind,
    BuildImage,
    Plan,
    PullImage,
    StartContainer,
    Step,
    StopContainer,
    Why,
    service_of,
)
from stackd.model.spec import UnhealthyAction
from stackd.model.view import ServiceState, ServiceVerdict

STUCK = (BlockerKind.FINAL, BlockerKind.EXTERNAL)
ONCE_MORE = 2
"""So many stops must have failed before a container is called stuck: one may have met an engine that was busy."""
FAILING = (BlockerKind.BACKOFF,)
_RUNS = (ServiceState.RUNNING, ServiceState.HEALTHY, ServiceState.STARTING)


def judge(world: World, plan: Plan) -> tuple[ServiceVerdict, ...]:
    """One verdict per service, in the order of the targets."""
    return tuple(
        _judge(world, target, [step for step in plan.steps if service_of(step.op) == target.service])
        for target in world.wanted.targets
    )


def _judge(world: World, target: Target, steps: list[Step]) -> ServiceVerdict:
    containers = _containers(world, target)
    match target.want:
        case Want.STOP | Want.ABSENT:
            return _judge_stopped(world, target, containers, steps)
        case Want.LEAVE:
            state = ServiceState.HELD if target.override is not None else _plain_state(world, target, containers)
            return ServiceVerdict(target.service, state, str(target.reason), settled=True, good=True)
        case Want.RUN:
            pass
    if any(c.state is ContainerState.UNKNOWN for c in containers):
        return ServiceVerdict(target.service, ServiceState.UNKNOWN, "the engine does not tell its state")
    if steps:
        return _judge_pending(world, target, containers, steps)
    state = _plain_state(world, target, containers)
    offline = _offline(world, target, containers) if state in _RUNS else ""
    good = state not in (ServiceState.EXITED, ServiceState.UNHEALTHY) and not offline
    settled = state is not ServiceState.STARTING
    detail = offline or _plain_detail(world, target, containers, state)
    return ServiceVerdict(target.service, state, detail, settled=settled, good=good)


def _containers(world: World, target: Target) -> list[ObservedContainer]:
    found: list[ObservedContainer] = []
    for slot in world.slots_of(target.service):
        found += [slot.current] if slot.current is not None else [c for c, _ in slot.others]
    return found


def _judge_stopped(
    world: World, target: Target, containers: list[ObservedContainer], steps: list[Step]
) -> ServiceVerdict:
    if steps:
        unstopped = _unstopped(world, target, steps)
        if unstopped is not None:
            return unstopped
        state = ServiceState.STOPPING if target.want is Want.STOP else ServiceState.REMOVING
        return ServiceVerdict(target.service, state, _first(steps) or str(target.reason))
    state = ServiceState.STOPPED if containers or target.override is not None else ServiceState.ABSENT
    return ServiceVerdict(target.service, state, str(target.reason), settled=True, good=True)


def _judge_pending(
    world: World, target: Target, containers: list[ObservedContainer], steps: list[Step]
) -> ServiceVerdict:
    """Something is still to be done: the first step that leads on tells what it is waiting for."""
    held = next((b for step in steps for b in step.blocked_by if b.kind is BlockerKind.LOSS), None)
    steps = [step for step in steps if _blocker(step.blocked_by, (BlockerKind.LOSS,)) is None]
    if held is not None and not steps:
        return ServiceVerdict(target.service, ServiceState.HELD, held.detail, settled=True)
    ledger = world.ledger_of(target.service)
    step = next((s for s in steps if not _merely_follows(s)), steps[0])
    stuck = _blocker(step.blocked_by, STUCK)
    failing = _blocker(step.blocked_by, FAILING)
    unstopped = _unstopped(world, target, steps)
    if unstopped is not None:
        return unstopped
    detail = _first([step]) or str(step.op.reason)
    attempt = ledger.attempts
    if stuck is not None:
        final = stuck.kind is BlockerKind.FINAL
        return ServiceVerdict(target.service, ServiceState.BLOCKED, stuck.detail, attempt, settled=final)
    if _holds_health_restart(step):
        return _judge_unhealthy(world, target, step, attempt)
    if failing is not None:
        looping = target.spec is not None and is_crash_looping(ledger, target.spec.restart)
        state = ServiceState.CRASH_LOOPING if looping else ServiceState.BACKING_OFF
        calls = [one.count for one in world.view.failures.values() if one.service == target.service]
        attempt = max(calls, default=attempt)
        return ServiceVerdict(target.service, state, failing.detail, attempt, failing.until)
    return ServiceVerdict(target.service, _pending_state(step, containers), detail, attempt)


def _unstopped(world: World, target: Target, steps: list[Step]) -> ServiceVerdict | None:
    """A container that the engine cannot stop: whatever is to come after it waits, and nothing runs beside it."""
    for step in steps:
        failure = world.view.failures.get(f"stop:{step.op.container}") if isinstance(step.op, StopContainer) else None
        if failure is None or failure.count < ONCE_MORE:
            continue
        since = instant(world.now.wall - (world.now.mono - failure.first_at))
        text = f"it cannot be stopped, {failure.count} times since {since}: {failure.message}"
        due = next((b.until for b in step.blocked_by if b.kind is BlockerKind.BACKOFF), None)
        return ServiceVerdict(target.service, ServiceState.STUCK, text, failure.count, due)
    return None


def _holds_health_restart(step: Step) -> bool:
    holds = (BlockerKind.BACKOFF, BlockerKind.EVIDENCE)
    return (
        isinstance(step.op, StopContainer)
        and step.op.reason.why is Why.UNHEALTHY
        and _blocker(step.blocked_by, holds) is not None
    )


def _judge_unhealthy(world: World, target: Target, step: Step, attempt: int) -> ServiceVerdict:
    """Unhealthy, and its restart has to wait: for its grace, a storm, or, its restarts used up, for its window."""
    assert target.spec is not None
    ledger, policy = world.ledger_of(target.service), target.spec.restart
    spent = next_health_restart(ledger, policy, world.now.mono) is not None
    waits = [b for b in step.blocked_by if b.kind in (BlockerKind.BACKOFF, BlockerKind.EVIDENCE)]
    detail = "; ".join([str(step.op.reason), *(b.detail for b in waits)])
    instants = [b.until for b in waits if b.until is not None]
    timed = len(instants) == len(waits)
    return ServiceVerdict(
        target.service,
        ServiceState.CRASH_LOOPING if spent else ServiceState.UNHEALTHY,
        detail,
        max(attempt, len(ledger.health_restarts)) if spent else attempt,
        max(instants) if timed else None,
    )


def _merely_follows(step: Step) -> bool:
    return any(b.kind is BlockerKind.STEP and b.detail.startswith("after ") for b in step.blocked_by)


def _pending_state(step: Step, containers: list[ObservedContainer]) -> ServiceState:
    if _blocker(step.blocked_by, (BlockerKind.PAUSED,)):
        return ServiceState.PAUSED
    if _blocker(step.blocked_by, (BlockerKind.DEPENDENCY,)):
        return ServiceState.WAITING
    match step.op:
        case PullImage():
            return ServiceState.PULLING
        case BuildImage():
            return ServiceState.BUILDING
        case StopContainer():
            return ServiceState.STOPPING
        case StartContainer():
            return ServiceState.STARTING
        case _:
            return ServiceState.RUNNING if any(c.running for c in containers) else ServiceState.PENDING


def _blocker(blockers: Iterable[Blocker], kinds: tuple[BlockerKind, ...]) -> Blocker | None:
    return next((blocker for blocker in blockers if blocker.kind in kinds), None)


def _first(steps: list[Step]) -> str:
    """What the steps wait for, in words; the daemon's own bookkeeping is no news."""
    quiet = (BlockerKind.OBSERVATION, BlockerKind.STEP)
    return next((b.detail for step in steps for b in step.blocked_by if b.kind not in quiet), "")


def _plain_state(world: World, target: Target, containers: list[ObservedContainer]) -> ServiceState:
    """The state of a service that nothing is planned for."""
    if not containers:
        return ServiceState.ABSENT
    if any(c.state is ContainerState.PAUSED for c in containers):
        return ServiceState.PAUSED
    if all(c.live for c in containers):
        worst = {_health(target, c) for c in containers}
        if Health.UNHEALTHY in worst:
            return ServiceState.UNHEALTHY
        if Health.STARTING in worst:
            return ServiceState.STARTING
        return ServiceState.HEALTHY if worst == {Health.HEALTHY} else ServiceState.RUNNING
    policy = target.spec.restart if target.spec is not None else None
    over = [c for c in containers if c.ended]
    if not over:
        return ServiceState.REMOVING
    if policy is not None and all(
        c.exit_code == 0 or ended(world.view, c, policy, world.now).end is End.COMPLETED for c in over
    ):
        return ServiceState.COMPLETED
    return ServiceState.EXITED


def _offline(world: World, target: Target, containers: list[ObservedContainer]) -> str:
    """What a container that runs in the network of one that does not is to say: no event and no exit tells of it."""
    if target.spec is None or not target.spec.network_mode.startswith("service:"):
        return ""
    parent = target.spec.network_mode.removeprefix("service:")
    if not any(parent in lost_parents(target.spec, c, world.seen) for c in containers if c.running):
        return ""
    return f"it has no network: {parent}, whose network it shares, does not run"


def _health(target: Target, container: ObservedContainer) -> Health:
    """The health that counts: where the policy ignores a failing check, it is as if there were none."""
    ignores = target.spec is not None and target.spec.restart.unhealthy is UnhealthyAction.NONE
    return Health.NONE if ignores and container.health is Health.UNHEALTHY else container.health


def _plain_detail(world: World, target: Target, containers: list[ObservedContainer], state: ServiceState) -> str:
    if state is ServiceState.PAUSED:
        paused = [c for c in containers if c.state is ContainerState.PAUSED]
        return how_it_was_paused(world.view, next((c for c in paused if c.lost), paused[0]))
    if state is ServiceState.RUNNING and any(c.health is Health.UNHEALTHY for c in containers):
        return "its health check fails, which its policy ignores"
    if state not in (ServiceState.EXITED, ServiceState.UNHEALTHY) or target.spec is None:
        return ""
    if state is ServiceState.UNHEALTHY:
        output = next((c.health_output for c in containers if c.health_output), "")
        return f"unhealthy: {output}" if output else "unhealthy"
    code = next((c.exit_code for c in containers if c.ended), 0)
    if code in target.spec.restart.no_restart_exit_codes:
        return f"exited {code}, after which its restart policy does not start it again"
    limit = target.spec.restart.max_attempts
    if limit is not None and world.ledger_of(target.service).attempts > limit:
        return f"exited {code}; given up after {limit} restarts, as its restart policy says"
    return f"exited {code}; its restart policy is {target.spec.restart.condition}"
