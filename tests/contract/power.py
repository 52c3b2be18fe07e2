"""Hands on an engine itself: a fake one's, or those of a bed made for these tests alone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stackd.engine.base import Engine
from stackd.engine.deadlines import Deadlines
from stackd.engine.docker import DockerEngine
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId
from tests.bed.api import Bed
from tests.contract.programs import EXITS
from tests.contract.world import DockerWorld, FakeWorld, World

BUSY, ROUNDS = 12, 8
"""Containers that start and end when a real engine is killed, and how often it is, until a task is left."""
HASTY = Deadlines(look=0.5, unary=0.7, start=0.7, margin=0.5)


class Power(ABC):
    """A world, and its engine's switch."""

    world: World

    @abstractmethod
    def hasty(self) -> Engine:
        """A client of the same engine with short deadlines."""

    @abstractmethod
    async def stop(self) -> None:
        """SIGTERM, until it is gone."""

    @abstractmethod
    async def kill(self) -> None:
        """SIGKILL."""

    @abstractmethod
    async def start(self) -> None:
        """Start it again, until it answers."""

    @abstractmethod
    async def freeze(self) -> None:
        """SIGSTOP."""

    @abstractmethod
    async def thaw(self) -> None:
        """SIGCONT."""

    @abstractmethod
    async def leave_task(self) -> ContainerId | None:
        """Kill the engine between two steps of a start or an end, and start it: a container that it lists as not
        running, and whose start its containerd refuses for the task that is left. None: it left none (26 does so
        seldom), and every container could be started."""

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """While it is frozen."""
        await self.freeze()
        try:
            yield
        finally:
            await self.thaw()


@dataclass
class FakePower(Power):
    """The fake's switch."""

    fake_world: FakeWorld

    def __post_init__(self) -> None:
        self.world = self.fake_world

    def hasty(self) -> Engine:
        self.fake_world.fake.deadlines = HASTY
        return self.fake_world.fake

    async def stop(self) -> None:
        await self.fake_world.fake.stop_engine()

    async def kill(self) -> None:
        self.fake_world.fake.kill_engine()

    async def start(self) -> None:
        await self.fake_world.fake.start_engine()

    async def leave_task(self) -> ContainerId | None:
        container = await self.world.run()
        await self.kill()
        self.fake_world.fake.leave_task(container)
        await self.start()
        return container

    async def freeze(self) -> None:
        self.fake_world.fake.freeze_engine()

    async def thaw(self) -> None:
        self.fake_world.fake.thaw_engine()


@dataclass
class BedPower(Power):
    """A bed's switch."""

    bed: Bed

    def __post_init__(self) -> None:
        self.world = DockerWorld(self.bed.host)
        self._hasty: list[DockerEngine] = []

    def hasty(self) -> Engine:
        self._hasty.append(DockerEngine(self.bed.host, HASTY))
        return self._hasty[-1]

    async def close(self) -> None:
        """Close what `hasty` made."""
        for engine in self._hasty:
            await engine.close()

    async def stop(self) -> None:
        await asyncio.to_thread(self.bed.stop_engine, signal.SIGTERM)

    async def kill(self) -> None:
        await asyncio.to_thread(self.bed.stop_engine, signal.SIGKILL)

    async def start(self) -> None:
        await asyncio.to_thread(self.bed.start_engine)

    async def leave_task(self) -> ContainerId | None:
        """Nobody can hit the instant: of many containers that start and end, a kill hits one, or one of the next."""
        made = [await self.world.create(f"busy{n}", EXITS) for n in range(BUSY)]
        for _ in range(ROUNDS):
            busy = [asyncio.create_task(self._busy(container)) for container in made]
            await asyncio.wait(busy, timeout=random.uniform(0.5, 1.5))
            await self.kill()
            await asyncio.gather(*busy)
            await self.start()
            left = [container for container in made if await self._is_left(container)]
            if left:
                return left[0]
        for container in made:
            await self.world.engine.start_container(container)
        return None

    async def _busy(self, container: ContainerId) -> None:
        """Start it again and again until the engine is gone."""
        while True:
            try:
                await self.world.engine.start_container(container)
            except EngineError as error:
                if error.kind is EngineErrorKind.UNAVAILABLE:
                    return

    async def _is_left(self, container: ContainerId) -> bool:
        try:
            await self.world.engine.start_container(container)
        except EngineError as error:
            return error.kind is EngineErrorKind.UNSTARTABLE
        return False

    async def freeze(self) -> None:
        """The engine takes the signal at once, but its answer under way may still come."""
        self.bed.pause_engine()
        stat = f"/proc/{self.bed.engine_pid}/stat"
        async with asyncio.timeout(5):
            while (await asyncio.to_thread(_first_line, stat)).rpartition(")")[2].split()[0] != "T":  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.01)

    async def thaw(self) -> None:
        self.bed.resume_engine()


def _first_line(path: str) -> str:
    with open(path) as file:
        return file.readline()


def own_bed_name() -> str:
    """One for each test process."""
    return f"contract-{os.getpid()}-{int(time.time()) % 1000}"
