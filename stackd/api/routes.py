"""The one table: method, path, what is accepted, what is answered, who answers, in one line each.

Router, OpenAPI document and tests are made from it; there is no other list of routes.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from aiohttp import web
from pydantic import BaseModel

from stackd.api import past, reads, recall, schemas, streams, writes
from stackd.api.serving import Call
from stackd.model.override import Verb

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Media(enum.Enum):
    """How an answer comes."""

    JSON = "application/json"
    NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `answer` is the typed dict of the answer, or of each line of a stream; `early`: it says nothing of
    what the files hold, so it is answered before they have been read."""

    method: str
    path: str
    query: type[BaseModel]
    body: type[BaseModel] | None
    answer: type
    handler: Handler
    summary: str
    media: Media = Media.JSON
    early: bool = False

    @property
    def writes(self) -> bool:
        """Whether it asks for something."""
        return self.method != "GET"


def _get(path: str, answer: type, handler: Handler, summary: str, query: type[BaseModel] = schemas.NoQuery) -> Route:
    media = Media.NDJSON if answer in (schemas.EventView, schemas.LogView) else Media.JSON
    return Route("GET", path, query, None, answer, handler, summary, media)


def _early(path: str, answer: type, handler: Handler, summary: str, query: type[BaseModel] = schemas.NoQuery) -> Route:
    return replace(_get(path, answer, handler, summary, query), early=True)


STACK = "/v1/stacks/{stack}"
SERVICE = STACK + "/services/{service}"

VERBS: dict[Verb, str] = {
    Verb.UP: "release stops and holds, make it as its files say, take newer images",
    Verb.DOWN: "stop and remove containers and networks; volumes stay",
    Verb.START: "release stops and holds, start what has ended",
    Verb.STOP: "stop; it stays stopped until started or edited",
    Verb.RESTART: "stop and start what runs",
    Verb.RECONCILE: "look again and do what is to be done",
    Verb.PULL: "fetch newer images and use them",
    Verb.BUILD: "build images and use them",
}
"""The verbs of a stack, in words."""

OWNERS: dict[Verb, str] = {
    Verb.ADOPT: "keep it again after a release, or take over a Compose project that runs beside stackd",
    Verb.RELEASE: "give its containers back to the engine, running, until it is adopted",
}
"""The verbs that change who keeps a stack, in words."""

SERVICE_VERBS = (Verb.START, Verb.STOP, Verb.RESTART, Verb.PULL)


def _stack_verb(verb: Verb) -> Route:
    handler: Handler = writes.up_stack if verb is Verb.UP else partial(writes.act_on_stack, verb)
    path, body = f"{STACK}/{verb}", schemas.UpBody if verb is Verb.UP else schemas.ServicesBody
    return Route("POST", path, schemas.WaitQuery, body, schemas.OperationView, handler, f"A stack: {VERBS[verb]}")


def _owner_verb(verb: Verb) -> Route:
    handler, answer = partial(writes.change_owner, verb), schemas.OperationView
    return Route("POST", f"{STACK}/{verb}", schemas.WaitQuery, None, answer, handler, f"A stack: {OWNERS[verb]}")


def _service_verb(verb: Verb) -> Route:
    handler = partial(writes.act_on_service, verb)
    path = f"{SERVICE}/{verb}"
    return Route("POST", path, schemas.WaitQuery, None, schemas.OperationView, handler, f"A service: {VERBS[verb]}")


def _overrides(scope: str, word: str, get: Handler, put: Handler, drop: Handler) -> tuple[Route, ...]:
    path, no, body = f"{scope}/override", schemas.NoQuery, schemas.OverrideBody
    return (
        Route("GET", path, no, None, schemas.OverridesView, get, f"The overrides of a {word}"),
        Route("PUT", path, no, body, schemas.SetOverrideView, put, f"Stop or hold a {word} until released or edited"),
        Route(
            "DELETE",
            path,
            schemas.OverrideQuery,
            None,
            schemas.ReleasedView,
            drop,
            f"Release the overrides of a {word}; a rollback only by `kind=pinned`",
        ),
    )


