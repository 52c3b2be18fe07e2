"""A stack's status and plan, in words: pure functions of the view and the decision that was made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from stackd.core.ends import stable_wake
from stackd.core.ownership import foreign, ours
from stackd.errors import Diagnostic, Severity
from stackd.model.ids import ServiceName
from stackd.model.observed import ObservedContainer
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import (
    BlockerKind,
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Op,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    UpdateRestartPolicy,
    service_of,
)
from stackd.model.spec import RestartCondition, RestartPolicy, ServiceSpec
from stackd.model.status import (
    PlanStatus,
    ReplicaStatus,
    RestartStatus,
    ServiceStatus,
    StackState,
    StackStatus,
    StepStatus,
)
from stackd.model.view import EDIT_NOT_TAKEN, Decision, Now, Presence, ServiceLedger, ServiceState, ServiceVerdict, View


def stack_status(view: View, decision: Decision | None, applied: int, trouble: str, now: Now) -> StackStatus:
    """The status of a stack; `applied` = the last generation fully applied, `trouble` = why its task ended, if so."""
    desired = view.desired
    project = view.project
    verdicts = decision.verdicts if decision else ()
    names = list(project.services) if project else []
    by_name = {verdict.service: verdict for verdict in verdicts}
    names += [name for name in by_name if name not in names]
    services = tuple(_service(view, name, by_name.get(name), now) for name in names)
    state, detail = _state(view, decision, trouble)
    steps = decision.plan.steps if decision else ()
    waits = dict.fromkeys(b.detail for step in steps for b in step.blocked_by if b.kind not in _QUIET)
    return StackStatus(
        name=view.stack,
        state=state,
        detail=detail,
        presence=desired.presence if desired else Presence.REMOVED,
        generation=desired.generation if desired else 0,
        observed_generation=applied,
        folder=str(desired.folder or "") if desired else "",
        files=tuple(map(str, project.config_files)) if project else (),
        services=services,
        overrides=view.overrides,
        diagnostics=(*file_diagnostics(view), *(decision.diagnostics if decision else ())),
        waiting_for=tuple(waits),
        foreign=tuple(container.name for container in foreign(view)),
    )


def file_diagnostics(view: View) -> tuple[Diagnostic, ...]:
    """What was found in the files. A released stack is never removed, so it gets no warning that it will be."""
    found = view.desired.diagnostics if view.desired else ()
    return tuple(one for one in found if not (view.released and one.code == "stack-going"))


_QUIET = (BlockerKind.STEP, BlockerKind.OBSERVATION)
_ENTRY_GONE = (Presence.GOING, Presence.REMOVED)
_BAD = (
    ServiceState.STUCK, ServiceState.BACKING_OFF, ServiceState.CRASH_LOOPING, ServiceState.BLOCKED,
    ServiceState.UNHEALTHY,
)  # fmt: skip


def _state(view: View, decision: Decision | None, trouble: str) -> tuple[StackState, str]:
    if trouble:
        return StackState.FAILED, trouble
    desired = view.desired
    if view.released and (desired is None or desired.presence in _ENTRY_GONE):
        gone = "it was released, and its folder is no longer in a stacks directory; its containers are the engine's"
        return StackState.ORPHANED, f"{gone}; take it back: stackd adopt {view.stack}"
    if desired is None:
        return StackState.ORPHANED, "it has no definition; its containers run on"
    errors = [one for one in desired.diagnostics if one.severity is Severity.ERROR]
    if desired.presence is Presence.REMOVED:
        if foreign(view) and not ours(view):
            return StackState.ORPHANED, "its folder was removed; what is left was not made by stackd, and runs on"
        return StackState.REMOVING, "its folder was removed"
    if desired.project is None and desired.waits:
        return StackState.FROZEN, desired.waits
    if desired.project is None:
        text = str(errors[0]) if errors else "it has no definition yet"
        return StackState.INVALID, text
    if decision is None or view.observed is None:
        reason = "" if view.host.engine_up else f": {view.host.engine_problem or 'the engine does not answer'}"
        return StackState.LOADING, f"not looked at yet{reason}"
    state, detail = _judged(view, decision, str(errors[0]) if errors else "")
    not_taken = (one.message for one in desired.diagnostics if one.code == EDIT_NOT_TAKEN)
    away = f"as last seen: {view.host.engine_problem}" if view.host.engine_problem else ""
    return state, "; ".join(filter(None, (away, detail, *not_taken)))


def _judged(view: View, decision: Decision, error: str) -> tuple[StackState, str]:
    wide = [o for o in view.overrides if o.service is None]
    special = "; ".join(filter(None, map(_special, wide)))
    if decision.plan.steps:
        bad = next((v for v in decision.verdicts if v.state in _BAD or is_held_back(v)), None)
        if bad is not None:
            return StackState.DEGRADED, f"{bad.service}: {bad.detail}"
        return StackState.CHANGING, error or special
    asked = all(verdict.state in (ServiceState.STOPPED, ServiceState.HELD) for verdict in decision.verdicts)
    if view.overrides and asked and not any(container.live for container in ours(view)):
        first = next((o for o in view.overrides if o.kind is not OverrideKind.PINNED), view.overrides[0])
        return StackState.STOPPED, first.reason
    bad = next((v for v in decision.verdicts if not v.good), None)
    if bad is not None:
        return StackState.DEGRADED, f"{bad.service}: {bad.detail}"
    newest = f"its newest text is not in force: {error}" if error else ""
    return StackState.RUNNING, "; ".join(filter(None, (special, newest)))


def is_held_back(verdict: ServiceVerdict) -> bool:
    """Whether a service is held because to replace its container would lose something that nobody has accepted."""
    return verdict.state is ServiceState.HELD and not verdict.good


def _special(wide: Override) -> str:
    """What an override of the whole stack means for one that runs, in words."""
    match wide.kind:
        case OverrideKind.PINNED:
            return f"pinned to revision {wide.value} by {wide.by}"
        case OverrideKind.RELEASED:
            return f"released by {wide.by}: the engine restarts it, not stackd"
        case OverrideKind.HELD | OverrideKind.PAUSED:
            return f"held: {wide.reason} (by {wide.by})"
        case OverrideKind.STOPPED | OverrideKind.SCALED:
            return ""
        case _:
            assert_never(wide.kind)


def _service(view: View, name: ServiceName, verdict: ServiceVerdict | None, now: Now) -> ServiceStatus:
    project = view.project
    spec = project.services.get(name) if project else None
    containers = [container for container in ours(view) if container.service == name]
    image = spec.image if spec else (containers[0].image if containers else "")
    scope = [o for o in view.overrides if o.service in (name, None)]
    override = next((o for o in scope if o.kind is not OverrideKind.PINNED), next(iter(scope), None))
    return ServiceStatus(
        name=name,
        state=verdict.state if verdict else ServiceState.UNKNOWN,
        detail=verdict.detail if verdict else view.host.engine_problem or "not decided yet",
        image=image,
        replicas=tuple(_replica(container) for container in containers),
        wanted=_wanted(spec, override),
        restart=_restart(view, name, spec, verdict, now),
        image_outdated=spec is not None and _is_outdated(view, spec, containers),
        override=override,
    )


def _wanted(spec: ServiceSpec | None, override: Override | None) -> int:
    if spec is None or (override is not None and override.kind is OverrideKind.STOPPED):
        return 0
    return spec.scale


def _is_outdated(view: View, spec: ServiceSpec, containers: list[ObservedContainer]) -> bool:
    image = view.observed.images.get(spec.image) if view.observed else None
    return image is not None and any(c.image_id and c.image_id != image.id for c in containers)


def _replica(container: ObservedContainer) -> ReplicaStatus:
    return ReplicaStatus(
        container=container.id,
        name=container.name,
        number=container.number,
        state=container.state,
        health=container.health,
        started_at=container.started_at or None,
        finished_at=None if container.live else container.finished_at or None,
        exit_code=container.exit_code if container.ended else None,
        image=container.image,
        ports=container.ports,
        adopted=not container.instance,
    )


def policy_text(policy: RestartPolicy) -> str:
    """A restart policy as a person would write it, saying so when it is stackd's default."""
    text = policy.condition.value
    if policy.condition is RestartCondition.ON_FAILURE and policy.max_attempts is not None:
        text += f":{policy.max_attempts}"
    return text if policy.declared else f"{text} (stackd's default)"


