"""`FakeEngine`: the engine Protocol on a machine in memory; one method = one effect on the machine.

What this module does not do: decide what an engine does (`machine`, `power`, `making`, `starting`), or let calls fail
(`calls`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from stackd.engine.base import CreateRequest, Engine, EngineInfo, Json, LogLine, Progress
from stackd.errors import EngineErrorKind
from stackd.model.evidence import EngineEvent, EventKind
from stackd.model.ids import ContainerId, ImageId, InstanceName, NetworkId, StackName
from stackd.model.observed import (
    ContainerRow,
    ContainerState,
    HealthProbe,
    ObservedContainer,
    ObservedImage,
    ObservedNetwork,
    ObservedVolume,
)
from stackd.model.spec import BuildSpec
from stackd.translate.labels import is_of_a_project
from tests.fake import making, showing
from tests.fake.calls import Calls
from tests.fake.machine import refuse
from tests.fake.starting import start
from tests.fake.values import Call, FakeContainer, FakeImage


class FakeEngine(Calls):
    """An engine in memory; see `Calls` for its clocks. `close` is only recorded: the engine outlives its clients."""

    # Looking

    async def info(self) -> EngineInfo:
        """See `Engine.info`."""

        async def tell() -> EngineInfo:
            return EngineInfo(self.dialect.version, self.dialect.api, self.booted_at, "fake")

        return await self.call("info", (), tell, self.deadlines.look)

    async def ping_fresh(self, timeout: float) -> bool:
        """See `Engine.ping_fresh`; `fail("ping_fresh", ...)` makes it false."""
        call = Call("ping_fresh", (str(timeout),), asyncio.get_running_loop().time())
        self.calls.append(call)
        if self.up and not self.stopping and not self.awake.is_set():
            await self.sleep(timeout)
        answered = self.answers_fresh and self._next_fault(call) is None
        call.outcome = "ok" if answered else "unavailable"
        return answered

    async def obstacle(self, timeout: float) -> str:
        """See `Engine.obstacle`."""
        answered = await self.ping_fresh(timeout)
        return "" if answered else "no engine at unix:///fake.sock (connection refused): is Docker running?"

    async def list_containers(self, stack: StackName | None, instance: InstanceName) -> tuple[ContainerRow, ...]:
        """See `Engine.list_containers`."""

        async def tell() -> tuple[ContainerRow, ...]:
            wanted = (c for c in self.containers.values() if stack in (None, c.labels.stack))
            return tuple(showing.row(container) for container in wanted if is_of_a_project(container.raw_labels))

        return await self.call("list_containers", (stack, instance), tell, self.deadlines.look)

    async def inspect_container(self, container: ContainerId) -> ObservedContainer | None:
        """See `Engine.inspect_container`."""

        async def tell() -> ObservedContainer | None:
            found = self.containers.get(container)
            return showing.observed(found) if found is not None else None

        return await self.call("inspect_container", (container,), tell, self.deadlines.look)

    async def health_log(self, container: ContainerId) -> tuple[HealthProbe, ...]:
        """See `Engine.health_log`."""

        async def tell() -> tuple[HealthProbe, ...]:
            found = self.containers.get(container)
            return tuple(found.probes) if found is not None else ()

        return await self.call("health_log", (container,), tell, self.deadlines.look)

    async def list_networks(self, stack: StackName) -> tuple[ObservedNetwork, ...]:
        """See `Engine.list_networks`."""

        async def tell() -> tuple[ObservedNetwork, ...]:
            return tuple(network for network in self.networks.values() if network.stack == stack)

        return await self.call("list_networks", (stack,), tell, self.deadlines.look)

    async def find_network(self, name: str) -> ObservedNetwork | None:
        """See `Engine.find_network`."""

        async def tell() -> ObservedNetwork | None:
            return next((network for network in self.networks.values() if network.name == name), None)

        return await self.call("find_network", (name,), tell, self.deadlines.look)

    async def list_volumes(self, stack: StackName) -> tuple[ObservedVolume, ...]:
        """See `Engine.list_volumes`."""

        async def tell() -> tuple[ObservedVolume, ...]:
            return tuple(volume for volume in self.volumes.values() if volume.stack == stack)

        return await self.call("list_volumes", (stack,), tell, self.deadlines.look)

    async def find_volume(self, name: str) -> ObservedVolume | None:
        """See `Engine.find_volume`."""

        async def tell() -> ObservedVolume | None:
            return self.volumes.get(name)

        return await self.call("find_volume", (name,), tell, self.deadlines.look)

    async def inspect_image(self, ref: str) -> ObservedImage | None:
        """See `Engine.inspect_image`."""

        async def tell() -> ObservedImage | None:
            image = making.find_image(self, ref)
            if image is None:
                return None
            return ObservedImage(ref, image.id, image.volumes, image.has_healthcheck, digests=image.digests)

        return await self.call("inspect_image", (ref,), tell, self.deadlines.look)

    # Changing

    async def create_container(self, request: CreateRequest) -> ContainerId:
        """See `Engine.create_container`."""

        async def change() -> ContainerId:
            return making.create_container(self, request)

        return await self.call("create_container", (request.name,), change, self.deadlines.unary)

    async def start_container(self, container: ContainerId) -> None:
        """See `Engine.start_container`."""

        async def change() -> None:
            start(self, self.find(container))

        await self.call("start_container", (container,), change, self.deadlines.start)

    async def stop_container(self, container: ContainerId, grace: float | None) -> None:
        """See `Engine.stop_container`."""

        async def change() -> None:
            found = self.containers.get(container)
            if found is not None:
                await self.do_stop(found, grace)

        await self.call("stop_container", (container, grace), change, self.deadlines.stop(grace))

    async def remove_container(self, container: ContainerId, *, volumes: bool) -> None:
        """See `Engine.remove_container`."""

        async def change() -> None:
            found = self.containers.get(container)
            if found is None:
                return
            if found.live or found.state is ContainerState.RESTARTING:
                message = f"You cannot remove a running container {container}"
                raise refuse(EngineErrorKind.CONFLICT, message, 409)
            self.forget(found, volumes=volumes)

        await self.call("remove_container", (container, volumes), change, self.deadlines.unary)

    async def rename_container(self, container: ContainerId, name: str) -> None:
        """See `Engine.rename_container`."""

        async def change() -> None:
            found = self.find(container)
            if any(other.name == name for other in self.containers.values() if other is not found):
                raise refuse(EngineErrorKind.CONFLICT, f'The container name "/{name}" is already in use', 409)
            found.name = name
            self.emit(found, EventKind.RENAME)

        await self.call("rename_container", (container, name), change, self.deadlines.unary)

    async def update_restart_policy(self, container: ContainerId, policy: str, retries: int) -> None:
        """See `Engine.update_restart_policy`."""

        async def change() -> None:
            found = self.find(container)
            found.policy, found.policy_retries = policy, retries
            self.emit(found, EventKind.UPDATE)

        await self.call("update_restart_policy", (container, policy, retries), change, self.deadlines.unary)

    async def create_network(self, body: Mapping[str, Json]) -> NetworkId:
        """See `Engine.create_network`."""

        async def change() -> NetworkId:
            return making.create_network(self, body)

        return await self.call("create_network", (body.get("Name"),), change, self.deadlines.unary)

    async def remove_network(self, network: NetworkId) -> None:
        """See `Engine.remove_network`."""

        async def change() -> None:
            making.remove_network(self, network)

        await self.call("remove_network", (network,), change, self.deadlines.unary)

    async def create_volume(self, body: Mapping[str, Json]) -> None:
        """See `Engine.create_volume`."""

        async def change() -> None:
            making.create_volume(self, body)

        await self.call("create_volume", (body.get("Name"),), change, self.deadlines.unary)

    async def pull_image(self, ref: str, platform: str, progress: Callable[[Progress], None]) -> None:
        """See `Engine.pull_image`."""

        async def change() -> None:
            progress(Progress(f"pulling {ref}", 50.0))
            image = self.registry.get(ref)
            if image is None:
                raise refuse(EngineErrorKind.MISSING, f"manifest for {ref} not found: manifest unknown", 404)
            self.images[ref] = image
            self.emit_other(EventKind.IMAGE, ref, "pull")

        await self.call("pull_image", (ref, platform), change, self.deadlines.silence)

    async def build_image(
        self, build: BuildSpec, tag: str, labels: Mapping[str, str], progress: Callable[[Progress], None]
    ) -> None:
        """See `Engine.build_image`; it yields the image that the test published under this tag, or a new one."""

        async def change() -> None:
            progress(Progress(f"building {tag}"))
            known = self.registry.get(tag)
            self.images[tag] = known or FakeImage(ImageId("sha256:" + self.fresh_id()))
            self.emit_other(EventKind.IMAGE, tag, "tag")

        await self.call("build_image", (build.context, tag), change, self.deadlines.silence)

    # Streams

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """See `Engine.events`."""

        async def nothing() -> None:
            return None

        await self.call("events", (), nothing, self.deadlines.look)
        async with self.bus.open() as stream:
            yield stream

    @asynccontextmanager
    async def logs(
        self, container: ContainerId, *, tail: int | None, since: int, follow: bool
    ) -> AsyncIterator[AsyncIterator[LogLine]]:
        """See `Engine.logs`."""

        async def look() -> FakeContainer:
            return self.find(container)

        found = await self.call("logs", (container, tail, since, follow), look, self.deadlines.look)
        yield showing.log_lines(found, tail=tail, since=since, follow=follow)

    async def close(self) -> None:
        """See `Engine.close`."""
        self.calls.append(Call("close", (), asyncio.get_running_loop().time(), outcome="ok"))


def _is_an_engine(fake: FakeEngine) -> Engine:
    return fake
