"""The key of the digests that stand for hidden values: random, one of each state directory, readable by its owner only.

Law: what cannot be read or kept is no error: a key of this run alone does, and the digests of an earlier run are then
other ones. Whoever sees a digest and has no key cannot try values against it. What this module does NOT do: decide what
is hidden (`compose.redact`).
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

FILE = "digest.key"
SIZE = 32
"""Bytes of a key."""


def digest_key(state_dir: Path) -> bytes:
    """The key of a state directory, made if there is none (or none that is private and whole). Never raises OSError."""
    path = state_dir / FILE
    known = _read(path)
    if known:
        return known
    key = secrets.token_bytes(SIZE)
    try:
        _write(path, key)
    except OSError as error:
        log.warning("%s cannot be written (%s): digests of hidden values change with this run", path, error.strerror)
    return key


def _read(path: Path) -> bytes:
    """The key that is kept, b"" when there is none that can be used."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        found = os.fstat(descriptor)
        private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        key = os.read(descriptor, SIZE + 1) if private else b""
    finally:
        os.close(descriptor)
    return key if len(key) == SIZE else b""


def _write(path: Path, key: bytes) -> None:
    """Put a key in its place at once or not at all."""
    new = path.with_name(f"{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
