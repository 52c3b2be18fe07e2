"""The seam to the engine: a Protocol of exactly the calls that stackd makes.

Law: every method may raise `EngineError` and nothing else (CancelledError apart); every call has its deadline inside;
`unavailable` and `timeout` say nothing about the outcome. What comes back is parsed: no raw JSON leaves this seam.
What it does not do: retry, remember, decide.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from stackd.model.evidence import EngineEvent
from stackd.model.ids import ContainerId, InstanceName, NetworkId, StackName
from stackd.model.observed import (
    ContainerRow,
    HealthProbe,
    ObservedContainer,
    ObservedImage,
    ObservedNetwork,
    ObservedVolume,
)
from stackd.model.spec import BuildSpec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Who answers. `started_at`: wall clock of this engine process's start as far as it tells (0.0 = unknown)."""

    version: str
    api_version: tuple[int, int]
    started_at: float = 0.0
    engine_id: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a pull or a build fares: what is being done, and percent when it can be told."""

    text: str
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One complete line of a container's output, without its newline; `at` is the engine's timestamp in nanoseconds."""

    container: ContainerId
    stream: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A `POST /containers/create`, plus the networks to connect before the start where one create cannot name all."""

    name: str
    body: Mapping[str, Json]
    platform: str = ""
    connects: tuple[tuple[str, Mapping[str, Json]], ...] = field(default=())


class Engine(Protocol):
    """An engine, real or fake. The same contract tests (tests/contract) hold for both."""

    async def info(self) -> EngineInfo:
        """Negotiate anew and tell who answers."""

    async def ping_fresh(self, timeout: float) -> bool:
        """Whether a *new* connection answers `/_ping` in time: the one proof that the engine is not shutting down."""

    async def obstacle(self, timeout: float) -> str:
        """Why `ping_fresh` is false: which address was tried, what came of it, what to look at; "" = it is true."""

    async def list_containers(self, stack: StackName | None, instance: InstanceName) -> tuple[ContainerRow, ...]:
        """All containers of a Compose project, running or not; with `stack` None those of every project.

        None that only inherits the project's labels from its image (`translate.labels.is_of_a_project`), here or in
        `events`: the classic builder makes such for each step.

        A row with signature "" must always be inspected.
        """

    async def inspect_container(self, container: ContainerId) -> ObservedContainer | None:
        """One container, None when it is not there."""

    async def health_log(self, container: ContainerId) -> tuple[HealthProbe, ...]:
        """The newest runs of its health check (the engine keeps five), oldest first; none when it is not there."""

    async def list_networks(self, stack: StackName) -> tuple[ObservedNetwork, ...]:
        """The networks that carry the project's label."""

    async def find_network(self, name: str) -> ObservedNetwork | None:
        """A network by its exact name."""

    async def list_volumes(self, stack: StackName) -> tuple[ObservedVolume, ...]:
        """The volumes that carry the project's label."""

    async def find_volume(self, name: str) -> ObservedVolume | None:
        """A volume by its exact name."""

    async def inspect_image(self, ref: str) -> ObservedImage | None:
        """A local image, None when it is not there."""

    async def create_container(self, request: CreateRequest) -> ContainerId:
        """Create, and connect the networks that the create call could not name; nothing stays behind if that fails."""

    async def start_container(self, container: ContainerId) -> None:
        """Start; already running is success.

        `missing`: the container, its network or its namespace's parent is gone (the message tells which); `conflict`:
        the parent does not run; `failed`: a port is taken, a program or a mount is not there. Never `bad_request`.
        """

    async def stop_container(self, container: ContainerId, grace: float | None) -> None:
        """Stop with its own signal and grace (seconds, None = the container's); already stopped or gone is success.

        The deadline is grace + 15 s; with None 10 s are assumed, so give the grace where the container's is longer.
        """

    async def remove_container(self, container: ContainerId, *, volumes: bool) -> None:
        """Remove a container that does not run; gone already is success. Never forced."""

    async def rename_container(self, container: ContainerId, name: str) -> None:
        """Rename."""

    async def update_restart_policy(self, container: ContainerId, policy: str, retries: int) -> None:
        """Set the engine's own restart policy."""

    async def create_network(self, body: Mapping[str, Json]) -> NetworkId:
        """Create a network; one of that name with the same project label is success (serialised: engine.md 1.1)."""

    async def remove_network(self, network: NetworkId) -> None:
        """Remove a network; gone already is success."""

    async def create_volume(self, body: Mapping[str, Json]) -> None:
        """Create a named volume; there already is success."""

    async def pull_image(self, ref: str, platform: str, progress: Callable[[Progress], None]) -> None:
        """Fetch an image with the user's credentials; 60 s without progress is a time-out."""

    async def build_image(
        self, build: BuildSpec, tag: str, labels: Mapping[str, str], progress: Callable[[Progress], None]
    ) -> None:
        """Build and tag an image; 60 s without progress is a time-out."""

    def events(self) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """Open the event stream (from now on); entered means that the engine has accepted it: list *after* that.

        Iteration never ends by itself: the stream's end is EngineError(unavailable). Read on without waiting for
        anything else: nothing is buffered here, and an engine drops events for a reader that is slow.
        """

    def logs(
        self, container: ContainerId, *, tail: int | None, since: int, follow: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        """A container's log lines since an instant (nanoseconds, inclusive, 0 = all); with `follow` until it ends.

        In the order in which they were written: a line may be older than the one before it, or as old.
        """

    async def close(self) -> None:
        """Close all connections."""
