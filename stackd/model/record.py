"""What is kept of the past, and what is told from it: crashes, applied revisions, causes.

Instants are wall-clock Unix seconds. Nothing here is secret but log lines, which are the user's own, and `Applied`'s
texts, which are shown to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stackd.errors import Span
from stackd.model.ids import ContainerId, ImageId, ServiceName, StackName
from stackd.model.observed import HealthProbe
from stackd.model.plan import FieldChange
from stackd.model.view import ServiceState

RULE = 1
"""The rule by which values are hidden in what is recorded. Records of an earlier rule may hold values: what was edited
is taken out of them when they are read."""
EARLIER = "what was edited is not shown: an earlier stackd recorded it, which may have shown values"


@dataclass(frozen=True, slots=True)
class Crash:
    """One run that ended badly. `id` grows and is never used twice; `signal` None = it exited by itself.

    `cause` is the line that says how the end was judged (`exited 137, out of memory`; `unhealthy: ...`), `error` the
    engine's own text, if any.
    """

    id: int
    at: float
    stack: StackName
    service: ServiceName
    container: ContainerId
    name: str
    started_at: float
    exit_code: int
    signal: int | None
    oom: bool
    cause: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class CrashBundle:
    """A crash with its evidence: the last log lines (at most 200, oldest first), the newest health probes, what ran,
    and what was changed since the service last ran well.

    `gaps` names, in words, what could not be had (a log driver that cannot be read, an engine that did not answer).
    """

    crash: Crash
    image: str = ""
    image_id: ImageId = ImageId("")
    config_hash: str = ""
    revision: int | None = None
    logs: tuple[str, ...] = ()
    probes: tuple[HealthProbe, ...] = ()
    changes: tuple[FieldChange, ...] = ()
    stable_at: float | None = None
    gaps: tuple[str, ...] = ()
    rule: int = 0


@dataclass(frozen=True, slots=True)
class AppliedImage:
    """The image that a service of an applied revision ran: as the file names it, and which one that was.

    `digests` are its names in registries (`repo@sha256:...`), by which it can be fetched again.
    """

    ref: str
    id: ImageId
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """A definition that was in force with nothing left to do. `number` counts per stack from 1 and is never reused.

    `revision` is the JSON text of the `source.revision.Revision` that it was read from, so that it can be put in force
    again ("" = its files are too large to be kept); `resolved` is the definition as `stackd config` prints it, secrets
    redacted ("" = likewise); `changes` are the edited fields since the one before, one line each, without secrets.
    `failed`: a service of it began to crash loop soon after it was applied, and it has not run well since.
    """

    stack: StackName
    number: int
    at: float
    digest: str
    generation: int
    revision: str
    resolved: str
    services: tuple[ServiceName, ...] = ()
    images: Mapping[ServiceName, AppliedImage] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    failed: bool = False
    rule: int = 0


@dataclass(frozen=True, slots=True)
class WhyLink:
    """One link of a causal chain: what kind (`edit`, `event`, `decision`, `call`, `outcome`, `waiting`, `override`),
    when it was (None = it holds now), in words, and the place in a file when there is one."""

    kind: str
    text: str
    at: float | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class WhyAnswer:
    """Why a service is as it is: one headline, the chain of causes from first to last, and what comes next."""

    stack: StackName
    service: ServiceName
    state: ServiceState
    headline: str
    chain: tuple[WhyLink, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Adoptable:
    """A Compose project that runs on the engine and that no stacks directory holds.

    `obstacle` says in words why `adopt` would be refused, "" = it would not.
    """

    name: StackName
    working_dir: str
    config_files: tuple[str, ...]
    services: tuple[ServiceName, ...]
    containers: int
    running: int
    obstacle: str = ""
