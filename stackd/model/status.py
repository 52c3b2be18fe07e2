"""How stacks fare, for people and scripts: what the API serves and the CLI prints. Derived, never stored.

Instants are wall-clock Unix seconds (None = not known); the API writes them as RFC 3339 UTC. Nothing here is secret.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stackd.errors import Diagnostic
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import Override
from stackd.model.plan import FieldChange, Why
from stackd.model.view import Presence, ServiceState


class StackState(enum.StrEnum):
    """A stack in one word.

    RUNNING: every service is as wanted. CHANGING: something is under way or waits its turn. DEGRADED: a service fails,
    backs off or is blocked. INVALID: there never was a good definition. LOADING: not yet read or not yet seen.
    ORPHANED: no definition; containers run on. FAILED: the stack's own task ended by an error, to be started again.
    FROZEN: its definition is good and comes into force when a person says so.
    """

    RUNNING = "running"
    CHANGING = "changing"
    DEGRADED = "degraded"
    STOPPED = "stopped"
    INVALID = "invalid"
    LOADING = "loading"
    ORPHANED = "orphaned"
    REMOVING = "removing"
    FAILED = "failed"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """One container of a service. `adopted` = made by `docker compose`: it runs on when its stack is removed."""

    container: ContainerId
    name: str
    number: int
    state: ContainerState
    health: Health
    started_at: float | None
    finished_at: float | None
    exit_code: int | None
    image: str
    ports: tuple[str, ...]
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class RestartStatus:
    """The restart curve of a service: policy in words, failures in the window, next try, why the last run ended.

    `reset_at` is when the failures are forgotten if the present run lasts; None = nothing to forget, or not running.
    """

    policy: str
    attempt: int
    next_at: float | None
    reason: str
    last_exit: int | None
    oom: bool
    reset_at: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service. `detail` says in one line why it is not simply running; `image_outdated` = its tag has moved."""

    name: ServiceName
    state: ServiceState
    detail: str
    image: str
    replicas: tuple[ReplicaStatus, ...]
    wanted: int
    restart: RestartStatus
    image_outdated: bool
    override: Override | None


@dataclass(frozen=True, slots=True)
class StackStatus:
    """One stack. `generation` counts the definitions read as good, `observed_generation` the last one fully applied.

    `diagnostics` are those of the newest text: errors among them mean that the last good definition stays in force.
    """

    name: StackName
    state: StackState
    detail: str
    presence: Presence
    generation: int
    observed_generation: int
    folder: str
    files: tuple[str, ...]
    services: tuple[ServiceStatus, ...]
    overrides: tuple[Override, ...]
    diagnostics: tuple[Diagnostic, ...]
    waiting_for: tuple[str, ...]
    foreign: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step of a plan in words: `action` (`create`, `start`, ...), what it acts on, why, and what it waits for."""

    action: str
    service: ServiceName | None
    target: str
    why: Why
    reason: str
    changes: tuple[FieldChange, ...]
    waits_for: tuple[str, ...]
    in_flight: bool
    progress: str


@dataclass(frozen=True, slots=True)
class PlanStatus:
    """The plan of a stack. `disruption` counts in words what running containers it stops, "" for none."""

    stack: StackName
    steps: tuple[StepStatus, ...]
    disruption: str


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of the history: `seq` grows by one, `type` is a dotted word (`container.exited`, `service.state`).

    `message` is the line a person reads; `data` are flat facts for scripts (exit_code, reason, operation, ...).
    """

    seq: int
    at: float
    stack: StackName
    service: ServiceName | None
    type: str
    message: str
    data: tuple[tuple[str, str | int | float | bool | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the daemon can do its work, by part: "" = well, else what is wrong."""

    engine: str
    events: str
    watcher: str
    journal: str
    sources: str

    @property
    def ready(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.engine or self.events or self.watcher or self.journal or self.sources)
