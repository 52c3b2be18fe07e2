"""What a person asked for beside the files: overrides (they stand until released) and requests (done once)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.observed import Incarnation


class OverrideKind(enum.StrEnum):
    """STOPPED: made not to run (a stack: containers and networks removed, volumes kept). HELD: left as it is, neither
    started nor stopped. PAUSED, SCALED: as their names say. PINNED: an earlier revision, number `value`, is in force.
    RELEASED: the whole stack is the engine's own again, its file's restart policies put back, until it is adopted."""

    STOPPED = "stopped"
    HELD = "held"
    PAUSED = "paused"
    SCALED = "scaled"
    PINNED = "pinned"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Override:
    """One override; `service` None = the whole stack. `at`, `until` are wall-clock seconds; `until` None = no end.

    `definition` is the digest (stack) or config-hash (service) in force when it was made: another one is an edit, and
    an edit releases it. `value` is the number of a SCALED, the revision of a PINNED.
    """

    stack: StackName
    service: ServiceName | None
    kind: OverrideKind
    reason: str
    by: str
    at: float
    until: float | None = None
    definition: str = ""
    value: int | None = None


class Verb(enum.StrEnum):
    """What can be asked of a stack or of a service, once. RESUME: a START, because a hold or a stop was released."""

    UP = "up"
    DOWN = "down"
    START = "start"
    RESUME = "resume"
    STOP = "stop"
    RESTART = "restart"
    PULL = "pull"
    BUILD = "build"
    RECONCILE = "reconcile"
    ROLLBACK = "rollback"
    ADOPT = "adopt"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Request:
    """A one-time request, kept until it is done. `services` empty = all of the stack.

    `targets` are the runs that may not be the last word: a START or UP starts those of them that ended, a RESTART ends
    and starts them. Thus a request is a level too: once no container is in `targets` it is done, however often stackd
    was killed between. `accept_loss` (of an UP): a container may be replaced by one that carries out fewer keys of its
    file.
    """

    id: OperationId
    stack: StackName
    verb: Verb
    services: tuple[ServiceName, ...]
    by: str
    at: float
    targets: frozenset[Incarnation] = frozenset()
    accept_loss: bool = False


class OperationState(enum.StrEnum):
    """The life of a request as its sender sees it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Operation:
    """A request and how it fares. `detail` names what it waits for or why it failed; `changed` = something was done."""

    request: Request
    state: OperationState
    detail: str = ""
    changed: bool = False
    finished_at: float | None = None
