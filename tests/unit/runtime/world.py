"""A running daemon without files, API and signals: the real runtime and journal on the engine in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from stackd.model.ids import ContainerId, InstanceName, ServiceName, StackName
from stackd.model.observed import ObservedContainer
from stackd.model.override import Override, OverrideKind
from stackd.model.spec import ServiceSpec
from stackd.model.view import DesiredStack, HostFacts, Ledger, Now
from stackd.runtime.commands import Commands, Parts
from stackd.runtime.database import Bounds
from stackd.runtime.history import History
from stackd.runtime.intake import Inlets, Intake
from stackd.runtime.intents import Intents, definition_of
from stackd.runtime.jobs import Jobs, Tools
from stackd.runtime.journal import Journal, JournalContents
from stackd.runtime.limiter import Limiter, Limits
from stackd.runtime.observer import Observer
from stackd.runtime.reconciler import Loop
from stackd.runtime.stacks import Stacks
from stackd.runtime.store import Store
from stackd.source.scan import SourceSettings
from stackd.source.source import Source, SourceOptions
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import project

STACK = StackName("app")
OURS = InstanceName("ours")


def clock() -> Now:
    """Both clocks."""
    return Now(time.monotonic(), time.time())


class _Nobody:
    """Hears what is found on the disk, which is nothing."""

    def publish(self, desired: DesiredStack) -> None: ...
    def withdraw(self, stack: StackName) -> None: ...
    def frozen(self, reason: str) -> None: ...
    def loaded(self) -> None: ...


class Running:
    """One life of the daemon."""

    def __init__(self, engine: FakeEngine, journal: Journal, contents: JournalContents) -> None:
        self.engine, self.journal, self.contents = engine, journal, contents
        self.reading: list[asyncio.Task[None]] = []
        self.store = Store(HostFacts(OURS, ("/stacks",)), time.monotonic, lambda name: self.stacks.begin(name))
        self.history = History(time.time, journal.append_history, contents.history, contents.next_seq)
        self.intents = Intents(self.store, journal, self.history, clock)
        self.observer = Observer(engine, self.store, time.monotonic)
        tools = Tools(engine, self.store, self.observer, Limiter(Limits()), journal, self.history, clock)
        self.jobs = Jobs(tools)
        witnesses = (self.observer.attend,)
        self.stacks = Stacks(Loop(self.store, self.jobs, self.intents, journal, self.history, clock, witnesses))
        self.intake = Intake(Inlets(engine, self.store, self.observer, self.intents, clock))

    def restore(self) -> None:
        """Take what the life before left."""
        for name in {one.stack for one in self.contents.overrides}:
            overrides = tuple(one for one in self.contents.overrides if one.stack == name)
            self.store.restore(name, Ledger(), {}, overrides, ())

    def load(self, *services: ServiceSpec) -> None:
        """The stack's file has been read, and these are its services; their images are there."""
        for one in services:
            self.engine.add_image(one.image)
        self.store.set_desired(DesiredStack(STACK, project(*services), generation=1))
        self.loaded()
        self.observer.look(STACK)

    def commands(self) -> Commands:
        """What the API would ask; there are no files to read."""
        source = Source(SourceOptions(SourceSettings((), {})), _Nobody(), dict, self.journal, {})
        self.reading.append(asyncio.create_task(source.run()))
        parts = (self.engine, self.store, self.intents, self.jobs, self.history, self.journal, self.intake, source)
        return Commands(Parts(*parts, clock))

    def running(self, *names: str) -> bool:
        """Whether each of these services has a running container and all is done."""
        seen, decision = self.store.view(STACK).observed, self.store.decision(STACK)
        up = {str(one.service) for one in seen.containers if one.running} if seen else set()
        return up == {*names} and decision is not None and not decision.plan.steps

    def loaded(self) -> None:
        """All files have been read."""
        self.store.update_host(sources_loaded=True)

    def box(self, container: ContainerId) -> ObservedContainer | None:
        """A container as the daemon sees it."""
        seen = self.store.view(STACK).observed
        return next((one for one in seen.containers if one.id == container), None) if seen else None

    def override(self, name: str | None = None) -> Override:
        """A stop that a person asked for."""
        scope = ServiceName(name) if name is not None else None
        definition = definition_of(self.store.view(STACK), scope)
        return Override(STACK, scope, OverrideKind.STOPPED, "asked", "a test", time.time(), definition=definition)


@asynccontextmanager
async def running(place: Path, engine: FakeEngine) -> AsyncIterator[Running]:
    """A daemon on a state directory and an engine; ended, with its containers left alone, at the end."""
    journal = Journal(place, Bounds(1000, 1000.0), clock)
    daemon = Running(engine, journal, await journal.load())
    daemon.restore()
    intake = asyncio.create_task(daemon.intake.run())
    try:
        yield daemon
    finally:
        tasks = [intake, *daemon.reading]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await daemon.jobs.drain(5)
        await daemon.stacks.stop()
        await daemon.observer.stop()
        await daemon.intake.stop()
        await journal.close(daemon.history.last_seq)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a state."""
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)
