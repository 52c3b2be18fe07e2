"""Every finding of the golden folders points at the value that it speaks of: the lines of `pointers.txt`.

`UPDATE_GOLDEN=1 pytest tests/golden/test_pointers.py` writes them anew; read the difference before you commit it. A
case that has no line there yet is not compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from stackd.errors import Diagnostic
from tests.golden.compose.folders import folders, loaded
from tests.golden.mistakes.cases import cases, diagnostics

POINTERS = Path(__file__).parent / "pointers.txt"


def found() -> Iterator[tuple[str, Diagnostic]]:
    """Every finding with the name of its case."""
    for case in cases():
        yield from ((f"mistakes/{case.path.stem}", one) for one in diagnostics(case))
    for folder in folders():
        yield from ((f"compose/{folder.name}", one) for one in loaded(folder).diagnostics)


def test_every_finding_points_at_the_value_that_it_speaks_of() -> None:
    lines = [(name, f"{name} {one.code} {one.pointer or '-'}\n") for name, one in found()]
    if os.environ.get("UPDATE_GOLDEN"):
        POINTERS.write_text("".join(line for _, line in lines))
    expected = POINTERS.read_text()
    named = {line.split(" ", 1)[0] for line in expected.splitlines()}
    assert "".join(line for name, line in lines if name in named) == expected
