"""The world of the end-to-end tests: a real daemon process, real files, a real engine.

Law: whatever a test needs it waits for by looking (files, REST socket, `docker inspect`), never by the clock; every
world has an instance and project names of its own, and takes away all it made, also what a failed test left. It knows
nothing of stackd's inside: only the command, the socket and the engine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.e2e.engine import Container, Engine

REPOSITORY = Path(__file__).resolve().parent.parent.parent
EXAMPLES = REPOSITORY / "examples"
HASTY = '[freeze]\nstack_grace = "1s"\nservice_grace = "500ms"\n'
STACKD = Path(sys.executable).parent / "stackd"
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, seconds: float = 60.0) -> T:
    """Look again and again until the answer is truthy, and return it; fails after `seconds`, naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {found!r}")
        time.sleep(0.03)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("stackd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the REST socket answered."""

    status: int
    body: Json
    text: str

    def at(self, *path: str | int) -> Json:
        """A place inside the answer."""
        return at(self.body, *path)


def at(value: Json, *path: str | int) -> Json:
    """A place inside a JSON value; fails with what is there instead."""
    for step in path:
        match value, step:
            case dict(), str() if step in value:
                value = value[step]
            case list(), int() if step < len(value):
                value = value[step]
            case _:
                raise AssertionError(f"no {step!r} in {value!r}")
    return value


def items(value: Json) -> list[Json]:
    """The items of a list; fails for what is none."""
    assert isinstance(value, list), value
    return value


@dataclass(slots=True)
class Daemon:
    """One `stackd run`; `launcher` are words before the command, as for dropping capabilities; `more` configuration."""

    folder: Path
    instance: str
    host: str
    launcher: tuple[str, ...] = ()
    more: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def stacks(self) -> Path:
        """The stacks directory."""
        return self.folder / "stacks"

    @property
    def socket(self) -> Path:
        """The REST socket."""
        return self.folder / "s"

    @property
    def log(self) -> Path:
        """All that the daemon of this world printed."""
        return self.folder / "log"

    def start(self) -> None:
        """Start the process and wait until it answers and is ready."""
        self.launch()
        until(self._ready, f"a ready daemon (see {self.log})", 30)

    def launch(self) -> None:
        """Start the process."""
        self.stacks.mkdir(exist_ok=True)
        config = self.folder / "config.toml"
        config.write_text(HASTY + self.more, encoding="utf-8")
        command = [
            *(*self.launcher, str(STACKD), "run", "--config", str(config), "--stacks", str(self.stacks)),
            *("--socket", str(self.socket), "--state-dir", str(self.folder / "state")),
            *("--engine", self.host, "--instance", self.instance, "--log-level", "debug"),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd="/", env=_environment()
            )

    def _ready(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        if code is not None:
            raise AssertionError(f"stackd run ended with {code}:\n{self.tail()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/readyz").status == 200
        return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process, wait for its end, and return its exit code (minus the signal's number when killed)."""
        if self.process is None:
            return 0
        self.process.send_signal(how)
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process and start another one."""
        self.stop(how)
        self.start()

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-6000:] if self.log.exists() else ""

    def get(self, path: str, accept: str = "application/json") -> Answer:
        """GET by the socket."""
        return self.ask("GET", path, accept=accept)

    def post(self, path: str, body: Json = None) -> Answer:
        """POST by the socket."""
        return self.ask("POST", path, body)

    def ask(self, method: str, path: str, body: Json = None, *, accept: str = "application/json") -> Answer:
        """One request by the socket."""
        connection = _UnixConnection(self.socket, timeout=90)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"Accept": accept} | ({} if body is None else {"Content-Type": "application/json"})
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        kind = response.getheader("Content-Type", "")
        return Answer(response.status, json.loads(text) if "json" in kind and "ndjson" not in kind else None, text)

    def cli(self, *words: str, check: bool = True) -> str:
        """Run `stackd WORDS` as a person would, and return what it printed."""
        done = subprocess.run(
            [str(STACKD), *words], capture_output=True, text=True, timeout=90, check=False, cwd="/",
            env=_environment() | {"STACKD_SOCKET": str(self.socket)},
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert not check or done.returncode == 0, f"stackd {' '.join(words)}: exit {done.returncode}\n{printed}"
        return printed

    def names(self) -> set[str]:
        """The names of the stacks it knows."""
        return {str(at(one, "name")) for one in items(self.get("/v1/stacks").at("stacks"))}

    def events(self, stack: str = "") -> list[dict[str, Json]]:
        """The history so far, oldest first."""
        query = f"&stack={stack}" if stack else ""
        lines = self.get(f"/v1/events?from=oldest{query}").text.splitlines()
        return [event for line in lines if isinstance(event := json.loads(line), dict)]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("DOCKER_HOST", "NOTIFY_SOCKET")}


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack of a world: its folder and what the engine has of it."""

    name: str
    folder: Path
    daemon: Daemon
    engine: Engine

    def write(self, text: str, name: str = "compose.yaml") -> None:
        """Save a file as an editor does: written beside, then renamed over."""
        beside = self.folder / f".{name}.swp"
        beside.write_text(text, encoding="utf-8")
        beside.rename(self.folder / name)

    def edit(self, old: str, new: str, name: str = "compose.yaml") -> None:
        """Replace a piece of a file and save it."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        self.write(text.replace(old, new), name)

    def containers(self) -> list[Container]:
        """Every container of the project."""
        return self.engine.containers(self.name)

    def one(self, service: str) -> Container:
        """The only container of a service; fails when there is none or more."""
        found = [container for container in self.containers() if container.service == service]
        assert len(found) == 1, f"{service}: {found}\n{self.daemon.tail()}"
        return found[0]

    def running(self, *services: str, seconds: float = 90.0) -> dict[str, Container]:
        """Wait until exactly one container of each service runs (and is healthy if it can be); returns them."""

        def look() -> dict[str, Container] | None:
            found = self.containers()
            good = {one.service: one for one in found if one.good}
            whole = all(service in good for service in services)
            return good if whole and len(good) == len([one for one in found if one.service in good]) else None

        try:
            return until(look, f"{', '.join(services)} of {self.name} running", seconds) or {}
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.containers()}\n{self.status().text}\n{self.daemon.tail()}") from None

    def good(self) -> list[Container]:
        """The containers that run, and are healthy if they can be."""
        return [one for one in self.containers() if one.good]

    def edited(self, variable: str, *services: str) -> bool:
        """True when each service has one good container, and that has the variable `NAME=value`."""
        found = {one.service: one for one in self.containers() if one.good and variable in one.environment}
        return set(services) <= set(found) and len({one.service for one in self.containers()} & set(services)) == len(
            [one for one in self.containers() if one.service in services and "-run-" not in one.name]
        )

    def status(self) -> Answer:
        """The stack by REST."""
        return self.daemon.get(f"/v1/stacks/{self.name}")

    def service(self, service: str) -> Answer:
        """A service by REST."""
        return self.daemon.get(f"/v1/stacks/{self.name}/services/{service}")

    def state(self) -> str:
        """The stack's state in one word; "" while it is not known."""
        answer = self.status()
        return str(answer.at("state")) if answer.status == 200 else ""

    def settled(self, seconds: float = 60.0) -> None:
        """Wait until the stack is `running` and nothing is left to be done."""
        until(self.calm, f"{self.name} settled, it is {self.status().text}", seconds)

    def calm(self) -> bool:
        """Whether the newest definition is applied and nothing is left to be done."""
        answer = self.status()
        if answer.status != 200 or answer.at("state") not in ("running", "stopped"):
            return False
        applied = answer.at("observed_generation") == answer.at("generation") != 0
        return applied and self.daemon.get(f"/v1/stacks/{self.name}/plan").at("steps") == []

    def messages(self) -> str:
        """The history of the stack as lines."""
        return "\n".join(f"{e['service']} {e['type']} {e['message']}" for e in self.daemon.events(self.name))


@dataclass(slots=True)
class World:
    """One test's folder, engine, daemons and stacks."""

    engine: Engine
    folder: Path
    prefix: str
    daemons: list[Daemon] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def daemon(self, name: str = "d", launcher: Sequence[str] = (), *, start: bool = True) -> Daemon:
        """A daemon with an instance, a stacks directory and a socket of its own."""
        folder = self.folder / name
        folder.mkdir()
        made = Daemon(folder, f"{self.prefix}-{name}", self.engine.host, tuple(launcher))
        self.daemons.append(made)
        if start:
            made.start()
        return made

    def stack(self, daemon: Daemon, name: str, files: Mapping[str, str] | Path, *, where: Path | None = None) -> Stack:
        """A folder with `files` (or a copy of a folder), put into the stacks directory at once, whole."""
        full = f"{self.prefix}-{name}"
        beside = self.folder / f"new-{full}"
        if isinstance(files, Path):
            shutil.copytree(files, beside)
        else:
            for path, text in files.items():
                target = beside / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
        folder = (where or daemon.stacks) / full
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside.rename(folder)
        self.names.add(full)
        return Stack(full, folder, daemon, self.engine)

    def close(self) -> None:
        """End the daemons and remove what the stacks left on the engine, then the folder."""
        for daemon in self.daemons:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
        for name in self.names:
            self.engine.remove(name)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def world(host: str, kind: str = "e", *, quiet: bool = False) -> Iterator[World]:
    """A world on the engine of `host`; at its end the logs are printed, which pytest shows when the test has failed."""
    prefix = f"{kind}{secrets.token_hex(3)}"
    made = World(Engine(host), Path(tempfile.mkdtemp(prefix=f"stackd-{prefix}-")), prefix)
    made.folder.chmod(0o755)
    try:
        yield made
    finally:
        for daemon in () if quiet else made.daemons:
            sys.stderr.write(f"--- log of {daemon.instance}\n{daemon.tail()}\n")
        made.close()
