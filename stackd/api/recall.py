"""Handlers that tell of the past: why, crashes, revisions; and the list of what could be adopted. They only read."""

from __future__ import annotations

import os
from collections.abc import Iterable

from aiohttp import web

from stackd.api import retell
from stackd.api.past import (
    AdoptablesView,
    CrashesView,
    DiffQuery,
    DiffView,
    RevisionsView,
    RevisionView,
    WholeRevisionView,
    WhyQuery,
    adoptable_view,
    bundle_view,
    crash_view,
    revision_views,
    why_view,
)
from stackd.api.reads import find_service, find_stack
from stackd.api.replies import reply
from stackd.api.serving import Call
from stackd.errors import RequestError
from stackd.model.ids import ServiceName
from stackd.model.record import Applied, Crash

ROOT = 0


async def why(call: Call) -> web.StreamResponse:
    """Why a service is as it is."""
    stack, service = find_stack(call).name, find_service(call).name
    values = _values_for(call, call.query(WhyQuery))
    answer = await call.control.why_with_values(stack, service) if values else call.control.why(stack, service)
    return reply(call.request, why_view(answer), retell.why_lines)


def _values_for(call: Call, query: WhyQuery) -> bool:
    """Whether values are asked for; else than by the daemon's own user or root: 403."""
    if query.values and call.peer.uid not in (ROOT, os.geteuid()):
        raise RequestError(403, "values_not_permitted", "values are shown to the daemon's own user and to root only")
    return query.values


async def crashes_of_stack(call: Call) -> web.StreamResponse:
    """The crashes of all services of a stack."""
    return _crashes(call, call.control.crashes(find_stack(call).name, None))


async def crashes_of_service(call: Call) -> web.StreamResponse:
    """The crashes of one service."""
    return _crashes(call, _of_service(call))


def _of_service(call: Call) -> tuple[Crash, ...]:
    """The crashes of the service that the path names, or 404; one that was edited away may still have some."""
    found = call.control.crashes(find_stack(call).name, ServiceName(call.part("service")))
    if not found:
        find_service(call)
    return found


def _crashes(call: Call, found: tuple[Crash, ...]) -> web.StreamResponse:
    now = call.serving.settings.wall()
    view = CrashesView(crashes=[crash_view(crash) for crash in found])
    return reply(call.request, view, lambda shown: retell.crashes_lines(shown, now))


async def crash(call: Call) -> web.StreamResponse:
    """One crash of a service with its evidence."""
    wanted = call.part("crash")
    found = next((entry for entry in _of_service(call) if str(entry.id) == wanted), None)
    if found is None:
        kept = _some(str(entry.id) for entry in _of_service(call))
        text = f'no crash "{wanted}" of {call.part("service")} is kept; kept: {kept}'
        raise RequestError(404, "no_such_crash", text)
    bundle = await call.control.crash(found.stack, found.id)
    return reply(call.request, bundle_view(bundle), retell.bundle_lines)


def _some(names: Iterable[str]) -> str:
    """The newest few of what there is, for a refusal."""
    known = list(names)
    return ", ".join(known[:5]) + (", ..." if len(known) > 5 else "") if known else "none"


async def revisions(call: Call) -> web.StreamResponse:
    """The applied revisions of a stack."""
    now = call.serving.settings.wall()
    view = RevisionsView(revisions=_revisions(call)[1])
    return reply(call.request, view, lambda shown: retell.revisions_lines(shown, now))


def _revisions(call: Call) -> tuple[tuple[Applied, ...], list[RevisionView]]:
    stack = find_stack(call)
    found = call.control.revisions(stack.name)
    return found, revision_views(found, stack.overrides)


def _numbered(call: Call) -> tuple[Applied, RevisionView]:
    """The revision that the path names, or 404."""
    found, views = _revisions(call)
    wanted = call.part("number")
    for applied, view in zip(found, views, strict=True):
        if str(applied.number) == wanted:
            return applied, view
    kept = _some(str(applied.number) for applied in found)
    text = f'no revision "{wanted}" of {call.part("stack")} is kept; kept: {kept}'
    raise RequestError(404, "no_such_revision", text)


async def revision(call: Call) -> web.StreamResponse:
    """One revision with its resolved definition; values are hidden."""
    applied, view = _numbered(call)
    whole = WholeRevisionView(**view, resolved=applied.resolved)
    return reply(call.request, whole, lambda shown: shown["resolved"].splitlines())


async def diff(call: Call) -> web.StreamResponse:
    """What a revision changed against the one before, or another."""
    applied, _ = _numbered(call)
    query = call.query(DiffQuery)
    against = query.against
    lines = await call.control.diff(applied.stack, applied.number, against, values=_values_for(call, query))
    view = DiffView(stack=applied.stack, number=applied.number, against=against, lines=list(lines))
    return reply(call.request, view, retell.diff_lines)


async def adoptable(call: Call) -> web.StreamResponse:
    """The Compose projects on the engine that no stacks directory holds."""
    view = AdoptablesView(projects=[adoptable_view(project) for project in await call.control.adoptable()])
    return reply(call.request, view, retell.adoptables_lines)
