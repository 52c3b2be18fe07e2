"""docs/compose.md: its examples print what it says they print, and its lists are those of the code.

Law: read from the page, never repeated here. A block ```` ```yaml NAME ```` is a file of its section's folder, a
```` ```console ```` block holds commands and what they print, standard error included; a last line `name: demo` of
`stackd config` stands for the whole definition.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackd.compose import rules
from stackd.compose.schema import Either, ListOf, Record, Rule, Table

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compose.md"
_BEGIN = re.compile(r"(<!-- later: begin[^\n]*-->\n)(.*?)(<!-- later: end -->)", re.DOTALL)


def _sections() -> list[tuple[str, list[tuple[str, str]]]]:
    """The sections that have commands: title, and the blocks as (fence, text)."""
    parts = re.split(r"^## (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = []
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        blocks = re.findall(r"^```(\S+[^\n]*)\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)
        if any(fence == "console" for fence, _ in blocks):
            found.append((title, blocks))
    return found


@pytest.mark.parametrize(("title", "blocks"), _sections(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_examples_print_what_the_page_says(title: str, blocks: list[tuple[str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    commands = 0
    for fence, text in blocks:
        if fence.startswith("yaml "):
            (folder / fence.removeprefix("yaml ")).write_text(text)
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=environment, timeout=60, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            printed = done.stdout.replace(f"{folder}/", "")
            if expected.endswith("name: demo\n"):
                printed = printed[: printed.index("name: demo\n") + len("name: demo\n")]
            assert printed == expected, command
            commands += 1
    assert commands


def _later(rule: Rule, name: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Every mapping below a rule with keys that have no effect yet."""
    match rule:
        case Record():
            if rule.later:
                yield name, rule.later
            for key, item in rule.fields.items():
                if key not in rule.later:
                    yield from _later(item, f"{name}.{key}" if name else key)
        case Table():
            yield from _later(rule.item, name)
        case ListOf():
            yield from _later(rule.item, name)
        case Either():
            for choice in (rule.scalar, rule.seq, rule.map):
                if choice is not None:
                    yield from _later(choice, name)
        case _:
            pass


def _list() -> str:
    lines: dict[str, str] = {}
    for name, keys in _later(rules.TOP, ""):
        shown = ", ".join(f"`{key}`" for key in sorted(keys))
        lines[name] = f"- {f'`{name}`' if name else 'at the top level'}: {shown}"
    return "".join(f"{line}\n" for line in lines.values())


def test_the_keys_without_effect_are_those_that_the_code_warns_of() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = _BEGIN.search(page)
    assert found is not None
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(page[: found.start(2)] + _list() + page[found.end(2) :], encoding="utf-8")
    else:
        assert found[2] == _list()
