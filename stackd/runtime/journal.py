"""What must outlive the daemon: overrides, requests, counters, condemned runs, history, definitions in force.

Law: an override or request is on the disk before its `put` returns True; everything else may lose the last second. A
database that is stalled, locked, read-only, full or corrupt never raises and never delays supervision: `problem` says
so, everything is kept in memory (within the bounds of what is kept at all) and written as soon as it can be.
Awaits here can be cancelled; the write goes on. Secrets come in redacted (revisions and log lines of crashes apart,
which is why the file is 0600). What this module does NOT do: decide.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from stackd.errors import StateError
from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, OperationId, StackName
from stackd.model.override import Operation, Override, Request
from stackd.model.record import Applied, Crash, CrashBundle
from stackd.model.status import Happening
from stackd.model.view import Ledger, Now
from stackd.runtime import rows
from stackd.runtime.database import Bounds, Stored, Table
from stackd.runtime.kept import Kept
from stackd.runtime.statedir import StateDir, open_state_dir
from stackd.runtime.writer import Writer
from stackd.source.revision import Revision

log = logging.getLogger(__name__)

FILE = "stackd.db"
SEQ_GAP = 1000
"""After an unclean end so many history numbers are skipped: the last second's entries had numbers that readers saw."""
CRASH_GAP = 100
"""The same for the numbers of crashes."""
GIVEN_UP = "the evidence was given up: the database could not be written"
LOST = "the evidence is not in the database any more"
_REPLY = 5.0
_OPENING = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JournalContents:
    """All that was kept and that its owners take over; crashes and applied revisions are asked of the journal.

    Ledger instants are monotonic seconds of this run; `next_seq` is the next history number; `operations` are the
    newest, oldest first, as they stood when the last daemon ended.
    """

    overrides: tuple[Override, ...] = ()
    requests: tuple[Request, ...] = ()
    ledgers: Mapping[StackName, Ledger] = field(default_factory=dict)
    condemned: Mapping[StackName, Mapping[ContainerId, Condemned]] = field(default_factory=dict)
    revisions: Mapping[StackName, Revision] = field(default_factory=dict)
    history: tuple[Happening, ...] = ()
    next_seq: int = 1
    meta: Mapping[str, str] = field(default_factory=dict)
    operations: tuple[Operation, ...] = ()


