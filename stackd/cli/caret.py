"""The line of a file that a finding points at, for people at a terminal.

Law: no line is shown that may hold a secret: none of an env file, none that gives a value to a key named like a secret
or holds a URL with a password, none that holds a value of the `.env` beside the file. A file that cannot be read, or
has changed its length since, shows nothing.
What this module does NOT do: draw the caret (`api.text`), or run for `--json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stackd.api.table import Paint, plain
from stackd.api.text import diagnostic_lines
from stackd.compose.redact import readable, secret_key

if TYPE_CHECKING:
    from stackd.api.schemas import DiagnosticView

_GIVEN = re.compile(r"""([\w.-]+)["']?\s*[:=]\s*(?!\$\{?[A-Za-z_]\w*\}?["']?\s*$)[^\s\[{]""")
_MOST = 1 << 20
_SHORT = 6
"""A value of `.env` with fewer characters (`true`, `8080`) is no secret that a line could give away."""


def shown(found: DiagnosticView, paint: Paint = plain) -> list[str]:
    """A finding in words, with its line when that may be shown."""
    path = Path(found["file"])
    data = _read(path) if found["line"] and path.suffix in (".yaml", ".yml") else b""
    return diagnostic_lines(found, paint, text_of(found, data, _read(path.parent / ".env")) if data else "")


def text_of(found: DiagnosticView, data: bytes, env: bytes = b"") -> str:
    """The line of a file of this content, "" when there is none to show; `env`: the content of the `.env` beside it."""
    if not found["line"] or Path(found["file"]).suffix not in (".yaml", ".yml"):
        return ""
    try:
        lines = re.split(r"\r\n|\r|\n|\x85|\u2028|\u2029", data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return ""
    line = lines[found["line"] - 1] if found["line"] <= len(lines) else ""
    secret = readable(line) != line or any(secret_key(found[1]) for found in _GIVEN.finditer(line))
    if secret or any(value in line for value in _values(env)):
        return ""
    return line


def _values(env: bytes) -> Iterator[str]:
    for line in env.decode("utf-8", "replace").splitlines():
        value = line.partition("=")[2].strip().strip("\"'")
        if len(value) >= _SHORT:
            yield value


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError:
        return b""
