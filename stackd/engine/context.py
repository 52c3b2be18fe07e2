"""A build context as a tar: the folder without what `.dockerignore` leaves out, and the Dockerfile wherever it is.

Law: everything here blocks and belongs into a thread; `Halt` ends it between two files and within a large one. Nothing
waits: pipes and devices are entries without content, as the Docker CLI has it, and sockets are passed over. Files are
the user's own: owner and group become root's, links stay links. What this module does not do: talk to an engine, match
patterns (`ignore`).
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from stackd.engine.ignore import BadPattern, Ignore, Rule, Trail, rules
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.spec import BuildSpec
from stackd.regular_file import LARGEST, read_regular

_BESIDE = ".stackd.Dockerfile"
"""The name in the tar of a Dockerfile that is not in the context."""

_IGNORE = ".dockerignore"
_LARGEST_IGNORE = 256 * 1024  # bytes

_END_OF_ARCHIVE = 2 * tarfile.BLOCKSIZE
"""The library pads beyond it. An engine stops reading there, and with a rest unread it does not notice that the client
hangs up: a cancelled build would go on (seen on 20.10)."""


@dataclass(frozen=True, slots=True)
class Halt:
    """When to give up: at an instant (monotonic seconds), or when it is `called` from another thread."""

    deadline: float
    seconds: float
    called: threading.Event = field(default_factory=threading.Event)

    @staticmethod
    def after(seconds: float) -> Halt:
        """Give up in so many seconds."""
        return Halt(time.monotonic() + seconds, seconds)

    def check(self) -> None:
        """Raises EngineError(timeout) when it is time to give up."""
        if self.called.is_set():
            raise EngineError(EngineErrorKind.TIMEOUT, "packing the build context was cancelled")
        if time.monotonic() >= self.deadline:
            message = f"packing the build context took longer than {self.seconds:g} s: is too much in it?"
            raise EngineError(EngineErrorKind.TIMEOUT, f"{message} A .dockerignore leaves files out")


@dataclass(frozen=True, slots=True)
class Packed:
    """A context: an open temporary file at its beginning, and the Dockerfile's name in it."""

    file: IO[bytes]
    dockerfile: str


def pack(build: BuildSpec, halt: Halt) -> Packed:
    """Make the tar. Raises EngineError: failed when the context, the Dockerfile or .dockerignore is not there or cannot
    be read, timeout when `halt` says so.
    """
    root = _root(build)
    try:
        return _pack(root, build, halt)
    except OSError as error:
        raise _failed(build, error) from error


def inspect(build: BuildSpec) -> None:
    """Refuse, before a builder reads them, a Dockerfile or an ignore file that are no regular files or broken ones.

    Raises EngineError as `pack`.
    """
    root = _root(build)
    try:
        if not build.dockerfile_inline:
            path = root / build.dockerfile
            _read(path, LARGEST, f"no Dockerfile at {path}")
            _rules(path.with_name(f"{path.name}{_IGNORE}"))
        _rules(root / _IGNORE)
    except OSError as error:
        raise _failed(build, error) from error


def _root(build: BuildSpec) -> Path:
    root = Path(build.context)
    if not root.is_dir():
        raise EngineError(EngineErrorKind.FAILED, f"build context {build.context} is no folder")
    return root


def _failed(build: BuildSpec, error: OSError) -> EngineError:
    message = f"build context {build.context}: {error.strerror or error}: {error.filename}"
    return EngineError(EngineErrorKind.FAILED, message)


def _read(path: Path, largest: int, missing: str) -> bytes:
    """The content of a file that a build names. Raises OSError, and EngineError(failed) when it is not there."""
    try:
        return read_regular(path, largest)
    except (FileNotFoundError, NotADirectoryError):
        raise EngineError(EngineErrorKind.FAILED, missing) from None


def _pack(root: Path, build: BuildSpec, halt: Halt) -> Packed:
    name, text = _dockerfile(root, build)
    ignore = Ignore(_rules(root / _IGNORE), always=(name, _IGNORE))
    file = tempfile.TemporaryFile(prefix="stackd-build-")  # noqa: SIM115
    try:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in _walk(root, ignore, halt):
                _add(tar, root / path, path, halt)
            if text is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text))
            end = tar.offset + _END_OF_ARCHIVE
        file.truncate(end)
        file.seek(0)
        halt.check()
    except BaseException:
        file.close()
        raise
    return Packed(file, name)


def _dockerfile(root: Path, build: BuildSpec) -> tuple[str, bytes | None]:
    """Its name in the tar, and its text if the context does not bring it."""
    if build.dockerfile_inline:
        return _BESIDE, build.dockerfile_inline.encode()
    path = root / build.dockerfile
    text = _read(path, LARGEST, f"no Dockerfile at {path}")
    inside = os.path.relpath(path, root)
    return (_BESIDE, text) if inside.startswith("..") else (inside, None)


class _Content(io.RawIOBase):
    """A file's content for the tar, in pieces, between which it may be given up."""

    def __init__(self, file: IO[bytes], halt: Halt) -> None:
        super().__init__()
        self._file, self._halt = file, halt

    def read(self, size: int = -1, /) -> bytes:
        """The next piece."""
        self._halt.check()
        return self._file.read(size)


def _add(tar: tarfile.TarFile, path: Path, name: str, halt: Halt) -> None:
    """Add a file, folder, link or device; content is read of what is a regular file when it is open."""
    entry: tarfile.TarInfo | None = tar.gettarinfo(str(path), arcname=name)
    if entry is None:
        return
    if not entry.isreg():
        tar.addfile(_as_root(entry))
        return
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(None, "was replaced while the context was packed", str(path))
        entry.size = found.st_size
        tar.addfile(_as_root(entry), _Content(file, halt))


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _walk(root: Path, ignore: Ignore, halt: Halt) -> Iterator[str]:
    """Paths relative to the root, folders before what is in them; sockets are passed over."""
    todo: list[tuple[str, Trail]] = [("", ignore.root)]
    while todo:
        here, trail = todo.pop()
        folders: list[tuple[str, Trail]] = []
        for entry in _entries(root / here, left_out=bool(here) and ignore.leaves_out(here[:-1], trail)):
            halt.check()
            path, own = here + entry.name, ignore.enter(trail, entry.name)
            if not ignore.leaves_out(path, own) and not _is_socket(entry):
                yield path
            if entry.is_dir(follow_symlinks=False) and not ignore.prunes(path, own):
                folders.append((path + "/", own))
        todo += reversed(folders)


def _entries(folder: Path, *, left_out: bool) -> list[os.DirEntry[str]]:
    """What is in a folder, by name. One that is `left_out` itself need not be readable."""
    try:
        with os.scandir(folder) as listed:
            return sorted(listed, key=lambda entry: entry.name)
    except PermissionError:
        if left_out:
            return []
        raise


def _is_socket(entry: os.DirEntry[str]) -> bool:
    return stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)


def _rules(path: Path) -> list[Rule]:
    """The rules of an ignore file, none when it is not there. Raises OSError, EngineError(failed)."""
    try:
        text = read_regular(path, _LARGEST_IGNORE).decode("utf-8", errors="replace")
        return list(rules(text))
    except FileNotFoundError:
        return []
    except BadPattern as error:
        raise EngineError(EngineErrorKind.FAILED, f"{path}: {error}") from None
