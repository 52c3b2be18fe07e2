"""The engine as the bench uses it: plain HTTP on its socket, and its events with their own time stamps.

Law: one connection per thread, kept open: nothing here is slower than it must be, for this is the floor. An answer that
is not a success is an error. Shares nothing with stackd's engine layer.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.bench.shapes import PROJECT_LABEL, SERVICE_LABEL

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
TIMEOUT = 60.0
"""Seconds for any call or wait of the bench."""


class BenchError(Exception):
    """The work that was to be measured did not get done."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a socket; `timeout` in seconds, None = for ever."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """Bare calls. May be used by several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    def ask(self, method: str, target: str, body: Json = None) -> Json:
        """One call; the answer's JSON, None when it is empty. Raises BenchError for what is not a success."""
        connection = getattr(self._local, "connection", None)
        if not isinstance(connection, UnixConnection):
            connection = self._local.connection = UnixConnection(self.path, TIMEOUT)
        content = None if body is None else json.dumps(body)
        connection.request(method, target, content, {"Content-Type": "application/json"} if content else {})
        answer = connection.getresponse()
        told = answer.read()
        if answer.status >= 400:
            raise BenchError(f"{method} {target}: {answer.status} {told!r}")
        return _parsed(told) if told else None

    def containers(self, project: str) -> dict[str, str]:
        """The ids of a project's containers by service."""
        filters = quote(json.dumps({"label": [f"{PROJECT_LABEL}={project}"]}))
        found = {}
        for row in items(self.ask("GET", f"/containers/json?all=1&filters={filters}")):
            found[text(row, "Labels", SERVICE_LABEL)] = text(row, "Id")
        return found

    def pid(self, container: str) -> int:
        """The process of a container, as the machine knows it."""
        return int(text(self.ask("GET", f"/containers/{container}/json"), "State", "Pid"))

    def version(self) -> str:
        """The engine's version."""
        return text(self.ask("GET", "/version"), "Version")


@dataclass(frozen=True, slots=True)
class Happened:
    """A container's event; `at` in seconds of the machine's wall clock, stamped by the engine."""

    action: str
    project: str
    service: str
    at: float


class Feed:
    """All container events since it was made."""

    def __init__(self, path: Path) -> None:
        self._seen: list[Happened] = []
        self._news = threading.Condition()
        self._connection = UnixConnection(path, None)
        self._connection.request("GET", "/events?filters=" + quote(json.dumps({"type": ["container"]})))
        self._answer = self._connection.getresponse()
        threading.Thread(target=self._read, name="events", daemon=True).start()

    def _read(self) -> None:
        while line := self._answer.readline():
            raw = _parsed(line)
            labels = ("Actor", "Attributes")
            project, service = (text(raw, *labels, label) for label in (PROJECT_LABEL, SERVICE_LABEL))
            happened = Happened(text(raw, "Action"), project, service, int(text(raw, "timeNano")) / 1e9)
            with self._news:
                self._seen.append(happened)
                self._news.notify_all()

    def mark(self) -> int:
        """A place in the events: those heard later lie after it."""
        with self._news:
            return len(self._seen)

    def since(self, mark: int, project: str, action: str = "") -> list[Happened]:
        """What has been heard of a project since a mark; of one `action` only, if one is given."""
        with self._news:
            heard = self._seen[mark:]
        return [one for one in heard if one.project == project and action in ("", one.action)]

    def wait(self, mark: int, project: str, action: str, count: int = 1) -> Happened:
        """The `count`th event of that kind since the mark, once it has come. Raises BenchError when it does not."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            found = self.since(mark, project, action)
            if len(found) >= count:
                return found[count - 1]
            with self._news:
                if not self._news.wait(max(0.0, deadline - time.monotonic())):
                    raise BenchError(f"{project}: {len(found)} of {count} times {action!r} within {TIMEOUT:.0f} s")

    def quiet_check(self, mark: int, project: str, doing: str) -> None:
        """Raise BenchError if anything has happened to the project since the mark."""
        if heard := self.since(mark, project):
            raise BenchError(f"{doing} changed something: {heard}")


def until(look: Callable[[], bool], what: str) -> None:
    """Look again and again until it is so. Raises BenchError when it never is."""
    deadline = time.monotonic() + TIMEOUT
    while not look():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {TIMEOUT:.0f} s: {what}")
        time.sleep(0.02)


def text(value: Json, *path: str) -> str:
    """What stands at a place of an answer, as text; "" when there is nothing."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def items(value: Json) -> list[Json]:
    """The items of a list."""
    return value if isinstance(value, list) else []


def _parsed(told: bytes) -> Json:
    found: Json = json.loads(told)
    return found