class Journal:
    """The database as the event loop sees it. Also the RevisionStore of `source`."""

    def __init__(self, state_dir: Path, bounds: Bounds, clock: Callable[[], Now]) -> None:
        self._state_dir = state_dir
        self._bounds = bounds
        self._clock = clock
        self._place: StateDir | None = None
        self._writer: Writer | None = None
        self._ledgers: dict[StackName, Ledger] = {}
        self._condemned: dict[StackName, Mapping[ContainerId, Condemned]] = {}
        self._revisions: dict[StackName, Revision] = {}
        self._meta: dict[str, str] = {}
        self._kept = Kept(bounds)
        self._next_crash = 1
        self._unreadable = 0

    @property
    def problem(self) -> str:
        """Why the newest data is not on disk, "" = all is well."""
        if self._place is not None and self._place.problem:
            return self._place.problem
        if self._writer is not None and self._writer.problem:
            return self._writer.problem
        return f"{self._unreadable} overrides or requests in the database cannot be read" if self._unreadable else ""

    @property
    def unread(self) -> bool:
        """Whether the file is there but what it holds could not be read yet: numbers in it are not known."""
        return self._open().unread

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem

    async def load(self) -> JournalContents:
        """Open everything and read it all; to be called once, first.

        Raises StateError when the state directory is another daemon's or person's, or the database a newer stackd's.
        """
        self._place = await asyncio.to_thread(open_state_dir, self._state_dir)
        self._writer = Writer(self._state_dir / FILE, self._bounds, lambda: self._clock().wall, self._place.secure)
        opening = asyncio.wrap_future(self._writer.start())
        done, _ = await asyncio.wait({opening}, timeout=_OPENING)
        if not done:
            log.error("the database has not answered for %.0f s; going on without what it holds", _OPENING)
            opening.add_done_callback(self._take_late)
            return self._parsed(Stored())
        try:
            stored = opening.result()
        except BaseException:
            self._place.close()
            raise
        if self._writer.unread:
            asyncio.wrap_future(self._writer.late).add_done_callback(self._take_late)
        contents = self._parsed(stored)
        self._put(Table.META, "ended_at_seq", None)
        return contents

    def _take_late(self, opening: asyncio.Future[Stored]) -> None:
        """The file could be read at last: its crashes and revisions are told again; the rest counts at the next start,
        where nothing newer has been put."""
        if not opening.cancelled() and opening.exception() is None:
            self._remember(opening.result())

    async def put_override(self, override: Override) -> bool:
        """Keep an override; True = it is on the disk, False = only in memory for now (`problem` says why)."""
        self._put(Table.OVERRIDES, rows.override_key(override), rows.OVERRIDE.dump_json(override).decode())
        return await self.flush(_REPLY)

    async def delete_override(self, override: Override) -> bool:
        """Forget the override of the same stack, service and kind; the answer as in `put_override`."""
        self._put(Table.OVERRIDES, rows.override_key(override), None)
        return await self.flush(_REPLY)

    async def put_request(self, request: Request) -> bool:
        """Keep a request until it is done; the answer as in `put_override`."""
        self._put(Table.REQUESTS, request.id, rows.REQUEST.dump_json(request).decode())
        return await self.flush(_REPLY)

    def delete_request(self, request: OperationId) -> None:
        """Forget a request that is over. Should this be lost, it is a level: looked at again, it is done."""
        self._put(Table.REQUESTS, request, None)

    def save_ledger(self, stack: StackName, ledger: Ledger) -> None:
        """Keep the newest ledger of a stack (an empty one = none); only services that differ from the last are
        written."""
        before = self._ledgers.get(stack, Ledger()).services
        self._ledgers[stack] = ledger
        now = self._clock()
        for name in before.keys() - ledger.services.keys():
            self._put(Table.LEDGER, rows.ledger_key(stack, name), None)
        for name, one in ledger.services.items():
            if before.get(name) != one:
                body = rows.LEDGER.dump_json(rows.shifted(one, now.wall - now.mono)).decode()
                self._put(Table.LEDGER, rows.ledger_key(stack, name), body)

    def save_condemned(self, stack: StackName, condemned: Mapping[ContainerId, Condemned]) -> None:
        """Keep which containers of a stack we have sent a stop to."""
        if self._condemned.get(stack, {}) == condemned:
            return
        self._condemned[stack] = dict(condemned)
        self._put(Table.CONDEMNED, stack, rows.CONDEMNED.dump_json(dict(condemned)).decode() if condemned else None)

    def save_revision(self, revision: Revision) -> None:
        """Keep the texts of a definition that came into force."""
        self._revisions[revision.name] = revision
        self._put(Table.REVISIONS, revision.name, rows.REVISION.dump_json(revision).decode())

    def revision(self, stack: StackName) -> Revision | None:
        """The texts last kept of a stack's definition."""
        return self._revisions.get(stack)

    def forget_revision(self, stack: StackName) -> None:
        """The stack is gone for good."""
        self._revisions.pop(stack, None)
        self._put(Table.REVISIONS, stack, None)

    def forget_stack(self, stack: StackName, overrides: Iterable[Override], requests: Iterable[Request]) -> None:
        """Nothing of a stack is left: what was asked of it must not meet another one of its name, later."""
        for override in overrides:
            self._put(Table.OVERRIDES, rows.override_key(override), None)
        for request in requests:
            self.delete_request(request.id)
        self.save_ledger(stack, Ledger())
        self.save_condemned(stack, {})
        for applied in self._kept.drop_applied(stack):
            self._put(Table.APPLIED, rows.applied_key(applied), None)
        self.forget_meta(f"stable/{stack}/")

    def next_crash(self) -> int:
        """The number of the next crash."""
        number, self._next_crash = self._next_crash, self._next_crash + 1
        self._put(Table.META, "last_crash", str(number))
        return number

    def save_crash(self, bundle: CrashBundle) -> None:
        """Keep a crash with its evidence, over what was kept of its number; the bounds of `Bounds` drop the oldest."""
        self._kept.add_crashes((bundle.crash,))
        self._open().put_crash(rows.crash_row(bundle))

    def crashes(self, stack: StackName) -> tuple[Crash, ...]:
        """The crashes of a stack still kept, newest first; from memory."""
        return self._kept.crashes(stack, self._clock().wall)

    async def crash(self, crash: int) -> CrashBundle | None:
        """One with its evidence, None when it is not kept. Raises StateError when the database does not answer."""
        known = self._kept.crash(crash)
        if known is None:
            return None
        asked = asyncio.wrap_future(self._open().crash(crash))
        done, _ = await asyncio.wait({asked}, timeout=_REPLY)
        if not done:
            raise StateError(f"the database has not answered for {_REPLY:.0f} s")
        body = asked.result()
        if not body:
            return CrashBundle(known, gaps=(LOST if body is None else GIVEN_UP,))
        return rows.bundle_of(body)

    def save_applied(self, applied: Applied) -> None:
        """Keep a revision that was applied; the oldest beyond the bound of a stack go."""
        self._put(Table.APPLIED, rows.applied_key(applied), rows.packed(applied))
        for gone in self._kept.add_applied(applied):
            self._put(Table.APPLIED, rows.applied_key(gone), None)

    def applied(self, stack: StackName) -> tuple[Applied, ...]:
        """The applied revisions of a stack still kept, oldest first; from memory."""
        return self._kept.applied(stack)

    def save_operation(self, operation: Operation) -> None:
        """Keep how a request fares, so that its sender can still ask after a restart of the daemon."""
        self._put(Table.OPERATIONS, operation.request.id, rows.OPERATION.dump_json(operation).decode())
        for gone in self._kept.add_operation(operation):
            self._put(Table.OPERATIONS, gone, None)

    def set_meta(self, key: str, value: str) -> None:
        """Keep one small fact (the event cursor, the instance)."""
        self._meta[key] = value
        self._put(Table.META, key, value)

    def meta(self, key: str) -> str:
        """A small fact, "" = it is not kept."""
        return self._meta.get(key, "")

    def forget_meta(self, prefix: str, but: Collection[str] = ()) -> None:
        """Forget the small facts whose keys begin so, those of the keys `but` apart."""
        for key in [key for key in self._meta if key.startswith(prefix) and key not in but]:
            self._put(Table.META, key, None)
            del self._meta[key]

    def append_history(self, entry: Happening) -> None:
        """Keep a history entry; its `seq` must be new and growing."""
        self._open().append(rows.history_row(entry))

    async def flush(self, timeout: float) -> bool:
        """Write all that was given until now; whether it is on the disk, False also after `timeout` seconds."""
        done, _ = await asyncio.wait({asyncio.wrap_future(self._open().flush())}, timeout=timeout)
        return any(one.result() for one in done)

    async def close(self, last_seq: int, timeout: float = _REPLY) -> None:
        """Write the rest, end the thread (waiting at most `timeout` seconds) and let go of the state directory."""
        writer = self._open()
        self._put(Table.META, "ended_at_seq", str(last_seq))
        thread = writer.close()
        await asyncio.to_thread(thread.join, timeout)
        if self._place is not None:
            self._place.close()

    def _open(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("the journal is used before load()")
        return self._writer

    def _put(self, table: Table, key: str, body: str | None) -> None:
        self._open().put((table, key), body)

    def _parsed(self, stored: Stored) -> JournalContents:
        now = self._clock()
        of = rows.by_table(stored)
        kept = self._each(rows.ledger_rows(of[Table.LEDGER]), rows.LEDGER)
        self._ledgers = rows.ledgers(
            {key: rows.shifted(one, now.mono - now.wall, latest=now.mono) for key, one in kept.items()}
        )
        self._condemned = {StackName(k): one for k, one in self._each(of[Table.CONDEMNED], rows.CONDEMNED).items()}
        self._revisions = {StackName(k): one for k, one in self._each(of[Table.REVISIONS], rows.REVISION).items()}
        self._meta = dict(of[Table.META])
        self._remember(stored)
        return JournalContents(
            overrides=tuple(self._each(of[Table.OVERRIDES], rows.OVERRIDE).values()),
            requests=tuple(sorted(self._each(of[Table.REQUESTS], rows.REQUEST).values(), key=lambda one: one.id)),
            ledgers=dict(self._ledgers),
            condemned=dict(self._condemned),
            revisions=dict(self._revisions),
            history=tuple(rows.happening(row) for row in stored.history),
            next_seq=self._next_seq(stored),
            meta=of[Table.META],
            operations=self._kept.operations(),
        )

    def _next_seq(self, stored: Stored) -> int:
        """After a clean end the next number, after another one a later number: some were told and not written."""
        if self._open().unread:
            return int(self._clock().wall)  # Later than any number in a file that cannot be read yet.
        last = stored.history[-1].seq if stored.history else 0
        clean = stored.rows.get((Table.META, "ended_at_seq"), "")
        if clean.isdigit():
            return max(last, int(clean)) + 1
        return last + (SEQ_GAP if stored.rows or stored.history else 1)

    def _remember(self, stored: Stored) -> None:
        """Take over crashes, applied revisions and operations; those that are known stay as they are."""
        of = rows.by_table(stored)
        crashes = self._each({str(row.id): row.summary for row in stored.crashes}, rows.CRASH).values()
        self._kept.add_crashes(one for one in crashes if self._kept.crash(one.id) is None)
        applied = self._each(of[Table.APPLIED], rows.APPLIED, rows.unpacked).values()
        for revision in sorted(applied, key=lambda one: one.number):
            shown = rows.without_values(revision)
            self._kept.add_applied(shown)
            if shown is not revision:
                self._put(Table.APPLIED, rows.applied_key(shown), rows.packed(shown))
        oldest = self._clock().wall - self._bounds.max_age
        known = {one.request.id for one in self._kept.operations()}
        for key, operation in self._each(of[Table.OPERATIONS], rows.OPERATION).items():
            if operation.request.at < oldest:
                self._put(Table.OPERATIONS, key, None)
            elif operation.request.id not in known:
                for gone in self._kept.add_operation(operation):
                    self._put(Table.OPERATIONS, gone, None)
        told = of[Table.META].get("last_crash", "")
        last = max((int(told) if told.isdigit() else 0), *(row.id for row in stored.crashes), 0)
        gap = 1 if "ended_at_seq" in of[Table.META] or not last else CRASH_GAP
        if self._open().unread:
            last = int(self._clock().wall)
        self._next_crash = max(self._next_crash, last + gap)

    def _each(
        self, bodies: Mapping[str, str], adapter: TypeAdapter[T], unpacked: Callable[[str], str | bytes] = str
    ) -> dict[str, T]:
        """The readable ones; one that is not (another version wrote it) is logged and left where it is.

        Only what a person asked for counts as a problem: counters may be forgotten at any time.
        """
        found: dict[str, T] = {}
        for key, body in bodies.items():
            try:
                found[key] = adapter.validate_json(unpacked(body))
            except (ValueError, zlib.error) as error:  # A ValidationError is a ValueError; it may tell what it found.
                self._unreadable += adapter in (rows.OVERRIDE, rows.REQUEST)
                log.error("an entry of the database cannot be read: %s: %s", key, type(error).__name__)
        return found
