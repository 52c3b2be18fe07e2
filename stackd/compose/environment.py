"""A service's environment: what its env files give, under what it declares itself.

Law: files in order, later ones win, the service's own `environment` wins over all, a name declared there without a
value stays without one; references in a file see the project's variables, then the service's, then earlier lines. Each
variable keeps its place.
What this module does NOT do: read the disk (the caller gives `read`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stackd.compose import dotenv
from stackd.compose.expand import pairs
from stackd.compose.interpolate import to_bool
from stackd.compose.normalise import items, text
from stackd.compose.redact import REDACTED
from stackd.compose.report import Report
from stackd.compose.scalars import go_text
from stackd.compose.template import Variables
from stackd.compose.tree import Map, Node, Scalar, any_secret
from stackd.compose.tree import Path as Pointer
from stackd.errors import Span


@dataclass(slots=True)
class Reader:
    """Reading files for one load: every path asked for is noted, a failure becomes a diagnostic or None."""

    read: Callable[[Path], bytes]
    report: Report
    asked: dict[Path, bytes | None]

    def get(self, path: Path) -> bytes | None:
        """The content, None when there is no such file. Other failures are reported and read as b""."""
        data, failure = self.attempt(path)
        if failure:
            self.report.error("unreadable-file", f"cannot be read: {failure}", Span(str(path)))
        return data

    def is_folder(self, path: Path) -> bool:
        """Whether there is a folder; what is none is noted, for it may become one."""
        try:
            self.read(path)
        except IsADirectoryError:
            return True
        except OSError:
            pass
        self.asked.setdefault(path, None)
        return False

    def attempt(self, path: Path) -> tuple[bytes | None, str]:
        """As `get`, with the failure in words, once, for the caller to report: a folder, no permission."""
        failure = ""
        if path not in self.asked:
            try:
                self.asked[path] = self.read(path)
            except (FileNotFoundError, NotADirectoryError):
                self.asked[path] = None
            except OSError as refused:
                failure = refused.strerror or str(refused)
                self.asked[path] = b""
        return self.asked[path], failure


def resolve_environment(
    service: Map, variables: Variables, reader: Reader, secret_file: Path | None, pointer: Pointer = ()
) -> None:
    """Merge `env_file` into `environment`, in place, and forget it. What `secret_file` gives is secret; `pointer` is
    the path of the service."""
    files = items(service.get("env_file"))
    declared = service.get("environment")
    own = pairs(declared) if declared is not None else Map({}, service.span)
    if files:
        visible = {
            name: go_text(node.value)
            for name, node in own.entries.items()
            if isinstance(node, Scalar) and node.value is not None
        }
        known = Variables(variables.shown, {**visible, **variables.hidden})
        found: dict[str, dotenv.EnvValue] = {}
        for entry in files:
            if isinstance(entry, Map):
                earlier = {name: held.value for name, held in found.items()}
                given = _file(entry, known, reader, earlier, (*pointer, "env_file"))
                if Path(text(entry.get("path"))) == secret_file:
                    given = {name: dotenv.EnvValue(held.value, held.span, True) for name, held in given.items()}
                found.update(given)
        merged: dict[str, Node] = {name: Scalar(held.value, held.span, held.secret) for name, held in found.items()}
        keys = {name: held.span for name, held in found.items()}
        own = Map({**merged, **own.entries}, own.span, {**keys, **own.keys})
    if own.entries:
        service.entries["environment"] = own
    service.drop("env_file")


def _file(
    entry: Map, known: Variables, reader: Reader, earlier: dict[str, str], pointer: Pointer
) -> dict[str, dotenv.EnvValue]:
    path = Path(text(entry.get("path")))
    span = entry.get("path") or entry
    data = reader.get(path)
    if data is None:
        shown = REDACTED if any_secret(span) else f'"{path.name}"'
        required = entry.get("required")
        if not isinstance(required, Scalar) or to_bool(go_text(required.value)) is not False:
            reader.report.error(
                "missing-file",
                f"the env file {shown} does not exist",
                span.span,
                pointer,
                "make it, or allow that it is missing: path: FILE and required: false below env_file",
            )
        return {}
    match text(entry.get("format")):
        case "":
            found = dotenv.parse(data, str(path), known, reader.report, earlier)
        case "raw":
            found = dotenv.parse_raw(data, str(path), known, reader.report)
        case _:
            reader.report.error("bad-value", '"format" wants raw, or is left out', span.span, pointer)
            return {}
    return found
