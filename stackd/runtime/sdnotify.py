"""What systemd and the daemon tell each other: readiness, watchdog (sd_notify(3)), sockets (sd_listen_fds(3)).

Law: without systemd nothing happens; a message that cannot be sent is dropped, for it must never hold up the daemon.
What this module does NOT do: decide when (the daemon does) or open sockets.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping

_FIRST_FD = 3


class Notifier:
    """The way to the service manager, if $NOTIFY_SOCKET names one."""

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        usec = env.get("WATCHDOG_USEC", "")
        self.watchdog: float | None = int(usec) / 1e6 if self._address and usec.isdigit() and int(usec) else None
        """Seconds within which `alive` must be said again, None = no watchdog."""

    def ready(self, status: str = "") -> None:
        """Start-up, or a reload, is over."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(text))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode(), self._address)


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={text.replace(chr(10), ' ')}",) if text else ()


def listen_fds(env: Mapping[str, str], pid: int) -> tuple[int, ...]:
    """The file descriptors of sockets that were handed over to process `pid`; none if they are another process's."""
    count = env.get("LISTEN_FDS", "")
    if env.get("LISTEN_PID", "") != str(pid) or not count.isdigit():
        return ()
    return tuple(range(_FIRST_FD, _FIRST_FD + int(count)))
