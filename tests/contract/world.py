"""A world for one test: an engine, a project of its own on it, and the hands of people and hosts.

Law: what a test makes carries its project's label, and is removed after it, whatever happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from stackd.engine.base import CreateRequest, Engine
from stackd.engine.docker import DockerEngine
from stackd.errors import EngineError
from stackd.model.evidence import EngineEvent
from stackd.model.ids import ContainerId, InstanceName, NetworkId, StackName
from stackd.model.observed import Health, ObservedContainer
from stackd.translate import labels as label
from stackd.translate.node import Json
from tests.contract.programs import POLITE, Program
from tests.contract.seen import Seen
from tests.fake import Dialect, FakeEngine

IMAGE = "busybox:latest"
INSTANCE = InstanceName("contract")


class World(ABC):
    """What both kinds of world have in common."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stack = StackName(f"contract-{uuid.uuid4().hex[:8]}")

    def name(self, service: str) -> str:
        """The container's name for a service."""
        return f"{self.stack}-{service}-1"

    def labels(self, **more: str) -> dict[str, Json]:
        """The project's label, and more."""
        return {label.PROJECT: self.stack, label.INSTANCE: INSTANCE, **more}

    def body(
        self, service: str, program: Program, host: Mapping[str, Json], more: Mapping[str, Json]
    ) -> dict[str, Json]:
        """A create body."""
        body: dict[str, Json] = {
            "Image": IMAGE,
            "Cmd": list(program.command),
            "Labels": {**self.labels(), label.SERVICE: service, label.NUMBER: "1", label.ONEOFF: "False"},
            "HostConfig": {**program.host, **host},
        }
        if program.probed:
            body["Healthcheck"] = {
                "Test": ["CMD-SHELL", "! test -e /tmp/sick"], "Interval": 200_000_000, "Retries": 1,
            }  # fmt: skip
        return {**body, **more}

    async def create(
        self,
        service: str = "web",
        program: Program = POLITE,
        *,
        host: Mapping[str, Json] | None = None,
        connects: Iterable[tuple[str, Mapping[str, Json]]] = (),
        more: Mapping[str, Json] | None = None,
    ) -> ContainerId:
        """Create a container."""
        self.teach(service, program)
        body = self.body(service, program, host or {}, more or {})
        request = CreateRequest(self.name(service), body, connects=tuple(connects))
        return await self.engine.create_container(request)

    async def run(
        self, service: str = "web", program: Program = POLITE, *, host: Mapping[str, Json] | None = None
    ) -> ContainerId:
        """Create and start a container."""
        container = await self.create(service, program, host=host)
        await self.engine.start_container(container)
        if "trap" in program.command[-1]:
            await self.trapped(container)
        return container

    async def network(self, key: str = "default", name: str | None = None) -> NetworkId:
        """Create a network of the project."""
        body: dict[str, Json] = {"Name": name or f"{self.stack}_{key}", "Labels": self.labels(**{label.NETWORK: key})}
        return await self.engine.create_network(body)

    async def look(self, container: ContainerId) -> ObservedContainer:
        """Inspect what must be there."""
        found = await self.engine.inspect_container(container)
        assert found is not None
        return found

    async def ended(self, container: ContainerId) -> ObservedContainer:
        """Wait until it has ended."""
        async with asyncio.timeout(20):
            while not (found := await self.look(container)).ended:  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.02)
        return found

    async def stopped(self, service: str = "web") -> ContainerId:
        """A container that ran and was stopped, all its events told."""
        container = await self.run(service)
        async with self.watching() as seen:
            await self.engine.stop_container(container, 5)
            await seen.exactly(container, ["kill(15)", {"stop", "die(0)"}])
        return container

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Seen]:
        """Follow the engine's events."""
        async with self.engine.events() as stream:
            seen = Seen(self.fence)
            reader = asyncio.create_task(self._read(stream, seen))
            try:
                yield seen
            finally:
                reader.cancel()
                await asyncio.wait([reader])

    async def _read(self, stream: AsyncIterator[EngineEvent], seen: Seen) -> None:
        try:
            async for event in stream:
                seen.take(event)
        except EngineError as error:
            seen.broke(error)

    async def fence(self) -> str:
        """Cause an event whose sight tells that all earlier ones have been seen; returns the volume's name."""
        name = f"{self.stack}_fence{uuid.uuid4().hex[:8]}"
        await self.engine.create_volume({"Name": name, "Labels": self.labels()})
        return name

    @abstractmethod
    def teach(self, service: str, program: Program) -> None: ...
    @abstractmethod
    async def trapped(self, container: ContainerId) -> None:
        """Wait until its shell has set its traps: as pid 1 it would lose a signal that comes earlier."""

    @abstractmethod
    async def docker(self, verb: str, container: str, *options: str) -> None:
        """`docker VERB OPTIONS CONTAINER`, by another client: stop kill start restart rm pause unpause."""

    async def crash(self, container: ContainerId) -> None:
        """The host kills the container's process (SIGKILL)."""
        await self.kill_process(container, (await self.look(container)).pid)

    @abstractmethod
    async def kill_process(self, container: ContainerId, pid: int) -> None:
        """The same, where the engine cannot be asked for the pid."""

    @abstractmethod
    async def sicken(self, container: ContainerId) -> None:
        """From now on the container's probe fails."""

    @abstractmethod
    async def clean(self) -> None:
        """Remove all that the test made."""


