"""What must outlive the daemon: overrides, requests, counters, condemned runs, history, definitions in force.

Law: an override or request is on the disk before its `put` returns True; everything else may lose the last second. A
database that is stalled, locked, read-only, full or corrupt never raises and never delays supervision: `problem` says
so, everything is kept in memory and written as soon as it can be. Awaits here can be cancelled; the write goes on.
Secrets come in redacted (revisions apart, which is why the file is 0600). What this module does NOT do: decide.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, OperationId, ServiceName, StackName
from stackd.model.override import Operation, Override, Request
from stackd.model.record import Applied, Crash, CrashBundle
from stackd.model.status import Happening
from stackd.model.view import Ledger, Now, ServiceLedger
from stackd.runtime.database import Bounds, HistoryRow, Stored, Table
from stackd.runtime.statedir import StateDir, open_state_dir
from stackd.runtime.writer import Writer
from stackd.source.revision import Revision

log = logging.getLogger(__name__)

FILE = "stackd.db"
SEQ_GAP = 1000
"""After an unclean end so many history numbers are skipped: the last second's entries had numbers that readers saw."""
_REPLY = 5.0
_OPENING = 30.0

T = TypeVar("T")
_OVERRIDE = TypeAdapter(Override)
_REQUEST = TypeAdapter(Request)
_LEDGER = TypeAdapter(Ledger)
_CONDEMNED = TypeAdapter(dict[ContainerId, Condemned])
_REVISION = TypeAdapter(Revision)


