"""From the model to the wire, and the other way round for instants. Pure; decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from stackd.api.schemas import (
    ChangeView,
    DiagnosticView,
    EventView,
    LogView,
    OperationView,
    OverrideView,
    PlanView,
    ProblemError,
    ReadyView,
    ReplicaView,
    RestartView,
    ServiceView,
    SetOverrideView,
    StackView,
    StepView,
    VersionView,
)
from stackd.errors import Diagnostic
from stackd.model.override import Operation, OperationState, Override
from stackd.model.plan import FieldChange
from stackd.model.status import (
    Happening,
    PlanStatus,
    Readiness,
    ReplicaStatus,
    RestartStatus,
    ServiceStatus,
    StackStatus,
    StepStatus,
)
from stackd.runtime.control import ServiceLog, SetOverride, Versions


def instant(seconds: float) -> str:
    """Wall-clock seconds as RFC 3339 UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_instant(seconds: float | None) -> str | None:
    """Like `instant`; None stays None."""
    return None if seconds is None else instant(seconds)


def diagnostic_view(found: Diagnostic) -> DiagnosticView:
    """A finding about a file."""
    return DiagnosticView(
        severity=found.severity.value,
        code=found.code,
        message=found.message,
        file=found.span.file,
        line=found.span.line,
        column=found.span.column,
        pointer=found.pointer,
        hint=found.hint,
    )


def problem_error(found: Diagnostic) -> ProblemError:
    """A finding about a file as an entry of a problem's `errors`."""
    message = f"{found.message} ({found.hint})" if found.hint else found.message
    return ProblemError(
        file=found.span.file,
        line=found.span.line,
        column=found.span.column,
        pointer=found.pointer,
        message=message,
    )


def override_view(override: Override) -> OverrideView:
    """An override."""
    return OverrideView(
        stack=override.stack,
        service=override.service,
        kind=override.kind.value,
        reason=override.reason,
        by=override.by,
        at=instant(override.at),
        until=maybe_instant(override.until),
        value=override.value,
    )


def set_override_view(answer: SetOverride) -> SetOverrideView:
    """An override that was set."""
    return SetOverrideView(**override_view(answer.override), detail=answer.detail)


def replica_view(replica: ReplicaStatus) -> ReplicaView:
    """A container."""
    return ReplicaView(
        container=replica.container,
        name=replica.name,
        number=replica.number,
        state=replica.state.value,
        health=replica.health.value,
        started_at=maybe_instant(replica.started_at),
        finished_at=maybe_instant(replica.finished_at),
        exit_code=replica.exit_code,
        image=replica.image,
        ports=list(replica.ports),
        adopted=replica.adopted,
    )


def restart_view(restart: RestartStatus) -> RestartView:
    """A restart curve."""
    return RestartView(
        policy=restart.policy,
        attempt=restart.attempt,
        next_at=maybe_instant(restart.next_at),
        reason=restart.reason,
        last_exit=restart.last_exit,
        oom=restart.oom,
        reset_at=maybe_instant(restart.reset_at),
    )


def service_view(service: ServiceStatus) -> ServiceView:
    """A service."""
    return ServiceView(
        name=service.name,
        state=service.state.value,
        detail=service.detail,
        image=service.image,
        wanted=service.wanted,
        replicas=[replica_view(replica) for replica in service.replicas],
        restart=restart_view(service.restart),
        image_outdated=service.image_outdated,
        override=override_view(service.override) if service.override else None,
    )


def stack_view(stack: StackStatus) -> StackView:
    """A stack."""
    return StackView(
        name=stack.name,
        state=stack.state.value,
        detail=stack.detail,
        presence=stack.presence.value,
        generation=stack.generation,
        observed_generation=stack.observed_generation,
        folder=stack.folder,
        files=list(stack.files),
        services=[service_view(service) for service in stack.services],
        overrides=[override_view(override) for override in stack.overrides],
        diagnostics=[diagnostic_view(found) for found in stack.diagnostics],
        waiting_for=list(stack.waiting_for),
        foreign=list(stack.foreign),
    )


def change_view(change: FieldChange) -> ChangeView:
    """An edited field."""
    span = change.span
    return ChangeView(
        field=change.field,
        before=change.before,
        after=change.after,
        file=span.file if span else "",
        line=span.line if span else 0,
        column=span.column if span else 0,
    )


def step_view(step: StepStatus) -> StepView:
    """A step of a plan."""
    return StepView(
        action=step.action,
        service=step.service,
        target=step.target,
        why=step.why.value,
        reason=step.reason,
        changes=[change_view(change) for change in step.changes],
        waits_for=list(step.waits_for),
        in_flight=step.in_flight,
        progress=step.progress,
    )


def plan_view(plan: PlanStatus, stack: StackStatus) -> PlanView:
    """A plan, and the state of the stack that it is for."""
    return PlanView(
        stack=plan.stack,
        state=stack.state.value,
        detail=stack.detail,
        steps=[step_view(step) for step in plan.steps],
        disruption=plan.disruption,
    )


_STATES: dict[OperationState, Literal["queued", "running", "succeeded", "failed", "cancelled", "superseded"]] = {
    OperationState.QUEUED: "queued",
    OperationState.RUNNING: "running",
    OperationState.SUCCEEDED: "succeeded",
    OperationState.FAILED: "failed",
    OperationState.CANCELLED: "cancelled",
    OperationState.SUPERSEDED: "superseded",
}


def operation_view(operation: Operation) -> OperationView:
    """An operation."""
    request = operation.request
    return OperationView(
        id=request.id,
        stack=request.stack,
        verb=request.verb.value,
        services=list(request.services),
        by=request.by,
        at=instant(request.at),
        state=_STATES[operation.state],
        detail=operation.detail,
        changed=operation.changed,
        finished_at=maybe_instant(operation.finished_at),
    )


def event_view(happening: Happening) -> EventView:
    """A line of the history."""
    return EventView(
        seq=happening.seq,
        at=instant(happening.at),
        stack=happening.stack,
        service=happening.service,
        type=happening.type,
        message=happening.message,
        data=dict(happening.data),
    )


def log_view(entry: ServiceLog) -> LogView:
    """A log line."""
    return LogView(
        type="log",
        at=instant(entry.line.at / 1e9),
        service=entry.service,
        number=entry.number,
        container=entry.line.container,
        stream=entry.line.stream,
        text=entry.line.text,
    )


def ready_view(readiness: Readiness) -> ReadyView:
    """What is stale or broken."""
    return ReadyView(
        ready=readiness.ready,
        engine=readiness.engine,
        events=readiness.events,
        watcher=readiness.watcher,
        journal=readiness.journal,
        sources=readiness.sources,
    )


def version_view(versions: Versions) -> VersionView:
    """Who answers."""
    return VersionView(
        stackd=versions.stackd,
        engine=versions.engine,
        engine_api=versions.engine_api,
        instance=versions.instance,
        pid=versions.pid,
        stacks_dirs=list(versions.stacks_dirs),
    )
