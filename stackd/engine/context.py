"""A build context as a tar: the folder without what `.dockerignore` leaves out, and the Dockerfile wherever it is.

Law: everything here blocks and belongs into a thread. Files are the user's own: owner and group become root's, as the
Docker CLI has it; links stay links. What this module does not do: talk to an engine.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.spec import BuildSpec

_BESIDE = ".stackd.Dockerfile"
"""The name in the tar of a Dockerfile that is not in the context."""

_END_OF_ARCHIVE = 2 * tarfile.BLOCKSIZE
"""The library pads beyond it. An engine stops reading there, and with a rest unread it does not notice that the client
hangs up: a cancelled build would go on (seen on 20.10)."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A context: an open temporary file at its beginning, and the Dockerfile's name in it."""

    file: IO[bytes]
    dockerfile: str


def pack(build: BuildSpec) -> Packed:
    """Make the tar. Raises EngineError(failed) when the context or the Dockerfile is not there or cannot be read."""
    root = Path(build.context)
    if not root.is_dir():
        raise EngineError(EngineErrorKind.FAILED, f"build context {build.context} is no folder")
    try:
        return _pack(root, build)
    except OSError as error:
        message = f"build context {build.context}: {error.strerror or error}: {error.filename}"
        raise EngineError(EngineErrorKind.FAILED, message) from error


def _pack(root: Path, build: BuildSpec) -> Packed:
    name, text = _dockerfile(root, build)
    rules = Ignore(_patterns(root / ".dockerignore"), always=(name, ".dockerignore"))
    file = tempfile.TemporaryFile(prefix="stackd-build-")  # noqa: SIM115
    try:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in _walk(root, rules):
                tar.add(root / path, arcname=path, recursive=False, filter=_as_root)
            if text is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text))
            end = tar.offset + _END_OF_ARCHIVE
        file.truncate(end)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Packed(file, name)


def _dockerfile(root: Path, build: BuildSpec) -> tuple[str, bytes | None]:
    """Its name in the tar, and its text if the context does not bring it."""
    if build.dockerfile_inline:
        return _BESIDE, build.dockerfile_inline.encode()
    path = root / build.dockerfile
    if not path.is_file():
        raise EngineError(EngineErrorKind.FAILED, f"no Dockerfile at {path}")
    inside = os.path.relpath(path, root)
    return (_BESIDE, path.read_bytes()) if inside.startswith("..") else (inside, None)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _walk(root: Path, rules: Ignore) -> Iterator[str]:
    """Paths relative to the root, folders before what is in them; sockets are passed over."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        here = "" if Path(folder) == root else os.path.relpath(folder, root) + "/"
        for name in sorted(files) + folders:
            if not rules.leaves_out(here + name) and not (root / here / name).is_socket():
                yield here + name
        folders[:] = [
            name for name in folders if not rules.prunes(here + name) and not (root / here / name).is_symlink()
        ]


def _patterns(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


class Ignore:
    """The rules of a `.dockerignore`: the last that matches a path or a folder above it decides; `!` takes back."""

    def __init__(self, patterns: Sequence[str], always: Sequence[str] = ()) -> None:
        self._rules = [(_expression(pattern.removeprefix("!")), not pattern.startswith("!")) for pattern in patterns]
        self._always = frozenset(always)
        self._takes_back = any(not leaves_out for _, leaves_out in self._rules)

    def leaves_out(self, path: str) -> bool:
        """Whether the path stays out of the context."""
        out = False
        for expression, leaves_out in self._rules:
            if expression.match(path):
                out = leaves_out
        return out and path not in self._always

    def prunes(self, folder: str) -> bool:
        """Whether nothing within the folder can be wanted."""
        needed = any(path.startswith(folder + "/") for path in self._always)
        return not self._takes_back and not needed and self.leaves_out(folder)


_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|\\.|.", re.DOTALL)


def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern of Go's filepath.Match with `**` for any number of folders; it also matches all that lies below."""
    cleaned = os.path.normpath(pattern.strip()).lstrip("/")
    translated = "".join(map(_part, _PARTS.findall(cleaned)))
    return re.compile(f"{translated}(/.*)?\\Z", re.DOTALL)


def _part(part: str) -> str:
    match part:
        case "**/":
            return "(?:.*/)?"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if part.startswith("[") and len(part) > 1:
            return part
        case _ if part.startswith("\\") and len(part) > 1:
            return re.escape(part[1])
        case _:
            return re.escape(part)