TABLE: tuple[Route, ...] = (
    _early("/livez", schemas.AliveView, reads.livez, "The daemon answers"),
    _early("/readyz", schemas.ReadyView, reads.readyz, "The daemon can do its work; else 503 names what is stale"),
    _early("/v1/version", schemas.VersionView, reads.version, "Who answers"),
    _early("/v1/openapi.json", dict, reads.openapi, "This description"),
    _get("/v1/stacks", schemas.StacksView, reads.stacks, "Every stack"),
    _get(STACK, schemas.StackView, reads.stack, "One stack"),
    _get(f"{STACK}/definition", schemas.DefinitionView, reads.definition, "The files that define a stack"),
    Route(
        "PUT",
        f"{STACK}/definition",
        schemas.NoQuery,
        None,
        schemas.Problem,
        reads.put_definition,
        "Always 405: names the file to edit instead",
    ),
    _get(
        f"{STACK}/plan", schemas.PlanView, reads.plan, "What is to be done for a stack now, and why", schemas.PlanQuery
    ),
    *(_stack_verb(verb) for verb in VERBS),
    *(_owner_verb(verb) for verb in OWNERS),
    Route(
        "POST",
        f"{STACK}/rollback",
        schemas.WaitQuery,
        past.RollbackBody,
        schemas.OperationView,
        writes.rollback,
        "A stack: put an earlier revision in force, pinned until the next edit or `up`",
    ),
    _get(f"{STACK}/revisions", past.RevisionsView, recall.revisions, "The applied revisions, newest first"),
    _get(f"{STACK}/revisions/{{number}}", past.WholeRevisionView, recall.revision, "One revision, values hidden"),
    _get(
        f"{STACK}/revisions/{{number}}/diff",
        past.DiffView,
        recall.diff,
        "What a revision changed, against the one before or another",
        past.DiffQuery,
    ),
    _get(f"{STACK}/crashes", past.CrashesView, recall.crashes_of_stack, "The crashes of a stack, newest first"),
    *_overrides(STACK, "stack", reads.overrides_of_stack, writes.put_override_of_stack, writes.drop_override_of_stack),
    _get(f"{STACK}/wait", schemas.StackView, writes.wait_for, "A stack, once it is as asked", schemas.ConditionQuery),
    _get(f"{STACK}/logs", schemas.LogView, streams.logs, "Log lines by service", schemas.LogsQuery),
    _get(SERVICE, schemas.ServiceView, reads.service, "One service"),
    _get(f"{SERVICE}/why", past.WhyView, recall.why, "Why a service is as it is", past.WhyQuery),
    _get(f"{SERVICE}/crashes", past.CrashesView, recall.crashes_of_service, "The crashes of a service, newest first"),
    _get(f"{SERVICE}/crashes/{{crash}}", past.BundleView, recall.crash, "One crash with its evidence"),
    *(_service_verb(verb) for verb in SERVICE_VERBS),
    *_overrides(
        SERVICE,
        "service",
        reads.overrides_of_service,
        writes.put_override_of_service,
        writes.drop_override_of_service,
    ),
    _get("/v1/adoptable", past.AdoptablesView, recall.adoptable, "Compose projects that stackd does not keep"),
    _early("/v1/operations", schemas.OperationsView, reads.operations, "The newest operations"),
    _early(
        "/v1/operations/{operation}",
        schemas.OperationView,
        reads.operation,
        "One operation, at the latest after `wait`",
        schemas.WaitQuery,
    ),
    _early("/v1/events", schemas.EventView, streams.events, "The history, and what happens next", schemas.EventsQuery),
    Route(
        "POST",
        "/v1/rescan",
        schemas.NoQuery,
        None,
        schemas.StacksView,
        writes.rescan,
        "Read all stack files again now",
    ),
)
