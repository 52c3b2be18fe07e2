"""The table of docs/diagnostics.md names every code that can be met, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "diagnostics.md"
CALLS = frozenset(
    ("error", "warning", "refused", "Diagnostic", "_warning", "_Refused", "TemplateError", "Parsed", "Text", "tell")
)
_CODE = re.compile(r"[a-z]+(-[a-z]+)+")
COMPOSED = {f"undefined-{one}" for one in ("config", "model", "network", "secret", "volume")}
"""Made of a section's name."""


def used() -> set[str]:
    """Every code in the sources: what the calls that make a finding are given."""
    found = set(COMPOSED)
    for folder in ("compose", "source", "core"):
        for path in sorted((ROOT / "stackd" / folder).glob("*.py")):
            found.update(_codes(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _named(tree: ast.Module) -> dict[str, ast.expr]:
    """The constants of a module."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


OF_THE_MODEL = _named(ast.parse((ROOT / "stackd" / "model" / "view.py").read_text(encoding="utf-8")))
"""Constants that other modules import."""


def _codes(tree: ast.Module) -> Iterator[str]:
    named = OF_THE_MODEL | _named(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in CALLS:
            continue
        for given in (*node.args[:2], *(keyword.value for keyword in node.keywords if keyword.arg == "code")):
            value = named.get(given.id) if isinstance(given, ast.Name) else given
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and _CODE.fullmatch(value.value):
                yield value.value


def listed() -> list[str]:
    """Every code of the table, in its order."""
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def test_every_code_that_is_used_stands_in_the_table_and_every_code_of_the_table_is_used() -> None:
    assert set(listed()) == used()


def test_the_table_is_sorted_and_names_each_code_once() -> None:
    assert listed() == sorted(set(listed()))
