"""The wire format: what the API answers (typed dicts) and what it accepts (pydantic models).

Law: snake_case; instants are RFC 3339 UTC, durations seconds; null = not known. The dicts are the one description of
the answers: `convert` fills them, mypy checks both ends, the OpenAPI document is made from them. The CLI imports this
module for type checking only, so that it never pays for pydantic.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, NotRequired

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE)


def _rfc_3339(value: object) -> object:
    """pydantic itself would take a number for Unix seconds, and a date for its midnight."""
    if value is None or (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        return value
    raise ValueError("wanted: an RFC 3339 instant with its zone, 2026-01-31T09:30:00Z or 2026-01-31T10:30:00+01:00")


GivenInstant = Annotated[AwareDatetime | None, BeforeValidator(_rfc_3339)]
"""An instant that a client gives, or none. In a URL the + of a zone is written %2B."""
Scalar = str | int | float | bool | None


class DiagnosticView(TypedDict):
    """One finding about a user's file. `line` 0 = the file as a whole; `pointer` is the path in the document."""

    severity: Literal["error", "warning"]
    code: str
    message: str
    file: str
    line: int
    column: int
    pointer: str
    hint: str


class OverrideView(TypedDict):
    """What a person asked for beside the files; `service` null = the whole stack, `until` null = until released."""

    stack: str
    service: str | None
    kind: str
    reason: str
    by: str
    at: Instant
    until: Instant | None
    value: int | None


class SetOverrideView(OverrideView):
    """An override that is in force now; `detail` "" = it is on disk, else why it is not: then it is lost if the daemon
    ends before it can be written."""

    detail: str


class OverridesView(TypedDict):
    """The overrides of exactly one scope."""

    overrides: list[OverrideView]


class ReleasedView(TypedDict):
    """Answer to a release; `changed` false = there was nothing to release. `detail` "" = it is on disk, else why it is
    not: then it is forgotten if the daemon ends before it can be written."""

    changed: bool
    detail: str


class ReplicaView(TypedDict):
    """One container of a service. `adopted` = made by `docker compose`: it runs on when its stack is removed."""

    container: str
    name: str
    number: int
    state: str
    health: str
    started_at: Instant | None
    finished_at: Instant | None
    exit_code: int | None
    image: str
    ports: list[str]
    adopted: bool


class RestartView(TypedDict):
    """The restart curve: `attempt` failures in the window, `next_at` the next try, why the last run ended.

    `reset_at` is when the failures are forgotten if the present run lasts; null = there are none, or it does not run.
    """

    policy: str
    attempt: int
    next_at: Instant | None
    reason: str
    last_exit: int | None
    oom: bool
    reset_at: Instant | None


class ServiceView(TypedDict):
    """One service. `detail` says in one line why it is not simply running; `wanted` containers are to run."""

    name: str
    state: str
    detail: str
    image: str
    wanted: int
    replicas: list[ReplicaView]
    restart: RestartView
    image_outdated: bool
    override: OverrideView | None


class StackView(TypedDict):
    """One stack. `generation` counts good definitions, `observed_generation` is the last one fully applied.

    An error among `diagnostics` means that the last good definition stays in force. `foreign` names containers of the
    project that stackd shows and never touches.
    """

    name: str
    state: str
    detail: str
    presence: str
    generation: int
    observed_generation: int
    folder: str
    files: list[str]
    services: list[ServiceView]
    overrides: list[OverrideView]
    diagnostics: list[DiagnosticView]
    waiting_for: list[str]
    foreign: list[str]


class StacksView(TypedDict):
    """Every stack, by name."""

    stacks: list[StackView]


class DefinitionView(TypedDict):
    """Where a stack's definition stands: the files are the truth, the API only reads them."""

    stack: str
    folder: str
    files: list[str]
    generation: int
    observed_generation: int
    diagnostics: list[DiagnosticView]


class ChangeView(TypedDict):
    """One edited field; null = absent; `file` is "" where the place is not known."""

    field: str
    before: str | None
    after: str | None
    file: str
    line: int
    column: int


class StepView(TypedDict):
    """One step of a plan; empty `waits_for` and not in flight = it is started next."""

    action: str
    service: str | None
    target: str
    why: str
    reason: str
    changes: list[ChangeView]
    waits_for: list[str]
    in_flight: bool
    progress: str


class PlanView(TypedDict):
    """What is to be done for a stack now; `disruption` tells in words which running containers it stops.

    `state` and `detail` are the stack's: without steps there is nothing to do, or not known yet what.
    """

    stack: str
    state: str
    detail: str
    steps: list[StepView]
    disruption: str


