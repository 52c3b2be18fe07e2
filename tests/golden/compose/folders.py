"""The golden folders: one case each, its files, and `expected.txt` with the findings and the canonical model.
Those named `written-` are judged with their references left in them as well: `written.txt`.

`UPDATE_GOLDEN=1 pytest tests/golden/compose` writes `expected.txt` anew; read the difference before you commit it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from stackd.compose.canonical import raw_yaml
from stackd.compose.load import canonical, load, resolve, stack_inputs
from stackd.compose.tree import Json
from stackd.model.spec import Loaded

CASES = Path(__file__).parent / "cases"
ENV = {"HOME": "/home/someone"}


def folders() -> list[Path]:
    """Every case."""
    return sorted(path for path in CASES.iterdir() if path.is_dir())


def loaded(folder: Path) -> Loaded:
    """The folder as the daemon reads it."""
    inputs = stack_inputs(folder, [path.name for path in folder.iterdir()])
    assert inputs is not None
    return load(inputs, Path.read_bytes, ENV)


def model(folder: Path, *, shell: bool = False) -> tuple[dict[str, Json] | None, Loaded]:
    """The folder in canonical form. `shell`: with docker compose's own verdict."""
    inputs = stack_inputs(folder, [path.name for path in folder.iterdir()])
    assert inputs is not None
    return canonical(replace(inputs, shell=shell), Path.read_bytes, ENV)


def written(folder: Path) -> str:
    """Findings, and the tree with its references left as they are written."""
    inputs = stack_inputs(folder, [path.name for path in folder.iterdir()])
    assert inputs is not None
    found = resolve(replace(inputs, shell=True, interpolate=False, decoded=False), Path.read_bytes, ENV)
    lines = [str(diagnostic) for diagnostic in found.loaded.diagnostics]
    return _placed(lines, folder) + (raw_yaml(found).replace(str(folder), "$DIR") if found.root is not None else "")


def outcome(folder: Path) -> str:
    """Findings and model as text; the folder's own place is written `$DIR`, the one above `$UP`."""
    values, found = model(folder)
    lines = [str(diagnostic) for diagnostic in found.diagnostics]
    if values is not None:
        lines.append(json.dumps(values, indent=1, ensure_ascii=False))
    return _placed(lines, folder)


def _placed(lines: list[str], folder: Path) -> str:
    return "\n".join(lines).replace(str(folder), "$DIR").replace(str(folder.parent), "$UP") + "\n"
