"""`DockerEngine`: the engine Protocol on a real engine, one method per API call.

Law: every call has its deadline; an engine that answers "already so" (304, 404 on removal) has said yes; whatever else
goes wrong is an EngineError of `failures`. What this module does not do: retry, shield from cancellation, remember.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import quote

from stackd.engine import images, probe
from stackd.engine.base import CreateRequest, Engine, EngineInfo, Json, LogLine, Progress
from stackd.engine.build import BuildRequest, build_image
from stackd.engine.deadlines import Deadlines
from stackd.engine.logs import LogLines
from stackd.engine.networks import Networks
from stackd.engine.processes import Processes
from stackd.engine.wire import Ask, Stream, Wire
from stackd.errors import EngineError, EngineErrorKind
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
from stackd.translate import events as event
from stackd.translate import labels as label
from stackd.translate import observed
from stackd.translate.image import image
from stackd.translate.node import Node

T = TypeVar("T")

_SHORT = 12


class DockerEngine:
    """An engine behind a Unix socket (`unix:///path`). Made inside a running event loop; raises ConfigError for other
    addresses. `deadlines` in seconds."""

    def __init__(self, url: str, deadlines: Deadlines = Deadlines()) -> None:  # noqa: B008
        self._wire = Wire(url)
        self._deadlines = deadlines
        self._networks = Networks(self._wire, deadlines)
        self._processes = Processes()

    # Looking

    async def info(self) -> EngineInfo:
        """See `Engine.info`. `started_at`: the engine makes its default network anew at each start; where it keeps it
        (live restore), the listening process tells. Both are right or too early, so the later one counts."""
        self._processes.forget()
        version = await self._wire.negotiate(self._deadlines.look)
        told = await self._look("info", "ask who the engine is")
        bridge = await self._find("networks/bridge", "look up the default network", lambda node: node)
        made = observed.instant(bridge.text("Created")) if bridge is not None else 0.0
        process = await probe.process_started_at(self._wire.socket, self._deadlines.look)
        return EngineInfo(
            version=version.text("Version"),
            api_version=await self._wire.ready(self._deadlines.look),
            started_at=max(made, process),
            engine_id=told.text("ID"),
        )

    async def ping_fresh(self, timeout: float) -> bool:
        """See `Engine.ping_fresh`."""
        return await probe.ping(self._wire.socket, timeout)

    async def obstacle(self, timeout: float) -> str:
        """See `Engine.obstacle`."""
        reason = await probe.obstacle(self._wire.socket, timeout)
        return probe.unreachable(self._wire.socket, reason) if reason else ""

    async def list_containers(self, stack: StackName | None, instance: InstanceName) -> tuple[ContainerRow, ...]:
        """See `Engine.list_containers`."""
        wanted = label.PROJECT if stack is None else f"{label.PROJECT}={stack}"
        rows = await self._look("containers/json", "list containers", all=True, filters={"label": [wanted]})
        return observed.container_rows(rows)

    async def inspect_container(self, container: ContainerId) -> ObservedContainer | None:
        """See `Engine.inspect_container`."""
        found = await self._find(f"containers/{container}/json", f"inspect {_short(container)}", observed.container)
        return None if found is None else self._processes.told(found)

    async def health_log(self, container: ContainerId) -> tuple[HealthProbe, ...]:
        """See `Engine.health_log`."""
        what = f"read the health log of {_short(container)}"
        return await self._find(f"containers/{container}/json", what, observed.health_log) or ()

    async def list_networks(self, stack: StackName) -> tuple[ObservedNetwork, ...]:
        """See `Engine.list_networks`."""
        rows = await self._look("networks", "list networks", filters={"label": [f"{label.PROJECT}={stack}"]})
        return tuple(observed.network(row) for row in rows.items())

    async def find_network(self, name: str) -> ObservedNetwork | None:
        """See `Engine.find_network`."""
        found = await self._networks.named(name)
        return found[0] if found else None

    async def list_volumes(self, stack: StackName) -> tuple[ObservedVolume, ...]:
        """See `Engine.list_volumes`."""
        answer = await self._look("volumes", "list volumes", filters={"label": [f"{label.PROJECT}={stack}"]})
        return tuple(observed.volume(row) for row in answer["Volumes"].items())

    async def find_volume(self, name: str) -> ObservedVolume | None:
        """See `Engine.find_volume`."""
        return await self._find(f"volumes/{quote(name, safe='')}", f"look up volume {name}", observed.volume)

    async def inspect_image(self, ref: str) -> ObservedImage | None:
        """See `Engine.inspect_image`."""
        path = f"images/{quote(ref, safe='/:@')}/json"
        return await self._find(path, f"inspect image {ref}", lambda node: image(ref, node))

    async def _look(self, path: str, doing: str, **params: Json) -> Node:
        return await self._wire.ask(Ask("GET", path, doing, params), self._deadlines.look)

    async def _find(self, path: str, doing: str, parse: Callable[[Node], T]) -> T | None:
        try:
            return parse(await self._look(path, doing))
        except EngineError as error:
            if error.kind is EngineErrorKind.MISSING:
                return None
            raise

    # Changing

    async def create_container(self, request: CreateRequest) -> ContainerId:
        """See `Engine.create_container`."""
        params: dict[str, Json] = {"name": request.name}
        if request.platform:
            params["platform"] = request.platform
        ask = Ask("POST", "containers/create", f"create {request.name}", params, body=request.body)
        container = ContainerId((await self._wire.ask(ask, self._deadlines.unary)).text("Id"))
        try:
            for network, endpoint in request.connects:
                await self._networks.connect(network, container, endpoint)
        except EngineError:
            await self._take_back(container)
            raise
        return container

    async def _take_back(self, container: ContainerId) -> None:
        """Remove what was made in vain; if that fails too, the next observation shows it by its labels."""
        try:
            await self.remove_container(container, volumes=True)
        except EngineError:
            return

    async def start_container(self, container: ContainerId) -> None:
        """See `Engine.start_container`. The engine's 400 (no such program, no permission) is `failed`: the request was
        good when the container was made, and may be so again."""
        ask = Ask("POST", f"containers/{container}/start", f"start {_short(container)}")
        try:
            await self._wire.ask(ask, self._deadlines.start)
        except EngineError as error:
            if error.kind is EngineErrorKind.BAD_REQUEST:
                raise EngineError(EngineErrorKind.FAILED, error.message, status=error.status) from error
            raise

    async def stop_container(self, container: ContainerId, grace: float | None) -> None:
        """See `Engine.stop_container`."""
        params: dict[str, Json] = {} if grace is None else {"t": math.ceil(grace)}
        ask = Ask("POST", f"containers/{container}/stop", f"stop {_short(container)}", params)
        await self._unless_gone(ask, self._deadlines.stop(grace))

    async def remove_container(self, container: ContainerId, *, volumes: bool) -> None:
        """See `Engine.remove_container`."""
        ask = Ask("DELETE", f"containers/{container}", f"remove {_short(container)}", {"v": volumes})
        await self._unless_gone(ask, self._deadlines.unary)

    async def rename_container(self, container: ContainerId, name: str) -> None:
        """See `Engine.rename_container`."""
        doing = f"rename {_short(container)} to {name}"
        await self._wire.ask(
            Ask("POST", f"containers/{container}/rename", doing, {"name": name}), self._deadlines.unary
        )

    async def update_restart_policy(self, container: ContainerId, policy: str, retries: int) -> None:
        """See `Engine.update_restart_policy`."""
        wanted: dict[str, Json] = {"Name": policy, "MaximumRetryCount": retries if policy == "on-failure" else 0}
        doing = f"set the restart policy of {_short(container)}"
        ask = Ask("POST", f"containers/{container}/update", doing, body={"RestartPolicy": wanted})
        await self._wire.ask(ask, self._deadlines.unary)

    async def create_network(self, body: Mapping[str, Json]) -> NetworkId:
        """See `Engine.create_network`."""
        return await self._networks.create(body)

    async def remove_network(self, network: NetworkId) -> None:
        """See `Engine.remove_network`."""
        ask = Ask("DELETE", f"networks/{network}", f"remove network {_short(network)}")
        await self._unless_gone(ask, self._deadlines.unary)

    async def create_volume(self, body: Mapping[str, Json]) -> None:
        """See `Engine.create_volume`."""
        ask = Ask("POST", "volumes/create", f"create volume {body.get('Name')}", body=body)
        await self._wire.ask(ask, self._deadlines.unary)

    async def _unless_gone(self, ask: Ask, deadline: float) -> None:
        try:
            await self._wire.ask(ask, deadline)
        except EngineError as error:
            if error.kind is not EngineErrorKind.MISSING:
                raise

    # Images

    async def pull_image(self, ref: str, platform: str, progress: Callable[[Progress], None]) -> None:
        """See `Engine.pull_image`."""
        await images.pull(self._wire, ref, platform, progress, self._deadlines.silence)

    async def build_image(
        self, build: BuildSpec, tag: str, labels: Mapping[str, str], progress: Callable[[Progress], None]
    ) -> None:
        """See `Engine.build_image`."""
        deadlines = self._deadlines
        request = BuildRequest(build, tag, labels, progress, deadlines.silence, deadlines.packing)
        await build_image(self._wire, request)

    # Streams

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """See `Engine.events`."""
        filters: Json = {name: list(values) for name, values in event.FILTERS.items()}
        ask = Ask("GET", "events", "follow events", {"filters": filters})
        async with self._wire.stream(ask, self._deadlines.look) as stream:
            yield _Events(stream)

    @asynccontextmanager
    async def logs(
        self, container: ContainerId, *, tail: int | None, since: int, follow: bool
    ) -> AsyncIterator[AsyncIterator[LogLine]]:
        """See `Engine.logs`. Whether it has a terminal is asked first: 20.10 does not say so with the stream."""
        doing = f"read the log of {_short(container)}"
        document = await self._look(f"containers/{container}/json", doing)
        params: dict[str, Json] = {"stdout": True, "stderr": True, "timestamps": True, "follow": follow}
        params["tail"] = "all" if tail is None else str(tail)
        if since:
            params["since"] = f"{since // 1_000_000_000}.{since % 1_000_000_000:09d}"
        ask = Ask("GET", f"containers/{container}/logs", doing, params)
        async with self._wire.stream(ask, self._deadlines.look) as stream:
            yield LogLines(stream, container, tty=document["Config"].flag("Tty"))

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._wire.close()


class _Events:
    """The event stream: read straight from the socket, so that nothing piles up here. It ends only by EngineError."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> EngineEvent:
        while True:
            document = await self._stream.document()
            if document is None:
                raise EngineError(EngineErrorKind.UNAVAILABLE, "the engine ended the event stream")
            if (told := event.event(document)) is not None:
                return told


def _short(identifier: str) -> str:
    return identifier[:_SHORT]


def _keeps_the_protocol(engine: DockerEngine) -> Engine:
    return engine
