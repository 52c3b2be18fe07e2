"""Questions put to the engine over a connection of their own: does it answer, and since when does it run?

Law: never a pooled connection. An engine that shuts down refuses new connections within milliseconds, while 20.10 goes
on answering on open ones for as long as its containers take to stop (behaviour.md 1).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from pathlib import Path

_PING = b"GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_DENIED = os.strerror(errno.EACCES).lower()
_ENGINES = ("dockerd", "podman")


async def ping(path: str, timeout: float) -> bool:
    """Whether a new connection answers `/_ping` with 200 within `timeout` seconds. Raises nothing of its own."""
    return not await obstacle(path, timeout)


async def obstacle(path: str, timeout: float) -> str:
    """Why a new connection does not answer `/_ping` with 200 within `timeout` seconds, "" = it does."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(_PING)
                status = await reader.readline()
            finally:
                writer.transport.abort()
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    except ValueError:
        return "no answer of an engine"
    if b" 200 " in status:
        return ""
    return "no answer of an engine" if not status.startswith(b"HTTP/") else status.decode("latin-1").strip()[:80]


def unreachable(path: str, reason: str) -> str:
    """What to say of an engine that cannot be reached at a socket, with what to look at."""
    look = "may this user use it (is it in the group docker)?" if reason == _DENIED else "is Docker running?"
    return f"no engine at unix://{path} ({reason}): {look}"


async def process_started_at(path: str, timeout: float) -> float:
    """When the process that listens on the socket started (Unix seconds), 0.0 if that is no engine we can see.

    With socket activation the listener is systemd: then this tells nothing.
    """
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_unix_connection(path)
            try:
                connection: socket.socket = writer.get_extra_info("socket")
                credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            finally:
                writer.transport.abort()
        return _started_at(struct.unpack("3i", credentials)[0])
    except (OSError, TimeoutError, ValueError, IndexError):
        return 0.0


def _started_at(pid: int) -> float:
    """From /proc: start in clock ticks since boot (field 22 of stat), and the boot's wall clock."""
    if pid <= 0 or Path(f"/proc/{pid}/comm").read_text().strip() not in _ENGINES:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + ticks
