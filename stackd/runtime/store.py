"""What is known of every stack, as immutable values with a version: inputs come in, decisions are committed.

Law: `version(stack)` counts inputs only. An input equal to the one held does not bump it, and a commit never does: a
decision that woke itself would starve the event loop. Single-threaded: only the event loop's own thread calls it.
What it does NOT do: decide, write to disk (see `intents`), talk to the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from stackd.compose.explain import changed_fields
from stackd.core.ownership import is_ours
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import Condemned, Evidence
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import ContainerState, ObservedContainer, ObservedStack
from stackd.model.override import Override, Request
from stackd.model.plan import Op, PullImage, RemoveContainer, service_of
from stackd.model.view import Decision, DesiredStack, Failure, HostFacts, Ledger, LostPin, Pin, View
from stackd.runtime.cell import Cell

LATE = 60.0
"""For how long events of a container that is gone may still come (seconds)."""


class Store:
    """All stacks. `mono` is the monotonic clock in seconds; `on_stack` hears of every stack that is not yet known."""

    def __init__(self, host: HostFacts, mono: Callable[[], float], on_stack: Callable[[StackName], None]) -> None:
        self._host = host
        self._mono = mono
        self._on_stack = on_stack
        self._cells: dict[StackName, Cell] = {}

    # Reading

    @property
    def host(self) -> HostFacts:
        """The cross-stack facts."""
        return self._host

    def names(self) -> tuple[StackName, ...]:
        """Every stack that is known, sorted."""
        return tuple(sorted(self._cells))

    def view(self, stack: StackName) -> View:
        """The stack's inputs as they are now, as one immutable value."""
        cell = self._cell(stack)
        return View(
            stack=stack, version=cell.version, desired=cell.desired, observed=cell.observed, host=self._host,
            ledger=cell.ledger, evidence=dict(cell.evidence), condemned=dict(cell.condemned), overrides=cell.overrides,
            requests=cell.requests, failures=dict(cell.failures), fetched=cell.fetched, running=cell.running,
            answered=dict(cell.answered), changes=cell.changes, pin=cell.pin, created=cell.created,
            hidden=cell.hidden,
        )  # fmt: skip

    def decision(self, stack: StackName) -> Decision | None:
        """The last decision committed, None before the first."""
        return self._cell(stack).decision

    def decided_version(self, stack: StackName) -> int:
        """The version of the inputs that the last decision was made from."""
        return self._cell(stack).decided

    async def committed(self, stack: StackName, version: int) -> None:
        """Return once a decision was made from inputs at least as new as `version`, or the stack is gone."""
        while (cell := self._cells.get(stack)) is not None and cell.decided < version:
            cell.decisions.clear()
            await cell.decisions.wait()

    def applied_generation(self, stack: StackName) -> int:
        """The last generation of the definition after which nothing was left to do."""
        return self._cell(stack).applied

    def trouble(self, stack: StackName) -> str:
        """Why the stack's own task ended by an error, "" = it runs."""
        return self._cell(stack).trouble

    async def changed(self, stack: StackName, since: int, deadline: float | None) -> None:
        """Return when the stack's version differs from `since`, or at `deadline` (monotonic). Always suspends once."""
        await asyncio.sleep(0)
        cell = self._cell(stack)
        while cell.version == since:
            cell.news.clear()
            left = None if deadline is None else deadline - self._mono()
            if left is not None and left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await cell.news.wait()
            except TimeoutError:
                return

    # Inputs

    def set_desired(self, desired: DesiredStack) -> None:
        """Take a definition; remember, for explaining, which fields an edit changed."""
        cell = self._cell(desired.name)
        if cell.desired == desired:
            return
        before = cell.desired.project if cell.desired else None
        if before is not None and desired.project is not None:
            for name, spec in desired.project.services.items():
                old = before.services.get(name)
                if old is not None and old.hashes != spec.hashes:
                    cell.changes[name] = changed_fields(old, spec)
        cell.desired = desired
        cell.learn(desired.project)
        self._bump(cell)

    def drop_desired(self, stack: StackName) -> None:
        """The stack is gone for good."""
        cell = self._cell(stack)
        cell.desired = None
        self._bump(cell)

    def set_observed(self, observed: ObservedStack) -> None:
        """Take an observation; one that is older than the one held is dropped, an equal one only renews its time."""
        cell = self._cell(observed.stack)
        if cell.observed is not None and observed.sent_at < cell.observed.sent_at:
            return
        same = cell.observed == observed
        before = cell.observed.sent_at if cell.observed else 0.0
        waited = any(at > before for at in (*cell.answered.values(), self._host.contact_at))
        self._note_over(cell, observed)
        cell.observed = observed
        self._forget_gone(cell, observed)
        if not same or waited:
            self._bump(cell)

    def _note_over(self, cell: Cell, observed: ObservedStack) -> None:
        """A list may run ahead of the events: what it shows over, and we did not end, has yet to be told of."""
        there = {container.id: container for container in observed.containers}
        for old in cell.observed.containers if cell.observed else ():
            last = there.get(old.id)
            gone = last is None and old.id not in cell.removing
            ended = last is not None and old.live and last.ended and old.id not in cell.condemned
            if (gone or ended) and is_ours(old, self.view(observed.stack)):
                self._note(cell, last or old)

    def _note(self, cell: Cell, over: ObservedContainer) -> None:
        known = cell.evidence.get(over.id)
        if known is None or (0 < known.started_at < over.started_at):
            known = Evidence(over.id, over.service, over.started_at)
        cell.evidence[over.id] = replace(known, over_at=self._mono())

    def _forget_gone(self, cell: Cell, observed: ObservedStack) -> None:
        """Condemned runs that are over and answered failures of containers that are gone explain nothing any more.

        (Nor does it that a container was called unstartable, once it runs: somebody has mended it.)
        """
        runs = {container.id: container.started_at for container in observed.containers}
        unclear = {one.id for one in observed.containers if one.state is ContainerState.UNKNOWN}
        cell.removing = {one: at for one, at in cell.removing.items() if one in runs or self._mono() - at < LATE}
        for container, condemned in list(cell.condemned.items()):
            if container not in unclear and runs.get(container) != condemned.started_at:
                del cell.condemned[container]
                if container not in runs:
                    cell.stopped[container] = self._mono()
        cell.stopped = {one: at for one, at in cell.stopped.items() if self._mono() - at < LATE}
        for key in list(cell.failures):
            kind, _, target = key.partition(":")
            if kind in ("start", "stop", "remove", "rename", "update") and target not in runs:
                del cell.failures[key]
        for mended in (f"start:{one.id}" for one in observed.containers if one.live):
            failure = cell.failures.get(mended)
            if failure and failure.kind is EngineErrorKind.UNSTARTABLE and failure.at <= observed.sent_at:
                del cell.failures[mended]

    def set_host(self, host: HostFacts) -> None:
        """Take new cross-stack facts: every stack looks again. Another contact with the engine (perhaps another version
        of it) forgets what failed in the last one: calls that it left unanswered are nobody's fault."""
        if host == self._host:
            return
        again = host.engine_epoch != self._host.engine_epoch
        self._host = host
        for cell in self._cells.values():
            if again:
                cell.failures.clear()
            self._bump(cell)

    def update_host(self, **changes: object) -> None:
        """The same, naming only what changed."""
        self.set_host(replace(self._host, **changes))  # type: ignore[arg-type]

    def put_evidence(self, stack: StackName, evidence: Evidence) -> None:
        """Take what events told of a container's end."""
        cell = self._cell(stack)
        if cell.evidence.get(evidence.container) != evidence:
            cell.evidence[evidence.container] = evidence
            self._bump(cell)

    def drop_evidence(self, stack: StackName, container: ContainerId) -> None:
        """It started again, or explains nothing any more."""
        cell = self._cell(stack)
        if cell.evidence.pop(container, None) is not None:
            self._bump(cell)

    def evidence(self, stack: StackName) -> Mapping[ContainerId, Evidence]:
        """The evidence held."""
        return dict(self._cell(stack).evidence)

    def set_condemned(self, stack: StackName, condemned: Condemned) -> None:
        """A stop is about to be sent."""
        cell = self._cell(stack)
        cell.condemned[condemned.container] = condemned
        self._bump(cell)

    def is_condemned(self, stack: StackName, container: ContainerId) -> bool:
        """Whether we have sent, or are about to send, a stop of its run. (It may be gone before the event is told.)"""
        cell = self._cell(stack)
        return container in cell.condemned or container in cell.stopped

    def acquit(self, stack: StackName, container: ContainerId) -> None:
        """The stop that was about to be sent was not."""
        cell = self._cell(stack)
        if cell.condemned.pop(container, None) is not None:
            self._bump(cell)

    def set_overrides(self, stack: StackName, overrides: tuple[Override, ...]) -> None:
        """All overrides of the stack."""
        cell = self._cell(stack)
        if cell.overrides != overrides:
            cell.overrides = overrides
            self._bump(cell)

    def set_pin(self, stack: StackName, pin: Pin | LostPin | None) -> None:
        """The revision that a PINNED override names; it is in force only while that override stands."""
        cell = self._cell(stack)
        if cell.pin != pin:
            cell.pin = pin
            cell.learn(pin.project if isinstance(pin, Pin) else None)
            self._bump(cell)

    def note_created(self, stack: StackName, container: ContainerId) -> None:
        """We made this container. No bump: the observation that shows it does."""
        self._cell(stack).created |= {container}

    def set_requests(self, stack: StackName, requests: tuple[Request, ...]) -> None:
        """All requests of the stack that are not done."""
        cell = self._cell(stack)
        if cell.requests != requests:
            for request in requests:
                if request not in cell.requests:  # what was seen before it says nothing of what it asks for
                    cell.answered |= dict.fromkeys(request.services or (None,), self._mono())
            cell.requests = requests
            ids = {request.id for request in requests}
            cell.fetched = frozenset(one for one in cell.fetched if one[0] in ids or one[0].startswith("always:"))
            self._bump(cell)

    def forgive(self, stack: StackName, services: tuple[ServiceName, ...]) -> None:
        """A person asked: calls that failed are tried again at once."""
        cell = self._cell(stack)
        for key, failure in list(cell.failures.items()):
            if not services or failure.service is None or failure.service in services:
                del cell.failures[key]
        self._bump(cell)

    def restore(
        self, stack: StackName, ledger: Ledger, condemned: Mapping[ContainerId, Condemned],
        overrides: tuple[Override, ...], requests: tuple[Request, ...],
    ) -> None:  # fmt: skip
        """Take what an earlier run of the daemon left."""
        cell = self._cell(stack)
        cell.ledger, cell.condemned = ledger, dict(condemned)
        cell.overrides, cell.requests = overrides, requests
        self._bump(cell)

    # Jobs

    def started(self, stack: StackName, op: Op) -> None:
        """An operation is in flight. No bump: it is our own doing."""
        cell = self._cell(stack)
        cell.running |= {op}
        if isinstance(op, RemoveContainer):
            cell.removing[op.container] = self._mono()

    def is_removing(self, stack: StackName, container: ContainerId) -> bool:
        """Whether we have sent, or are about to send, the removal of this container."""
        return container in self._cell(stack).removing

    def succeeded(self, stack: StackName, op: Op, key: str, fetched: str | None) -> None:
        """An operation was answered well; `fetched` = the request that a pull or build served."""
        cell = self._finish(stack, op)
        cell.failures.pop(key, None)
        service = service_of(op)
        if fetched is not None and service is not None:
            cell.fetched |= {(fetched, service)}
        if isinstance(op, PullImage):
            self._network_works()
        self._bump(cell)

    def _network_works(self) -> None:
        """A pull went well: pulls that found no way to their registry are tried again at once."""
        answered = (EngineErrorKind.MISSING, EngineErrorKind.DENIED)
        for cell in self._cells.values():
            lost = [k for k, one in cell.failures.items() if k.startswith("pull:") and one.kind not in answered]
            for key in lost:
                del cell.failures[key]
            if lost:
                self._bump(cell)

    def failed(self, stack: StackName, op: Op, key: str, fingerprint: str, error: EngineError) -> None:
        """An operation was answered badly, or not in time."""
        cell = self._finish(stack, op)
        before = cell.failures.get(key)
        again = before if before is not None and _same_row(before, fingerprint, error.kind) else None
        count, now = (again.count + 1 if again is not None else 1), self._mono()
        first = again.first_at if again is not None else now
        cell.failures[key] = Failure(key, service_of(op), count, now, error.kind, error.message, fingerprint, first)
        self._bump(cell)

    def ended(self, stack: StackName, op: Op) -> None:
        """An operation ended without an answer that counts (it was cancelled, or the engine was away)."""
        self._bump(self._finish(stack, op))

    def _finish(self, stack: StackName, op: Op) -> Cell:
        cell = self._cell(stack)
        cell.running -= {op}
        cell.answered[service_of(op)] = self._mono()
        return cell

    # Outputs

    def commit(self, stack: StackName, version: int, decision: Decision) -> None:
        """Keep a decision. Never bumps the version."""
        cell = self._cell(stack)
        cell.decision, cell.decided, cell.ledger = decision, version, decision.ledger
        cell.trouble = ""
        cell.decisions.set()
        if not decision.plan.steps and cell.desired is not None and cell.observed is not None:
            cell.applied = cell.desired.generation

    def set_trouble(self, stack: StackName, trouble: str) -> None:
        """The stack's own task ended by an error."""
        self._cell(stack).trouble = trouble

    def forget(self, stack: StackName) -> None:
        """Nothing of it is left."""
        gone = self._cells.pop(stack, None)
        if gone is not None:
            gone.decisions.set()

    def wake(self, stack: StackName) -> None:
        """Look again, though no input changed."""
        self._bump(self._cell(stack))

    def _cell(self, stack: StackName) -> Cell:
        cell = self._cells.get(stack)
        if cell is None:
            cell = self._cells[stack] = Cell()
            self._on_stack(stack)
        return cell

    def _bump(self, cell: Cell) -> None:
        cell.version += 1
        cell.news.set()


def _same_row(before: Failure, fingerprint: str, kind: EngineErrorKind) -> bool:
    """Whether another failure counts on from this one: of the same definition, and a start refused for ever only from
    one refused so (a start that was not answered in time may have left its task)."""
    for_ever = EngineErrorKind.UNSTARTABLE
    return before.fingerprint == fingerprint and (before.kind is for_ever) == (kind is for_ever)
