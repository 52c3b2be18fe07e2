"""The journal's records that readers ask for, in memory: crashes in short, applied revisions, operations.

Law: bounded as the database is, by the same rule, so that memory and disk hold the same. Nothing here waits or fails.
What this module does NOT do: write (the journal does), or hold a crash's evidence (only the disk does).
"""

from __future__ import annotations

from collections.abc import Iterable

from stackd.model.ids import OperationId, StackName
from stackd.model.override import Operation
from stackd.model.record import Applied, Crash
from stackd.runtime.database import Bounds


class Kept:
    """What is kept, within `bounds`. Instants are wall-clock seconds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._crashes: dict[int, Crash] = {}
        self._applied: dict[StackName, dict[int, Applied]] = {}
        self._operations: dict[OperationId, Operation] = {}

    def crash(self, crash: int) -> Crash | None:
        """One crash in short, None when it is not kept."""
        return self._crashes.get(crash)

    def crashes(self, stack: StackName, now: float) -> tuple[Crash, ...]:
        """Those of a stack, newest first."""
        oldest = now - self._bounds.max_age
        found = (one for one in self._crashes.values() if one.stack == stack and one.at >= oldest)
        return tuple(sorted(found, key=lambda one: one.id, reverse=True))

    def add_crashes(self, crashes: Iterable[Crash]) -> None:
        """Keep them too; the oldest beyond the bounds go."""
        self._crashes |= {one.id: one for one in crashes}
        kept: dict[int, Crash] = {}
        seen: dict[tuple[str, str], int] = {}
        for number in sorted(self._crashes, reverse=True):
            one = self._crashes[number]
            nth = seen[one.stack, one.service] = seen.get((one.stack, one.service), 0) + 1
            if nth <= self._bounds.max_crashes_of_service and len(kept) < self._bounds.max_crashes:
                kept[number] = one
        self._crashes = kept

    def applied(self, stack: StackName) -> tuple[Applied, ...]:
        """The applied revisions of a stack, oldest first."""
        found = self._applied.get(stack, {})
        return tuple(found[number] for number in sorted(found))

    def add_applied(self, applied: Applied) -> tuple[Applied, ...]:
        """Keep it too; those of its stack that go for it."""
        found = self._applied.setdefault(applied.stack, {})
        found[applied.number] = applied
        gone = [found.pop(number) for number in sorted(found)[: -self._bounds.max_revisions]]
        return tuple(gone)

    def drop_applied(self, stack: StackName) -> tuple[Applied, ...]:
        """Forget a stack's revisions; they are returned."""
        return tuple(self._applied.pop(stack, {}).values())

    def operations(self) -> tuple[Operation, ...]:
        """All operations kept, oldest first."""
        return tuple(self._operations[key] for key in sorted(self._operations))

    def add_operation(self, operation: Operation) -> tuple[OperationId, ...]:
        """Keep how it stands; the ids of those that go for it."""
        self._operations[operation.request.id] = operation
        gone = sorted(self._operations)[: -self._bounds.max_operations]
        for key in gone:
            del self._operations[key]
        return tuple(gone)
