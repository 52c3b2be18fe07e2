"""The engine's side coming in: contact, events, evidence.

Law: subscribe, then list; list again after every reconnect and every minute; an event only says "look again", and tells
how a run ended. Evidence is about one run: what is told of an earlier one explains nothing of this. After a break only
the list counts. What this module does not do: make holds of what it hears (`runtime.holds`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from stackd.core.ownership import is_ours
from stackd.engine.base import Engine
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import EngineEvent, EventKind, Evidence, Verdict
from stackd.model.ids import ContainerId, StackName
from stackd.model.observed import ObservedContainer
from stackd.model.view import Now
from stackd.runtime.holds import Holds, Proving
from stackd.runtime.intents import Intents
from stackd.runtime.observer import Observer
from stackd.runtime.outage import Outage
from stackd.runtime.store import Store

log = logging.getLogger(__name__)

PING_EVERY = 15.0
PING_TIMEOUT = 5.0
RESYNC_EVERY = 60.0
FIRST_RETRY = 0.5
LAST_RETRY = 10.0
"""Seconds; the sources are architecture.md (law 4) and supervision.md."""


@dataclass(frozen=True, slots=True)
class Inlets:
    """What comes in goes here. `hold_for`: see `Proving`."""

    engine: Engine
    store: Store
    observer: Observer
    intents: Intents
    clock: Callable[[], Now]
    hold_for: float = 0.0


class Intake:
    """Keeps contact with the engine. `run` is its task; `problem` says what is wrong, "" = events flow."""

    def __init__(self, inlets: Inlets) -> None:
        self._in = inlets
        self._holds = Holds(Proving(inlets.engine, inlets.store, inlets.intents, inlets.clock, inlets.hold_for))
        self._problem = "not connected yet"
        self._tried = False
        self.outage = Outage(lambda: inlets.clock().mono)
        """What is said while there is no engine."""
        self._version = ""

    @property
    def problem(self) -> str:
        """Why no events come in."""
        return self._problem

    @property
    def tried(self) -> bool:
        """Whether the first contact has been made, or has failed."""
        return self._tried

    @property
    def engine_version(self) -> str:
        """The engine's own version, "" while it is away."""
        return self._version if self._in.store.host.engine_up else ""

    async def run(self) -> None:
        """Connect, listen, and connect again, until cancelled."""
        delay = FIRST_RETRY
        while True:
            try:
                await self._session()
            except* EngineError as broken:
                self._problem = str(broken.exceptions[0])
            except* Exception as broken:  # the seam: an event that we cannot take costs a contact, never the daemon
                self._problem = f"a fault of stackd: {broken.exceptions[0]!r}"
                log.exception("reading events failed by a fault of stackd")
            self._tried = True
            connected = self._in.store.host.engine_up
            self._lost()
            self._say(connected=connected)
            delay = FIRST_RETRY if connected else min(delay * 2, LAST_RETRY)
            await asyncio.sleep(delay)

    def _say(self, *, connected: bool) -> None:
        """Say that there is no engine; `connected` = there was one until now."""
        problem = self._problem or "the event stream ended"
        text = f"{problem}{'' if problem.endswith('?') else ';'} trying again every {LAST_RETRY:.0f} s"
        self._in.store.update_host(engine_problem=text)
        if connected:
            self.outage.lost(text)
        else:
            self.outage.failed(text)

    async def _session(self) -> None:
        """One contact: raises an EngineError group when it breaks. An engine that shuts down still answers on the
        connections that it has; what ends then ends with it, so only one that takes new ones is in contact."""
        if obstacle := await self._in.engine.obstacle(PING_TIMEOUT):
            raise EngineError(EngineErrorKind.UNAVAILABLE, obstacle)
        info = await self._in.engine.info()
        async with self._in.engine.events() as events:
            self._version = info.version
            self._in.store.update_host(
                engine_up=True,
                engine_problem="",
                engine_epoch=self._in.store.host.engine_epoch + 1,
                contact_at=self._in.clock().mono,
                engine_started_at=info.started_at,
                api_version=info.api_version,
            )
            await self.resync()
            self._problem = ""
            self._tried = True
            self._holds.suspect.clear()
            self.outage.over()
            log.info("connected to engine %s, API %s.%s", info.version, *info.api_version)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ping(), name="engine ping")
                tasks.create_task(self._resync_often(), name="engine resync")
                tasks.create_task(self._suspected(), name="engine suspected")
                async for event in events:
                    self._take(event)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            if not await self._in.engine.ping_fresh(PING_TIMEOUT):
                raise EngineError(EngineErrorKind.UNAVAILABLE, "the engine does not answer a fresh connection")

    async def _suspected(self) -> None:
        """An engine that shuts down refuses fresh connections long before its event stream ends: believe the former."""
        await self._holds.suspect.wait()
        raise EngineError(EngineErrorKind.UNAVAILABLE, "the engine refuses new connections: it is shutting down")

    async def _resync_often(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_EVERY)
            await self.resync()

    async def resync(self) -> None:
        """Look at everything anew; stacks of ours that only the engine knows are found here."""
        store = self._in.store
        for row in await self._in.engine.list_containers(None, store.host.instance):
            if row.instance == store.host.instance and row.stack not in store.names():
                store.view(row.stack)
        for stack in store.names():
            self._clean(stack)
        self._in.observer.look_everywhere()

    def _clean(self, stack: StackName) -> None:
        """Evidence about containers that are gone explains nothing after a while."""
        seen = self._in.store.view(stack).observed
        there = {container.id for container in seen.containers} if seen else set()
        for container, evidence in self._in.store.evidence(stack).items():
            told = (evidence.kill_at, evidence.stop_at, evidence.died_at, evidence.over_at)
            age = self._in.clock().mono - max(at or 0 for at in told)
            if container not in there and age > RESYNC_EVERY:
                self._in.store.drop_evidence(stack, container)

    def _lost(self) -> None:
        """Contact broke: no stop that is not proven yet will ever be, and only the next list counts."""
        self._holds.lost()
        if self._in.store.host.engine_up:
            log.warning("contact with the engine broke: %s", self._problem or "the event stream ended")
            self._in.store.update_host(engine_up=False, engine_lost_at=self._in.clock().wall)

    # Events

    def _take(self, event: EngineEvent) -> None:
        store, observer = self._in.store, self._in.observer
        match event.kind:
            case EventKind.IMAGE:
                for stack in store.names():
                    observer.look(stack, images=True)
            case EventKind.NETWORK | EventKind.VOLUME:
                for stack in self._concerned(event):
                    observer.look(stack, event.container or None)
            case _:
                if event.stack in store.names():
                    if not self._is_foreign(event):
                        self._container_event(event)
                    observer.look(event.stack, event.container)

    def _concerned(self, event: EngineEvent) -> list[StackName]:
        """The stacks that a network's or volume's event is about: its own, the one of the container that it names, and
        those waiting for an external one."""
        waiting = []
        for stack in self._in.store.names():
            decision = self._in.store.decision(stack)
            named = bool(event.container) and self._container(stack, event.container) is not None
            if stack == event.stack or named or (decision is not None and decision.plan.steps):
                waiting.append(stack)
        return waiting

    def _container_event(self, event: EngineEvent) -> None:
        if event.oneoff:
            return
        store, now = self._in.store, self._in.clock().mono
        held = self._held(event)
        if held is None and self._is_past(event):
            return
        fresh = held or self._new(event)
        match event.kind:
            case EventKind.START | EventKind.RESTART:
                before = store.evidence(event.stack).get(event.container)
                if before is not None:
                    over = replace(before, verdict=Verdict.RESTARTED, paused_at=None, begun_at=now)
                    store.put_evidence(event.stack, over)
                self._holds.started(event)
            case EventKind.KILL:
                store.put_evidence(event.stack, replace(fresh, kill_at=now, signal=event.signal))
            case EventKind.DIE:
                store.put_evidence(event.stack, replace(fresh, died_at=now, exit_code=event.exit_code, paused_at=None))
            case EventKind.OOM:
                store.put_evidence(event.stack, replace(fresh, oom=True))
            case EventKind.PAUSE | EventKind.UNPAUSE:
                at = self._in.clock().wall if event.kind is EventKind.PAUSE else None
                store.put_evidence(event.stack, replace(fresh, paused_at=at))
            case EventKind.STOP:
                self._stopped(event, fresh)
            case EventKind.DESTROY:
                if held is None or held.verdict is not Verdict.PENDING:
                    self._holds.removed(event, fresh)
            case _:
                pass

    def _held(self, event: EngineEvent) -> Evidence | None:
        """The evidence of the run that an event is about, None when what is held is about an earlier one."""
        held = self._in.store.evidence(event.stack).get(event.container)
        if held is None or (held.verdict is Verdict.RESTARTED and event.kind is not EventKind.RESTART):
            return None
        known = self._container(event.stack, event.container)
        past = known is not None and 0 < held.started_at < known.started_at
        return None if past else held

    def _is_past(self, event: EngineEvent) -> bool:
        """Whether it tells of an earlier run than the one that is known: both instants are the engine's own."""
        known = self._container(event.stack, event.container)
        return known is not None and 0 < event.time_nano < known.started_at * 1e9

    def _new(self, event: EngineEvent) -> Evidence:
        """The run that was seen last, unless the next one is known to have begun: which that is, is not known yet."""
        container = self._container(event.stack, event.container)
        before = self._in.store.evidence(event.stack).get(event.container)
        seen = container.started_at if container else 0.0
        over = before is not None and before.verdict is Verdict.RESTARTED and before.started_at == seen
        return Evidence(event.container, event.service, 0.0 if over else seen)

    def _container(self, stack: StackName, container: ContainerId) -> ObservedContainer | None:
        seen = self._in.store.view(stack).observed
        return next((one for one in seen.containers if one.id == container), None) if seen else None

    def _is_foreign(self, event: EngineEvent) -> bool:
        """Whether it is about a container that only bears the stack's name: what is done to it says nothing of ours."""
        container = self._container(event.stack, event.container)
        return container is not None and not is_ours(container, self._in.store.view(event.stack))

    def _stopped(self, event: EngineEvent, evidence: Evidence) -> None:
        """Somebody asked the engine to stop it."""
        self._holds.stopped(event, evidence)

    async def stop(self) -> None:
        """End what is being proven."""
        await self._holds.stop()
