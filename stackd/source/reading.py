"""Reading stack files: each one once per reading, bounded, only when its permissions allow it.

Law: a fingerprint changes when what a load would see changes (content, absence, a refusal), not with times or modes.
Only plain files are read, never folders, pipes or devices. What this module does NOT do: know what the files mean.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from stackd.source.permissions import Permissions

LARGEST = 8 * 1024 * 1024
"""Bytes; a larger file is not one that a person wrote."""


class Files:
    """One reading. `read` gives the same answer for the same path however often it is asked."""

    def __init__(self, uid: int) -> None:
        self._permissions = Permissions(uid)
        self._content: dict[Path, bytes | OSError] = {}

    def read(self, path: Path) -> bytes:
        """The content of a file. Raises OSError; a refusal for its permissions is a PermissionError with the reason."""
        found = self._content.get(path)
        if found is None:
            try:
                found = self._read(path)
            except OSError as error:
                found = error
            except ValueError:  # A NUL in the path.
                found = OSError(errno.EINVAL, "is no possible file name", str(path))
            self._content[path] = found
        if isinstance(found, bytes):
            return found
        raise found.with_traceback(None)

    def fingerprint(self, path: Path) -> str:
        """What `read` answers for this path, in short."""
        try:
            return hashlib.blake2b(self.read(path), digest_size=16).hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return "absent"
        except OSError as error:
            return f"error {error.errno} {error.strerror}"

    def contents(self, paths: tuple[Path, ...]) -> dict[Path, bytes]:
        """Those of the files that could be read, with their content."""
        found = {}
        for path in paths:
            held = self._content.get(path)
            if isinstance(held, bytes):
                found[path] = held
        return found

    def refusal(self, folder: Path) -> str:
        """Why a folder at this real path is not to be trusted, "" = it is. Raises OSError."""
        return self._permissions.refusal(folder)

    def _read(self, path: Path) -> bytes:
        real = Path(os.path.realpath(path, strict=True))
        if reason := self._permissions.refusal(real):
            raise PermissionError(errno.EACCES, f"refused: {reason}", str(path))
        # Without blocking: a pipe put in a file's place must not stop the daemon.
        handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode):
                kind = "a folder" if stat.S_ISDIR(mode) else "not a plain file"
                raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, f"is {kind}", str(path))
            with open(handle, "rb", closefd=False) as file:
                content = file.read(LARGEST + 1)
        finally:
            os.close(handle)
        if len(content) > LARGEST:
            raise OSError(errno.EFBIG, f"is larger than {LARGEST // 1024 // 1024} MiB", str(path))
        return content
