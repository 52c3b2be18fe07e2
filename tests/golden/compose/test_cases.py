"""Every golden folder gives the findings and the model that stand in its `expected.txt`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.golden.compose.folders import folders, outcome, written


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_a_folder_gives_exactly_the_expected_findings_and_model(folder: Path) -> None:
    expected = folder / "expected.txt"
    found = outcome(folder)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found)
    assert found == expected.read_text()


@pytest.mark.parametrize(
    "folder", [one for one in folders() if one.name.startswith("written-")], ids=lambda folder: folder.name
)
def test_a_folder_as_it_is_written_gives_exactly_the_expected_findings_and_tree(folder: Path) -> None:
    expected = folder / "written.txt"
    found = written(folder)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found)
    assert found == expected.read_text()
