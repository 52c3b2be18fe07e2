"""Reading stack files: each one once per reading, bounded, only when its permissions allow it.

Law: a fingerprint changes when what a load would see changes (content, absence, a refusal), not with times or modes.
Only regular files are read (see `regular_file`). What this module does NOT do: know what the files mean.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from stackd.regular_file import LARGEST, read_regular
from stackd.source.permissions import Permissions


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

    def refusal(self, path: Path) -> str:
        """Why a file or folder is not to be trusted, be it for a link that leads to it; "" = it is. Raises OSError."""
        return self._permissions.trace(str(path)).reason

    def _read(self, path: Path) -> bytes:
        traced = self._permissions.trace(str(path))

        def judge(found: os.stat_result) -> None:
            if reason := self._permissions.objection(traced.real, found):
                raise PermissionError(errno.EACCES, f"refused: {reason}", str(path))

        if traced.reason:
            raise PermissionError(errno.EACCES, f"refused: {traced.reason}", str(path))
        return read_regular(path, LARGEST, traced.real, judge)
