"""Collecting diagnostics while the loader goes on.

Law: one mistake, one diagnostic; a message never shows a value that `.env` contributed to or that a secret's key holds.
What this module does NOT do: decide whether a project may come into force (an error anywhere forbids it: `load`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path as File

from stackd.compose.confidential import assigned, hides, key_shown
from stackd.compose.redact import REDACTED as REDACTED
from stackd.compose.redact import readable
from stackd.compose.tree import Node, Path, Scalar, any_secret, kind
from stackd.errors import Diagnostic, Severity, Span
from stackd.values import shortened


def visible(text: str) -> str:
    """`text` with every character that cannot be seen as its code: `\\ufeffservices`."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def quote(node: Node, path: Path = ()) -> str:
    """How a message shows the value it found at `path`; of a text that is never shown it says the kind."""
    if any_secret(node):
        return REDACTED
    if hides(path) and not (isinstance(node, Scalar) and isinstance(node.value, bool | int | float)):
        return kind(node)
    if isinstance(node, Scalar):
        if isinstance(node.value, str) and (name := assigned(node.value)):
            return f'"{name}={REDACTED}"'
        if isinstance(node.value, str):
            text = readable(node.value)
            return f'"{text if len(text) <= 60 else text[:57] + "..."}"'
        return "nothing" if node.value is None else str(node.value).lower()
    return kind(node)


def file_named(asked: Node, path: File) -> str:
    """How a message names a file: as it is written, and where that leads: `"x.env" (/stacks/blog/x.env)`."""
    if any_secret(asked) or not isinstance(asked, Scalar):
        return REDACTED
    written = asked.written or str(asked.value)
    if assigned(written):  # a variable that stands where a file is wanted
        return f'"{key_shown(written)}"'
    return f'"{written}"' + (f" ({path})" if written != str(path) else "")


class Report:
    """The findings of one load, in the order found. `shell`: a person looks at the file as docker compose sees it;
    `repeats`: a merge keeps equal items of a list, as docker compose v2 does. `repeated`: it dropped one.
    """

    def __init__(self, *, shell: bool = False, repeats: bool = False) -> None:
        self._found: list[Diagnostic] = []
        self._seen: set[tuple[Span, str, str]] = set()
        self._shell = shell
        self.repeats, self.repeated = repeats, False
        self._wrong: set[Path] = set()
        self._above: set[Path] = set()
        self._misspelt: set[tuple[Path, str]] = set()

    def error(self, code: str, message: str, span: Span, path: Path = (), hint: str = "") -> None:
        """A finding that keeps the files from coming into force."""
        self._add(Diagnostic(code, message, span, Severity.ERROR, _pointer(path), hint))
        self._wrong.add(path)
        self._above.update(path[:length] for length in range(len(path) + 1))
        if code == "unknown-key":
            self._misspelt.add((path[:-1], hint))

    def refused(self, code: str, message: str, span: Span, path: Path = (), hint: str = "") -> None:
        """What docker compose's `config` takes and `up` or the engine refuses: an error, for a shell a warning."""
        (self.warning if self._shell else self.error)(code, message, span, path, hint)

    def warning(self, code: str, message: str, span: Span, path: Path = (), hint: str = "") -> None:
        """A finding that the user should know."""
        self._add(Diagnostic(code, message, span, Severity.WARNING, _pointer(path), hint))

    def _add(self, found: Diagnostic) -> None:
        found = replace(found, message=shortened(found.message), hint=shortened(found.hint))
        # The same text reached by an alias or a second pass is one mistake.
        mark = (found.span, found.code, found.message)
        if mark not in self._seen:
            self._seen.add(mark)
            self._found.append(found)

    def told(self, path: Path) -> bool:
        """Whether something is known to be wrong at or below this path: what follows from it needs no telling."""
        return path in self._above

    def wrong(self, path: Path) -> bool:
        """Whether something is known to be wrong exactly here, or with the whole that this is a part of."""
        return any(path[:length] in self._wrong for length in range(1, len(path) + 1))

    def misspelt(self, path: Path, key: str) -> bool:
        """Whether a key stands under `path` that was taken for a misspelt `key`."""
        return (path, meant(key)) in self._misspelt

    def follows(self, path: Path) -> None:
        """Note that what is wrong at this path follows from an error that stands elsewhere."""
        self._above.update(path[:length] for length in range(len(path) + 1))

    @property
    def errors(self) -> int:
        """The number of errors found."""
        return sum(found.severity is Severity.ERROR for found in self._found)

    @property
    def failed(self) -> bool:
        """True when an error was found."""
        return bool(self._above)

    def all(self) -> tuple[Diagnostic, ...]:
        """Every finding, by place."""
        return tuple(sorted(self._found, key=lambda found: (found.span.file, found.span.line, found.span.column)))


def _pointer(path: Path) -> str:
    return ".".join(key_shown(part, path) for part in path)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to `word`, or "" when none is near."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return meant(close[0]) if close else ""


def meant(word: str) -> str:
    """The hint that names a known word."""
    return f"did you mean {word}?"
