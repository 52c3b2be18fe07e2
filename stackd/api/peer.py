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
    """The process that opened the connection."""

    pid: int
    uid: int

    def described(self) -> str:
        """Who it is, for the history: `uid 1000 (pid 4242 curl)`; without its name when that cannot be told."""
        process = f"pid {self.pid} {_command(self.pid)}".rstrip()
        return f"uid {self.uid} ({process})"


def peer_of(request: web.BaseRequest | web.RequestHandler) -> Peer:
    """The peer of a request or a connection. Raises `ConnectionResetError` when the connection is gone already."""
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None:
        raise ConnectionResetError
    pid, uid, _gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)


def _command(pid: int) -> str:
    """The process's own name for itself: untrusted, so only plain characters of it."""
    try:
        text = Path(f"/proc/{pid}/comm").read_text(errors="replace")
    except OSError:
        return ""
    return re.sub(r"[^\w.+-]", "", text, flags=re.ASCII)
