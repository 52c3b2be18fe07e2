"""Generated files: the verdict, the model and the hashes are docker compose's."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.golden.compose.folders import loaded, model
from tests.oracle.compose import judge
from tests.property.compose.files import compose_files

pytestmark = pytest.mark.oracle


@given(text=compose_files())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_generated_file_means_the_same_to_both(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "stack"
    folder.mkdir(exist_ok=True)
    (folder / "compose.yaml").write_text(text)
    theirs = judge(folder)
    ours, found = model(folder)
    assert (ours is None) == (theirs.model is None), (theirs.complaint, found.diagnostics, text)
    assert ours == theirs.model
    project = loaded(folder).project
    specs = project.services.values() if project is not None else ()
    assert {str(spec.name): spec.hashes[0] for spec in specs} == theirs.hashes
