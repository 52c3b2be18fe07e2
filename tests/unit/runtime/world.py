"""A running daemon without files, API and signals: the real runtime and journal on the engine in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from stackd.model.ids import InstanceName, ServiceName, StackName
from stackd.model.override import Override, OverrideKind
from stackd.model.view import DesiredStack, HostFacts, Ledger, Now
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
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import project, service

STACK = StackName("app")
OURS = InstanceName("ours")


def clock() -> Now:
    """Both clocks."""
    return Now(time.monotonic(), time.time())


class Running:
    """One life of the daemon."""

    def __init__(self, engine: FakeEngine, journal: Journal, contents: JournalContents) -> None:
        self.engine, self.journal, self.contents = engine, journal, contents
        self.store = Store(HostFacts(OURS, ("/stacks",)), time.monotonic, lambda name: self.stacks.begin(name))
        self.history = History(time.time, journal.append_history, contents.history, contents.next_seq)
        self.intents = Intents(self.store, journal, self.history, clock)
        self.observer = Observer(engine, self.store, time.monotonic)
        tools = Tools(engine, self.store, self.observer, Limiter(Limits()), journal, self.history, clock)
        self.jobs = Jobs(tools)
        self.stacks = Stacks(Loop(self.store, self.jobs, self.intents, journal, self.history, clock))
        self.intake = Intake(Inlets(engine, self.store, self.observer, self.intents, clock))

    def restore(self) -> None:
        """Take what the life before left."""
        for name in {one.stack for one in self.contents.overrides}:
            overrides = tuple(one for one in self.contents.overrides if one.stack == name)
            self.store.restore(name, Ledger(), {}, overrides, ())

    def load(self, *names: str) -> None:
        """The stack's file has been read, and these are its services."""
        self.store.set_desired(DesiredStack(STACK, project(*(service(name) for name in names)), generation=1))
        self.loaded()
        self.observer.look(STACK)

    def loaded(self) -> None:
        """All files have been read."""
        self.store.update_host(sources_loaded=True)

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
        intake.cancel()
        with suppress(asyncio.CancelledError):
            await intake
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
