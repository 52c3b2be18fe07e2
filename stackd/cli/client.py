"""The API's client: http.client over AF_UNIX, JSON in and out.

Law: an answer of 400 or more becomes `Refused`; a daemon that is not there becomes a `Stop` that says how to start it.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode

from stackd.cli.exits import Exit, Stop

if TYPE_CHECKING:
    from stackd.api.schemas import OperationView, PlanView, Problem, StacksView, StackView, VersionView

Query = Mapping[str, str | int | float | tuple[str, ...]]

TIMEOUT = 30.0
"""Seconds without an answer after which the daemon counts as hung (beyond what a request asks it to wait)."""


class Refused(Exception):
    """The daemon's problem+json."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("stackd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """Talks to the daemon at a socket."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stacks(self) -> StacksView:
        """Every stack."""
        return cast("StacksView", self.get("/v1/stacks"))

    def stack(self, name: str) -> StackView:
        """One stack."""
        return cast("StackView", self.get(stack_path(name)))

    def plan(self, name: str, *, read: bool = True) -> PlanView:
        """What is to be done for a stack; its files are read first, unless `read` is false."""
        return cast("PlanView", self.get(f"{stack_path(name)}/plan", {"read": int(read)}))

    def version(self) -> VersionView:
        """Who answers."""
        return cast("VersionView", self.get("/v1/version"))

    def ask(self, stack: str, verb: str, services: tuple[str, ...], **more: bool) -> OperationView:
        """Ask for a verb; returns at once. `more` goes into the body, as `accept_loss` of an `up`."""
        body = {"services": list(services), **more}
        return cast("OperationView", self.send("POST", f"{stack_path(stack)}/{verb}", body))

    def operation(self, identity: str, wait: float) -> OperationView:
        """An operation, once it is over or after `wait` seconds."""
        return cast("OperationView", self.get(f"/v1/operations/{quote(identity, safe='')}", {"wait": wait}, wait))

    def get(self, path: str, query: Query | None = None, held_back: float = 0.0) -> object:
        """GET; `held_back` = how many seconds the answer may be held back by what is asked."""
        return self._whole("GET", path, query, None, held_back)

    def send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> object:
        """POST, PUT or DELETE."""
        return self._whole(method, path, None, body, 0.0)

    @contextmanager
    def lines(self, path: str, query: Query) -> Iterator[Iterator[bytes]]:
        """A stream, line by line."""
        with self._opened("GET", path, query, None, None) as response:
            yield self._each(response)

    def _each(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        while True:
            with self._reached():
                line = response.readline()
            if not line:
                return
            yield line

    def _whole(
        self, method: str, path: str, query: Query | None, body: Mapping[str, object] | None, held_back: float
    ) -> object:
        with self._opened(method, path, query, body, TIMEOUT + held_back) as response, self._reached():
            return json.loads(response.read())

    @contextmanager
    def _opened(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Mapping[str, object] | None,
        timeout: float | None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _Connection(self.path, timeout)
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        payload = json.dumps(body).encode() if body is not None else None
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if payload else {})
        try:
            with self._reached():
                connection.request(method, target, payload, headers)
                response = connection.getresponse()
                if response.status >= 400:
                    raise Refused(_problem(response))
            yield response
        finally:
            connection.close()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Around everything that touches the connection, and nothing else: what fails here is the daemon's."""
        try:
            yield
        except TimeoutError as error:
            raise Stop(Exit.NO_DAEMON, f"stackd at {self.path} does not answer") from error
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.path, error) from error


def stack_path(name: str) -> str:
    """The path of a stack."""
    return f"/v1/stacks/{quote(name, safe='')}"


def unreachable(path: Path, error: Exception) -> Stop:
    """Why the daemon cannot be reached, and what to do."""
    match error:
        case FileNotFoundError() | ConnectionRefusedError():
            why = f"stackd is not running (nothing answers at {path})"
        case PermissionError():
            return Stop(Exit.DENIED, f"the socket {path} belongs to another user")
        case ConnectionError() | http.client.HTTPException():
            return Stop(Exit.NO_DAEMON, f"stackd at {path} went away before it had answered")
        case _:
            why = f"stackd cannot be reached at {path}: {error}"
    return Stop(Exit.NO_DAEMON, why, "start it: systemctl --user start stackd", "or here, to watch it: stackd run")


def _problem(response: http.client.HTTPResponse) -> Problem:
    text = response.read().decode(errors="replace")
    try:
        return cast("Problem", json.loads(text))
    except ValueError:
        raise Stop(Exit.FAILED, f"not an answer of stackd: {response.status} {text.strip()[:200]}") from None