@dataclass(frozen=True, slots=True)
class JournalContents:
    """All that was kept. Ledger instants are monotonic seconds of this run; `next_seq` is the next history number."""

    overrides: tuple[Override, ...] = ()
    requests: tuple[Request, ...] = ()
    ledgers: Mapping[StackName, Ledger] = field(default_factory=dict)
    condemned: Mapping[StackName, Mapping[ContainerId, Condemned]] = field(default_factory=dict)
    revisions: Mapping[StackName, Revision] = field(default_factory=dict)
    history: tuple[Happening, ...] = ()
    next_seq: int = 1
    meta: Mapping[str, str] = field(default_factory=dict)


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
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem

    async def load(self) -> JournalContents:
        """Open everything and read it all; to be called once, first.

        Raises StateError when the state directory is another daemon's or person's, or the database a newer stackd's.
        """
        self._place = await asyncio.to_thread(open_state_dir, self._state_dir)
        usable = not self._place.problem
        self._writer = Writer(self._state_dir / FILE if usable else None, self._bounds, lambda: self._clock().wall)
        opening = asyncio.wrap_future(self._writer.start())
        done, _ = await asyncio.wait({opening}, timeout=_OPENING)
        if not done:
            log.error("the database has not answered for %.0f s; going on without what it holds", _OPENING)
            return JournalContents()
        try:
            stored = opening.result()
        except BaseException:
            self._place.close()
            raise
        contents = self._parsed(stored)
        self._put(Table.META, "ended_at_seq", None)
        return contents

    async def put_override(self, override: Override) -> bool:
        """Keep an override; True = it is on the disk, False = only in memory for now (`problem` says why)."""
        self._put(Table.OVERRIDES, _override_key(override), _OVERRIDE.dump_json(override).decode())
        return await self.flush(_REPLY)

    async def delete_override(self, override: Override) -> bool:
        """Forget the override of the same stack, service and kind; the answer as in `put_override`."""
        self._put(Table.OVERRIDES, _override_key(override), None)
        return await self.flush(_REPLY)

    async def put_request(self, request: Request) -> bool:
        """Keep a request until it is done; the answer as in `put_override`."""
        self._put(Table.REQUESTS, request.id, _REQUEST.dump_json(request).decode())
        return await self.flush(_REPLY)

    def delete_request(self, request: OperationId) -> None:
        """Forget a request that is over. Should this be lost, it is a level: looked at again, it is done."""
        self._put(Table.REQUESTS, request, None)

    def save_ledger(self, stack: StackName, ledger: Ledger) -> None:
        """Keep the newest ledger of a stack (an empty one = none); one equal to the last costs nothing."""
        if self._ledgers.get(stack, Ledger()) == ledger:
            return
        self._ledgers[stack] = ledger
        now = self._clock()
        kept = _LEDGER.dump_json(_shifted(ledger, now.wall - now.mono)).decode() if ledger.services else None
        self._put(Table.LEDGER, stack, kept)

    def save_condemned(self, stack: StackName, condemned: Mapping[ContainerId, Condemned]) -> None:
        """Keep which containers of a stack we have sent a stop to."""
        if self._condemned.get(stack, {}) == condemned:
            return
        self._condemned[stack] = dict(condemned)
        self._put(Table.CONDEMNED, stack, _CONDEMNED.dump_json(dict(condemned)).decode() if condemned else None)

    def save_revision(self, revision: Revision) -> None:
        """Keep the texts of a definition that came into force."""
        self._put(Table.REVISIONS, revision.name, _REVISION.dump_json(revision).decode())

    def forget_revision(self, stack: StackName) -> None:
        """The stack is gone for good."""
        self._put(Table.REVISIONS, stack, None)

    def forget_stack(self, stack: StackName, overrides: Iterable[Override], requests: Iterable[Request]) -> None:
        """Nothing of a stack is left: what was asked of it must not meet another one of its name, later."""
        for override in overrides:
            self._put(Table.OVERRIDES, _override_key(override), None)
        for request in requests:
            self.delete_request(request.id)
        self.save_ledger(stack, Ledger())
        self.save_condemned(stack, {})

    def next_crash(self) -> int:
        """The number of the next crash."""
        raise NotImplementedError

    def save_crash(self, bundle: CrashBundle) -> None:
        """Keep a crash with its evidence; the bounds of `Bounds` drop the oldest."""
        raise NotImplementedError

    def crashes(self, stack: StackName) -> tuple[Crash, ...]:
        """The crashes of a stack still kept, newest first; from memory."""
        raise NotImplementedError

    async def crash(self, crash: int) -> CrashBundle | None:
        """One with its evidence, None when it is not kept. Raises StateError when the database does not answer."""
        raise NotImplementedError

    def save_applied(self, applied: Applied) -> None:
        """Keep a revision that was applied; the oldest beyond the bound of a stack go."""
        raise NotImplementedError

    def applied(self, stack: StackName) -> tuple[Applied, ...]:
        """The applied revisions of a stack still kept, oldest first; from memory."""
        raise NotImplementedError

    def save_operation(self, operation: Operation) -> None:
        """Keep how a request fares, so that its sender can still ask after a restart of the daemon."""
        raise NotImplementedError

    def set_meta(self, key: str, value: str) -> None:
        """Keep one small fact (the event cursor, the instance)."""
        self._put(Table.META, key, value)

    def append_history(self, entry: Happening) -> None:
        """Keep a history entry; its `seq` must be new and growing."""
        body = json.dumps({"message": entry.message, "data": [list(pair) for pair in entry.data]}, ensure_ascii=False)
        row = HistoryRow(entry.seq, entry.at, entry.stack, entry.service, entry.type, body)
        self._open().append(row)

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
        of: dict[Table, dict[str, str]] = {table: {} for table in Table}
        for (table, key), body in stored.rows.items():
            of[table][key] = body
        ledgers = self._each(of[Table.LEDGER], _LEDGER)
        self._ledgers = {
            StackName(k): _shifted(one, now.mono - now.wall, latest=now.mono) for k, one in ledgers.items()
        }
        self._condemned = {StackName(k): one for k, one in self._each(of[Table.CONDEMNED], _CONDEMNED).items()}
        last = stored.history[-1].seq if stored.history else 0
        clean = of[Table.META].get("ended_at_seq", "")
        first_run = not stored.rows and not stored.history
        return JournalContents(
            overrides=tuple(self._each(of[Table.OVERRIDES], _OVERRIDE).values()),
            requests=tuple(sorted(self._each(of[Table.REQUESTS], _REQUEST).values(), key=lambda one: one.at)),
            ledgers=dict(self._ledgers),
            condemned=dict(self._condemned),
            revisions={StackName(k): one for k, one in self._each(of[Table.REVISIONS], _REVISION).items()},
            history=tuple(_happening(row) for row in stored.history),
            next_seq=max(last, int(clean)) + 1 if clean.isdigit() else last + (1 if first_run else SEQ_GAP),
            meta=of[Table.META],
        )

    def _each(self, bodies: Mapping[str, str], adapter: TypeAdapter[T]) -> dict[str, T]:
        """The readable ones; one that is not (another version wrote it) is logged and left where it is.

        Only what a person asked for counts as a problem: counters may be forgotten at any time.
        """
        found: dict[str, T] = {}
        for key, body in bodies.items():
            try:
                found[key] = adapter.validate_json(body)
            except ValidationError as error:
                self._unreadable += adapter in (_OVERRIDE, _REQUEST)
                log.error("an entry of the database cannot be read: %s: %d errors", key, error.error_count())
        return found


def _override_key(override: Override) -> str:
    return json.dumps([override.stack, override.service, override.kind.value])


def _shifted(ledger: Ledger, by: float, latest: float = math.inf) -> Ledger:
    """The ledger with its own instants moved to another clock; those of the engine stay.

    None comes to lie after `latest`: a clock set back while we were away must not stretch a delay past its maximum.
    """

    def at(instant: float) -> float:
        return min(instant + by, latest)

    def one(service: ServiceLedger) -> ServiceLedger:
        return replace(
            service,
            deaths=tuple(replace(death, seen_at=at(death.seen_at)) for death in service.deaths),
            health_restarts=tuple((run, at(when)) for run, when in service.health_restarts),
            stable_since=at(service.stable_since) if service.stable else 0.0,
            sick_since=at(service.sick_since) if service.sick else 0.0,
        )

    return Ledger({name: one(service) for name, service in ledger.services.items()})


def _happening(row: HistoryRow) -> Happening:
    body = json.loads(row.body)
    data = tuple((str(key), value) for key, value in body["data"])
    service = None if row.service is None else ServiceName(row.service)
    return Happening(row.seq, row.at, StackName(row.stack), service, row.type, body["message"], data)
