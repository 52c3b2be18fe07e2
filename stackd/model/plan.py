"""What is to be done, in order, and why: operations, steps, blockers, plans.

One operation = one engine call. Reasons explain an operation and take no part in its equality: the same call wanted for
another reason is the same call.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from stackd.errors import Span
from stackd.model.ids import ContainerId, NetworkId, OperationId, ServiceName
from stackd.model.spec import BuildSpec, NetworkSpec, ServiceSpec, VolumeSpec


class Why(enum.StrEnum):
    """Every cause for which stackd acts. A running container is stopped only for one of these."""

    MISSING = "missing"
    CONFIG_CHANGED = "config_changed"
    CONTENT_CHANGED = "content_changed"
    IMAGE_CHANGED = "image_changed"
    NETWORK_CHANGED = "network_changed"
    MOUNT_CHANGED = "mount_changed"
    EXITED = "exited"
    UNSTARTABLE = "unstartable"
    UNHEALTHY = "unhealthy"
    ORPHANED = "orphaned"
    STACK_REMOVED = "stack_removed"
    SURPLUS = "surplus"
    REQUESTED = "requested"
    STOPPED_BY_OVERRIDE = "stopped_by_override"
    DEPENDENCY_RESTARTED = "dependency_restarted"
    PARENT_REPLACED = "parent_replaced"
    REPLACED = "replaced"
    ENGINE_RESTARTED = "engine_restarted"
    ADOPTED = "adopted"
    RELEASED = "released"
    ROLLED_BACK = "rolled_back"
    NEEDED = "needed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One edited field: its path in the service, printable values before and after (None = absent; equal ones =
    what differs is hidden), its place."""

    field: str
    before: str | None
    after: str | None
    span: Span | None = None

    def __str__(self) -> str:
        where = f" ({self.span})" if self.span else ""
        if self.before == self.after:
            what = "" if self.after is None or self.after.startswith("(hidden") else f", a hidden part of {self.after}"
            return f"{self.field}: changed{what}{where}"
        before, after = (value if value is not None else "absent" for value in (self.before, self.after))
        return f"{self.field}: {before} -> {after}{where}"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an operation is planned: the kind of cause, one human-readable line, and the edited fields of an edit."""

    why: Why
    detail: str = ""
    changes: tuple[FieldChange, ...] = ()

    def __str__(self) -> str:
        return self.detail or self.why.value.replace("_", " ")


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """Create container `number` of a service; named `name`, for a while, when it `replaces` another."""

    spec: ServiceSpec
    number: int
    name: str
    replaces: ContainerId | None
    reason: Reason = field(compare=False)

    @property
    def service(self) -> ServiceName:
        """The service it is for."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Start a created or ended container."""

    service: ServiceName
    container: ContainerId
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class StopContainer:
    """Stop a run: `started_at` names it, so that the stop never meets the next one.

    `grace` in seconds, None = the engine's own (10 s, or what the container was made with); `restart` = another run is
    to follow.
    """

    service: ServiceName
    container: ContainerId
    started_at: float
    grace: float | None = field(compare=False)
    restart: bool = field(compare=False)
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Remove a container that does not run. `volumes` = its anonymous volumes go with it."""

    service: ServiceName
    container: ContainerId
    volumes: bool
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class RenameContainer:
    """Give a replacement its final name."""

    service: ServiceName
    container: ContainerId
    name: str
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class PullImage:
    """Fetch an image. `request` tells one asked-for pull from another (None = because it is missing)."""

    service: ServiceName
    ref: str
    platform: str
    request: OperationId | None
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class BuildImage:
    """Build a service's image and tag it `ref`."""

    service: ServiceName
    ref: str
    build: BuildSpec
    request: OperationId | None
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class CreateNetwork:
    """Make a network of the stack."""

    spec: NetworkSpec = field(compare=False)
    name: str
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    """Remove a network of the stack that nothing of ours uses any more."""

    network: NetworkId
    name: str
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class CreateVolume:
    """Make a named volume of the stack."""

    spec: VolumeSpec = field(compare=False)
    name: str
    reason: Reason = field(compare=False)


@dataclass(frozen=True, slots=True)
class UpdateRestartPolicy:
    """Set the engine's own restart policy: `no` when we take a container over, the file's when we hand it back."""

    service: ServiceName
    container: ContainerId
    policy: str
    retries: int
    reason: Reason = field(compare=False)


Op = (
    CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | RenameContainer
    | PullImage
    | BuildImage
    | CreateNetwork
    | RemoveNetwork
    | CreateVolume
    | UpdateRestartPolicy
)


class BlockerKind(enum.StrEnum):
    """What a step waits for."""

    STEP = "step"
    DEPENDENCY = "dependency"
    BACKOFF = "backoff"
    OBSERVATION = "observation"
    EVIDENCE = "evidence"
    EXTERNAL = "external"
    ENGINE = "engine"
    CONFIRMATION = "confirmation"
    PAUSED = "paused"
    FINAL = "final"
    ORDER = "order"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a step is not started now. `until` (monotonic seconds) when time alone will end it; else None."""

    kind: BlockerKind
    detail: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One operation and what it waits for; nothing = it belongs to the frontier."""

    op: Op
    blocked_by: tuple[Blocker, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is to be done for a stack, in order."""

    steps: tuple[Step, ...] = ()

    @property
    def ops(self) -> frozenset[Op]:
        """Every operation of the plan, blocked or not."""
        return frozenset(step.op for step in self.steps)

    def frontier(self) -> tuple[Op, ...]:
        """The operations that nothing blocks now."""
        return tuple(step.op for step in self.steps if not step.blocked_by)


def service_of(op: Op) -> ServiceName | None:
    """The service that an operation touches, None for networks and volumes."""
    match op:
        case CreateNetwork() | RemoveNetwork() | CreateVolume():
            return None
        case _:
            return op.service
