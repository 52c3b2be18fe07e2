"""Reading a regular file whose path somebody else may choose: never a pipe, a device or a file of the kernel.

Law: at most `largest` bytes are read and nothing here waits: the type is known before the file is opened (opening a
device alone can do something), and is asked of the open descriptor again. What this module does NOT do: judge
permissions (the caller passes `judge`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

LARGEST = 8 * 1024 * 1024
"""Bytes of any file that a definition is made of; a larger one is not one that a person wrote."""
_KERNEL = ("/proc/", "/sys/")


def read_regular(
    path: Path, largest: int, real: str = "", judge: Callable[[os.stat_result], None] | None = None
) -> bytes:
    """The content of the file at `path`, at most `largest` bytes. `real` is its real path where it is known.

    `judge` gets the properties of the open descriptor and may raise OSError. Raises OSError: FileNotFoundError,
    IsADirectoryError, EINVAL for what is no regular file, EFBIG for what is larger.
    """
    place = real or os.path.realpath(path, strict=True)
    if place.startswith(_KERNEL):
        raise _of_the_kernel(path)
    _regular(os.lstat(place), path)
    # Without blocking and without following: the file may have been replaced since it was looked at.
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
    try:
        found = os.fstat(handle)
        _regular(found, path)
        if judge is not None:
            judge(found)
        if found.st_size > largest:
            raise _too_large(path, largest)
        content = _content(handle, largest)
        if len(content) > largest:
            raise _too_large(path, largest)
        if content and os.fstat(handle).st_size == 0 == found.st_size:
            raise OSError(errno.EINVAL, "has no size but content, so it is not a regular file", str(path))
        return content
    finally:
        os.close(handle)


def read_bounded(path: Path) -> bytes:
    """The content of any file that a person named, a pipe or standard input, too; at most `LARGEST` bytes.

    For a person's own process: it waits for a pipe. Raises OSError: EINVAL for a file of the kernel, as its content
    may never end.
    """
    if stat.S_ISREG(os.stat(path).st_mode) and os.path.realpath(path).startswith(_KERNEL):
        raise _of_the_kernel(path)
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise _too_large(path, LARGEST)
    return content


def _content(handle: int, largest: int) -> bytes:
    """All that can be read, one byte more than `largest` at the most."""
    parts, left = [], largest + 1
    while left > 0 and (part := os.read(handle, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a regular file", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'not')} a regular file", str(path))


_KINDS = {
    stat.S_IFIFO: "a named pipe, not",
    stat.S_IFSOCK: "a socket, not",
    stat.S_IFCHR: "a device, not",
    stat.S_IFBLK: "a device, not",
}


def _of_the_kernel(path: Path) -> OSError:
    return OSError(errno.EINVAL, "is a file of the kernel, not a regular file", str(path))


def _too_large(path: Path, largest: int) -> OSError:
    size = f"{largest >> 20} MiB" if largest >= 1 << 20 else f"{largest} bytes"
    return OSError(errno.EFBIG, f"is larger than {size}", str(path))
