"""A journal in memory: what a disk would hold after a kill at any instant.

Law: as the real one: overrides and requests are kept when their `put` returns, the rest may lose the last second. What
a dead daemon writes goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, OperationId, ServiceName, StackName
from stackd.model.override import Override, OverrideKind, Request
from stackd.model.status import Happening
from stackd.model.view import Ledger
from stackd.runtime.journal import Journal, JournalContents

LAG = 1.0


@dataclass(slots=True)
class Disk:
    """What survives. `late` holds what is not written yet, with the instant of its write."""

    overrides: dict[tuple[StackName, ServiceName | None, OverrideKind], Override] = field(default_factory=dict)
    requests: dict[OperationId, Request] = field(default_factory=dict)
    ledgers: dict[StackName, Ledger] = field(default_factory=dict)
    condemned: dict[StackName, dict[ContainerId, Condemned]] = field(default_factory=dict)
    late: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)

    def write(self, until: float) -> None:
        """Everything due by then is written."""
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
        )

    def wipe(self) -> None:
        """Amnesia: the database is deleted."""
        for table in (self.overrides, self.requests, self.ledgers, self.condemned):
            table.clear()
        self.late.clear()


class MemoryJournal(Journal):
    """The journal of one daemon on a disk."""

    def __init__(self, disk: Disk, mono: Callable[[], float]) -> None:
        self.disk = disk
        self.dead = False
        self._mono = mono

    @property
    def problem(self) -> str:
        return ""

    async def put_override(self, override: Override) -> bool:
        if not self.dead:
            self.disk.overrides[override.stack, override.service, override.kind] = override
        return not self.dead

    async def delete_override(self, override: Override) -> bool:
        if not self.dead:
            self.disk.overrides.pop((override.stack, override.service, override.kind), None)
        return not self.dead

    async def put_request(self, request: Request) -> bool:
        if not self.dead:
            self.disk.requests[request.id] = request
        return not self.dead

    def delete_request(self, request: OperationId) -> None:
        self._later(lambda: self.disk.requests.pop(request, None))

    def save_ledger(self, stack: StackName, ledger: Ledger) -> None:
        self._later(lambda: self.disk.ledgers.__setitem__(stack, ledger))

    def save_condemned(self, stack: StackName, condemned: Mapping[ContainerId, Condemned]) -> None:
        kept = dict(condemned)
        self._later(lambda: self.disk.condemned.__setitem__(stack, kept))

    def append_history(self, entry: Happening) -> None:
        if not self.dead:
            self.disk.happenings.append(entry)

    async def flush(self, timeout: float) -> bool:
        if not self.dead:
            self.disk.write(self._mono() + LAG)
        return not self.dead

    def _later(self, act: Callable[[], object]) -> None:
        if not self.dead:
            self.disk.late.append((self._mono() + LAG, lambda: void(act())))


def void(_: object) -> None:
    """Nothing."""
