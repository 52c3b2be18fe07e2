"""What the API may ask of the daemon: the seam between `api` and `runtime`.

Law: a verb is an override or a request put into the store, on disk before the answer; nothing here changes the engine.
Reads come from immutable snapshots; only logs ask the engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from stackd.engine.base import LogLine
from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.override import Operation, Override, OverrideKind, Verb
from stackd.model.record import Adoptable, Applied, Crash, CrashBundle, WhyAnswer
from stackd.model.status import Happening, PlanStatus, Readiness, StackStatus


@dataclass(frozen=True, slots=True)
class Versions:
    """Who answers: stackd, the engine it talks to ("" while unreachable), API version, instance, process id."""

    stackd: str
    engine: str
    engine_api: str
    instance: str
    pid: int
    stacks_dirs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetOverride:
    """An override that is in force now; `detail` "" = it is on disk, else why it is not."""

    override: Override
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DroppedOverrides:
    """`changed` = there were overrides, and they are released; `detail` "" = on disk, too, else why it is not."""

    changed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServiceLog:
    """One log line with where it comes from."""

    service: ServiceName
    number: int
    line: LogLine


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which log lines: `services` empty = all; `tail` None = all; `since` wall-clock seconds, 0 = from the start."""

    services: tuple[ServiceName, ...] = ()
    tail: int | None = None
    since: float = 0.0
    follow: bool = False


class Control(Protocol):
    """Implemented by `runtime.commands`, and by a fake in the tests. Raises `RequestError` for what cannot be.

    404 `no_such_stack`, `no_such_service`, `no_such_operation` (naming the nearest), 410 `cursor_expired`,
    503 `engine_unavailable` (logs only).
    """

    def versions(self) -> Versions:
        """Who answers."""

    async def started(self, timeout: float) -> str:
        """Wait, at most `timeout` seconds, until the files have been read once and, where the engine answers, every
        stack has been looked at. What is not read yet, in words; "" = what is answered from now on is right."""

    def readiness(self) -> Readiness:
        """What is stale or broken."""

    def stacks(self) -> tuple[StackStatus, ...]:
        """Every stack, by name."""

    def stack(self, name: StackName) -> StackStatus:
        """One stack."""

    async def read(self, name: StackName) -> None:
        """Read a stack's files as they are now; returns once a decision was made from what they say.

        No damper and no quiet time apply. RequestError 503 `not_read` when they cannot be read in time.
        """

    def plan(self, name: StackName) -> PlanStatus:
        """What is to be done for a stack, by the last decision: `read` first."""

    async def submit(
        self, stack: StackName, verb: Verb, services: tuple[ServiceName, ...], by: str, *, accept_loss: bool = False
    ) -> Operation:
        """Ask for a verb; returns once it is on disk and in force. Newer ones supersede older ones of that scope.

        `accept_loss` counts for an UP only: see `Request`.
        """

    async def settled(self, operation: OperationId, timeout: float) -> Operation:
        """Wait until an operation is over, at most `timeout` seconds; the operation as it then is."""

    def operation(self, operation: OperationId) -> Operation:
        """One operation."""

    def operations(self) -> tuple[Operation, ...]:
        """The newest operations, newest first."""

    async def put_override(
        self,
        stack: StackName,
        service: ServiceName | None,
        kind: OverrideKind,
        reason: str,
        by: str,
        until: float | None,
    ) -> SetOverride:
        """Set an override; in force when this returns, and on disk, or it says why not."""

    async def drop_override(
        self, stack: StackName, service: ServiceName | None, by: str, kind: OverrideKind | None = None
    ) -> DroppedOverrides:
        """Release the overrides of exactly this scope that are of `kind`; whether there was one.

        None: all but a PINNED one. A rollback ends by an edit, by `up`, or by its kind's name.
        """

    def why(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        """Why a service is as it is."""

    def crashes(self, stack: StackName, service: ServiceName | None) -> tuple[Crash, ...]:
        """The crashes still kept, newest first; of one service or of all of a stack."""

    async def crash(self, stack: StackName, crash: int) -> CrashBundle:
        """One crash with its evidence. RequestError 404 `no_such_crash`, 503 `journal_unavailable`."""

    def revisions(self, stack: StackName) -> tuple[Applied, ...]:
        """The applied revisions still kept, newest first."""

    async def why_with_values(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        """As `why`; what the edits of kept revisions hide is shown, for whoever may read the files."""

    async def diff(
        self, stack: StackName, number: int, against: int | None, *, values: bool = False
    ) -> tuple[str, ...]:
        """A unified diff of the resolved definitions; against the revision before, or `against`.

        Values are hidden as `compose.redact` says, unless `values` asks for them.
        RequestError 404 `no_such_revision`.
        """

    async def rollback(self, stack: StackName, number: int | None, by: str) -> Operation:
        """Put an earlier revision in force (None = the one before) until the next edit or `up`: a PINNED override.

        RequestError 404 `no_such_revision`, 409 `no_earlier_revision`.
        """

    async def adoptable(self) -> tuple[Adoptable, ...]:
        """Compose projects on the engine that no stacks directory holds. RequestError 503 `engine_unavailable`."""

    async def adopt(self, stack: StackName, by: str) -> Operation:
        """Keep a released stack again, or link an adoptable project's folder into the first stacks directory.

        RequestError 404 `not_adoptable`, 409 `not_adoptable` (naming the obstacle).
        """

    async def release(self, stack: StackName, by: str) -> Operation:
        """Give a stack back to the engine, with its file's restart policies, until it is adopted: RELEASED."""

    def happenings(self, after: int, limit: int) -> tuple[Happening, ...]:
        """History entries with seq > `after`, oldest first. `after` -1 = from the oldest kept."""

    def last_seq(self) -> int:
        """The newest history entry's seq, 0 when there is none."""

    async def happened(self, after: int) -> None:
        """Wait until there is an entry with seq > `after`."""

    def logs(self, stack: StackName, query: LogQuery) -> AbstractAsyncContextManager[AsyncIterator[ServiceLog]]:
        """Log lines of a stack's services; with `follow` it goes on over restarts and recreation."""

    async def rescan(self) -> None:
        """Read all stack files again now; returns when they have been read."""
