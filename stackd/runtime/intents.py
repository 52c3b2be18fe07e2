"""What people asked for: overrides, requests and how these fare. On disk before it is in force.

Law: nothing here changes the engine; it changes inputs and wakes the stack. A newer request of an overlapping scope
supersedes an older one. A client that goes away cancels nothing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.override import Operation, OperationState, Override, OverrideKind, Request, Verb
from stackd.model.view import Decision, Now, ServiceState, View
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.runtime.store import Store

KEPT = 200
"""Operations that are over and still told about."""
OVER = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED, OperationState.SUPERSEDED)
_FAILING = (ServiceState.BLOCKED, ServiceState.BACKING_OFF, ServiceState.CRASH_LOOPING)


@dataclass(slots=True)
class _Tracked:
    operation: Operation
    since: int


class Intents:
    """Overrides and requests of all stacks."""

    def __init__(self, store: Store, journal: Journal, history: History, clock: Callable[[], Now]) -> None:
        self._store = store
        self._journal = journal
        self._history = history
        self._clock = clock
        self._tracked: dict[OperationId, _Tracked] = {}
        self._news = asyncio.Event()
        self._count = itertools.count()

    # Overrides

    async def put(self, *overrides: Override) -> None:
        """Set overrides of one stack, replacing those of the same scopes; on disk when this returns.

        They come into force together: a stop of several services keeps their order.
        """
        if not overrides:
            return
        await asyncio.gather(*(self._journal.put_override(override) for override in overrides))
        stack, scopes = overrides[0].stack, {override.service for override in overrides}
        old = [one for one in self._store.view(stack).overrides if one.service in scopes]
        self._set(stack, drop=old, add=overrides)
        new = {(override.service, override.kind) for override in overrides}
        for one in old:
            if (one.service, one.kind) not in new:
                await self._journal.delete_override(one)
        for override in overrides:
            text, kind = f"{override.kind}: {override.reason}", override.kind.value
            self._history.add(stack, override.service, "override.set", text, kind=kind, by=override.by)

    async def release(self, stack: StackName, overrides: Iterable[Override], why: str) -> bool:
        """Delete overrides; whether there were any."""
        gone = [override for override in overrides if override in self._store.view(stack).overrides]
        self._set(stack, drop=gone)
        for override in gone:
            await self._journal.delete_override(override)
            text = f"no longer {override.kind}: {why}"
            self._history.add(stack, override.service, "override.released", text, kind=override.kind.value)
        return bool(gone)

    def _set(self, stack: StackName, drop: Iterable[Override], add: tuple[Override, ...] = ()) -> None:
        gone = set(drop)
        kept = tuple(o for o in self._store.view(stack).overrides if o not in gone and o not in add)
        self._store.set_overrides(stack, (*kept, *add))

    # Requests

    def new_id(self) -> OperationId:
        """An id that sorts by age."""
        return OperationId(f"{int(self._clock().wall * 1000):013x}{next(self._count):04x}")

    async def ask(self, request: Request) -> Operation:
        """Put a request into force."""
        await self._journal.put_request(request)
        for tracked in list(self._tracked.values()):
            old = tracked.operation
            if old.state not in OVER and old.request.stack == request.stack and _overlap(old.request, request):
                self._finish(old, OperationState.SUPERSEDED, f"superseded by {request.verb} ({request.id})")
        operation = Operation(request, OperationState.RUNNING)
        self._tracked[request.id] = _Tracked(operation, self._history.last_seq)
        self._prune()
        kept = [one for one in self._store.view(request.stack).requests if not _overlap(one, request)]
        for old_request in self._store.view(request.stack).requests:
            if old_request not in kept:
                self._journal.delete_request(old_request.id)
        self._store.set_requests(request.stack, (*kept, request))
        self._store.forgive(request.stack, request.services)
        scope = ", ".join(request.services) or "the stack"
        self._history.add(
            request.stack, None, "operation.requested", f"{request.verb} {scope} asked for by {request.by}",
            operation=request.id, verb=request.verb.value,
        )  # fmt: skip
        return operation

    def operation(self, operation: OperationId) -> Operation | None:
        """One operation, None when it is not known any more."""
        tracked = self._tracked.get(operation)
        return tracked.operation if tracked else None

    def operations(self) -> tuple[Operation, ...]:
        """All that are known, newest first."""
        return tuple(tracked.operation for tracked in reversed(list(self._tracked.values())))

    async def settled(self, operation: OperationId, timeout: float) -> Operation | None:
        """The operation once it is over, or as it is after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while (found := self.operation(operation)) is not None and found.state not in OVER:
                    await self._news.wait()
        except TimeoutError:
            pass
        return self.operation(operation)

    async def judge(self, view: View, decision: Decision) -> None:
        """After a decision: drop what is done or released, tell whose operation failed."""
        if decision.released:
            await self.release(view.stack, decision.released, "an edit or its end released it")
        for request in view.requests:
            tracked = self._tracked.get(request.id)
            if request.id in decision.done:
                self._drop(view.stack, request)
                if tracked is not None and tracked.operation.state not in OVER:
                    changed = self._has_changed(tracked)
                    self._finish(replace(tracked.operation, changed=changed), OperationState.SUCCEEDED, "")
            elif tracked is not None and tracked.operation.state not in OVER:
                trouble = _trouble(request, decision)
                if trouble:
                    self._finish(tracked.operation, OperationState.FAILED, trouble)
                    if request.verb in (Verb.PULL, Verb.BUILD):
                        self._drop(view.stack, request)

    def forget(self, stack: StackName) -> None:
        """A stack is gone for good: nothing that was asked of it stands any longer."""
        view = self._store.view(stack)
        self._journal.forget_stack(stack, view.overrides, view.requests)
        for tracked in list(self._tracked.values()):
            if tracked.operation.request.stack == stack and tracked.operation.state not in OVER:
                self._finish(tracked.operation, OperationState.SUCCEEDED, "the stack is gone")

    def _has_changed(self, tracked: _Tracked) -> bool:
        stack, services = tracked.operation.request.stack, tracked.operation.request.services
        return any(
            one.stack == stack and (not services or one.service in services)
            for one in self._history.after(tracked.since, 10_000)
            if one.type.startswith(("container.", "image.", "network.", "volume."))
        )

    def _drop(self, stack: StackName, request: Request) -> None:
        self._journal.delete_request(request.id)
        kept = tuple(one for one in self._store.view(stack).requests if one.id != request.id)
        self._store.set_requests(stack, kept)

    def _finish(self, operation: Operation, state: OperationState, detail: str) -> None:
        over = replace(operation, state=state, detail=detail, finished_at=self._clock().wall)
        tracked = self._tracked.get(operation.request.id)
        if tracked is not None:
            tracked.operation = over
        text = f"{operation.request.verb} {state}" + (f": {detail}" if detail else "")
        self._history.add(
            operation.request.stack, None, f"operation.{state}", text, operation=operation.request.id,
            verb=operation.request.verb.value,
        )  # fmt: skip
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _prune(self) -> None:
        over = [key for key, tracked in self._tracked.items() if tracked.operation.state in OVER]
        for key in over[: max(0, len(over) - KEPT)]:
            del self._tracked[key]


