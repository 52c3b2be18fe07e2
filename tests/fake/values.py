"""The values of the fake engine: how a process behaves, what an image is, what a fault does, what was called."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from stackd.errors import EngineError
from stackd.model.ids import ContainerId, ImageId, NetworkId
from stackd.model.observed import ContainerState, Health, HealthProbe, ObservedMount
from stackd.translate.labels import ContainerLabels


class Dialect(enum.Enum):
    """Whose manners the fake has: 20.10 says `die` before `stop`; 26 and 28 `stop` before `die`."""

    V20 = ("20.10.24", (1, 41))
    V26 = ("26.1.5", (1, 45))
    V28 = ("28.5.2", (1, 51))

    @property
    def version(self) -> str:
        """The engine's version."""
        return self.value[0]

    @property
    def api(self) -> tuple[int, int]:
        """Its API version."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a container's process does in one run. Seconds count from its start.

    `exits_after` None = it runs until stopped. `health`: verdicts in time order, only for a container with a health
    check. `start_error`: what the engine refuses the start with (the container stays created, with `start_exit_code`).
    `ignores_term`: only SIGKILL ends it. `stop_takes`: from the stop signal to its end, with `stop_code`.
    """

    exits_after: float | None = None
    exit_code: int = 0
    oom: bool = False
    health: tuple[tuple[float, Health], ...] = ((1.0, Health.HEALTHY),)
    start_error: EngineError | None = None
    start_exit_code: int = 127
    ignores_term: bool = False
    stop_takes: float = 0.05
    stop_code: int = 0


@dataclass(frozen=True, slots=True)
class FakeImage:
    """An image: of the local store or of the registry."""

    id: ImageId
    volumes: tuple[str, ...] = ()
    has_healthcheck: bool = False
    digests: tuple[str, ...] = ()


class FaultKind(enum.Enum):
    """What goes wrong with a call. HANG_* end in EngineError(timeout) at the deadline; *_AFTER had effect."""

    DELAY = "delay"
    DELAY_AFTER = "delay_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one call. `delay` (seconds) for DELAY*, `error` for ERROR_*."""

    kind: FaultKind
    delay: float = 0.0
    error: EngineError | None = None


@dataclass(slots=True)
class Call:
    """One call of the engine's Protocol: method, arguments as text, monotonic start and end, and how it ended."""

    method: str
    args: tuple[str, ...]
    at: float
    done_at: float | None = None
    outcome: str = "pending"


@dataclass(slots=True, eq=False)
class FakeContainer:
    """A container, mutable as the engine sees it. `stoppers` counts the stops that wait for its end; `left_task`: the
    engine's containerd holds a task of it that nobody can remove."""

    id: ContainerId
    name: str
    labels: ContainerLabels
    raw_labels: Mapping[str, str]
    image: str
    image_id: ImageId
    created_at: float
    env: tuple[str, ...] = ()
    has_healthcheck: bool = False
    stop_grace: float | None = None
    stop_signal: int = 15
    policy: str = "no"
    policy_retries: int = 0
    networks: dict[str, NetworkId] = field(default_factory=dict)
    mounts: tuple[ObservedMount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    network_mode: str = ""
    ipc_mode: str = ""
    pid_mode: str = ""
    host_ports: tuple[tuple[str, str, str], ...] = ()
    platform: str = ""
    carried: frozenset[str] = frozenset()
    state: ContainerState = ContainerState.CREATED
    health: Health = Health.NONE
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    pid: int = 0
    runs: int = 0
    engine_restarts: int = 0
    manner: Behaviour = field(default_factory=Behaviour)
    signalled: bool = False
    stopped_by_hand: bool = False
    dead_unseen: int | None = None
    left_task: bool = False
    stoppers: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    log: list[tuple[int, str, str]] = field(default_factory=list)
    probes: list[HealthProbe] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def live(self) -> bool:
        """Whether the engine says that it has a process."""
        return self.state in (ContainerState.RUNNING, ContainerState.PAUSED)
