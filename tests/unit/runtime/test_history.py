"""The history in memory: how long an entry may be, how many there are, and at which level each is logged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from stackd.compose.describe import Description
from stackd.compose.redact import Redaction
from stackd.compose.report import Report
from stackd.engine.failures import refused
from stackd.errors import Span
from stackd.model.ids import StackName
from stackd.model.status import Happening
from stackd.runtime.history import History
from stackd.values import MOST_TEXT, shortened
from tests.fake.engine import FakeEngine
from tests.unit.runtime.whole import whole

BLOG, SPAN = StackName("blog"), Span("compose.yaml", 1, 1)
LONG = "é" * 4_000_000
MARK = " bytes, sha256 "


def test_the_texts_of_an_entry_have_a_bounded_length() -> None:
    kept: list[Happening] = []
    History(lambda: 0.0, kept.append, (), 1).add(BLOG, None, "service.changed", LONG, after=LONG, number=7)
    data = dict(kept[0].data)
    for text in (kept[0].message, str(data["after"])):
        assert MARK in text
        assert len(text.encode()) <= MOST_TEXT
    assert data["number"] == 7


def test_what_a_file_gives_has_a_bounded_length_wherever_it_goes() -> None:
    report, description = Report(), Description(Redaction())
    report.error("bad-value", LONG, SPAN, hint=LONG)
    description.add("command", SPAN, LONG)
    (found,) = report.all()
    for text in (found.message, found.hint, description.values["command"]):
        assert MARK in text
        assert len(text.encode()) <= MOST_TEXT


def test_the_words_of_the_engine_have_a_bound_before_they_are_scrubbed_and_shortened() -> None:
    assert len(refused(LONG, "pull web:1").message) < len(LONG) / 10


@pytest.mark.parametrize("text", ["", "short", "é" * (MOST_TEXT // 2), "x" * MOST_TEXT])
def test_a_text_that_fits_stays_as_it_is(text: str) -> None:
    assert shortened(text) == text


def test_two_long_texts_that_differ_at_their_end_still_differ() -> None:
    assert shortened("x" * 9000 + "a") != shortened("x" * 9000 + "b")


async def test_the_history_in_memory_obeys_max_events(tmp_path: Path) -> None:
    async with whole(tmp_path, FakeEngine(), history={"max_events": 100}) as daemon:
        for number in range(300):
            daemon.history.add(BLOG, None, "service.state", f"entry {number}")
        assert daemon.history.last_seq - daemon.history.oldest_seq == 99


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("definition.error", logging.ERROR),
        ("definition.warning", logging.WARNING),
        ("journal.behind", logging.WARNING),
        ("container.started", logging.INFO),
    ],
)
def test_an_entry_is_logged_at_the_level_of_its_type(caplog: pytest.LogCaptureFixture, kind: str, level: int) -> None:
    caplog.set_level(logging.DEBUG, "stackd.history")
    History(lambda: 0.0, lambda entry: None, (), 1).add(StackName("app"), None, kind, "text")
    assert [record.levelno for record in caplog.records] == [level]