class FakeWorld(World):
    """A world in memory."""

    def __init__(self, dialect: Dialect) -> None:
        self.fake = FakeEngine(dialect=dialect)
        self.fake.add_image(IMAGE)
        super().__init__(self.fake)

    def teach(self, service: str, program: Program) -> None:
        self.fake.behave(service, program.behaviour)

    async def trapped(self, container: ContainerId) -> None:
        """At once."""

    async def docker(self, verb: str, container: str, *options: str) -> None:
        value = float(options[-1]) if options else None
        match verb:
            case "stop":
                await self.fake.human_stop(container, value)
            case "restart":
                await self.fake.human_restart(container, value)
            case "kill":
                await self.fake.human_kill(container, int(value or 9))
            case "rm":
                await self.fake.human_rm(container)
            case "start":
                await self.fake.human_start(container)
            case "pause":
                await self.fake.human_pause(container)
            case "unpause":
                await self.fake.human_unpause(container)
            case _:
                raise AssertionError(verb)

    async def kill_process(self, container: ContainerId, pid: int) -> None:
        self.fake.crash(container, 137)

    async def sicken(self, container: ContainerId) -> None:
        self.fake.flip_health(container, Health.UNHEALTHY)

    async def clean(self) -> None:
        await self.fake.shut_down()


class DockerWorld(World):
    """A world on a real engine."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(DockerEngine(host))

    def teach(self, service: str, program: Program) -> None:
        """The program knows by itself."""

    async def trapped(self, container: ContainerId) -> None:
        status = Path(f"/proc/{(await self.look(container)).pid}/status")
        async with asyncio.timeout(10):
            while not _traps(status.read_text()):  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.01)

    async def docker(self, verb: str, container: str, *options: str) -> None:
        words = [{"kill": "-s", "rm": "-f"}.get(verb, "-t")] if options or verb == "rm" else []
        await self.cli(verb, *words, *options, container)

    async def cli(self, *words: str) -> str:
        """Run the Docker CLI; returns what it printed."""
        process = await asyncio.create_subprocess_exec(
            "docker", "-H", self.host, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def kill_process(self, container: ContainerId, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    async def sicken(self, container: ContainerId) -> None:
        await self.cli("exec", container, "touch", "/tmp/sick")

    async def clean(self) -> None:
        mine = f"label={label.PROJECT}={self.stack}"
        with contextlib.suppress(AssertionError):
            for verb, listing in (("rm -fv", "ps -aq"), ("network rm", "network ls -q"), ("volume rm", "volume ls -q")):
                if found := (await self.cli(*listing.split(), "--filter", mine)).split():
                    await self.cli(*verb.split(), *found)
        await self.engine.close()


def _traps(status: str) -> bool:
    """Whether /proc/PID/status is a shell's (not the runtime's before it) that has set TERM or HUP."""
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    set_up = int(told.get("SigCgt", "0"), 16) | int(told.get("SigIgn", "0"), 16)
    return told.get("Name") == "sh" and bool(set_up & (1 << (signal.SIGTERM - 1) | 1 << (signal.SIGHUP - 1)))
