"""What a decision is made from and what it yields: View in, Decision out.

Law: `version` counts inputs only. The ledger is the decision's own memory; it may only delay or forbid, and deleting it
at any instant must not keep a stack from converging.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackd.errors import Diagnostic, EngineErrorKind
from stackd.model.evidence import Condemned, Evidence
from stackd.model.ids import ContainerId, ImageId, InstanceName, ServiceName, StackName
from stackd.model.observed import Incarnation, ObservedStack
from stackd.model.override import Override, OverrideKind, Request
from stackd.model.plan import FieldChange, Op, Plan
from stackd.model.spec import Project


class Presence(enum.StrEnum):
    """Where a stack's definition is. MISSING: folder there, no readable file, or a dangling link: everything runs on.

    GOING: its entry is gone, not yet long enough to be believed: what runs, runs on, and nothing is started.
    REMOVED: its entry has been gone from an unchanged, readable stacks directory long enough to be believed.
    """

    PRESENT = "present"
    MISSING = "definition_missing"
    GOING = "going"
    REMOVED = "removed"


EDIT_NOT_TAKEN = "edit-not-taken"
"""The code of the diagnostic of an edit that is not taken yet, because a file of the stack changes too often."""


@dataclass(frozen=True, slots=True)
class DesiredStack:
    """The desired side of one stack. `project` is the last good definition, None when there never was one.

    `diagnostics` are those of the newest text, which may not be in force; `services_settled` says that the set of
    services was read twice, a second apart, so that what is absent may be removed. `generation` counts the definitions
    that came into force. `waits`: why a definition that is good is not in force until a person says so, "" = it is.
    """

    name: StackName
    project: Project | None
    diagnostics: tuple[Diagnostic, ...] = ()
    presence: Presence = Presence.PRESENT
    services_settled: bool = True
    generation: int = 0
    folder: Path | None = None
    root: Path | None = None
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Calls of one kind that went wrong in a row for one service (or network, volume): job results, an input.

    `at` is the monotonic instant of the last answer, `first_at` of the first in the row,
    `fingerprint` the definition it was tried with.
    """

    key: str
    service: ServiceName | None
    count: int
    at: float
    kind: EngineErrorKind
    message: str
    fingerprint: str = ""
    first_at: float = 0.0


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Cross-stack facts, one value for all.

    `engine_problem` says in words why there is no contact with the engine, "" = there is or none was tried yet.
    `storm` says in words why the host is suspected, "" = it is not (supervision.md, storm guard).
    `engine_started_at` and `engine_lost_at` (the last moment at which contact broke) are wall clock, 0.0 = unknown;
    `health_ignored_until` and `contact_at`, the beginning of the present contact, are monotonic.
    """

    instance: InstanceName
    roots: tuple[str, ...] = ()
    engine_up: bool = False
    engine_problem: str = ""
    engine_epoch: int = 0
    contact_at: float = 0.0
    engine_started_at: float = 0.0
    engine_lost_at: float = 0.0
    api_version: tuple[int, int] = (1, 41)
    sources_loaded: bool = False
    frozen: str = ""
    storm: str = ""
    health_ignored_until: float = 0.0
    on_external_stop_hold: bool = True
    on_external_remove_hold: bool = False


@dataclass(frozen=True, slots=True)
class Death:
    """A run that ended by itself: seen by us at `seen_at` (monotonic), with the engine's exit code."""

    run: Incarnation
    seen_at: float
    exit_code: int
    oom: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ServiceLedger:
    """What is remembered of one service, all of it forgettable.

    `fingerprint`, `image`: the definition and the image id it counts for. `deaths`: since the last reset, oldest first,
    the newest 20; `attempts` counts them all. `health_restarts`: runs ended for their health, and when. `completed`:
    runs that ended by themselves with success. `stable`, `stable_since`: the newest run, and since when all replicas
    run and, if they have a check, are healthy; `sick`, `sick_since`: a replica that is unhealthy, and since when.
    `forgiven`: the newest request that cleared the curve.
    `usurped`: containers that another hand put in the place of one of ours, and when (monotonic): two controllers.
    """

    fingerprint: str = ""
    deaths: tuple[Death, ...] = ()
    attempts: int = 0
    health_restarts: tuple[tuple[Incarnation, float], ...] = ()
    completed: frozenset[Incarnation] = frozenset()
    stable: Incarnation | None = None
    stable_since: float = 0.0
    sick: Incarnation | None = None
    sick_since: float = 0.0
    forgiven: str = ""
    usurped: tuple[tuple[ContainerId, float], ...] = ()
    image: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The memory of a stack's decisions, by service."""

    services: Mapping[ServiceName, ServiceLedger] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pin:
    """An earlier definition that a rollback puts in force: its number, the definition, the images it ran (by id)."""

    number: int
    project: Project
    images: Mapping[ServiceName, ImageId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LostPin:
    """A revision that a rollback names and that cannot be read any more: until that ends, nothing is changed."""

    number: int
    problem: str

    def __str__(self) -> str:
        return f"revision {self.number} cannot be read any more, so nothing is changed: {self.problem}"


@dataclass(frozen=True, slots=True)
class View:
    """Everything a decision may look at.

    `running` are the operations in flight; `answered` tells, by service (None = the stack's networks and volumes), when
    its last operation was answered: an observation sent before that does not count. `fetched` are the pulls and builds
    done for a request (id, service); `changes` explains, by service, the last edit of its definition. `pin` is the
    revision that a PINNED override names, once it is read or found to be lost; `created` are the containers that this
    life of the daemon made; `hidden` are the values of its newest definitions that may stand in no message.
    """

    stack: StackName
    version: int
    desired: DesiredStack | None
    observed: ObservedStack | None
    host: HostFacts
    ledger: Ledger = Ledger()
    evidence: Mapping[ContainerId, Evidence] = field(default_factory=dict)
    condemned: Mapping[ContainerId, Condemned] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    requests: tuple[Request, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    fetched: frozenset[tuple[str, ServiceName]] = frozenset()
    running: frozenset[Op] = frozenset()
    answered: Mapping[ServiceName | None, float] = field(default_factory=dict)
    changes: Mapping[ServiceName, tuple[FieldChange, ...]] = field(default_factory=dict)
    pin: Pin | LostPin | None = None
    created: frozenset[ContainerId] = frozenset()
    hidden: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def pinned(self) -> Pin | None:
        """The revision that is in force instead of the newest text, None = the newest text is."""
        pin = self.pin
        if not isinstance(pin, Pin):
            return None
        stands = any(o.kind is OverrideKind.PINNED and o.value == pin.number for o in self.overrides)
        return pin if stands else None

    @property
    def standing(self) -> tuple[Override, ...]:
        """The overrides that say of services whether they run: all but a rollback."""
        return tuple(override for override in self.overrides if override.kind is not OverrideKind.PINNED)

    @property
    def released(self) -> bool:
        """Whether the stack was given back to the engine: nothing of it is touched until it is adopted."""
        return any(override.kind is OverrideKind.RELEASED for override in self.overrides)

    @property
    def project(self) -> Project | None:
        """The definition in force: a pinned revision's, else the last good one of the files."""
        pin = self.pinned
        if pin is not None:
            return pin.project
        return self.desired.project if self.desired is not None else None

    @property
    def alive(self) -> bool:
        """Whether there is still anything to keep: a definition, containers or networks of ours, a call in flight.

        Not read yet is not absent: what was asked of a stack must outlast the time until its file is read.
        """
        seen = self.observed is None or bool(self.observed.containers or self.observed.networks)
        return self.desired is not None or seen or bool(self.running) or not self.host.sources_loaded


@dataclass(frozen=True, slots=True)
class Now:
    """The two clocks, in seconds: monotonic for delays, wall for the engine's instants."""

    mono: float
    wall: float


class ServiceState(enum.StrEnum):
    """A service in one word, as status shows it."""

    RUNNING = "running"
    HEALTHY = "healthy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"
    COMPLETED = "completed"
    EXITED = "exited"
    STOPPED = "stopped"
    HELD = "held"
    PAUSED = "paused"
    PENDING = "pending"
    PULLING = "pulling"
    BUILDING = "building"
    WAITING = "waiting"
    BACKING_OFF = "backing_off"
    CRASH_LOOPING = "crash_looping"
    BLOCKED = "blocked"
    STOPPING = "stopping"
    STUCK = "stuck"
    REMOVING = "removing"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ServiceVerdict:
    """How a service fares by the decision just made. `detail` says in one line why it is not simply running.

    `next_at`: monotonic instant of the next try, if time alone decides; `settled`: nothing more will happen by itself;
    `good`: it is as its definition and overrides want it.
    """

    service: ServiceName
    state: ServiceState
    detail: str = ""
    attempt: int = 0
    next_at: float | None = None
    settled: bool = False
    good: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` yields: the plan, the new memory, when to look again, how every service fares, which requests are
    done, which overrides an edit or their end has released, and which holds the decision itself asks for (two
    controllers: no fight).
    """

    plan: Plan
    ledger: Ledger
    wake_at: float | None = None
    verdicts: tuple[ServiceVerdict, ...] = ()
    done: frozenset[str] = frozenset()
    released: tuple[Override, ...] = ()
    holds: tuple[Override, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
