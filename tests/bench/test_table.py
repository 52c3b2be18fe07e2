"""The table of the bench: what is computed, and what of the page is written anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.measures import Measure, Rest
from tests.bench.shapes import Shape
from tests.bench.table import BEGIN, END, Setting, put, table


def test_a_ratio_is_that_of_the_medians() -> None:
    made = table({Measure.UP: {"a": [1.0, 2.0, 9.0], "b": [4.0]}}, ["a", "b"], [], Setting(("where",)))
    assert "| 2000 (1000 - 9000) | 4000 (4000 - 4000) | 0.50 |" in made


def test_a_side_that_was_not_measured_shows_no_figure() -> None:
    made = table({Measure.UP: {"a": [1.0]}}, ["a", "b"], [], Setting(()))
    assert "| 1000 (1000 - 1000) | - | - |" in made


def test_the_daemon_at_rest_is_shown_in_shares_of_a_core_and_mebibytes() -> None:
    assert "| 50 containers | 0.25% | 60 MiB |" in table({}, ["a"], [Rest(50, 0.0025, 60 * 2**20)], Setting(()))


def test_only_what_stands_between_the_markers_is_written_anew(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n")
    with pytest.raises(ValueError, match="no markers"):
        put(page, "new")
    assert page.read_text() == "text\n"


def test_an_edit_changes_the_environment_of_one_service_only() -> None:
    before, after = Shape("p", 3), Shape("p", 3).edit("s01")
    changed = [service for service in before.services if before.mark(service) != after.mark(service)]
    assert changed == ["s01"]
