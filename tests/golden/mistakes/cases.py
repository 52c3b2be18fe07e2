"""A mistake is one text file: the definition's files, each below a line `=== NAME`, then `=== expected` with the words.

`=== expected N` says that there are N errors; without a number there is exactly one.
`UPDATE_GOLDEN=1 pytest tests/golden/mistakes` writes the words anew; read the difference before you commit it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stackd.api.convert import diagnostic_view
from stackd.api.text import diagnostic_lines
from stackd.cli.caret import text_of
from stackd.compose.load import load, stack_inputs
from stackd.errors import Diagnostic

CASES = Path(__file__).parent / "cases"
FOLDER = Path("/home/someone/stacks/demo")
_PART = re.compile(rb"^=== (.+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Case:
    """One mistake: its files by name, the words that are expected, and of how many errors."""

    path: Path
    files: dict[str, bytes]
    expected: str
    errors: int


def cases() -> list[Case]:
    """Every mistake."""
    return [_case(path) for path in sorted(CASES.glob("*.txt"))]


def _case(path: Path) -> Case:
    parts = _PART.split(path.read_bytes())
    named = dict(zip((name.decode() for name in parts[1::2]), parts[2::2], strict=True))
    last = list(named)[-1]
    expected = named.pop(last).decode()
    return Case(path, named, expected, int(last.removeprefix("expected") or 1))


def diagnostics(case: Case) -> tuple[Diagnostic, ...]:
    """What the loader finds."""
    inputs = stack_inputs(FOLDER, case.files)
    assert inputs is not None
    held = {FOLDER / name: data for name, data in case.files.items()}

    def read(path: Path) -> bytes:
        if path not in held:
            raise FileNotFoundError(path)
        return held[path]

    return load(inputs, read, {"HOME": "/home/someone"}).diagnostics


def words(case: Case) -> str:
    """What a person sees in the terminal, the folder's own place left out."""
    lines = []
    for found in diagnostics(case):
        view = diagnostic_view(found)
        data = case.files.get(Path(view["file"]).name, b"")
        lines += diagnostic_lines(view, line=text_of(view, data))
    return "".join(f"{line}\n" for line in lines).replace(f"{FOLDER}/", "").replace(str(FOLDER), ".")


def rewrite(case: Case) -> None:
    """Put the words of today into the file."""
    head = case.path.read_bytes().partition(b"=== expected")[0]
    number = "" if case.errors == 1 else f" {case.errors}"
    case.path.write_bytes(head + f"=== expected{number}\n{words(case)}".encode())
