"""What people asked for: overrides, requests and how these fare. On disk before it is in force.

Law: nothing here changes the engine; it changes inputs and wakes the stack. A newer request of an overlapping scope
supersedes an older one. A client that goes away cancels nothing. What nobody waits for (a hold made for another hand,
a release by an edit) is in force at once and on disk as soon as that answers: supervision never waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from stackd.core.decide import MEANS_THE_FILE, is_seen_since
from stackd.core.ends import leaves_alone, stopped_by
from stackd.core.hands import BY_ENGINE as BY_ENGINE
from stackd.core.hands import definition_of as definition_of
from stackd.core.hands import held_by_hand, narrowed, started_since, why_it_stays_paused
from stackd.core.ownership import ours
from stackd.core.status import is_held_back
from stackd.model.evidence import Evidence, Verdict
from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.observed import Incarnation
from stackd.model.override import Operation, OperationState, Override, OverrideKind, Request, Verb
from stackd.model.view import Decision, Now, Pin, ServiceState, View
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.runtime.store import Store

KEPT = 200
"""Operations that are over and still told about."""
OVER = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED, OperationState.SUPERSEDED)
_DIGITS = 17
"""Hexadecimal digits of an id."""
_FAILING = (ServiceState.STUCK, ServiceState.BLOCKED, ServiceState.BACKING_OFF, ServiceState.CRASH_LOOPING)


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
        self._last_id = 0
        self._writes: set[asyncio.Task[Any]] = set()

    # Overrides

    async def put(self, *overrides: Override, pin: Pin | None = None, asking: bool = False) -> str:
        """Set overrides of one stack, replacing those of the same scopes; "" = on disk, else why they are not.

        They come into force together: a stop of several services keeps their order. A PINNED one stands beside others
        of its scope, and comes into force with the revision that it names, `pin`. `asking`: an `ask` follows, which
        writes all that is not written yet and tells whether that is on disk.
        """
        if not overrides:
            return ""
        written = await asyncio.gather(*(self._journal.put_override(override) for override in overrides))
        if pin is not None:
            self._store.set_pin(overrides[0].stack, pin)
        await asyncio.gather(*(self._journal.delete_override(one) for one in self._enforce(*overrides)))
        return "" if all(written) or asking else self._warn(overrides[0].stack)

    def impose(self, *overrides: Override) -> None:
        """The same for what nobody waits for: in force at once, on disk when that answers."""
        if overrides:
            for gone in self._enforce(*overrides):
                self._write(self._journal.delete_override(gone))
            for override in overrides:
                self._write(self._journal.put_override(override))

    def _enforce(self, *overrides: Override) -> list[Override]:
        """Put overrides into force; those that are to be deleted from the disk."""
        stack, scopes = overrides[0].stack, {(o.service, o.kind is OverrideKind.PINNED) for o in overrides}
        old = [o for o in self._store.view(stack).overrides if (o.service, o.kind is OverrideKind.PINNED) in scopes]
        self._set(stack, drop=old, add=overrides)
        for override in overrides:
            text, kind = f"{override.kind}: {override.reason}", override.kind.value
            self._history.add(
                stack, override.service, "override.set", text,
                kind=kind, by=override.by, reason=override.reason, until=override.until,
            )  # fmt: skip
        new = {(override.service, override.kind) for override in overrides}
        return [one for one in old if (one.service, one.kind) not in new]

    async def release(self, stack: StackName, overrides: Iterable[Override], why: str, *, asking: bool = False) -> bool:
        """Delete overrides, also from the disk; whether there were any. `asking` as in `put`."""
        gone = self._lift(stack, overrides, why)
        if not all(await asyncio.gather(*(self._journal.delete_override(one) for one in gone))) and not asking:
            self._warn(stack)
        return bool(gone)

    def _warn(self, stack: StackName) -> str:
        """Tell that what was asked is in force and not on disk: should the daemon end now, it is forgotten."""
        text = f"not on disk: {self._journal.problem or 'the database has not answered in time'}"
        self._history.add(stack, None, "journal.behind", text)
        return text

    def let_go(self, stack: StackName, overrides: Iterable[Override], why: str) -> None:
        """The same for what nobody waits for: released at once, deleted from the disk when that answers."""
        for override in self._lift(stack, overrides, why):
            self._write(self._journal.delete_override(override))

    def _lift(self, stack: StackName, overrides: Iterable[Override], why: str) -> list[Override]:
        there = self._store.view(stack).overrides
        gone = [override for override in overrides if override in there]
        self._set(stack, drop=gone)
        for override in gone:
            text = f"no longer {override.kind}: {why}"
            self._history.add(
                stack, override.service, "override.released", text,
                kind=override.kind.value, by=override.by, reason=override.reason, why=why,
            )  # fmt: skip
        return gone

    def _set(self, stack: StackName, drop: Iterable[Override], add: tuple[Override, ...] = ()) -> None:
        gone = set(drop)
        kept = tuple(o for o in self._store.view(stack).overrides if o not in gone and o not in add)
        self._store.set_overrides(stack, (*kept, *add))
        if gone:
            self._free(stack, gone, (*kept, *add))

    def _free(self, stack: StackName, gone: Collection[Override], left: Collection[Override]) -> None:
        """What another hand had stopped and nothing leaves alone any more ended by that stop, and by no crash."""
        there = {one.incarnation: one for one in ours(self._store.view(stack)) if one.ended}
        known = [one for one in self._store.evidence(stack).values() if one.verdict is Verdict.FOREIGN_STOP]
        for evidence in known:
            if _is_free(evidence.service, gone, left):
                self._store.drop_evidence(stack, evidence.container)
        stopped = {Incarnation(one.container, one.started_at) for one in known}
        for run, box in there.items():
            if _is_free(box.service, gone, left) and (run in stopped or stopped_by(box, gone)):
                at = self._clock().mono
                told = Evidence(box.id, box.service, box.started_at, stop_at=at, verdict=Verdict.RELEASED)
                self._store.put_evidence(stack, told)

    def _write(self, work: Coroutine[Any, Any, object]) -> None:
        """Write in the background. All writes are tasks: they reach the journal in the order in which they are made."""
        task = asyncio.create_task(work, name="write an override")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    # Requests

    def restore(self, requests: Iterable[Request], operations: Iterable[Operation] = ()) -> None:
        """Take what an earlier run of the daemon left: what is over is told about, what is not goes on."""
        operations = sorted(operations, key=lambda one: one.request.id)
        self._last_id = max((self._last_id, *map(_number, self._issued(requests, operations))))
        for operation in operations:
            self._tracked[operation.request.id] = _Tracked(operation, self._history.last_seq)
        for request in requests:
            known = self._tracked.get(request.id)
            if known is None or known.operation.state not in OVER:
                self._tracked[request.id] = _Tracked(Operation(request, OperationState.RUNNING), self._history.last_seq)
        going = {request.id for request in requests}
        for identity, tracked in list(self._tracked.items()):
            if tracked.operation.state not in OVER and identity not in going:
                self._finish(tracked.operation, OperationState.SUCCEEDED, "done before stackd was started again")

    def _issued(self, requests: Iterable[Request], operations: Iterable[Operation]) -> Iterator[str]:
        """Every id that an earlier run of the daemon gave out and something still names."""
        yield from (one.id for one in requests)
        yield from (one.request.id for one in operations)
        for stack in self._store.names():
            yield from (one.forgiven for one in self._store.view(stack).ledger.services.values())

    def new_id(self) -> OperationId:
        """An id that sorts by age, over restarts of the daemon and whatever is done to the clock: in milliseconds of
        the wall clock with four digits more, or one above the last one given out."""
        self._last_id = max(int(self._clock().wall * 1000) << 16, self._last_id + 1)
        return OperationId(f"{self._last_id:0{_DIGITS}x}")

    async def ask(self, request: Request, detail: str = "") -> Operation:
        """Put a request into force. `detail`: what its sender should know about it."""
        written = await self._journal.put_request(request)
        told = (detail, "" if written else self._warn(request.stack))
        return self._begin(request, "; ".join(filter(None, told)))

    def _begin(self, request: Request, detail: str = "") -> Operation:
        for tracked in list(self._tracked.values()):
            old = tracked.operation
            if old.state not in OVER and old.request.stack == request.stack and _overlap(old.request, request):
                self._finish(old, OperationState.SUPERSEDED, f"superseded by {request.verb} ({request.id})")
        operation = Operation(request, OperationState.RUNNING, detail)
        self._tracked[request.id] = _Tracked(operation, self._history.last_seq)
        self._journal.save_operation(operation)
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
        self._release(view, decision)
        for hold in decision.holds:
            if not any(one.service in (None, hold.service) for one in self._store.view(view.stack).standing):
                self.impose(hold)
        for request in view.requests:
            tracked = self._tracked.get(request.id)
            if request.id in decision.done:
                self._drop(view.stack, request)
                if tracked is not None and tracked.operation.state not in OVER:
                    changed = self._has_changed(tracked)
                    done, told = replace(tracked.operation, changed=changed), tracked.operation.detail
                    self._finish(done, OperationState.SUCCEEDED, told)
            elif tracked is not None and tracked.operation.state not in OVER:
                trouble = _trouble(request, view, decision)
                if trouble:
                    self._finish(tracked.operation, OperationState.FAILED, trouble)
                    if request.verb in (Verb.PULL, Verb.BUILD):
                        self._drop(view.stack, request)

    def _release(self, view: View, decision: Decision) -> None:
        """Release what is over, and what another hand has started again unseen. What another hand had stopped is asked
        to start: its exit code 0, if it has one, was no success of its own."""
        over = [one for one in decision.released if one.until is not None and one.until <= self._clock().wall]
        self.let_go(view.stack, over, "its time is over")
        self.let_go(view.stack, [one for one in decision.released if one not in over], "an edit released it")
        stopped = [one for one in decision.released if held_by_hand(one)]
        for services in {() if one.service is None else (one.service,) for one in stopped}:
            ended = (one for one in ours(view) if one.ended and (not services or one.service in services))
            targets = frozenset(one.incarnation for one in ended)
            now = self._clock().wall
            if targets:
                request = Request(self.new_id(), view.stack, Verb.START, services, "stackd", now, targets)
                self._write(self._journal.put_request(request))
                self._begin(request)
        for override in view.overrides:
            running = started_since(view, override)
            if running and override in self._store.view(view.stack).overrides:
                if override.service is None:
                    self.impose(*narrowed(view, override, running))
                self.let_go(view.stack, [override], "it was started by another hand")

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
        self._journal.save_operation(over)
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


def _number(identity: str) -> int:
    """Where an id stands in the order of ids; 0 for none, and for what no `new_id` has made."""
    try:
        return int(identity, 16) if len(identity) == _DIGITS else 0
    except ValueError:
        return 0


def _is_free(service: ServiceName, gone: Iterable[Override], left: Iterable[Override]) -> bool:
    """Whether the last override that left a service alone, or the last one by another hand, is among those gone."""
    for kept in (held_by_hand, leaves_alone):
        was = any(kept(one) and one.service in (None, service) for one in gone)
        if was and not any(kept(one) and one.service in (None, service) for one in left):
            return True
    return False


def _overlap(old: Request, new: Request) -> bool:
    """Whether a newer request takes an older one's place: pulls and builds beside a start do not."""
    images = (Verb.PULL, Verb.BUILD)
    if (old.verb in images) != (new.verb in images):
        return False
    return not new.services or (bool(old.services) and set(old.services) <= set(new.services))


def _trouble(request: Request, view: View, decision: Decision) -> str:
    """Why a request is not going to be done soon, "" = it is under way."""
    runs = request.verb in (Verb.START, Verb.RESUME, Verb.UP) and is_seen_since(view, request)
    for verdict in decision.verdicts:
        if request.services and verdict.service not in request.services:
            continue
        if verdict.state in _FAILING or (request.verb in MEANS_THE_FILE and is_held_back(verdict)):
            return f"{verdict.service}: {verdict.detail}"
        if runs and verdict.state is ServiceState.PAUSED:
            return why_it_stays_paused(view, verdict)
    return ""
