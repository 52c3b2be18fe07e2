"""HTTP to an engine's socket with the standard library alone.

Law: one request, one connection, one answer, always with a time limit. It is the bed's own small window on the engine
(ping, load, list, remove); it is not stackd's engine layer and shares nothing with it.
"""

import http.client
import json
import socket
from pathlib import Path
from typing import BinaryIO


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def request(
    path: Path, method: str, target: str, body: BinaryIO | None = None, timeout: float = 60.0
) -> tuple[int, bytes]:
    """Send one request to the socket; returns (status, body). OSError when nothing answers within `timeout` seconds."""
    connection = _UnixConnection(path, timeout)
    try:
        headers = {"Content-Type": "application/x-tar"} if body is not None else {}
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer on {path}: {error!r}") from error
    finally:
        connection.close()


def answers(path: Path, timeout: float = 2.0) -> bool:
    """True when an engine answers a ping on the socket."""
    try:
        status, _ = request(path, "GET", "/_ping", timeout=timeout)
    except OSError:
        return False
    return status == 200


def listed(path: Path, target: str) -> list[dict[str, object]]:
    """The objects of a listing such as `/images/json`; OSError when the engine refuses."""
    status, body = request(path, "GET", target)
    if status != 200:
        raise OSError(f"GET {target}: {status} {body[:200]!r}")
    found = json.loads(body)
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, dict)]
