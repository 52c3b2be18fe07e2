"""Log lines: their subject, their form, and what may never stand in one."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from stackd.compose.redact import readable
from stackd.runtime.log import JsonFormatter, TextFormatter, about, in_journal
from stackd.values import MOST_TEXT


def record(text: str, level: int = logging.INFO, *, error: bool = False) -> logging.LogRecord:
    info = None
    if error:
        try:
            raise ValueError("PASSWORD=hunter2")
        except ValueError:
            info = sys.exc_info()
    return logging.LogRecord("stackd.x", level, __file__, 1, text, None, info)


@pytest.mark.parametrize(
    "text",
    [
        "POSTGRES_PASSWORD=hunter2",
        "env: API_TOKEN='hunter2 and more' DSN=hunter2",
        "postgres://me:hunter2@db/x",
        "redis://hunter2@cache",
        '{"db_password": "hunter2", "a": 1}',
        "{'aws_secret': 'hunter2'}",
        "X-Registry-Auth: hunter2",
        "Authorization: Bearer hunter2",
    ],
)
def test_a_secret_never_reaches_a_line(text: str) -> None:
    assert "hunter2" not in readable(text)
    assert "***" in readable(text)


@pytest.mark.parametrize("text", ["unknown key: imagee", "pulling localhost:5000/app:1 done", "web: exit 137", "a=b"])
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert readable(text) == text


def test_a_line_names_the_stack_and_service_it_is_about() -> None:
    with about("blog", "web"):
        line = TextFormatter(journal=False).format(record("started"))
    assert line.endswith("Z info    blog/web: started")
    assert TextFormatter(journal=False).format(record("started")).endswith("Z info    started")


@pytest.mark.parametrize(
    ("level", "prefix"),
    [(logging.CRITICAL, "<2>"), (logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"), (10, "<7>")],
)
def test_the_journal_gets_a_priority_on_every_line_and_no_time(level: int, prefix: str) -> None:
    assert TextFormatter(journal=True).format(record("one\ntwo", level)) == f"{prefix}one\n{prefix}two"


def test_json_is_one_object_a_line_without_secrets_even_in_a_traceback() -> None:
    with about("blog"):
        line = JsonFormatter().format(record("broke", logging.ERROR, error=True))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["stack"], found["level"], found["logger"]) == ("blog", "error", "stackd.x")
    assert found["message"].startswith("broke\nTraceback")
    assert "hunter2" not in line
    assert "service" not in found


def test_the_journal_is_known_by_device_and_inode(tmp_path: Path) -> None:
    with (tmp_path / "f").open("w") as file:
        found = os.fstat(file.fileno())
        assert in_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, file.fileno())
        assert not in_journal({"JOURNAL_STREAM": "1:2"}, file.fileno())
        assert not in_journal({}, file.fileno())


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(journal=False), TextFormatter(journal=True)])
def test_a_message_and_each_line_of_a_traceback_have_a_bounded_length(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("y" * 1_000_000)
    except ValueError:
        found = logging.LogRecord("stackd.x", logging.ERROR, __file__, 1, "x" * 7_000_000, None, sys.exc_info())
    line = formatter.format(found)
    assert len(line) < 4 * MOST_TEXT
    assert "(7000000 bytes, sha256 " in line


def test_a_secret_at_the_place_where_a_message_is_cut_is_not_shown_in_part() -> None:
    text = "a" * (MOST_TEXT - 200) + ' {"db_password": "' + "hunter2" * 1000 + '"}'
    assert "hunter2" not in TextFormatter(journal=False).format(record(text))