class OperationView(TypedDict):
    """A request and how it fares. Succeeded without `changed` = there was nothing to do; empty `services` = all."""

    id: str
    stack: str
    verb: str
    services: list[str]
    by: str
    at: Instant
    state: Literal["queued", "running", "succeeded", "failed", "cancelled", "superseded"]
    detail: str
    changed: bool
    finished_at: Instant | None


class OperationsView(TypedDict):
    """The newest operations, newest first."""

    operations: list[OperationView]


class EventView(TypedDict):
    """One line of the history. `seq` is the cursor, `type` a dotted word, `data` flat facts for scripts."""

    seq: int
    at: Instant
    stack: str
    service: str | None
    type: str
    message: str
    data: dict[str, Scalar]


class LogView(TypedDict):
    """One line of a container's output; `stream` is `stdout` or `stderr`."""

    type: Literal["log"]
    at: Instant
    service: str
    number: int
    container: str
    stream: str
    text: str


class AliveView(TypedDict):
    """The daemon answers."""

    alive: bool


class ReadyView(TypedDict):
    """Whether the daemon can do its work; a part that is not "" says what is wrong with it."""

    ready: bool
    engine: str
    events: str
    watcher: str
    journal: str
    sources: str


class VersionView(TypedDict):
    """Who answers; `engine` is "" while it cannot be reached."""

    stackd: str
    engine: str
    engine_api: str
    instance: str
    pid: int
    stacks_dirs: list[str]


class ProblemError(TypedDict):
    """One finding of a problem: a place in a file, or the `pointer` of a parameter."""

    file: str
    line: int
    column: int
    pointer: str
    message: str


class Problem(TypedDict):
    """An error by RFC 9457; `code` is the stable word for scripts, `instance` names the request in the daemon's log."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[ProblemError]
    operation: NotRequired[OperationView]
    oldest: NotRequired[int]


class Accepted(BaseModel):
    """Base of all that is accepted: an unknown name is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class NoQuery(Accepted):
    """No parameters."""


class OverrideQuery(Accepted):
    """Which of a scope's overrides."""

    kind: Literal["stopped", "held", "paused", "scaled", "pinned", "released"] | None = None
    """Only this kind; default: all but `pinned`, a rollback, which stands until it is named, an edit, or `up`."""


class WaitQuery(Accepted):
    """How long the answer may be held back."""

    wait: float = Field(default=0.0, ge=0, le=3600, allow_inf_nan=False)
    """Seconds to wait until it is done; 0 answers at once."""


class ConditionQuery(WaitQuery):
    """What to wait for."""

    condition: str = Field(alias="for", pattern=r"^(running|healthy|stopped|generation:[0-9]{1,18})$")
    """`running`, `healthy`, `stopped` or `generation:N`."""


class PlanQuery(Accepted):
    """How new the answer is to be."""

    read: bool = True
    """Read the stack's files first. `false` shows the last decision, for those who ask again and again."""


class EventsQuery(Accepted):
    """Which part of the history."""

    start: str = Field(default="", alias="from", pattern=r"^(|now|oldest|[0-9]{1,18})$")
    """`oldest`, `now`, or the `seq` of the last entry already seen. Default: `now` when following, else `oldest`."""
    follow: bool = False
    """Go on with what happens next."""
    stack: str = ""
    """Only this stack."""
    type: str = ""
    """Only this type or, ending at a dot, this family of types (`container`)."""
    snapshot: bool = False
    """Begin with one line `{"type": "snapshot"}` that holds every stack."""


class LogsQuery(Accepted):
    """Which lines."""

    service: tuple[str, ...] = ()
    """Only these services; may be given more than once."""
    tail: int | None = Field(default=None, ge=0, le=1_000_000)
    """Only the last lines of each container."""
    since: GivenInstant = None
    """Only lines not older than this (RFC 3339)."""
    follow: bool = False
    """Go on, over restarts and recreation."""
    timestamps: bool = False
    """Put the instant in front of each line (text only)."""


class ServicesBody(Accepted):
    """Which services a verb is for."""

    services: tuple[str, ...] = ()
    """Empty = all of the stack."""


class UpBody(ServicesBody):
    """What an `up` is for."""

    accept_loss: bool = False
    """Replace containers made by docker compose also where the new ones carry out fewer keys of the file."""


class OverrideBody(Accepted):
    """An override to set."""

    kind: Literal["stopped", "held", "paused", "scaled", "pinned", "released"]
    """`stopped`: made not to run. `held`: left as it is, neither started nor stopped. Not set so: the others."""
    reason: str = Field(default="", max_length=500)
    """Why, for people."""
    until: GivenInstant = None
    """When it ends by itself; null = until released."""