def _overlap(old: Request, new: Request) -> bool:
    """Whether a newer request takes an older one's place: pulls and builds beside a start do not."""
    images = (Verb.PULL, Verb.BUILD)
    if (old.verb in images) != (new.verb in images):
        return False
    return not new.services or (bool(old.services) and set(old.services) <= set(new.services))


def _trouble(request: Request, decision: Decision) -> str:
    """Why a request is not going to be done soon, "" = it is under way."""
    for verdict in decision.verdicts:
        if request.services and verdict.service not in request.services:
            continue
        if verdict.state in _FAILING:
            return f"{verdict.service}: {verdict.detail}"
    return ""


def definition_of(view: View, service: ServiceName | None) -> str:
    """The digest or hash of what an override covers, by which an edit is recognised later."""
    project = view.project
    if project is None:
        return ""
    if service is None:
        return view.desired.project.digest if view.desired and view.desired.project else ""
    spec = project.services.get(service)
    return spec.config_hash if spec is not None else ""


def held_by_hand(override: Override) -> bool:
    """Whether an override came from what somebody did with the engine, so that starting it there releases it."""
    return override.kind is OverrideKind.HELD and override.by == BY_ENGINE


BY_ENGINE = "docker"
"""The `by` of a hold that was read from the engine's events."""
