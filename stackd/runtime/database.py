"""The SQLite file: tables, migrations, one transaction at a time. Used by the journal's writer thread only.

Law: whoever calls decides when; each call is one transaction; errors come out as sqlite3.Error and leave the file as it
was. A file that SQLite cannot make sense of is moved aside, never deleted; one that can only be read is read. What this
module does NOT do: threads, retries, knowing what the texts it keeps mean.
"""

from __future__ import annotations

import enum
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
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
    APPLIED = "applied"
    OPERATIONS = "operations"


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
class CrashRow:
    """A crash as stored: what is told at once (`summary`), and its evidence, compressed; b"" = it was given up."""

    id: int
    at: float
    stack: str
    service: str
    summary: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of the past is kept: history entries, seconds before now, crashes (in all and of one service),
    applied revisions of a stack, operations."""

    max_events: int
    max_age: float
    max_crashes: int = 500
    max_crashes_of_service: int = 20
    max_revisions: int = 20
    max_operations: int = 200


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes: rows by key (None = delete), new history entries, crashes."""

    rows: Mapping[Key, str | None] = field(default_factory=dict)
    history: tuple[HistoryRow, ...] = ()
    crashes: tuple[CrashRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """All that the file holds, crashes without their evidence."""

    rows: Mapping[Key, str] = field(default_factory=dict)
    history: tuple[HistoryRow, ...] = ()
    crashes: tuple[CrashRow, ...] = ()
    moved_aside: Path | None = None


_KEYED = "CREATE TABLE {} (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        *map(_KEYED.format, ("overrides", "requests", "ledger", "condemned", "revisions", "meta")),
        """CREATE TABLE history (seq INTEGER PRIMARY KEY, at REAL NOT NULL, stack TEXT NOT NULL, service TEXT,
                                 type TEXT NOT NULL, body TEXT NOT NULL)""",
        "CREATE INDEX history_at ON history (at)",
    ),
    (
        *map(_KEYED.format, ("applied", "operations")),
        """CREATE TABLE crashes (id INTEGER PRIMARY KEY, at REAL NOT NULL, stack TEXT NOT NULL, service TEXT NOT NULL,
                                 summary TEXT NOT NULL, body BLOB NOT NULL)""",
        "CREATE INDEX crashes_of ON crashes (stack, service)",
    ),
    (  # The ledger by service instead of by stack: a crash writes what it is about. No name of a stack begins with "[".
        """INSERT OR REPLACE INTO ledger
               SELECT json_array(whole.key, one.key), one.value
               FROM ledger AS whole,
                    json_each(CASE WHEN json_valid(whole.body) THEN whole.body END, '$.services') AS one
               WHERE substr(whole.key, 1, 1) <> '['""",
        "DELETE FROM ledger WHERE substr(key, 1, 1) <> '['",
    ),
    # Earlier versions told values by another rule. What happened stays known; what was edited, and the engine's own
    # words, are not. (Crashes and applied revisions are compressed: `rows` takes it out of them as they are read.)
    (
        """UPDATE history SET body = json_object(
               'message', substr(json_extract(body, '$.message'), 1, instr(json_extract(body, '$.message'), ': ') - 1)
                          || ': (not kept: an earlier stackd may have written values here)',
               'data', (SELECT json_group_array(json(value)) FROM json_each(body, '$.data')
                        WHERE json_extract(value, '$[0]') NOT IN ('reason', 'detail')))
           WHERE json_valid(body) AND instr(json_extract(body, '$.message'), ': ') > 0
             AND (body LIKE '% -> %' OR type = 'operation.failed' OR type LIKE 'definition.%'
                  OR type IN ('service.state', 'service.crash_looping'))""",
        "UPDATE crashes SET summary = json_set(summary, '$.error', '') WHERE json_valid(summary)",
    ),
    (  # The same of operations: why one failed was said in the engine's own words.
        """UPDATE operations SET body = json_set(body, '$.detail',
               '(not kept: an earlier stackd may have written values here)')
           WHERE json_valid(body) AND json_extract(body, '$.state') = 'failed'""",
    ),
)
"""What each schema version adds to the one before; `PRAGMA user_version` counts them. Never edit one: append."""


