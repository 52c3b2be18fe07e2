"""The unix socket: made safely, owned by one server, taken away at the end.

Law: the socket is 0600 from its first instant, in a directory of the user's own; a live server is never robbed of its
socket, a dead one's is replaced. A socket that systemd passed is used as it is and stays.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from stackd.errors import StateError

_BACKLOG = 128
_LONGEST = 107  # bytes of sun_path without its final zero (unix(7))


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket. `path` None = not ours to remove; `lock` is the open lock file."""

    socket: socket.socket
    path: Path | None = None
    lock: int | None = None

    def close(self) -> None:
        """Stop listening; remove the socket file first, so that nobody meets a dead one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.socket.close()
        if self.lock is not None:
            os.close(self.lock)


def inherited(given: socket.socket) -> Listener:
    """Serve on a socket that systemd opened. Raises `StateError` when it is no listening unix stream socket."""
    listening = given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if given.family != socket.AF_UNIX or given.type != socket.SOCK_STREAM or not listening:
        raise StateError("the socket passed by the service manager is not a listening unix stream socket")
    given.setblocking(False)
    return Listener(given)


def listen(path: Path) -> Listener:
    """Open the socket at `path`. To be called before other threads make files: the umask is the process's.

    Raises `StateError`: another server is there, the directory is not safe, something else is in the way.
    """
    if len(os.fsencode(path)) > _LONGEST:
        raise StateError(f"socket path {path} is longer than {_LONGEST} bytes; choose a shorter one with --socket")
    _make_directory(path.parent)
    lock = _lock(path)
    try:
        _clear(path)
        return Listener(_bind(path), path, lock)
    except BaseException:
        os.close(lock)
        raise


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise StateError(f"cannot use {directory} for the socket: {error.strerror}") from error
    shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    if shared or found.st_uid not in (0, os.geteuid()):
        raise StateError(f"{directory} is not safe for the socket: want mode 0700, owned by you")


def _lock(path: Path) -> int:
    place = path.with_name(path.name + ".lock")
    try:
        lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(f"cannot open {place}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StateError(f"another stackd serves {path}; stop it, or choose another --socket") from error
    return lock


def _clear(path: Path) -> None:
    """Remove the socket of a dead server."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StateError(f"{path} is in the way: it is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full: somebody listens
        except OSError as error:
            raise StateError(f"cannot tell whether {path} is in use: {error.strerror}") from error
    raise StateError(f"another server answers at {path}; stop it, or choose another --socket")


def _bind(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise StateError(f"cannot listen at {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    return listening