def _restart(
    view: View, name: ServiceName, spec: ServiceSpec | None, verdict: ServiceVerdict | None, now: Now
) -> RestartStatus:
    ledger = view.ledger.services.get(name, ServiceLedger())
    last = ledger.deaths[-1] if ledger.deaths else None
    due = verdict.next_at if verdict else None
    reset = stable_wake(ledger, spec.restart, now) if spec else None
    return RestartStatus(
        policy=policy_text(spec.restart) if spec else "",
        attempt=max(ledger.attempts, verdict.attempt if verdict else 0),
        next_at=now.wall + (due - now.mono) if due is not None else None,
        reason=last.detail if last else "",
        last_exit=last.exit_code if last else None,
        oom=last.oom if last else False,
        reset_at=now.wall + (reset - now.mono) if reset is not None else None,
    )


def plan_status(view: View, decision: Decision | None, progress: Mapping[Op, str]) -> PlanStatus:
    """The plan in words; `progress` tells how operations in flight fare."""
    steps = decision.plan.steps if decision else ()
    return PlanStatus(view.stack, tuple(_step(view, step, progress) for step in steps), _disruption(view, steps))


def _step(view: View, step: Step, progress: Mapping[Op, str]) -> StepStatus:
    action, target = _words(view, step.op)
    return StepStatus(
        action=action,
        service=service_of(step.op),
        target=target,
        why=step.op.reason.why,
        reason=str(step.op.reason),
        changes=step.op.reason.changes,
        waits_for=tuple(dict.fromkeys(blocker.detail for blocker in step.blocked_by)),
        in_flight=step.op in view.running,
        progress=progress.get(step.op, ""),
    )


def _words(view: View, op: Op) -> tuple[str, str]:
    names = {container.id: container.name for container in view.observed.containers} if view.observed else {}
    match op:
        case CreateContainer():
            return "create", op.name
        case StartContainer():
            return "start", names.get(op.container, op.container.removeprefix("new "))
        case StopContainer():
            return "stop", names.get(op.container, op.container[:12])
        case RemoveContainer():
            return "remove", names.get(op.container, op.container[:12])
        case RenameContainer():
            return "rename", op.name
        case PullImage():
            return "pull", op.ref
        case BuildImage():
            return "build", op.ref
        case CreateNetwork():
            return "create network", op.name
        case RemoveNetwork():
            return "remove network", op.name
        case CreateVolume():
            return "create volume", op.name
        case UpdateRestartPolicy():
            return "update restart policy", names.get(op.container, op.container[:12])
        case _:
            assert_never(op)


def _disruption(view: View, steps: tuple[Step, ...]) -> str:
    """What the plan does to running containers, in one line; "" = it stops none."""
    stopped = {step.op.service for step in steps if isinstance(step.op, StopContainer)}
    if not stopped:
        return ""
    running = {container.service for container in ours(view) if container.live}
    why = next((str(s.op.reason) for s in steps if isinstance(s.op, StopContainer)), "")
    return f"stops {len(stopped)} of {len(running | stopped)} running services: {why}"
