"""The journal's one thread: it alone touches the database, and nobody waits for it who does not ask to.

Law: what is put is held in memory at once and stays `dirty` until a transaction has taken it, so a database that is
locked, read-only, full, stalled or broken loses nothing but time; after a corrupt file everything held is written anew.
No error leaves the thread: it becomes `problem`. What this module does NOT do: know what the texts mean.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from stackd.errors import StateError
from stackd.runtime.database import Batch, Bounds, Database, HistoryRow, Key, Stored, Table, is_corrupt

log = logging.getLogger(__name__)

LAG = 1.0
"""Seconds after which what nobody waits for is written at the latest."""
STALLED = 5.0
"""Seconds after which a call that has not returned is called stalled."""
_SLOWEST_RETRY = 30.0
_PRUNE_EVERY = 300.0


class Writer:
    """Owner of the database thread. All methods may be called from any thread and return at once."""

    def __init__(self, path: Path | None, bounds: Bounds, wall: Callable[[], float]) -> None:
        """`path` None = keep everything in memory. `wall` gives the wall clock in seconds."""
        self._database = None if path is None else Database(path, bounds)
        self._wall = wall
        self._changed = threading.Condition()
        self._held: dict[Key, str] = {}
        self._dirty: set[Key] = set()
        self._history: deque[HistoryRow] = deque(maxlen=bounds.max_events)
        self._waiting: list[Future[bool]] = []
        self._opened: Future[Stored] = Future()
        self._due: float | None = None
        self._retry = LAG
        self._closing = False
        self._busy_since: float | None = None
        self._problem = "" if path else "no database: everything is kept in memory only"
        self._thread = threading.Thread(target=self._run, name="stackd-journal", daemon=True)

    def start(self) -> Future[Stored]:
        """Start the thread; the future holds what the file holds (nothing, if it cannot be opened) or a StateError."""
        self._thread.start()
        return self._opened

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

    def flush(self) -> Future[bool]:
        """Write all that is held now, to the disk itself; the future tells whether that went well."""
        done: Future[bool] = Future()
        with self._changed:
            if self._database is None or not self._thread.is_alive():
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
        if database is None:
            self._opened.set_result(Stored())
            return
        self._busy_since = time.monotonic()
        self._first_open(database)
        self._busy_since = None
        pruned = time.monotonic()
        closing = False
        while not closing:
            closing, waiting = self._wait()
            self._busy_since = time.monotonic()
            good = self._write(database, durable=bool(waiting) or closing)
            if good and time.monotonic() - pruned > _PRUNE_EVERY:
                pruned = time.monotonic()
                self._guarded(database, lambda: database.prune(self._wall()))
            self._busy_since = None
            for one in waiting:
                one.set_result(good)
        self._guarded(database, database.close)
        with self._changed:
            late, self._waiting = self._waiting, []
        for one in late:
            one.set_result(False)

    def _first_open(self, database: Database) -> None:
        stored = Stored()
        try:
            stored = database.open(self._wall())
        except StateError as refused:
            self._opened.set_exception(refused)
            self._closing = True
            return
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
        self._adopt(stored)
        self._opened.set_result(stored)

    def _adopt(self, stored: Stored) -> None:
        """Hold what the file holds, too, where nothing newer has been put."""
        with self._changed:
            newer = self._dirty
            self._held |= {key: body for key, body in stored.rows.items() if key not in newer}
        if stored.moved_aside:
            log.error("the database was corrupt; it is kept as %s and a new one was begun", stored.moved_aside)

    def _wait(self) -> tuple[bool, list[Future[bool]]]:
        """Sleep until there is something to write; whether it is the last time, and who waits for it."""
        with self._changed:
            while not (self._waiting or self._closing):
                rest = None if self._due is None else self._due - time.monotonic()
                if rest is not None and rest <= 0:
                    break
                self._changed.wait(rest)
            waiting, self._waiting = self._waiting, []
            return self._closing, waiting

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
            batch = Batch(rows, history)
        good = self._guarded(database, lambda: self._commit(database, batch, durable=durable))
        with self._changed:
            if good:
                self._retry = LAG
            else:
                self._dirty |= keys
                room = (self._history.maxlen or 0) - len(self._history)
                self._history.extendleft(reversed(history[max(0, len(history) - room) :]))
                self._due = time.monotonic() + self._retry
                self._retry = min(self._retry * 2, _SLOWEST_RETRY)
        return good

    def _commit(self, database: Database, batch: Batch, *, durable: bool) -> None:
        if not database.is_open:
            with self._changed:
                self._dirty |= batch.rows.keys()
            self._adopt(database.open(self._wall()))
            with self._changed:
                self._dirty -= batch.rows.keys()
        try:
            database.commit(batch, durable=durable)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            stored = database.open(self._wall())
            log.error("the database became corrupt (%s); it is kept as %s", error, stored.moved_aside)
            with self._changed:
                everything = {**batch.rows, **self._held}
            database.commit(Batch(everything, batch.history), durable=durable)

    def _guarded(self, database: Database, call: Callable[[], None]) -> bool:
        try:
            call()
        except (sqlite3.Error, OSError, StateError) as error:
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
