"""Operations in flight: each a task that waits its turn, makes one engine call, and tells the store the answer.

Law: a call that has been sent is never taken back: a cancelled job ends after its call has ended, and what was done is
told (pull and build apart, which can be cut). Before a stop is sent, its container is condemned, on disk if the disk
answers in time. After every answer, good or bad, somebody looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from stackd.compose.redact import scrub
from stackd.engine.base import Engine, Progress
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, StackName
from stackd.model.plan import BuildImage, Op, PullImage, StopContainer, service_of
from stackd.model.view import Now
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.runtime.limiter import Limiter
from stackd.runtime.observer import Observer
from stackd.runtime.perform import keyed, perform
from stackd.runtime.store import Store
from stackd.runtime.words import happened
from stackd.values import shortened

log = logging.getLogger(__name__)

INTENT_WAIT = 1.0
"""Seconds that a stop waits for its intent to be on disk; a stalled disk never keeps it from being sent."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What jobs work with."""

    engine: Engine
    store: Store
    observer: Observer
    limiter: Limiter
    journal: Journal
    history: History
    clock: Callable[[], Now]


@dataclass(slots=True)
class _Job:
    task: asyncio.Task[None]
    progress: Progress | None = None


@dataclass(slots=True)
class Jobs:
    """All jobs of all stacks."""

    tools: Tools
    _jobs: dict[tuple[StackName, Op], _Job] = field(default_factory=dict)
    _draining: bool = False

    def start(self, stack: StackName, ops: Iterable[Op]) -> None:
        """Begin operations; those in flight already are left alone."""
        for op in ops if not self._draining else ():
            if (stack, op) not in self._jobs:
                self.tools.store.started(stack, op)
                task = asyncio.create_task(self._run(stack, op), name=f"{type(op).__name__} {stack}/{service_of(op)}")
                self._jobs[stack, op] = _Job(task)

    def cancel(self, stack: StackName, ops: Iterable[Op]) -> None:
        """End operations that the plan no longer contains: at once if not yet sent, else after their call."""
        for op in ops:
            job = self._jobs.get((stack, op))
            if job is not None:
                job.task.cancel()

    def progress(self, stack: StackName) -> dict[Op, Progress]:
        """How pulls and builds of a stack fare."""
        return {op: job.progress for (name, op), job in self._jobs.items() if name == stack and job.progress}

    async def drain(self, timeout: float) -> None:
        """Let calls that were sent finish, at most `timeout` seconds; cancel the rest, and begin nothing more."""
        self._draining = True
        tasks = [job.task for job in self._jobs.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)

    async def _run(self, stack: StackName, op: Op) -> None:
        store, name = self.tools.store, keyed(op)
        try:
            async with self.tools.limiter.turn(op):
                await self._call(stack, op)
        except asyncio.CancelledError:
            store.ended(stack, op)
            raise
        except EngineError as error:
            text = shortened(self._scrubbed(stack, error.message))  # in this order: a cut secret is not found any more
            self._failed(stack, op, EngineError(error.kind, text, status=error.status))
        except Exception as error:  # the seam: a fault of ours fails one operation, never the daemon
            trace, text = (self._scrubbed(stack, one) for one in (traceback.format_exc(), repr(error)))
            log.error("%s failed by a fault of stackd\n%s", type(op).__name__, trace)
            store.failed(stack, op, name.key, name.fingerprint, EngineError(EngineErrorKind.FAILED, text))
        finally:
            self._jobs.pop((stack, op), None)
            image = isinstance(op, PullImage | BuildImage)
            self.tools.observer.look(stack, getattr(op, "container", None), images=image)

    def _scrubbed(self, stack: StackName, text: str) -> str:
        """A text that we did not write (the engine's, a builder's, a fault's) without the values of the definition."""
        return scrub(text, self.tools.store.view(stack).hidden)

    async def _call(self, stack: StackName, op: Op) -> None:
        """Make the call, shielded unless it may be cut."""
        if isinstance(op, StopContainer):
            await self._condemn(stack, op)
        view, now = self.tools.store.view(stack), self.tools.clock()
        call = asyncio.create_task(perform(self.tools.engine, view, op, now, lambda told: self._note(stack, op, told)))
        if isinstance(op, PullImage | BuildImage):
            try:
                await call
            finally:
                call.cancel()
        else:
            made = await _to_the_end(call)
            if made is not None:
                self.tools.store.note_created(stack, made)
        self._succeeded(stack, op)

    async def _condemn(self, stack: StackName, op: StopContainer) -> None:
        condemned = Condemned(op.container, op.started_at, op.reason.why, str(op.reason), op.restart)
        store, journal = self.tools.store, self.tools.journal
        known = op.container in store.view(stack).condemned
        store.set_condemned(stack, condemned)
        journal.save_condemned(stack, store.view(stack).condemned)
        try:
            await journal.flush(INTENT_WAIT)
        except asyncio.CancelledError:  # not sent: it runs on, unless an earlier stop is on its way
            if not known:
                store.acquit(stack, op.container)
                journal.save_condemned(stack, store.view(stack).condemned)
            raise

    def _note(self, stack: StackName, op: Op, told: Progress) -> None:
        job = self._jobs.get((stack, op))
        if job is not None:
            job.progress = replace(told, text=self._scrubbed(stack, told.text))

    def _succeeded(self, stack: StackName, op: Op) -> None:
        fetched = op.request if isinstance(op, PullImage | BuildImage) else None
        self.tools.store.succeeded(stack, op, keyed(op).key, fetched)
        told = happened(op)
        edit = next(iter(op.reason.changes), None)
        self.tools.history.add(
            stack, service_of(op), told.type, f"{told.text}: {op.reason}",
            reason=str(op.reason), why=op.reason.why, container=getattr(op, "container", None),
            field=edit.field if edit else None, span=str(edit.span) if edit and edit.span else None,
        )  # fmt: skip

    def _failed(self, stack: StackName, op: Op, error: EngineError) -> None:
        name = keyed(op)
        if error.kind is EngineErrorKind.UNAVAILABLE:
            self.tools.store.ended(stack, op)  # the engine's fault, not the service's
            return
        self.tools.store.failed(stack, op, name.key, name.fingerprint, error)
        told = happened(op)
        text = f"{told.attempt} failed: {error.message}"
        self.tools.history.add(stack, service_of(op), "operation.failed", text, error=error.kind, step=told.type)


async def _to_the_end(call: asyncio.Task[ContainerId | None]) -> ContainerId | None:
    """Await a call that must not be cut. A cancellation meanwhile comes too late: what was done counts, and is told."""
    while not call.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({call})
    return call.result()
