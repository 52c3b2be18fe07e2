"""The SQLite file: tables, migrations, one transaction at a time. Used by the journal's writer thread only.

Law: whoever calls decides when; each call is one transaction; errors come out as sqlite3.Error and leave the file as it
was. A file that SQLite cannot make sense of is moved aside, never deleted. What this module does NOT do: threads,
retries, knowing what the texts it keeps mean.
"""

from __future__ import annotations

import enum
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stackd.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY = 2.0
"""Seconds to wait for another process's lock on the file."""


class Table(enum.StrEnum):
    """The keyed tables: text by key."""

    OVERRIDES = "overrides"
    REQUESTS = "requests"
    LEDGER = "ledger"
    CONDEMNED = "condemned"
    REVISIONS = "revisions"
    META = "meta"


Key = tuple[Table, str]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One history entry as stored; `body` holds what has no column of its own."""

    seq: int
    at: float
    stack: str
    service: str | None
    type: str
    body: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much history is kept: entries, and seconds before now."""

    max_events: int
    max_age: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes: rows by key (None = delete) and new history entries."""

    rows: Mapping[Key, str | None] = field(default_factory=dict)
    history: tuple[HistoryRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """All that the file holds."""

    rows: Mapping[Key, str] = field(default_factory=dict)
    history: tuple[HistoryRow, ...] = ()
    moved_aside: Path | None = None


_KEYED = "CREATE TABLE {} (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        *(_KEYED.format(table) for table in Table),
        """CREATE TABLE history (seq INTEGER PRIMARY KEY, at REAL NOT NULL, stack TEXT NOT NULL, service TEXT,
                                 type TEXT NOT NULL, body TEXT NOT NULL)""",
        "CREATE INDEX history_at ON history (at)",
    ),
)
"""What each schema version adds to the one before; `PRAGMA user_version` counts them. Never edit one: append."""


class Database:
    """The open file. Everything in it runs in the thread that made it."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path = path
        self._bounds = bounds
        self._connection: sqlite3.Connection | None = None

    def open(self, now: float) -> Stored:
        """Open (or make) the file, bring its schema up to date and read it all; a corrupt one is moved aside first.

        Raises sqlite3.Error or OSError when it cannot be used now, StateError when a newer stackd has written it.
        """
        self.close()
        try:
            return self._open(now, None)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
        aside = self._move_aside(now)
        return self._open(now, aside)

    def commit(self, batch: Batch, *, durable: bool) -> None:
        """Write one batch; with `durable` it is on the disk afterwards, else it survives only a crash of ours."""
        connection = self._require()
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        with _transaction(connection):
            for (table, key), body in batch.rows.items():
                if body is None:
                    connection.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
                else:
                    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (key, body))
            connection.executemany(
                "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?)",
                ((row.seq, row.at, row.stack, row.service, row.type, row.body) for row in batch.history),
            )

    def prune(self, now: float) -> None:
        """Drop the history that is beyond its bounds."""
        connection = self._require()
        with _transaction(connection):
            connection.execute("DELETE FROM history WHERE at < ?", (now - self._bounds.max_age,))
            connection.execute(
                "DELETE FROM history WHERE seq <= (SELECT seq FROM history ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (self._bounds.max_events,),
            )

    def close(self) -> None:
        """Close it, if it is open; the write-ahead log is folded in."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    @property
    def is_open(self) -> bool:
        """Whether there is an open file."""
        return self._connection is not None

    def _open(self, now: float, aside: Path | None) -> Stored:
        # Made here with its mode: SQLite would make it readable by all, and its log files follow it.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._path.chmod(0o600)
        connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            _check(connection)
            _migrate(connection, self._path)
            self._connection = connection
            self.prune(now)
            return Stored(_rows(connection), _history(connection), aside)
        except BaseException:
            self._connection = None
            connection.close()
            raise

    def _move_aside(self, now: float) -> Path:
        aside = self._path.with_name(f"{self._path.name}.corrupt-{int(now)}")
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        return aside

    def _require(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("the database is not open")
        return self._connection


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken: no waiting will mend it."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check(connection: sqlite3.Connection) -> None:
    with closing(connection.execute("PRAGMA quick_check(1)")) as cursor:
        answer = cursor.fetchone()
    if answer != ("ok",):
        error = sqlite3.DatabaseError(f"quick_check: {answer}")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StateError(
            f"{path} was written by a newer stackd (schema {version}, this one knows {len(MIGRATIONS)}); "
            "install that one again, or move the file away to begin anew"
        )
    for number in range(version, len(MIGRATIONS)):
        with _transaction(connection):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")


def _rows(connection: sqlite3.Connection) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for table in Table:
        rows: Iterable[tuple[str, str]] = connection.execute(f"SELECT key, body FROM {table}")
        found.update({(table, key): body for key, body in rows})
    return found


def _history(connection: sqlite3.Connection) -> tuple[HistoryRow, ...]:
    rows = connection.execute("SELECT seq, at, stack, service, type, body FROM history ORDER BY seq")
    return tuple(HistoryRow(*row) for row in rows)