class Database:
    """The open file. Everything in it runs in the thread that made it."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path = path
        self._bounds = bounds
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the open file is no longer the one of that name: what is written now is gone when we end."""
        if self._connection is None or self._file is None:
            return False
        try:
            return not os.path.samestat(self._path.stat(), self._file)
        except FileNotFoundError:
            return True

    def remake(self) -> None:
        """After `is_lost`: copy the file that is still open to its old place, whole, and go on there.

        Raises StateError when another file has that name, sqlite3.Error or OSError when it cannot be made now.
        """
        lost = self._require()
        new = self._path.with_name(self._path.name + ".new")
        new.unlink(missing_ok=True)
        self._make(new)
        with closing(sqlite3.connect(new, isolation_level=None)) as copy:
            lost.backup(copy)
        try:
            os.link(new, self._path)  # Unlike a rename it never puts anything in the place of another's file.
        except FileExistsError as error:
            raise StateError(
                f"{self._path} was replaced while stackd ran, by a file that it did not write; "
                "restart stackd to use that one, or remove it to keep what this stackd knows"
            ) from error
        finally:
            new.unlink()
        self.close()
        self._connect()

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

    def peek(self) -> Stored:
        """What can be read of a file that cannot be opened for writing now, whatever its version up to ours.

        Raises sqlite3.Error or OSError when nothing can, StateError when a newer stackd has written it.
        """
        if not self._path.exists():
            return Stored()
        try:
            return self._peek("mode=ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise
        return self._peek("immutable=1")  # A read-only directory has no place for the locks of the write-ahead log.

    def _peek(self, how: str) -> Stored:
        """In memory, so that an earlier version is brought up to date as well: it may tell what is hidden today."""
        with (
            closing(sqlite3.connect(f"{self._path.as_uri()}?{how}", timeout=BUSY, uri=True)) as connection,
            closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
        ):
            _refuse_newer(connection, self._path)
            connection.backup(copy)
            with suppress(sqlite3.Error):  # then what can be read of it has to do
                _migrate(copy, self._path)
            return _everything(copy)

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
            connection.executemany(
                "INSERT OR REPLACE INTO crashes VALUES (?, ?, ?, ?, ?, ?)",
                ((row.id, row.at, row.stack, row.service, row.summary, row.body) for row in batch.crashes),
            )
            if batch.crashes:
                self._prune_crashes(connection)

    def crash(self, crash: int) -> bytes | None:
        """The evidence of a crash, None when it is not kept."""
        row = self._require().execute("SELECT body FROM crashes WHERE id = ?", (crash,)).fetchone()
        return bytes(row[0]) if row is not None else None

    def prune(self, now: float) -> None:
        """Drop the history and the crashes that are beyond their bounds."""
        connection = self._require()
        with _transaction(connection):
            for table in ("history", "crashes"):
                connection.execute(f"DELETE FROM {table} WHERE at < ?", (now - self._bounds.max_age,))
            self._prune_crashes(connection)
            connection.execute(
                "DELETE FROM history WHERE seq <= (SELECT seq FROM history ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (self._bounds.max_events,),
            )

    def _prune_crashes(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            """DELETE FROM crashes WHERE id IN (SELECT id FROM (
                   SELECT id, row_number() OVER (PARTITION BY stack, service ORDER BY id DESC) AS nth FROM crashes
               ) WHERE nth > ?)""",
            (self._bounds.max_crashes_of_service,),
        )
        connection.execute(
            "DELETE FROM crashes WHERE id <= (SELECT id FROM crashes ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (self._bounds.max_crashes,),
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
        self._make(self._path)
        connection = self._connect()
        try:
            self.prune(now)
            return replace(_everything(connection), moved_aside=aside)
        except BaseException:
            self._connection = None
            connection.close()
            raise

    @staticmethod
    def _make(path: Path) -> None:
        """Made here with its mode: SQLite would make it readable by all, and its log files follow it."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            _check(connection)
            _migrate(connection, self._path)
            self._file = self._path.stat()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

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


def _refuse_newer(connection: sqlite3.Connection, path: Path) -> int:
    version: int
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StateError(
            f"{path} was written by a newer stackd (schema {version}, this one knows {len(MIGRATIONS)}); "
            "install that one again, or move the file away to begin anew"
        )
    return version


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _refuse_newer(connection, path)
    for number in range(version, len(MIGRATIONS)):
        with _transaction(connection):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")


def _everything(connection: sqlite3.Connection) -> Stored:
    """All rows of the tables that there are: a file that can only be read may be of an earlier version."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    rows: dict[Key, str] = {}
    for table in Table:
        if table in tables:
            found: Iterable[tuple[str, str]] = connection.execute(f"SELECT key, body FROM {table}")
            rows.update({(table, key): body for key, body in found})
    history: Iterable[tuple[int, float, str, str | None, str, str]] = ()
    if "history" in tables:
        history = connection.execute("SELECT seq, at, stack, service, type, body FROM history ORDER BY seq")
    crashes: Iterable[tuple[int, float, str, str, str]] = ()
    if "crashes" in tables:
        crashes = connection.execute("SELECT id, at, stack, service, summary FROM crashes ORDER BY id")
    return Stored(rows, tuple(HistoryRow(*row) for row in history), tuple(CrashRow(*row) for row in crashes))
