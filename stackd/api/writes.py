"""Handlers that ask for something: verbs, overrides, a new scan; and the wait for a state.

Law: a verb is a level: asking twice is asking once. Nothing is done here: the request is handed over, on disk before
the answer, and a client that goes away only stops waiting for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from aiohttp import web

from stackd.api import text
from stackd.api.convert import operation_view, problem_error, set_override_view, stack_view
from stackd.api.past import RollbackBody
from stackd.api.problems import ProblemAnswer
from stackd.api.reads import OVER, find_service, find_stack, stack_reply
from stackd.api.replies import reply
from stackd.api.schemas import (
    ConditionQuery,
    OverrideBody,
    OverrideQuery,
    ProblemError,
    ReleasedView,
    ServicesBody,
    StacksView,
    UpBody,
    WaitQuery,
)
from stackd.api.serving import Call, within
from stackd.errors import Diagnostic, RequestError, Severity
from stackd.model.ids import ServiceName, StackName
from stackd.model.observed import ContainerState
from stackd.model.override import Operation, OperationState, OverrideKind, Verb
from stackd.model.status import ServiceStatus, StackState, StackStatus
from stackd.model.view import ServiceState

LOOK_AGAIN = 0.5
"""Seconds after which a waiter looks again even when no history was written."""


async def act_on_stack(verb: Verb, call: Call) -> web.StreamResponse:
    """A verb for a stack, or for the services that the body names."""
    services = tuple(ServiceName(name) for name in call.body(ServicesBody).services)
    return await _act(call, StackName(call.part("stack")), verb, services)


async def up_stack(call: Call) -> web.StreamResponse:
    """Make a stack, or the services that the body names, as its files say."""
    stack, body = StackName(call.part("stack")), call.body(UpBody)
    services = tuple(ServiceName(name) for name in body.services)
    asking = call.control.submit(stack, Verb.UP, services, call.by, accept_loss=body.accept_loss)
    return await _carried_out(call, stack, asking)


async def act_on_service(verb: Verb, call: Call) -> web.StreamResponse:
    """A verb for one service."""
    return await _act(call, find_stack(call).name, verb, (find_service(call).name,))


async def _act(call: Call, stack: StackName, verb: Verb, services: tuple[ServiceName, ...]) -> web.StreamResponse:
    return await _carried_out(call, stack, call.control.submit(stack, verb, services, call.by))


async def rollback(call: Call) -> web.StreamResponse:
    """Put an earlier revision of a stack in force."""
    stack = find_stack(call).name
    return await _carried_out(call, stack, call.control.rollback(stack, call.body(RollbackBody).revision, call.by))


async def change_owner(verb: Verb, call: Call) -> web.StreamResponse:
    """Adopt or release a stack; what is to be adopted need not be a stack yet."""
    stack = StackName(call.part("stack"))
    change = call.control.adopt if verb is Verb.ADOPT else call.control.release
    return await _carried_out(call, stack, change(stack, call.by))


async def _carried_out(
    call: Call, stack: StackName, asking: Coroutine[object, object, Operation]
) -> web.StreamResponse:
    """Ask, then wait for it as long as the client wants to."""
    serving, control = call.serving, call.control
    try:
        operation = await serving.write(asking)
    except RequestError as error:
        raise _with_findings(error, call, stack) from None
    wait = call.query(WaitQuery).wait
    if wait and operation.state not in OVER:
        waiting = control.settled(operation.request.id, wait)
        operation = await serving.unless_closing(waiting) or operation
    return _outcome(call, operation)


def _outcome(call: Call, operation: Operation) -> web.StreamResponse:
    """200 done, 202 under way, 409 it came to nothing."""
    view = operation_view(operation)
    location = {"Location": f"/v1/operations/{operation.request.id}"}
    if operation.state is OperationState.SUCCEEDED:
        return reply(call.request, view, lambda found: [text.operation_line(found)])
    if operation.state not in OVER:
        return reply(call.request, view, lambda found: [text.operation_line(found)], status=202, headers=location)
    detail = operation.detail or f"the operation {operation.state}"
    errors = _findings(call, operation.request.stack) if operation.state is OperationState.FAILED else []
    answer = ProblemAnswer(409, f"operation_{operation.state}", detail, errors=errors, operation=view)
    answer.headers |= location
    raise answer


def _with_findings(error: RequestError, call: Call, stack: StackName) -> RequestError:
    """A refusal for an invalid definition shows what is wrong with it."""
    if error.code not in ("no_definition", "invalid_definition"):
        return error
    return ProblemAnswer(error.status, error.code, error.detail, errors=_findings(call, stack))


def _findings(call: Call, stack: StackName) -> list[ProblemError]:
    try:
        found = call.control.stack(stack).diagnostics
    except RequestError:
        return []
    return [problem_error(entry) for entry in found if entry.severity is Severity.ERROR]


async def put_override_of_stack(call: Call) -> web.StreamResponse:
    """Stop or hold a stack as a whole."""
    return await _put_override(call, find_stack(call).name, None)


async def put_override_of_service(call: Call) -> web.StreamResponse:
    """Stop or hold one service."""
    return await _put_override(call, find_stack(call).name, find_service(call).name)


async def _put_override(call: Call, stack: StackName, service: ServiceName | None) -> web.StreamResponse:
    body = call.body(OverrideBody)
    until = body.until.timestamp() if body.until else None
    if until is not None and until <= call.serving.settings.wall():
        raise RequestError(422, "already_over", "body.until: lies in the past")
    work = call.control.put_override(stack, service, OverrideKind(body.kind), body.reason, call.by, until)
    answer = await call.serving.write(work)
    return reply(call.request, set_override_view(answer), text.set_override_lines)


async def drop_override_of_stack(call: Call) -> web.StreamResponse:
    """Release the overrides of the stack as a whole."""
    return await _drop_override(call, find_stack(call).name, None)


async def drop_override_of_service(call: Call) -> web.StreamResponse:
    """Release the overrides of one service."""
    return await _drop_override(call, find_stack(call).name, find_service(call).name)


async def _drop_override(call: Call, stack: StackName, service: ServiceName | None) -> web.StreamResponse:
    named = call.query(OverrideQuery).kind
    kind = OverrideKind(named) if named is not None else None
    dropped = await call.serving.write(call.control.drop_override(stack, service, call.by, kind))
    return reply(call.request, ReleasedView(changed=dropped.changed, detail=dropped.detail))


async def rescan(call: Call) -> web.StreamResponse:
    """Read all stack files again now, then tell every stack."""
    await call.serving.write(call.control.rescan())
    view = StacksView(stacks=[stack_view(stack) for stack in call.control.stacks()])
    return reply(call.request, view, text.stacks_lines)


async def wait_for(call: Call) -> web.StreamResponse:
    """The stack once it is as asked; 409 `wait_timeout` when that takes longer than `wait`.

    Its files are read first, and only decisions made from what they say count: no state older than an edit does.
    """
    query = call.query(ConditionQuery)
    condition, wait = query.condition, query.wait
    name = StackName(call.part("stack"))
    deadline = asyncio.get_running_loop().time() + wait
    await call.serving.unless_closing(call.control.read(name))
    while True:
        seen, stack = call.control.last_seq(), call.control.stack(name)
        if _holds(condition, stack):
            return stack_reply(call, stack)
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise _too_late(condition, wait, stack)
        if await call.serving.unless_closing(within(call.control.happened(seen), min(left, LOOK_AGAIN))) is None:
            raise RequestError(503, "shutting_down", "stackd is shutting down")


def _too_late(condition: str, wait: float, stack: StackStatus) -> ProblemAnswer:
    reasons = [f"{s.name} is {s.state}" + (f" ({s.detail})" if s.detail else "") for s in stack.services]
    reasons += [f"its newest text is not in force: {error}" for error in _errors(stack)[:1]]
    return ProblemAnswer(
        409,
        "wait_timeout",
        f"stack {stack.name} is not {condition} after {wait:g} s; it is {stack.state}: {', '.join(reasons) or 'empty'}",
    )


def _holds(condition: str, stack: StackStatus) -> bool:
    kind, _, number = condition.partition(":")
    if kind == "generation":
        return stack.observed_generation >= int(number)
    tests: dict[str, Callable[[StackStatus], bool]] = {"running": _runs, "healthy": _healthy, "stopped": _stopped}
    return tests[kind](stack)


def _up(service: ServiceStatus) -> int:
    return sum(replica.state is ContainerState.RUNNING for replica in service.replicas)


def _errors(stack: StackStatus) -> list[Diagnostic]:
    return [found for found in stack.diagnostics if found.severity is Severity.ERROR]


def _runs(stack: StackStatus) -> bool:
    """Every service has the containers that its file wants now, has completed, or was stopped on purpose."""
    unsettled = {StackState.LOADING, StackState.INVALID, StackState.FAILED, StackState.FROZEN, StackState.STOPPED}
    # Before a definition was applied once, what runs may be the containers of an earlier one.
    if stack.state in unsettled or _errors(stack) or stack.observed_generation < stack.generation:
        return False
    return all(
        service.state is ServiceState.COMPLETED or service.override is not None or _up(service) >= service.wanted
        for service in stack.services
    )


def _healthy(stack: StackStatus) -> bool:
    """Everything is as its file wants it now, and no health check is out."""
    ill = {ServiceState.STARTING, ServiceState.UNHEALTHY}
    return (
        stack.state is StackState.RUNNING
        and not _errors(stack)
        and all(service.state not in ill for service in stack.services)
    )


def _stopped(stack: StackStatus) -> bool:
    """No container runs, and none is about to."""
    quiet = stack.state not in {StackState.LOADING, StackState.CHANGING, StackState.REMOVING}
    return quiet and not any(_up(service) for service in stack.services)
