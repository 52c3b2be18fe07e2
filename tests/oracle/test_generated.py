"""Generated projects: the verdict, the model and the hashes are docker compose's.

`ORACLE_EXAMPLES=5000 pytest tests/oracle/test_generated.py` asks for more than the 300 of every run.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from stackd.compose import rules
from stackd.compose.load import StackInputs, canonical
from stackd.compose.tree import Json
from tests.oracle.compose import judge
from tests.oracle.generated import FIELDS, projects
from tests.oracle.probe import ENV
from tests.property.compose.files import compose_files

pytestmark = pytest.mark.oracle
EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "300"))
_PLACED = frozenset(  # beside the drawn attributes: every service has an image, the whole places what names others
    ["image", "extends", "depends_on", "links", "volumes_from", "container_name", "scale"]
)
_ELSEWHERE = frozenset(("cpus", "mem_limit", "network_mode", "pids_limit", "provider", "pull_refresh_after",
                        "use_api_socket", "volumes_from"))  # fmt: skip


def _compare(files: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root).resolve() / "stack"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        theirs = judge(folder)
        listed = tuple(folder / name for name in ("compose.yaml", "compose.override.yaml") if name in files)
        inputs = StackInputs(folder, listed, folder / ".env", shell=True, explicit=True)
        ours, found = canonical(inputs, Path.read_bytes, ENV)
    assert (ours is None) == (theirs.model is None), (theirs.complaint, found.diagnostics)
    assert ours == theirs.model
    specs = found.project.services.values() if found.project is not None else ()
    hashes: dict[str, Json] = {str(spec.name): spec.hashes[0] for spec in specs}
    assert hashes == theirs.hashes


@pytest.mark.timeout(4 * EXAMPLES)
@given(files=projects())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_generated_project_means_the_same_to_both(files: dict[str, str]) -> None:
    _compare(files)


@given(text=compose_files())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_generated_file_means_the_same_to_both(text: str) -> None:
    _compare({"compose.yaml": text})


def test_nearly_every_attribute_of_a_service_is_generated() -> None:
    assert rules.SERVICE.fields.keys() - FIELDS <= _PLACED | _ELSEWHERE
