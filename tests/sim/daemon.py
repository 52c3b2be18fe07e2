"""The daemon under test: the real runtime, put together as `stackd.daemon` does, without files, API and signals."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

from stackd.engine.base import Engine
from stackd.model.ids import InstanceName, OperationId, ServiceName, StackName
from stackd.model.override import Override, OverrideKind, Request, Verb
from stackd.model.record import Applied
from stackd.model.view import DesiredStack, HostFacts, Ledger, Now, Pin
from stackd.runtime.applied import AppliedRevisions
from stackd.runtime.crashes import Crashes
from stackd.runtime.history import History
from stackd.runtime.host import HostWatch
from stackd.runtime.intake import Inlets, Intake
from stackd.runtime.intents import Intents, definition_of
from stackd.runtime.jobs import Jobs, Tools
from stackd.runtime.limiter import Limiter, Limits
from stackd.runtime.observer import Observer
from stackd.runtime.past import read_pins
from stackd.runtime.reconciler import Loop
from stackd.runtime.stacks import Stacks
from stackd.runtime.store import Store
from stackd.source.scan import SourceSettings
from tests.sim.memory import Disk, MemoryJournal
from tests.sim.virtual import OWNER, VirtualLoop

EPOCH = 1.7e9
OURS = InstanceName("here")
ROOT, ELSEWHERE = "/stacks", "/elsewhere"
LOADING = 0.05
"""Seconds from the start until the files have been read."""
_ids = itertools.count(1)


async def nothing(_: Applied) -> None:
    """There are no texts here to make a definition from."""


def clock() -> Now:
    """Both clocks of the running loop."""
    now = asyncio.get_running_loop().time()
    return Now(now, EPOCH + now)


class SimDaemon:
    """One life of the daemon. Its tasks carry its number, so that a kill takes them all, as SIGKILL does."""

    def __init__(self, engine: Engine, disk: Disk, loop: VirtualLoop, instance: InstanceName = OURS) -> None:
        self.number = next(_ids)
        self.instance = instance
        self.born = loop.time()
        self._disk = disk
        self._loop = loop
        self.journal = MemoryJournal(disk, loop.time)
        contents = disk.contents(loop.time())
        self.store = Store(HostFacts(instance, (ROOT if instance == OURS else ELSEWHERE,)), loop.time, self._begin)
        self.history = History(lambda: clock().wall, self.journal.append_history, (), contents.next_seq)
        self.intents = Intents(self.store, self.journal, self.history, clock)
        self.observer = Observer(engine, self.store, loop.time)
        tools = Tools(engine, self.store, self.observer, Limiter(Limits()), self.journal, self.history, clock)
        self.jobs = Jobs(tools)
        applied = AppliedRevisions(self.journal, self.history, SourceSettings((), {}), clock)
        crashes = Crashes(engine, self.journal, self.history, clock, nothing)
        self.host = HostWatch(self.store, self.history, lambda: Now(loop.time(), EPOCH + loop.time()), loop.boottime)
        witnesses = (crashes.look, applied.look, self.host.note, self.observer.attend)
        parts = (self.store, self.jobs, self.intents, self.journal, self.history, clock, witnesses, self.host.check)
        self.stacks = Stacks(Loop(*parts))
        self.intake = Intake(Inlets(engine, self.store, self.observer, self.intents, clock))
        self._contents = contents
        self._task: asyncio.Task[None] | None = None

    def start(self, desired: DesiredStack) -> None:
        """Begin to live; the files are read a moment later."""
        token = OWNER.set(self.number)
        self._task = asyncio.get_running_loop().create_task(self._live(desired))
        OWNER.reset(token)

    async def _live(self, desired: DesiredStack) -> None:
        self._restore()
        intake = asyncio.create_task(self.intake.run())
        watch = asyncio.create_task(self.host.run())
        await asyncio.sleep(LOADING)
        self.publish(desired)
        self.store.update_host(sources_loaded=True)
        await asyncio.gather(intake, watch)

    def _restore(self) -> None:
        found = self._contents
        overrides = read_pins(self.store, self.journal, self.history, found.overrides, self._revive)
        names = {one.stack for one in found.overrides} | {one.stack for one in found.requests}
        names |= {*found.ledgers, *found.condemned}
        for name in sorted(names):
            self.store.restore(
                name,
                found.ledgers.get(name, Ledger()),
                found.condemned.get(name, {}),
                tuple(one for one in overrides if one.stack == name),
                tuple(one for one in found.requests if one.stack == name),
            )

    def _begin(self, stack: StackName) -> None:
        """Whoever names a stack first: its task is the daemon's, and a dead daemon begins none."""
        if self.journal.dead:
            return
        token = OWNER.set(self.number)
        self.stacks.begin(stack)
        OWNER.reset(token)

    def publish(self, desired: DesiredStack) -> None:
        """As `source` does."""
        token = OWNER.set(self.number)
        self.store.set_desired(desired)
        self.observer.look(desired.name)
        OWNER.reset(token)

    async def kill(self, engine_tasks: set[asyncio.Task[object]]) -> None:
        """SIGKILL: nothing of it goes on, calls that were sent do so in the engine."""
        self.journal.dead = True
        while tasks := self._loop.tasks_of(self.number) - engine_tasks:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait(tasks)

    # People, over the API

    async def hold(self, stack: StackName, service: ServiceName, kind: OverrideKind) -> None:
        """`stackd hold` or `stackd stop`."""
        definition = definition_of(self.store.view(stack), service)
        override = Override(stack, service, kind, "asked for", "person", clock().wall, definition=definition)
        await self.intents.put(override)

    def earlier(self, stack: StackName) -> Pin | None:
        """The definition that was in force before this one; None = there is none, or a rollback stands."""
        view = self.store.view(stack)
        if view.desired is None or view.desired.project is None or view.project is None or view.pinned is not None:
            return None
        found = [one for one in self.journal.applied(stack) if one.digest != view.project.digest]
        return self._revive(found[-1]) if found else None

    async def roll_back(self, stack: StackName, pin: Pin) -> None:
        """`stackd rollback`: a definition that was in force before comes into force."""
        desired, reason = self.store.view(stack).desired, f"rolled back to revision {pin.number}"
        assert desired is not None
        assert desired.project is not None
        override = Override(
            stack, None, OverrideKind.PINNED, reason, "person", clock().wall,
            definition=desired.project.digest, value=pin.number,
        )  # fmt: skip
        await self.intents.put(override, pin=pin)
        await self.intents.ask(Request(self.intents.new_id(), stack, Verb.ROLLBACK, (), "person", clock().wall))

    def _revive(self, applied: Applied) -> Pin:
        """What the texts of a kept revision say."""
        images = {name: one.id for name, one in applied.images.items()}
        return Pin(applied.number, self._disk.texts[applied.digest], images)

    async def ask(self, stack: StackName, verb: Verb, service: ServiceName) -> None:
        """`stackd start` or `stackd restart`: releases what holds it, then asks."""
        view = self.store.view(stack)
        scope = [one for one in view.overrides if one.service in (None, service)]
        gone = [one for one in scope if one.kind is not OverrideKind.PINNED]
        await self.intents.release(stack, gone, "asked for")
        seen = view.observed.containers if view.observed else ()
        runs = frozenset(c.incarnation for c in seen if c.service == service and c.instance == self.instance)
        identity: OperationId = self.intents.new_id()
        await self.intents.ask(Request(identity, stack, verb, (service,), "person", clock().wall, runs))
