"""The state directory: private (0700), and one daemon's at a time (flock).

Law: a directory that is somebody else's, or another daemon's, is refused; one that cannot be written is not an error
here but a reason to keep everything in memory until it can. What this module does NOT do: know what is kept there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stackd.errors import StateError

_UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT}


@dataclass(slots=True)
class StateDir:
    """An opened state directory. `problem` says why nothing can be kept in it, "" = it can."""

    path: Path
    problem: str = ""
    lock: int | None = None

    def secure(self) -> None:
        """Make sure that it is there and ours, before anything is written.

        A directory or a lock file that was removed meanwhile is made again. Raises OSError or StateError as long as it
        cannot be, or another daemon has made it.
        """
        if self.lock is not None and not _same_file(self.path / "lock", self.lock):
            self.close()
        if self.lock is None:
            try:
                found = open_state_dir(self.path)
            except StateError as error:
                self.problem = str(error)
                raise
            if found.problem:
                raise OSError(found.problem)
            self.lock = found.lock
        self.problem = ""

    def close(self) -> None:
        """Let another daemon have it."""
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def _same_file(path: Path, fd: int) -> bool:
    """Whether `path` still names the file that is open as `fd`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except OSError:
        return False


def open_state_dir(path: Path) -> StateDir:
    """Make the directory if need be, make it private, and lock it.

    Raises StateError when it is no directory, belongs to somebody else, or another daemon holds it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise StateError(f"state directory {path} belongs to uid {found.st_uid}, not to uid {os.geteuid()}")
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    except (FileExistsError, NotADirectoryError) as error:
        raise StateError(f"state directory {path} is not a directory") from error
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise StateError(f"state directory {path}: {error.strerror}") from error
        return StateDir(path, f"state directory {path} cannot be used: {error.strerror}")
    return _locked(path)


def _locked(path: Path) -> StateDir:
    try:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return StateDir(path, f"state directory {path} cannot be written: {error.strerror}")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        by = f" (pid {holder})" if holder.isdigit() else ""
        raise StateError(f"another stackd uses the state directory {path}{by}; give this one its own") from error
    with suppress(OSError):  # A full disk: the lock holds all the same; the pid in it is a courtesy.
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return StateDir(path, "", lock)
