"""Schema versions: what an earlier stackd kept is there in this one, and a migration is done whole or not at all."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.model.ids import OperationId, ServiceName
from stackd.model.override import Operation, OperationState, Request, Verb
from stackd.model.plan import FieldChange
from stackd.model.record import Applied
from stackd.model.status import Happening
from stackd.runtime import database as database_module
from stackd.runtime import rows
from stackd.runtime.database import MIGRATIONS, Bounds, Database
from tests.unit.journal.world import BLOG, WEB, bundle, entry, opened, outsider, override, read

FIRST = """
CREATE TABLE overrides (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ledger (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE condemned (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revisions (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE history (seq INTEGER PRIMARY KEY, at REAL NOT NULL, stack TEXT NOT NULL, service TEXT,
                      type TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX history_at ON history (at);
PRAGMA user_version = 1;
"""
"""The schema of version 1, as released."""
DEATH = '{"run":{"container":"c1","started_at":5.0},"seen_at":9990.0,"exit_code":137,"oom":false,"detail":"killed"}'


def first_version(place: Path) -> None:
    """What stackd left that knew version 1 only."""
    place.mkdir(exist_ok=True)
    with outsider(place) as old:
        old.executescript(FIRST)
        body = rows.OVERRIDE.dump_json(override()).decode()
        old.execute("INSERT INTO overrides VALUES (?, ?)", (rows.override_key(override()), body))
        old.execute("INSERT INTO ledger VALUES (?, ?)", (BLOG, '{"services":{"web":{"deaths":[' + DEATH + "]}}}"))
        old.execute("INSERT INTO meta VALUES ('ended_at_seq', '7')")
        row = rows.history_row(entry(7))
        old.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)",
                    (row.seq, row.at, row.stack, row.service, row.type, row.body))  # fmt: skip
    old.close()


def version(place: Path) -> int:
    with outsider(place) as other:
        (found,) = other.execute("PRAGMA user_version").fetchone()
    other.close()
    return int(found)


async def test_a_file_of_version_1_is_opened_with_nothing_lost(tmp_path: Path) -> None:
    first_version(tmp_path)
    async with opened(tmp_path, last_seq=7) as (journal, contents):
        assert contents.overrides == (override(),)
        assert contents.history == (entry(7),)
        assert contents.next_seq == 8
        assert [one.seen_at for one in contents.ledgers[BLOG].services[WEB].deaths] == [90.0]
        journal.save_crash(bundle(journal.next_crash()))
        assert await journal.flush(5)
    assert version(tmp_path) == len(MIGRATIONS)
    assert (await read(tmp_path)).overrides == (override(),)


async def test_a_new_file_and_a_migrated_one_have_the_same_schema(tmp_path: Path) -> None:
    first_version(tmp_path / "old")
    schemas = []
    for place in ("old", "new"):
        await read(tmp_path / place)
        with outsider(tmp_path / place) as other:
            found = other.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
            schemas.append([(kind, name, " ".join((sql or "").split())) for kind, name, sql in found])
        other.close()
    assert schemas[0] == schemas[1]


async def test_a_migration_that_dies_half_way_leaves_the_old_version_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_version(tmp_path)
    with monkeypatch.context() as patch:
        broken = (MIGRATIONS[0], (*MIGRATIONS[1], "CREATE TABLE overrides (twice TEXT)"), *MIGRATIONS[2:])
        patch.setattr(database_module, "MIGRATIONS", broken)
        async with opened(tmp_path) as (journal, contents):
            assert contents.overrides == (override(),), "what can be read is in force all the same"
            assert "already exists" in journal.problem
    assert version(tmp_path) == 1
    with outsider(tmp_path) as other:
        tables = {name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    other.close()
    assert "crashes" not in tables
    kept = await read(tmp_path)
    assert (kept.overrides, kept.history) == ((override(),), (entry(7),))


def test_the_first_migration_is_what_was_released() -> None:
    made, released = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    for statement in MIGRATIONS[0]:
        made.execute(statement)
    released.executescript(FIRST)
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    found = [[(name, " ".join(sql.split())) for name, sql in one.execute(query)] for one in (made, released)]
    made.close()
    released.close()
    assert found[0] == found[1]


async def test_a_ledger_of_a_whole_stack_becomes_one_row_for_each_service(tmp_path: Path) -> None:
    first_version(tmp_path)
    with outsider(tmp_path) as old:
        services = '{"services":{"web":{"deaths":[' + DEATH + ']},"db":{"attempts":3}}}'
        old.execute("UPDATE ledger SET body = ?", (services,))
        old.execute("INSERT INTO ledger VALUES ('broken', 'no JSON')")
    old.close()
    contents = await read(tmp_path)
    assert {name: one.attempts for name, one in contents.ledgers[BLOG].services.items()} == {"db": 3, WEB: 0}
    with outsider(tmp_path) as new:
        keys = [key for (key,) in new.execute("SELECT key FROM ledger ORDER BY key")]
    new.close()
    assert keys == [rows.ledger_key(BLOG, ServiceName("db")), rows.ledger_key(BLOG, WEB)]


def test_a_ledger_of_an_earlier_version_that_can_only_be_read_is_read() -> None:
    stored = {"blog": '{"services":{"web":{"attempts":2}}}', '["blog","db"]': '{"attempts":1}', "x": "no JSON"}
    found = {key: rows.LEDGER.validate_json(body) for key, body in rows.ledger_rows(stored).items()}
    assert {name: one.attempts for name, one in rows.ledgers(found)[BLOG].services.items()} == {"db": 1, WEB: 2}


SECOND = """
CREATE TABLE applied (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE operations (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE crashes (id INTEGER PRIMARY KEY, at REAL NOT NULL, stack TEXT NOT NULL, service TEXT NOT NULL,
                      summary TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX crashes_of ON crashes (stack, service);
PRAGMA user_version = 2;
"""
"""What version 2 added, as released."""
EDIT = "environment.MYSQL_PWD: hunter2 -> hunter3 (compose.yaml:4:1)"


async def test_values_that_an_earlier_version_recorded_are_shown_no_more(tmp_path: Path) -> None:
    first_version(tmp_path)
    kept = replace(
        bundle(3), changes=(FieldChange("environment.A", "hunter2", "hunter3"),), rule=0,
        crash=replace(bundle(3).crash, error="invalid: hunter2"),
    )  # fmt: skip
    old = Applied(BLOG, 1, 5.0, "d", 1, "", "environment: {A: hunter2}", changes=(EDIT,))
    texts = (
        ("container.removed", f"removed blog-web-1: {EDIT}", (("reason", EDIT), ("why", "config_changed"))),
        ("operation.failed", "create blog-web-1 failed: invalid: hunter2", (("error", "failed"),)),
        ("service.state", "web is blocked: hunter2", (("state", "blocked"), ("detail", "hunter2"))),
    )
    failed, went_well = (
        Operation(Request(OperationId(f"{number:04}"), BLOG, Verb.UP, (), "me", 1e4), how, told, finished_at=1e4)
        for number, (how, told) in enumerate(
            ((OperationState.FAILED, "web: invalid: hunter2"), (OperationState.SUCCEEDED, "done"))
        )
    )
    with outsider(tmp_path) as file:
        file.executescript(SECOND)
        for seq, (kind, text, data) in enumerate(texts, 1):
            row = rows.history_row(Happening(seq, 9000.0 + seq, BLOG, WEB, kind, text, data))
            file.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)",
                         (row.seq, row.at, row.stack, row.service, row.type, row.body))  # fmt: skip
        file.execute("INSERT INTO applied VALUES (?, ?)", (rows.applied_key(old), rows.packed(old)))
        for one in (failed, went_well):
            text = rows.OPERATION.dump_json(one).decode()
            file.execute("INSERT INTO operations VALUES (?, ?)", (one.request.id, text))
        made = rows.crash_row(kept)
        file.execute("INSERT INTO crashes VALUES (?, ?, ?, ?, ?, ?)",
                     (made.id, made.at, made.stack, made.service, made.summary, made.body))  # fmt: skip
    file.close()
    async with opened(tmp_path, last_seq=7) as (journal, contents):
        told = [entry for entry in contents.history if entry.seq < 4]
        assert "hunter" not in str(told)
        assert [entry.message.partition(": ")[0] for entry in told] == [
            "removed blog-web-1", "create blog-web-1 failed", "web is blocked",
        ]  # fmt: skip
        assert dict(told[0].data) == {"why": "config_changed"}
        assert "hunter" not in str(journal.applied(BLOG))
        assert "hunter" not in str(journal.crashes(BLOG))
        assert "not kept" in contents.operations[0].detail
        assert contents.operations[1:] == (went_well,)
        found = await journal.crash(3)
        assert found is not None
        assert "hunter" not in str((found.crash, found.changes))
        assert found.logs == kept.logs, "the container's own output stays"
        assert await journal.flush(5)
    with outsider(tmp_path) as file:
        assert "hunter" not in str(file.execute("SELECT * FROM history").fetchall())
    file.close()


def test_of_an_earlier_version_that_can_only_be_read_no_value_is_shown_either(tmp_path: Path) -> None:
    first_version(tmp_path)
    with outsider(tmp_path) as file:
        file.executescript(SECOND)
        row = rows.history_row(Happening(8, 9e3, BLOG, WEB, "container.removed", f"removed blog-web-1: {EDIT}", ()))
        file.execute(
            "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)",
            (row.seq, row.at, row.stack, row.service, row.type, row.body),
        )
        (path,) = [Path(name) for _, _, name in file.execute("PRAGMA database_list")]
    file.close()
    stored = Database(path, Bounds(10, 1e9)).peek()
    assert len(stored.history) == 2
    assert "hunter" not in str(stored)
    assert version(tmp_path) == 2
