"""Handlers that only read: snapshots in, answers out."""

from __future__ import annotations

from aiohttp import web

from stackd.api import text
from stackd.api.convert import (
    diagnostic_view,
    operation_view,
    override_view,
    plan_view,
    ready_view,
    service_view,
    stack_view,
    version_view,
)
from stackd.api.openapi import document
from stackd.api.problems import ProblemAnswer, nearest
from stackd.api.replies import reply
from stackd.api.schemas import (
    AliveView,
    DefinitionView,
    OperationsView,
    OverridesView,
    PlanQuery,
    ProblemError,
    StacksView,
    WaitQuery,
)
from stackd.api.serving import Call
from stackd.errors import RequestError
from stackd.model.ids import OperationId, StackName
from stackd.model.override import OperationState
from stackd.model.status import ServiceStatus, StackStatus

OVER = frozenset({OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED, OperationState.SUPERSEDED})
"""The states that an operation does not leave."""


def find_stack(call: Call) -> StackStatus:
    """The stack that the path names, or 404."""
    return call.control.stack(StackName(call.part("stack")))


def find_service(call: Call) -> ServiceStatus:
    """The service that the path names, or 404."""
    stack, wanted = find_stack(call), call.part("service")
    for service in stack.services:
        if service.name == wanted:
            return service
    hint = nearest(wanted, (service.name for service in stack.services))
    raise RequestError(404, "no_such_service", f'stack "{stack.name}" has no service "{wanted}"{hint}')


def stack_reply(call: Call, found: StackStatus) -> web.StreamResponse:
    """A stack as the answer."""
    now = call.serving.settings.wall()
    return reply(call.request, stack_view(found), lambda view: text.stack_lines(view, now))


async def livez(call: Call) -> web.StreamResponse:
    """The daemon answers."""
    return reply(call.request, AliveView(alive=True), lambda _: ["alive"])


async def readyz(call: Call) -> web.StreamResponse:
    """Ready, or a problem that names what is stale or broken."""
    view = ready_view(call.control.readiness())
    if view["ready"]:
        return reply(call.request, view, lambda _: ["ready"])
    parts = {
        "engine": view["engine"],
        "events": view["events"],
        "watcher": view["watcher"],
        "journal": view["journal"],
        "sources": view["sources"],
    }
    errors = [
        ProblemError(file="", line=0, column=0, pointer=part, message=wrong) for part, wrong in parts.items() if wrong
    ]
    detail = "; ".join(f"{entry['pointer']}: {entry['message']}" for entry in errors)
    raise ProblemAnswer(503, "not_ready", detail, errors=errors)


async def version(call: Call) -> web.StreamResponse:
    """Who answers."""
    return reply(
        call.request,
        version_view(call.control.versions()),
        lambda view: [
            f"stackd {view['stackd']} (instance {view['instance']}, pid {view['pid']})",
            f"engine {view['engine']} (API {view['engine_api']})" if view["engine"] else "engine not reachable",
        ],
    )


async def openapi(call: Call) -> web.StreamResponse:
    """The description of this API."""
    return reply(call.request, document(call.serving.routes, call.control.versions().stackd))


async def stacks(call: Call) -> web.StreamResponse:
    """Every stack."""
    view = StacksView(stacks=[stack_view(stack) for stack in call.control.stacks()])
    return reply(call.request, view, text.stacks_lines)


async def stack(call: Call) -> web.StreamResponse:
    """One stack."""
    return stack_reply(call, find_stack(call))


async def service(call: Call) -> web.StreamResponse:
    """One service."""
    now = call.serving.settings.wall()
    return reply(call.request, service_view(find_service(call)), lambda view: text.service_lines(view, now))


async def plan(call: Call) -> web.StreamResponse:
    """What is to be done for a stack now: its files are read first, unless `read=false`."""
    if call.query(PlanQuery).read:
        await call.serving.unless_closing(call.control.read(StackName(call.part("stack"))))
    found = find_stack(call)
    return reply(call.request, plan_view(call.control.plan(found.name), found), text.plan_lines)


async def definition(call: Call) -> web.StreamResponse:
    """Where a stack's definition stands, and what was found in it."""
    found = find_stack(call)
    view = DefinitionView(
        stack=found.name,
        folder=found.folder,
        files=list(found.files),
        generation=found.generation,
        observed_generation=found.observed_generation,
        diagnostics=[diagnostic_view(entry) for entry in found.diagnostics],
    )
    return reply(call.request, view)


async def put_definition(call: Call) -> web.StreamResponse:
    """Files are the truth: name the one to edit."""
    found = find_stack(call)
    where = found.files[0] if found.files else found.folder
    refusal = ProblemAnswer(405, "edit_the_file", f"the files are the truth: edit {where}; stackd applies it on save")
    refusal.headers["Allow"] = "GET, HEAD"
    raise refusal


async def overrides_of_stack(call: Call) -> web.StreamResponse:
    """The overrides of the stack as a whole."""
    found = [override_view(entry) for entry in find_stack(call).overrides if entry.service is None]
    return reply(call.request, OverridesView(overrides=found))


async def overrides_of_service(call: Call) -> web.StreamResponse:
    """The overrides of one service."""
    name = find_service(call).name
    found = [override_view(entry) for entry in find_stack(call).overrides if entry.service == name]
    return reply(call.request, OverridesView(overrides=found))


async def operations(call: Call) -> web.StreamResponse:
    """The newest operations."""
    view = OperationsView(operations=[operation_view(entry) for entry in call.control.operations()])
    return reply(call.request, view, text.operations_lines)


async def operation(call: Call) -> web.StreamResponse:
    """One operation as it is now, or within `wait` seconds once it is over; a failed one is an answer, not an error."""
    found = call.control.operation(OperationId(call.part("operation")))
    wait = call.query(WaitQuery).wait
    if wait and found.state not in OVER:
        found = await call.serving.unless_closing(call.control.settled(found.request.id, wait)) or found
    return reply(call.request, operation_view(found), lambda view: [text.operation_line(view)])
