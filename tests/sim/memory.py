"""A journal in memory: what a disk would hold after a kill at any instant.

Law: as the real one: overrides and requests are kept when their `put` returns, the rest may lose the last second. What
a dead daemon writes goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, OperationId, ServiceName, StackName
from stackd.model.override import Operation, Override, OverrideKind, Request
from stackd.model.record import Applied, Crash, CrashBundle
from stackd.model.spec import Project
from stackd.model.status import Happening
from stackd.model.view import Ledger
from stackd.runtime.database import Bounds
from stackd.runtime.journal import Journal, JournalContents
from stackd.runtime.kept import Kept
from stackd.source.revision import Revision

LAG = 1.0
BOUNDS = Bounds(max_events=10_000, max_age=1e12)


@dataclass(slots=True)
class Disk:
    """What survives. `late` holds what is not written yet, with the instant of its write.

    A `full` one takes nothing until there is room again; then a daemon that still lives writes what it owes.
    """

    overrides: dict[tuple[StackName, ServiceName | None, OverrideKind], Override] = field(default_factory=dict)
    requests: dict[OperationId, Request] = field(default_factory=dict)
    ledgers: dict[StackName, Ledger] = field(default_factory=dict)
    condemned: dict[StackName, dict[ContainerId, Condemned]] = field(default_factory=dict)
    crashes: dict[int, CrashBundle] = field(default_factory=dict)
    applied: dict[tuple[StackName, int], Applied] = field(default_factory=dict)
    operations: dict[OperationId, Operation] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    late: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    texts: dict[str, Project] = field(default_factory=dict)
    """What the text of each digest says: it stands with the revisions, and is of no use without them."""
    full: bool = False
    full_until: float = -1e9

    def write(self, until: float) -> None:
        """Everything due by then is written."""
        if self.full:
            return
        for due, act in self.late:
            if due <= until:
                act()
        self.late = [one for one in self.late if one[0] > until]

    def contents(self, now: float) -> JournalContents:
        """What a new daemon finds: the last second of counters is lost."""
        self.write(now)
        self.late.clear()
        return JournalContents(
            tuple(self.overrides.values()),
            tuple(self.requests.values()),
            dict(self.ledgers),
            {name: dict(one) for name, one in self.condemned.items()},
            next_seq=len(self.happenings) + 1000,
            operations=tuple(self.operations.values()),
        )

    def wipe(self) -> None:
        """Amnesia: the database is deleted."""
        for table in (
            self.overrides, self.requests, self.ledgers, self.condemned, self.crashes, self.applied, self.operations,
            self.meta,
        ):  # fmt: skip
            table.clear()
        self.late.clear()


class MemoryJournal(Journal):
    """The journal of one daemon on a disk."""

    def __init__(self, disk: Disk, mono: Callable[[], float]) -> None:
        self.disk = disk
        self.dead = False
        self._mono = mono
        disk.write(mono())
        self._kept = Kept(BOUNDS)
        self._kept.add_crashes(one.crash for one in disk.crashes.values())
        for applied in disk.applied.values():
            self._kept.add_applied(applied)
        self._next_crash = max(disk.crashes, default=0) + 100

    @property
    def problem(self) -> str:
        return "no space left on device" if self.disk.full else ""

    @property
    def unread(self) -> bool:
        return False

    async def put_override(self, override: Override) -> bool:
        key = (override.stack, override.service, override.kind)
        return await self._now(lambda: self.disk.overrides.__setitem__(key, override))

    async def delete_override(self, override: Override) -> bool:
        key = (override.stack, override.service, override.kind)
        return await self._now(lambda: self.disk.overrides.pop(key, None))

    async def put_request(self, request: Request) -> bool:
        return await self._now(lambda: self.disk.requests.__setitem__(request.id, request))

    def delete_request(self, request: OperationId) -> None:
        self._later(lambda: self.disk.requests.pop(request, None))

    def save_ledger(self, stack: StackName, ledger: Ledger) -> None:
        self._later(lambda: self.disk.ledgers.__setitem__(stack, ledger))

    def save_condemned(self, stack: StackName, condemned: Mapping[ContainerId, Condemned]) -> None:
        kept = dict(condemned)
        self._later(lambda: self.disk.condemned.__setitem__(stack, kept))

    def next_crash(self) -> int:
        self._next_crash += 1
        return self._next_crash

    def save_crash(self, bundle: CrashBundle) -> None:
        self._kept.add_crashes((bundle.crash,))
        self._later(lambda: self.disk.crashes.__setitem__(bundle.crash.id, bundle))

    def crashes(self, stack: StackName) -> tuple[Crash, ...]:
        return self._kept.crashes(stack, 0.0)

    async def crash(self, crash: int) -> CrashBundle | None:
        await self.flush(LAG)
        return self.disk.crashes.get(crash)

    def save_applied(self, applied: Applied) -> None:
        self._kept.add_applied(applied)
        self._later(lambda: self.disk.applied.__setitem__((applied.stack, applied.number), applied))

    def applied(self, stack: StackName) -> tuple[Applied, ...]:
        return self._kept.applied(stack)

    def save_operation(self, operation: Operation) -> None:
        self._later(lambda: self.disk.operations.__setitem__(operation.request.id, operation))

    def revision(self, stack: StackName) -> Revision | None:
        return None

    def set_meta(self, key: str, value: str) -> None:
        self._later(lambda: self.disk.meta.__setitem__(key, value))

    def meta(self, key: str) -> str:
        return self.disk.meta.get(key, "")

    def forget_meta(self, prefix: str, but: Collection[str] = ()) -> None:
        for key in [key for key in self.disk.meta if key.startswith(prefix) and key not in but]:
            self._later(partial(self.disk.meta.pop, key, None))

    def forget_stack(self, stack: StackName, overrides: Iterable[Override], requests: Iterable[Request]) -> None:
        for override in overrides:
            key = (stack, override.service, override.kind)
            self._later(partial(self.disk.overrides.pop, key, None))
        for request in requests:
            self.delete_request(request.id)
        self._later(partial(self.disk.ledgers.pop, stack, None))
        self._later(partial(self.disk.condemned.pop, stack, None))
        for applied in self._kept.drop_applied(stack):
            self._later(partial(self.disk.applied.pop, (stack, applied.number), None))

    def append_history(self, entry: Happening) -> None:
        if not self.dead:
            self.disk.happenings.append(entry)

    async def flush(self, timeout: float) -> bool:
        if not self.dead:
            self.disk.write(self._mono() + LAG)
        return not self.dead and not self.disk.full

    async def _now(self, act: Callable[[], object]) -> bool:
        """Written before the answer, with all that came before it; on a full disk when there is room again."""
        self._later(act)
        return await self.flush(LAG)

    def _later(self, act: Callable[[], object]) -> None:
        if not self.dead:
            self.disk.late.append((self._mono() + LAG, lambda: void(act())))


def void(_: object) -> None:
    """Nothing."""
