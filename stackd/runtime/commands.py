"""What the API asks of the running daemon: `Control`, on the store, the intents and the history.

Law: verbs become overrides and requests; reads are made from immutable snapshots; only logs ask the engine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from functools import partial

from stackd import __version__
from stackd.core.hands import narrowed
from stackd.core.ownership import ours
from stackd.core.status import plan_status, stack_status
from stackd.errors import RequestError
from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.observed import Incarnation
from stackd.model.override import Operation, Override, OverrideKind, Request, Verb
from stackd.model.record import Adoptable, Applied, Crash, CrashBundle, WhyAnswer
from stackd.model.status import Happening, PlanStatus, Readiness, StackStatus
from stackd.model.view import View
from stackd.runtime.applied import pin
from stackd.runtime.control import Control, DroppedOverrides, LogQuery, ServiceLog, SetOverride, Versions
from stackd.runtime.logs import follow_logs
from stackd.runtime.parts import Parts as Parts
from stackd.runtime.past import Past, refuse_released
from stackd.runtime.starting import Starting
from stackd.runtime.taking import Taking
from stackd.runtime.values import Values
from stackd.source.source import ELSEWHERE, GONE

STOPPED = OverrideKind.STOPPED
_STOPS = (STOPPED, OverrideKind.HELD, OverrideKind.PAUSED)
_OTHERWISE = {
    OverrideKind.PAUSED: "pause its containers with docker",
    OverrideKind.SCALED: "scale is not there yet",
    OverrideKind.PINNED: "ask for rollback",
    OverrideKind.RELEASED: "ask for release",
}


_AS_THE_FILES_SAY = (Verb.UP, Verb.PULL, Verb.BUILD, Verb.RECONCILE)
"""Verbs that mean what the files say now, so these are read first. `stop` and the like work with any file."""
DECIDED_WITHIN = 5.0
"""Seconds that a question waits for the decision that follows the reading; it takes milliseconds."""


class Commands:
    """`Control` on the real daemon; the past and the taking over of projects have modules of their own."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._past = Past(parts, partial(pin, settings=parts.source.settings), Values(parts.source.settings))
        self._taking = Taking(parts)
        self._starting = Starting(parts)

    # Looking

    def versions(self) -> Versions:
        """See `Control.versions`."""
        host = self._parts.store.host
        api = f"{host.api_version[0]}.{host.api_version[1]}" if host.engine_up else ""
        return Versions(__version__, self._parts.intake.engine_version, api, host.instance, os.getpid(), host.roots)

    async def started(self, timeout: float) -> str:
        """See `Control.started`."""
        return await self._starting.over(timeout)

    def readiness(self) -> Readiness:
        """See `Control.readiness`."""
        parts, host = self._parts, self._parts.store.host
        return Readiness(
            engine="" if host.engine_up else host.engine_problem or parts.intake.problem,
            events=parts.intake.problem,
            watcher=parts.source.watch_problem,
            journal=parts.journal.problem,
            sources=host.frozen or parts.source.problem or ("" if host.sources_loaded else "not read yet"),
        )

    def stacks(self) -> tuple[StackStatus, ...]:
        """See `Control.stacks`: all that have a definition or containers of ours."""
        found = (self._status(self._parts.store.view(name)) for name in self._parts.store.names())
        return tuple(status for status in found if status.folder or status.services or status.diagnostics)

    def stack(self, name: StackName) -> StackStatus:
        """See `Control.stack`."""
        return self._status(self._parts.view(name))

    def _status(self, view: View) -> StackStatus:
        store = self._parts.store
        name = view.stack
        decision, applied = store.decision(name), store.applied_generation(name)
        return stack_status(view, decision, applied, store.trouble(name), self._parts.clock())

    def plan(self, name: StackName) -> PlanStatus:
        """See `Control.plan`."""
        view = self._parts.view(name)
        progress = {op: _told(text.text, text.percent) for op, text in self._parts.jobs.progress(name).items()}
        return plan_status(view, self._parts.store.decision(name), progress)

    async def read(self, name: StackName) -> None:
        """See `Control.read`."""
        await self._parts.read(name)
        version = self._parts.view(name).version
        with suppress(TimeoutError):  # a stack whose task ended by an error decides nothing, and its status says so
            async with asyncio.timeout(DECIDED_WITHIN):
                await self._parts.store.committed(name, version)

    # Asking

    async def submit(
        self, stack: StackName, verb: Verb, services: tuple[ServiceName, ...], by: str, *, accept_loss: bool = False
    ) -> Operation:
        """See `Control.submit`."""
        if verb in _AS_THE_FILES_SAY:
            await self._parts.read(stack)
        view = self._parts.view(stack)
        self._parts.check(view, services)
        if verb is Verb.DOWN and services:
            raise RequestError(422, "whole_stack_only", f"down takes all of {stack} down; to stop a service: stop")
        if verb is not Verb.RECONCILE:
            refuse_released(view)
        view = await self._confirmed(view, verb)
        if view.desired is None or (view.desired.project is None and verb is not Verb.RECONCILE):
            why = view.desired.waits if view.desired else ""
            why = why or f"stack {stack} has no valid definition: see its diagnostics"
            raise RequestError(409, "no_definition", why)
        await self._set_overrides(self._parts.store.view(stack), verb, services, by)
        return await self._ask(stack, verb, services, by, accept_loss=accept_loss and verb is Verb.UP)

    async def _confirmed(self, view: View, verb: Verb) -> View:
        """`up` approves of a new name or folder, never of a removal; `down` of a removal that is in doubt.

        While a stacks directory cannot be read, `down` is only that: the stack is to be down still when it comes back.
        """
        source = self._parts.source
        gone = () if source.problem else GONE
        if source.confirm(view.stack, {Verb.UP: ELSEWHERE, Verb.DOWN: gone}.get(verb, ())):
            await self._parts.read_all()
        return self._parts.view(view.stack)

    async def _ask(
        self, stack: StackName, verb: Verb, services: tuple[ServiceName, ...], by: str, *, accept_loss: bool = False
    ) -> Operation:
        intents, now = self._parts.intents, self._parts.clock().wall
        targets = _targets(self._parts.store.view(stack), verb, services)
        return await intents.ask(Request(intents.new_id(), stack, verb, services, by, now, targets, accept_loss))

    async def _set_overrides(self, view: View, verb: Verb, services: tuple[ServiceName, ...], by: str) -> None:
        parts, intents = self._parts, self._parts.intents
        match verb:
            case Verb.UP | Verb.START | Verb.RESUME | Verb.RESTART:
                scope = [o for o in view.overrides if not services or o.service is None or o.service in services]
                gone = [o for o in scope if o.kind in _STOPS]
                pins = [o for o in scope if o.kind is OverrideKind.PINNED and verb is Verb.UP]
                await intents.put(*_narrowed(view, gone, services), asking=True)
                await intents.release(view.stack, (*gone, *pins), f"{verb} asked for by {by}", asking=True)
            case Verb.DOWN:
                await intents.put(parts.override(view, None, STOPPED, "down was asked for", by), asking=True)
            case Verb.STOP:
                project = view.project
                scopes = services or tuple(project.services if project else ())
                stops = (parts.override(view, one, STOPPED, "stop was asked for", by) for one in scopes)
                await intents.put(*stops, asking=True)
            case Verb.PULL | Verb.BUILD | Verb.RECONCILE | Verb.ROLLBACK | Verb.ADOPT | Verb.RELEASE:
                pass

    async def settled(self, operation: OperationId, timeout: float) -> Operation:
        """See `Control.settled`."""
        self.operation(operation)
        found = await self._parts.intents.settled(operation, timeout)
        return found if found is not None else self.operation(operation)

    def operation(self, operation: OperationId) -> Operation:
        """See `Control.operation`."""
        found = self._parts.intents.operation(operation)
        if found is None:
            raise RequestError(404, "no_such_operation", f'there is no operation "{operation}" (any more)')
        return found

    def operations(self) -> tuple[Operation, ...]:
        """See `Control.operations`."""
        return self._parts.intents.operations()

    async def put_override(
        self,
        stack: StackName,
        service: ServiceName | None,
        kind: OverrideKind,
        reason: str,
        by: str,
        until: float | None,
    ) -> SetOverride:
        """See `Control.put_override`."""
        view = self._parts.view(stack)
        self._parts.check(view, (service,) if service is not None else ())
        if kind in _OTHERWISE:
            raise RequestError(422, "not_supported", f"an override of kind {kind} is not set so: {_OTHERWISE[kind]}")
        refuse_released(view)
        override = replace(self._parts.override(view, service, kind, reason or "asked for", by), until=until)
        return SetOverride(override, await self._parts.intents.put(override))

    async def drop_override(
        self, stack: StackName, service: ServiceName | None, by: str, kind: OverrideKind | None = None
    ) -> DroppedOverrides:
        """See `Control.drop_override`."""
        view = self._parts.view(stack)
        kinds = {kind} if kind is not None else {*OverrideKind} - {OverrideKind.PINNED}
        gone = [override for override in view.overrides if override.service == service and override.kind in kinds]
        if not gone:
            return DroppedOverrides(changed=False)
        if any(override.kind is OverrideKind.RELEASED for override in gone):
            return DroppedOverrides(changed=True, detail=(await self.adopt(stack, by)).detail)
        await self._parts.intents.release(stack, gone, f"released by {by}", asking=True)
        verb = Verb.RESUME if any(override.kind in _STOPS for override in gone) else Verb.RECONCILE
        asked = await self._ask(stack, verb, (service,) if service is not None else (), by)
        return DroppedOverrides(changed=True, detail=asked.detail)

    # The past

    def why(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        """See `Control.why`."""
        return self._past.why(stack, service)

    def headline(self, view: View, service: ServiceName) -> str:
        """Why a service of a view is as it is, in one line."""
        return self._past.explained(view, service).headline

    def crashes(self, stack: StackName, service: ServiceName | None) -> tuple[Crash, ...]:
        """See `Control.crashes`."""
        return self._past.crashes(stack, service)

    async def crash(self, stack: StackName, crash: int) -> CrashBundle:
        """See `Control.crash`."""
        return await self._past.crash(stack, crash)

    def revisions(self, stack: StackName) -> tuple[Applied, ...]:
        """See `Control.revisions`."""
        return self._past.revisions(stack)

    async def why_with_values(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        """See `Control.why_with_values`."""
        return await self._past.why_with_values(stack, service)

    async def diff(
        self, stack: StackName, number: int, against: int | None, *, values: bool = False
    ) -> tuple[str, ...]:
        """See `Control.diff`."""
        return await self._past.diff(stack, number, against, values=values)

    async def rollback(self, stack: StackName, number: int | None, by: str) -> Operation:
        """See `Control.rollback`."""
        return await self._past.rollback(stack, number, by)

    # Taking and giving

    async def adoptable(self) -> tuple[Adoptable, ...]:
        """See `Control.adoptable`."""
        return await self._taking.adoptable()

    async def adopt(self, stack: StackName, by: str) -> Operation:
        """See `Control.adopt`."""
        return await self._taking.adopt(stack, by)

    async def release(self, stack: StackName, by: str) -> Operation:
        """See `Control.release`."""
        return await self._taking.release(stack, by)

    # Following

    def happenings(self, after: int, limit: int) -> tuple[Happening, ...]:
        """See `Control.happenings`."""
        history = self._parts.history
        if 0 <= after < history.oldest_seq - 1:
            raise RequestError(410, "cursor_expired", f"the oldest event still kept has seq {history.oldest_seq}")
        return history.after(after, limit)

    def last_seq(self) -> int:
        """See `Control.last_seq`."""
        return self._parts.history.last_seq

    async def happened(self, after: int) -> None:
        """See `Control.happened`."""
        await self._parts.history.wait(after)

    def logs(self, stack: StackName, query: LogQuery) -> AbstractAsyncContextManager[AsyncIterator[ServiceLog]]:
        """See `Control.logs`."""
        self._parts.check(self._parts.view(stack), query.services)
        host = self._parts.store.host
        if not host.engine_up:
            why = host.engine_problem or "the engine does not answer"
            raise RequestError(503, "engine_unavailable", f"logs are the engine's: {why}")
        return follow_logs(self._parts.engine, self._parts.store, stack, query)

    async def rescan(self) -> None:
        """See `Control.rescan`."""
        await self._parts.read_all()


def _narrowed(view: View, gone: list[Override], services: tuple[ServiceName, ...]) -> tuple[Override, ...]:
    """What remains of an override of the whole stack when only `services`, and what they need, are released from it."""
    project = view.project
    wide = next((override for override in gone if override.service is None), None)
    if wide is None or project is None or not services:
        return ()
    free, more = set[ServiceName](), list(services)
    while more:
        name = more.pop()
        if name not in free and name in project.services:
            free.add(name)
            more += [one.service for one in project.services[name].depends_on if one.required]
    return narrowed(view, wide, free)


def _told(text: str, percent: float | None) -> str:
    return text if percent is None else f"{text} {percent:.0f} %"


def _targets(view: View, verb: Verb, services: tuple[ServiceName, ...]) -> frozenset[Incarnation]:
    """The runs that a request does not accept as the last word. What runs may have ended since it was looked at."""
    containers = [one for one in ours(view) if not services or one.service in services]
    match verb:
        case Verb.RESTART | Verb.START | Verb.RESUME | Verb.UP:
            return frozenset(one.incarnation for one in containers)
        case _:
            return frozenset()


def _keeps_the_protocol(commands: Commands) -> Control:
    return commands
