"""What events told about how a container's run ended: the second, weaker input.

Evidence may delay, forbid or explain a start; it never proves that a container exists. Losing it costs a hold, never a
start. Instants here are monotonic seconds of our own clock, except `time_nano` (the engine's).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.plan import Why


class EventKind(enum.StrEnum):
    """The engine events that mean something to us; everything else is dropped by the reader."""

    CREATE = "create"
    START = "start"
    RESTART = "restart"
    DIE = "die"
    KILL = "kill"
    STOP = "stop"
    OOM = "oom"
    DESTROY = "destroy"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    RENAME = "rename"
    UPDATE = "update"
    HEALTH = "health_status"
    NETWORK = "network"
    VOLUME = "volume"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One event. For networks, volumes and images only `kind`, `actor` (name or id), `action` and `stack` are set."""

    kind: EventKind
    actor: str
    action: str
    stack: StackName
    time_nano: int
    service: ServiceName = ServiceName("")
    container: ContainerId = ContainerId("")
    name: str = ""
    exit_code: int | None = None
    signal: int | None = None
    oneoff: bool = False


class Verdict(enum.StrEnum):
    """Who ended a run: pending while the proof is being looked for; restarted = the next run has begun already;
    released = another hand had stopped it, and the hold that came of it is over."""

    PENDING = "pending"
    RESTARTED = "restarted"
    OWN = "own"
    FOREIGN_STOP = "foreign_stop"
    RELEASED = "released"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The events of one container's current run.

    `started_at` is the run that we knew when the first of them came (0 = unknown).

    `kill_at`, `stop_at`, `died_at`: monotonic instants at which we received them, None = not received. `removal`: it is
    about the removal of a container, seen at `stop_at`, not about a stop. `paused_at`: since when another hand has
    paused it (wall clock), None = it has not, or nobody told. `over_at`: since when lists show that the run
    is over, its container ended or gone (monotonic); None = they do not, or we removed it. `begun_at`: since when the
    next run is told of (monotonic), which no list may show yet.
    """

    container: ContainerId
    service: ServiceName
    started_at: float
    kill_at: float | None = None
    stop_at: float | None = None
    died_at: float | None = None
    signal: int | None = None
    exit_code: int | None = None
    oom: bool = False
    verdict: Verdict = Verdict.UNPROVEN
    removal: bool = False
    paused_at: float | None = None
    over_at: float | None = None
    begun_at: float | None = None


@dataclass(frozen=True, slots=True)
class Condemned:
    """A stop that we sent, and why: its container's end is ours, whatever the exit code says.

    `restart` = the run is to be followed by another one (a health restart, a request, a dependency); else the stop
    stands (a hold) or its container is to be replaced or removed.
    """

    container: ContainerId
    started_at: float
    why: Why
    reason: str
    restart: bool
