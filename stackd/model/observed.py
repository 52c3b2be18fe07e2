"""What the engine says is there: the observed side. Made only by `stackd.translate` (and by tests' fakes).

Instants are the engine's wall clock (Unix seconds, 0.0 = never), never ages: what did not change compares equal.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from stackd.model.ids import ContainerId, ImageId, NetworkId, ServiceName, StackName

CARRIED_KEYS = (
    "blkio_config", "cap_add", "cap_drop", "cgroup_parent", "cpu_period", "cpu_quota", "cpu_shares", "cpus", "cpuset",
    "deploy.resources", "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "extra_hosts", "gpus",
    "group_add", "mem_limit", "mem_reservation", "oom_kill_disable", "oom_score_adj", "pids_limit", "privileged",
    "read_only", "security_opt", "storage_opt", "sysctls", "userns_mode", "uts",
)  # fmt: skip
"""The keys of a Compose service whose effect on a container the engine shows (`ObservedContainer.carried`)."""


class ContainerState(enum.StrEnum):
    """The engine's container states; UNKNOWN = its inspect failed, so nothing may be done to it."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Health(enum.StrEnum):
    """The engine's verdict; counts only while the container runs."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One run of one container: its id and the instant of its start."""

    container: ContainerId
    started_at: float


@dataclass(frozen=True, slots=True)
class ObservedMount:
    """A mount of a container; `source` is the volume's name or the host path."""

    kind: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class ObservedDependency:
    """An entry of the label `com.docker.compose.depends_on`: orders the stops of a stack whose file is gone."""

    service: ServiceName
    condition: str
    restart: bool


@dataclass(frozen=True, slots=True)
class ObservedContainer:
    """One container of a Compose project, as inspected."""

    id: ContainerId
    name: str
    stack: StackName
    service: ServiceName
    number: int
    state: ContainerState
    health: Health = Health.NONE
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    pid: int = 0
    image: str = ""
    image_id: ImageId = ImageId("")
    config_hash: str = ""
    content: str = ""
    instance: str = ""
    root: str = ""
    working_dir: str = ""
    oneoff: bool = False
    hook: bool = False
    replaces: str = ""
    engine_policy: str = "no"
    stop_grace: float | None = None
    networks: Mapping[str, NetworkId] = field(default_factory=dict)
    mounts: tuple[ObservedMount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    network_mode: str = ""
    ipc_mode: str = ""
    pid_mode: str = ""
    depends_on: tuple[ObservedDependency, ...] = ()
    ports: tuple[str, ...] = ()
    health_output: str = ""
    carried: frozenset[str] = frozenset()
    """Which of `CARRIED_KEYS` are in effect."""
    lost: bool = False
    """Paused, and its process is known to be dead: no event tells, and the engine goes on calling it paused."""

    @property
    def incarnation(self) -> Incarnation:
        """This run of it."""
        return Incarnation(self.id, self.started_at)

    @property
    def live(self) -> bool:
        """Whether a process of it may exist."""
        return self.state in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)

    @property
    def running(self) -> bool:
        """Whether it runs (and is not paused)."""
        return self.state is ContainerState.RUNNING

    @property
    def ended(self) -> bool:
        """Whether it ran and runs no more."""
        return self.state in (ContainerState.EXITED, ContainerState.DEAD)


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """One line of the engine's list: enough to know whether an inspect is due. `signature` changes with its state."""

    id: ContainerId
    name: str
    stack: StackName
    instance: str
    signature: str
    service: ServiceName = ServiceName("")
    number: int = 0
    working_dir: str = ""
    config_files: str = ""
    oneoff: bool = False
    running: bool = False


@dataclass(frozen=True, slots=True)
class HealthProbe:
    """One run of a health check, as the engine keeps it: when it began, its exit code, its output (cut)."""

    at: float
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class ObservedNetwork:
    """A network, found by the project's label or by the name that a definition gives."""

    id: NetworkId
    name: str
    stack: StackName
    key: str = ""
    instance: str = ""
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class ObservedVolume:
    """A named volume, found by the project's label or by the name that a definition gives."""

    name: str
    stack: StackName
    key: str = ""


@dataclass(frozen=True, slots=True)
class ObservedImage:
    """A local image. `volumes` are the paths for which it asks an anonymous volume.

    `build` is the label `io.stackd.build`: the digest of the build definition, when we built it. `digests` are its
    names in registries (`repo@sha256:...`).
    """

    ref: str
    id: ImageId
    volumes: tuple[str, ...] = ()
    has_healthcheck: bool = False
    build: str = ""
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservedStack:
    """Everything of one stack, seen at once. `sent_at` (monotonic) is when the first request for it was sent.

    `images` has a key for every image that was asked about, None when it is not there. Equality ignores `sent_at`.
    """

    stack: StackName
    containers: tuple[ObservedContainer, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    images: Mapping[str, ObservedImage | None] = field(default_factory=dict)
    sent_at: float = field(default=0.0, compare=False)
