"""stackd and the real docker compose accept the same files, and make the same model and hashes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.compose.folders import folders, model
from tests.oracle.compose import judge

pytestmark = pytest.mark.oracle

STRICTER = {
    "nested-too-deeply": "the real one takes 10 000 levels, and a minute for half of that",
    "alias-bomb": "the real one unfolds it for half a minute",
    "fig": "the real one knows no fig.yml",
    "infinite-limit": "the real one prints it in YAML and cannot in JSON (test_cli)",
}
"""Cases that stackd refuses, or reads, on purpose though the real one does not, by the beginning of their names."""

JUDGED = [folder for folder in folders() if not folder.name.startswith(tuple(STRICTER))]


@pytest.mark.parametrize("folder", JUDGED, ids=lambda folder: folder.name)
def test_the_verdict_the_model_and_the_hashes_are_those_of_docker_compose(folder: Path) -> None:
    theirs = judge(folder)
    ours, found = model(folder, shell=True)
    assert (ours is None) == (theirs.model is None), (theirs.complaint, found.diagnostics)
    assert ours == theirs.model
    specs = found.project.services.values() if found.project is not None else ()
    assert {str(spec.name): spec.hashes[0] for spec in specs} == theirs.hashes
