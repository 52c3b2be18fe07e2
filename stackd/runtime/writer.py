"""The journal's one thread: it alone touches the database, and nobody waits for it who does not ask to.

Law: what is put is held in memory at once and stays `dirty` until a transaction has taken it, so a database that is
locked, read-only, full, stalled or broken loses nothing but time; after a corrupt file everything held is written anew.
A file that can only be read is read; one that is removed while it is open is made again with all that it held. No
error leaves the thread: it becomes `problem`; memory stays bounded meanwhile.
What this module does NOT do: know what the texts mean.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

from stackd.errors import StateError
from stackd.runtime.database import Batch, Bounds, CrashRow, Database, HistoryRow, Key, Stored, Table, is_corrupt

log = logging.getLogger(__name__)

LAG = 1.0
"""Seconds after which what nobody waits for is written at the latest."""
STALLED = 5.0
"""Seconds after which a call that has not returned is called stalled."""
PENDING_EVIDENCE = 32
"""Crashes whose evidence is held while it cannot be written; of older ones the summary is."""
LOOK = 10.0
"""Seconds after which a database with nothing to write looks whether its directory and file are still there."""
_SLOWEST_RETRY = 30.0
_PRUNE_EVERY = 300.0


class Writer:
    """Owner of the database thread. All methods may be called from any thread and return at once."""

    def __init__(
        self, path: Path, bounds: Bounds, wall: Callable[[], float], secure: Callable[[], None] = lambda: None
    ) -> None:
        """`wall` gives the wall clock in seconds. `secure` is called before the file is opened, and before each write:
        it raises OSError or StateError as long as nothing may be written there."""
        self._database = Database(path, bounds)
        self._bounds = bounds
        self._wall = wall
        self._secure = secure
        self._changed = threading.Condition()
        self._held: dict[Key, str] = {}
        self._dirty: set[Key] = set()
        self._history: deque[HistoryRow] = deque(maxlen=bounds.max_events)
        self._crashes: dict[int, CrashRow] = {}
        self._waiting: list[Future[bool]] = []
        self._reads: list[tuple[int, Future[bytes | None]]] = []
        self._opened: Future[Stored] = Future()
        self._due: float | None = None
        self._retry = LAG
        self._closing = False
        self._busy_since: float | None = None
        self._problem = ""
        self._unread = False
        self._late: Future[Stored] = Future()
        self._thread = threading.Thread(target=self._run, name="stackd-journal", daemon=True)

    def start(self) -> Future[Stored]:
        """Start the thread; the future holds what the file holds (nothing, if it cannot be read) or a StateError."""
        self._thread.start()
        return self._opened

    @property
    def unread(self) -> bool:
        """Whether what the file holds is not known: `late` will tell, should it become readable."""
        return self._unread or not self._opened.done()

    @property
    def late(self) -> Future[Stored]:
        """What the file held, once it can be opened after it was `unread` at the start."""
        return self._late

    @property
    def problem(self) -> str:
        """Why the newest data is not on disk, "" = all is well."""
        since = self._busy_since
        if since is not None and (lasting := time.monotonic() - since) > STALLED:
            return f"the database has not answered for {lasting:.0f} s"
        return self._problem

    def put(self, key: Key, body: str | None) -> None:
        """Hold a row (None = no row) and write it within LAG."""
        with self._changed:
            if self._held.get(key) == body:
                return
            if body is None:
                del self._held[key]
            else:
                self._held[key] = body
            self._dirty.add(key)
            self._soon()

    def append(self, row: HistoryRow) -> None:
        """Write a history entry within LAG."""
        with self._changed:
            self._history.append(row)
            self._soon()

    def put_crash(self, row: CrashRow) -> None:
        """Write a crash within LAG, over an earlier one of its number."""
        with self._changed:
            self._crashes.pop(row.id, None)
            self._crashes[row.id] = row
            for one in [one for one in self._crashes.values() if one.body][:-PENDING_EVIDENCE]:
                self._crashes[one.id] = replace(one, body=b"")
            for old in list(self._crashes)[: -self._bounds.max_crashes]:
                del self._crashes[old]
            self._soon()

    def crash(self, crash: int) -> Future[bytes | None]:
        """The evidence of a crash, None when it is not kept; StateError while the database cannot be read."""
        found: Future[bytes | None] = Future()
        with self._changed:
            if crash in self._crashes:
                found.set_result(self._crashes[crash].body)
            elif not self._thread.is_alive():
                found.set_exception(StateError("the database is closed"))
            else:
                self._reads.append((crash, found))
                self._changed.notify()
        return found

    def flush(self) -> Future[bool]:
        """Write all that is held now, to the disk itself; the future tells whether that went well."""
        done: Future[bool] = Future()
        with self._changed:
            if not self._thread.is_alive():
                done.set_result(False)
            else:
                self._waiting.append(done)
                self._changed.notify()
        return done

    def close(self) -> threading.Thread:
        """Write the rest and end the thread, which is returned to be joined."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        return self._thread

    def _soon(self) -> None:
        if self._due is None:
            self._due = time.monotonic() + LAG
            self._changed.notify()

    def _run(self) -> None:
        database = self._database
        self._busy_since = time.monotonic()
        self._first_open(database)
        self._busy_since = None
        pruned = time.monotonic()
        closing = False
        while not closing:
            closing, waiting, reads = self._wait()
            self._busy_since = time.monotonic()
            good = self._write(database, durable=bool(waiting) or closing)
            if good and time.monotonic() - pruned > _PRUNE_EVERY:
                pruned = time.monotonic()
                self._guarded(lambda: database.prune(self._wall()))
            self._busy_since = None
            for one in waiting:
                one.set_result(good)
            self._answer(database, reads)
        self._guarded(database.close)
        with self._changed:
            late, self._waiting = self._waiting, []
            unread, self._reads = self._reads, []
        for one in late:
            one.set_result(False)
        for _, asked in unread:
            asked.set_exception(StateError("the database is closed"))

    def _first_open(self, database: Database) -> None:
        stored = Stored()
        try:
            self._secure()
            stored = database.open(self._wall())
        except StateError as refused:
            self._opened.set_exception(refused)
            self._closing = True
            return
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            try:
                stored = database.peek()
            except StateError as refused:
                self._opened.set_exception(refused)
                self._closing = True
                return
            except (sqlite3.Error, OSError):
                self._unread = True
            with self._changed:
                self._due = time.monotonic() + self._retry
        self._adopt(stored)
        self._opened.set_result(stored)

    def _adopt(self, stored: Stored) -> None:
        """Hold what the file holds, too, where nothing newer has been put."""
        with self._changed:
            newer = self._dirty
            self._held |= {key: body for key, body in stored.rows.items() if key not in newer}
        if stored.moved_aside:
            log.error("the database was corrupt; it is kept as %s and a new one was begun", stored.moved_aside)

    def _answer(self, database: Database, reads: list[tuple[int, Future[bytes | None]]]) -> None:
        for crash, asked in reads:
            try:
                asked.set_result(database.crash(crash))
            except sqlite3.Error as error:
                asked.set_exception(StateError(f"the database cannot be read: {error}"))

    def _wait(self) -> tuple[bool, list[Future[bool]], list[tuple[int, Future[bytes | None]]]]:
        """Sleep until there is something to do; whether it is the last time, who waits for it, what is to be read."""
        with self._changed:
            look = time.monotonic() + LOOK
            while not (self._waiting or self._reads or self._closing):
                rest = (look if self._due is None else self._due) - time.monotonic()
                if rest <= 0:
                    break
                self._changed.wait(rest)
            waiting, self._waiting = self._waiting, []
            reads, self._reads = self._reads, []
            return self._closing, waiting, reads

    def _write(self, database: Database, *, durable: bool) -> bool:
        with self._changed:
            keys, self._dirty = self._dirty, set()
            history = tuple(self._history)
            self._history.clear()
            self._due = None
            rows = {key: self._held.get(key) for key in keys}
            if durable:
                # Earlier commits may not have reached the disk; only a commit that writes something syncs them too.
                rows[Table.META, "flushed_at"] = repr(self._wall())
            batch = Batch(rows, history, tuple(self._crashes.values()))
        good = self._guarded(lambda: self._commit(database, batch, durable=durable))
        with self._changed:
            if good:
                self._retry = LAG
                self._written(batch.crashes)
            else:
                self._dirty |= keys
                room = (self._history.maxlen or 0) - len(self._history)
                self._history.extendleft(reversed(history[max(0, len(history) - room) :]))
                self._due = time.monotonic() + self._retry
                self._retry = min(self._retry * 2, _SLOWEST_RETRY)
        return good

    def _written(self, crashes: tuple[CrashRow, ...]) -> None:
        """Let go of what is on disk; one whose evidence was given up meanwhile is there with it."""
        for row in crashes:
            held = self._crashes.get(row.id)
            if held is row or (held is not None and not held.body):
                del self._crashes[row.id]

    def _commit(self, database: Database, batch: Batch, *, durable: bool) -> None:
        self._secure()
        if database.is_lost:
            database.remake()
            log.error("the database was removed while stackd ran; it is made again, and holds all that it held")
        if not database.is_open:
            with self._changed:
                self._dirty |= batch.rows.keys()
            stored = database.open(self._wall())
            self._adopt(stored)
            if self._unread:
                self._unread = False
                self._late.set_result(stored)
            with self._changed:
                self._dirty -= batch.rows.keys()
        if batch == Batch():
            return
        try:
            database.commit(batch, durable=durable)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            stored = database.open(self._wall())
            log.error("the database became corrupt (%s); it is kept as %s", error, stored.moved_aside)
            with self._changed:
                everything = {**batch.rows, **self._held}
            database.commit(replace(batch, rows=everything), durable=durable)

    def _guarded(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except Exception as error:  # the seam: whatever goes wrong, the thread lives on, and `problem` says so
            self._failed(error)
            return False
        if self._problem:
            log.info("the database works again")
        self._problem = ""
        return True

    def _failed(self, error: Exception) -> None:
        text = f"the database cannot be used: {error}"
        if text != self._problem:
            log.warning("%s; overrides are kept in memory and written as soon as it can be", text)
        self._problem = text
