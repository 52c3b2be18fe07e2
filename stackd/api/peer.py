"""Who is at the other end of the socket: SO_PEERCRED, told by the kernel, and never by the client."""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_UCRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that opened the connection; `command` "" when it cannot be told."""

    pid: int
    uid: int
    command: str = ""

    def __str__(self) -> str:
        process = f"pid {self.pid} {self.command}".rstrip()
        return f"uid {self.uid} ({process})"


def peer_of(request: web.Request) -> Peer | None:
    """The peer of a request; None when the connection is gone already."""
    transport = request.transport
    if transport is None:
        return None
    connection = transport.get_extra_info("socket")
    if connection is None:
        return None
    pid, uid, _gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid, _command(pid))


def _command(pid: int) -> str:
    """The process's own name for itself: untrusted, so only plain characters of it."""
    try:
        text = Path(f"/proc/{pid}/comm").read_text(errors="replace")
    except OSError:
        return ""
    return re.sub(r"[^\w.+-]", "", text, flags=re.ASCII)
