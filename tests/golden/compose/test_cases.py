"""Every golden folder gives the findings and the model that stand in its `expected.txt`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.golden.compose.folders import folders, outcome


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_a_folder_gives_exactly_the_expected_findings_and_model(folder: Path) -> None:
    expected = folder / "expected.txt"
    found = outcome(folder)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found)
    assert found == expected.read_text()
