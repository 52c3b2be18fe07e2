"""The log level of what is recorded."""

from __future__ import annotations

import logging

import pytest

from stackd.model.ids import StackName
from stackd.runtime.history import History


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
