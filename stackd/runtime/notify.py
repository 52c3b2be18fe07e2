"""Tells people when a service needs one: crash loops, holds and pauses by another hand, storms, and their end.

Law: level-triggered, one message per incident. An incident is open while its state is true (per stack, service and
kind) and is kept in the journal with what of it is not yet delivered, so that a daemon started again neither repeats
nor forgets it; its end is one message more. Nothing ever waits for a channel.
What this module does NOT do: decide what is wrong (the decision does), deliver (see `channels`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from pydantic import TypeAdapter, ValidationError

from stackd.core.backoff import is_crash_looping
from stackd.core.hands import BY_ENGINE
from stackd.model.ids import ServiceName, StackName
from stackd.model.override import Override, OverrideKind
from stackd.model.view import Now, ServiceLedger, ServiceState, ServiceVerdict, View
from stackd.runtime.channels import Channel, Command, Limit, Message, Send, Webhook
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.runtime.store import Store

log = logging.getLogger(__name__)

CRASH_LOOP, HOLD, STORM, RECOVERY = "crash_loop", "hold", "storm", "recovery"
STEADY = 30.0
"""Seconds that a service must run to have recovered, where no health check tells it."""
_RUNS = (ServiceState.RUNNING, ServiceState.HEALTHY)
_UNDER_WAY = (
    ServiceState.PENDING, ServiceState.PULLING, ServiceState.BUILDING, ServiceState.WAITING, ServiceState.STARTING,
    ServiceState.STOPPING, ServiceState.REMOVING, ServiceState.UNKNOWN,
)  # fmt: skip
"""States of a service that will be something else."""
LOOK_SOON = 1.0
"""Seconds after which it is looked at again what the end of a hold has come to."""
SETTLES = 5.0
"""Seconds for which a hold of one service is not told yet: `docker compose down` stops one after the other, and what
comes of it is one hold of the stack."""
LOOK_AGAIN = 60.0
"""Seconds after which everything is looked at, whatever has happened."""
META = "notify.incidents"
HANDS = (BY_ENGINE, "stackd")
"""Who makes the holds that a person is to be told of: nobody needs to be told of what was asked for."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that a person should know of. `since` is wall clock; `due` is the event not yet delivered, "" = none;
    `over`: its state is not true any more."""

    stack: str
    service: str
    kind: str
    since: float
    text: str
    due: str = ""
    over: bool = False

    @property
    def key(self) -> str:
        """What there is one of at a time."""
        return f"{self.stack}/{self.service}/{self.kind}"

    @property
    def id(self) -> str:
        """What tells it from an earlier one of the same key."""
        return f"{self.key}/{self.since:.3f}"


_INCIDENTS = TypeAdapter(tuple[Incident, ...])


@dataclass(frozen=True, slots=True)
class Address:
    """Where messages go, by name; which events are told; and as which stackd."""

    ways: Mapping[str, Send]
    on: frozenset[str]
    instance: str
    limit: Limit = Limit()


def ways(command: tuple[str, ...], webhook: str, environment: Mapping[str, str]) -> dict[str, Send]:
    """The configured ways out, by name."""
    found: dict[str, Send] = {}
    if command:
        found["command"] = Command(command, environment).send
    if webhook:
        found["webhook"] = Webhook(webhook).send
    return found


@dataclass(slots=True)
class Notify:
    """The incidents, and the task that watches for them. `meta` is what the journal kept of an earlier life."""

    store: Store
    history: History
    journal: Journal
    clock: Callable[[], Now]
    address: Address
    why: Callable[[View, ServiceName], str]
    meta: Mapping[str, str]
    _open: dict[str, Incident] = field(default_factory=dict)
    _freed: dict[str, float] = field(default_factory=dict)
    _channels: list[Channel] = field(default_factory=list)
    _pending: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Watch and tell until cancelled; at once over when there is no way out."""
        if not self.address.ways:
            return
        self._restore()
        while True:
            try:
                await self._work()
            except Exception:  # the seam: a fault of ours costs messages, never supervision
                log.exception("notifications failed by a fault of stackd")
                await asyncio.sleep(LOOK_AGAIN)

    async def _work(self) -> None:
        made = {name: self._channel(name, send) for name, send in self.address.ways.items()}
        self._channels, self._pending = list(made.values()), Counter()
        async with asyncio.TaskGroup() as tasks:
            for name, channel in made.items():
                tasks.create_task(channel.run(), name=f"notify by {name}")
            for incident in list(self._open.values()):
                self._send(incident)
            tasks.create_task(self._watch(), name="notify")

    def _channel(self, name: str, send: Send) -> Channel:
        return Channel(name, send, self.address.limit, lambda: self.clock().mono, self._hears(name))

    def _restore(self) -> None:
        try:
            kept = _INCIDENTS.validate_json(self.meta.get(META, "[]"))
        except ValidationError:
            kept = ()
        self._open = {incident.key: incident for incident in kept}

    async def _watch(self) -> None:
        while True:
            seen = self.history.last_seq
            rest = self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self.history.wait(seen)

    def _look(self) -> float:
        """Compare what is with the incidents that are open; seconds until time alone may change that."""
        before, rest = dict(self._open), LOOK_AGAIN
        self._host()
        for name in self.store.names():
            view, decision = self.store.view(name), self.store.decision(name)
            if decision is None or view.observed is None:
                continue
            rest = min(rest, self._holds(view, decision.verdicts) or rest)
            for verdict in decision.verdicts:
                rest = min(rest, self._loop(view, verdict) or rest)
            self._forget(name, {verdict.service for verdict in decision.verdicts})
        if self.store.host.sources_loaded:
            self._forget_stacks(set(self.store.names()))
        if self._open != before:
            self._keep()
        return max(rest, 0.1)

    # What is true

    def _host(self) -> None:
        storm = self.store.host.storm
        if storm:
            self._raise("", "", STORM, lambda: storm)
        else:
            self._end("", "", STORM, "the storm is over")

    def _holds(self, view: View, verdicts: tuple[ServiceVerdict, ...]) -> float | None:
        """Holds by another hand, pauses among them, and their end; seconds until one may be over, None = no matter."""
        held = {one.service or "": one for one in view.overrides if one.kind is OverrideKind.HELD and one.by in HANDS}
        paused = {one.service for one in verdicts if one.state is ServiceState.PAUSED}
        parts = self._parts_of_whole(view.stack, held)
        young = [one for name, one in held.items() if name and self.clock().wall - one.at < SETTLES]
        for name, override in held.items():
            if name not in parts and override not in young:
                self._raise(view.stack, name, HOLD, self._held(view, override))
        if "" in held:
            for incident in self._of(view.stack, HOLD):
                if incident.service and incident.service not in paused:
                    self._drop(incident.key)
        for service in paused - held.keys():
            self._raise(view.stack, service, HOLD, partial(self.why, view, service))
        over = [one for one in self._of(view.stack, HOLD) if one.service not in held.keys() | paused]
        over = [one for one in over if one.service or not parts]
        for incident in over:
            mine = [one for one in verdicts if incident.service in ("", one.service)]
            if self._came_to_something(view, incident, mine):
                state = f": it is {mine[0].state.replace('_', ' ')}" if incident.service and mine else ""
                text = f"{incident.service or view.stack} is no longer held{state}"
                self._end(view.stack, incident.service, HOLD, text)
        self._freed = {key: at for key, at in self._freed.items() if key in self._open and not self._open[key].over}
        return LOOK_SOON if over or young else None

    def _parts_of_whole(self, stack: StackName, held: Mapping[str, Override]) -> set[str]:
        """The services of a stack that was held as a whole and is held in part: still the one incident, told once."""
        whole = next((one for one in self._of(stack, HOLD) if not one.service), None)
        if whole is None:
            return set()
        return {name for name, one in held.items() if name and one.at <= whole.since and one.reason in whole.text}

    def _came_to_something(self, view: View, incident: Incident, verdicts: list[ServiceVerdict]) -> bool:
        """Whether what is held no more runs, or is seen not to: a release, even by a start, comes before the run."""
        freed = self._freed.setdefault(incident.key, self.clock().mono)
        if view.observed is None or self.store.decided_version(view.stack) < view.version:
            return False
        seen = view.observed.sent_at >= freed
        return all(one.state in _RUNS or (seen and one.state not in _UNDER_WAY) for one in verdicts)

    def _held(self, view: View, override: Override) -> Callable[[], str]:
        service = override.service
        if service is None:
            text = f"{view.stack} is held: {override.reason} (by {override.by}); `stackd up {view.stack}` starts it"
            return lambda: text
        return lambda: self.why(view, service)

    def _loop(self, view: View, verdict: ServiceVerdict) -> float | None:
        """Whether a service loops or has recovered; seconds until it may have, None = time alone changes nothing."""
        name, project = verdict.service, view.project
        spec = project.services.get(name) if project else None
        ledger = view.ledger.services.get(name, ServiceLedger())
        if spec is not None and is_crash_looping(ledger, spec.restart):
            if verdict.state is ServiceState.CRASH_LOOPING:
                self._raise(view.stack, name, CRASH_LOOP, lambda: self.why(view, name))
            return None
        if f"{view.stack}/{name}/{CRASH_LOOP}" not in self._open:
            return None
        match verdict.state:
            case ServiceState.HEALTHY | ServiceState.COMPLETED:
                self._end(view.stack, name, CRASH_LOOP, f"{name} has recovered: it is {verdict.state}")
            case ServiceState.RUNNING if verdict.good and ledger.stable is not None:
                left = ledger.stable_since + STEADY - self.clock().mono
                if left > 0:
                    return left
                self._end(view.stack, name, CRASH_LOOP, f"{name} has recovered: it runs")
            case ServiceState.STOPPED | ServiceState.HELD | ServiceState.ABSENT:
                self._drop(f"{view.stack}/{name}/{CRASH_LOOP}")
            case _:
                pass
        return None

    # Incidents

    def _of(self, stack: StackName, kind: str) -> list[Incident]:
        return [one for one in self._open.values() if (one.stack, one.kind, one.over) == (stack, kind, False)]

    def _raise(self, stack: str, service: str, kind: str, text: Callable[[], str]) -> None:
        known = self._open.get(f"{stack}/{service}/{kind}")
        if known is not None and not known.over:
            return
        due = kind if kind in self.address.on else ""
        incident = Incident(stack, service, kind, self.clock().wall, text(), due)
        self._open[incident.key] = incident
        self._send(incident)

    def _end(self, stack: str, service: str, kind: str, text: str) -> None:
        known = self._open.get(f"{stack}/{service}/{kind}")
        if known is None or known.over:
            return
        if RECOVERY not in self.address.on:
            self._drop(known.key)
            return
        over = replace(known, text=text, due=RECOVERY, over=True)
        self._open[over.key] = over
        self._send(over)

    def _drop(self, key: str) -> None:
        self._open.pop(key, None)

    def _forget(self, stack: StackName, services: set[ServiceName]) -> None:
        """A service that is in no definition any more has no incident."""
        for one in list(self._open.values()):
            if services and one.stack == stack and one.service and one.service not in services:
                self._drop(one.key)

    def _forget_stacks(self, stacks: Iterable[str]) -> None:
        for one in list(self._open.values()):
            if one.stack and one.stack not in stacks:
                self._drop(one.key)

    def _keep(self) -> None:
        self.journal.set_meta(META, _INCIDENTS.dump_json(tuple(self._open.values())).decode())

    # Delivering

    def _send(self, incident: Incident) -> None:
        if not incident.due:
            return
        message = Message(
            incident.due, self.clock().wall, incident.stack, incident.service, incident.text, self.address.instance,
            incident.id,
        )  # fmt: skip
        self._pending[_mark(message)] = len(self._channels)
        for channel in self._channels:
            channel.put(message)

    def _hears(self, channel: str) -> Callable[[Message, str], None]:
        def done(message: Message, problem: str) -> None:
            if problem:
                text = f"nobody was told by the {channel} ({problem}): {message.text}"
                self._tell(message, text, channel)
            self._delivered(message)

        return done

    def _tell(self, message: Message, text: str, channel: str) -> None:
        log.warning("notification given up: %s", text)
        service = ServiceName(message.service) if message.service else None
        self.history.add(StackName(message.stack), service, "notify.failed", text, event=message.event, channel=channel)

    def _delivered(self, message: Message) -> None:
        """All channels are done with a message: its incident has nothing due any more, and goes if it is over."""
        mark = _mark(message)
        self._pending[mark] -= 1
        if self._pending[mark] > 0:
            return
        del self._pending[mark]
        incident = next((one for one in self._open.values() if one.id == message.incident), None)
        if incident is None or incident.due != message.event:
            return
        if incident.over:
            self._drop(incident.key)
        else:
            self._open[incident.key] = replace(incident, due="")
        self._keep()


def _mark(message: Message) -> str:
    return f"{message.incident} {message.event}"
