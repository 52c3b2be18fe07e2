"""The three sides: stackd, docker compose, and a floor of bare engine calls, each given the same shapes.

Law: `apply`, `down` and `again` bring the engine to what the shape says, by whatever a person would do with that side:
save the file; run the command; make the calls. The floor knows the answer beforehand, so nothing can be faster than it
with the same calls.
"""

from __future__ import annotations

import http.client
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from tests.bench.engine import TIMEOUT, BenchError, Engine, Feed, Json, UnixConnection, text, until
from tests.bench.shapes import COMMAND, IMAGE, PROJECT_LABEL, SERVICE_LABEL, Shape

BIN = Path(sys.executable).parent
AT_ONCE = 4
"""Creates and starts under way at once: more gains nothing on two cores, and it is stackd's own default."""


class Side(Protocol):
    """One way to get the work done."""

    name: str

    def open(self) -> None:
        """Begin a turn."""

    def close(self) -> None:
        """End a turn; nothing of this side runs afterwards."""

    def apply(self, shape: Shape) -> None:
        """Bring the engine to a shape; may return before it is there."""

    def settle(self, shape: Shape) -> None:
        """Return when nothing is left to do."""

    def again(self, shape: Shape) -> None:
        """Touch the file, ask once more for what is there already; return when the side says that all is well."""

    def crashed(self, shape: Shape, service: str, mark: int) -> None:
        """Told right after a process was killed: do what this side needs help with."""

    def down(self, shape: Shape) -> None:
        """Remove everything of a shape; return when it is gone."""

    def cpu(self) -> float:
        """Seconds of CPU that this side has used so far, the engine's left out."""


class Stackd:
    """The real daemon, a process, with real files. `folder` is its own."""

    name = "stackd"

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    @property
    def pid(self) -> int:
        """The daemon's process. Raises BenchError when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise BenchError(f"stackd does not run:\n{(self._folder / 'log').read_text(errors='replace')[-3000:]}")
        return self._process.pid

    def open(self) -> None:
        config, stacks = self._folder / "config.toml", self._folder / "stacks"
        stacks.mkdir(exist_ok=True)
        config.write_text('[freeze]\nstack_grace = "1s"\n')
        command = [
            *(str(BIN / "stackd"), "run", "--config", str(config), "--stacks", str(stacks), "--engine", self._host),
            *("--socket", str(self._folder / "s"), "--state-dir", str(self._folder / "state"), "--instance", "bench"),
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        until(self._ready, "stackd is ready")

    def _ready(self) -> bool:
        if self.pid and (self._folder / "s").exists():
            try:
                return self._ask("GET", "/readyz") == 200
            except OSError:
                return False
        return False

    def close(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(TIMEOUT)
            self._process = None

    def apply(self, shape: Shape) -> None:
        folder = self._folder / "stacks" / shape.project
        folder.mkdir(exist_ok=True)
        beside = folder / ".compose.yaml.swp"
        beside.write_text(shape.text())
        beside.rename(folder / "compose.yaml")

    def settle(self, shape: Shape) -> None:
        self._verb(shape, "reconcile")

    def again(self, shape: Shape) -> None:
        self.touch(shape)
        self._verb(shape, "up")

    def touch(self, shape: Shape) -> None:
        """Save the file unchanged."""
        (self._folder / "stacks" / shape.project / "compose.yaml").touch()

    def crashed(self, shape: Shape, service: str, mark: int) -> None:
        pass

    def down(self, shape: Shape) -> None:
        self._verb(shape, "down")

    def forget(self, shape: Shape) -> None:
        """Remove the folder of a stack that is down."""
        shutil.rmtree(self._folder / "stacks" / shape.project, ignore_errors=True)

    def cpu(self) -> float:
        spent = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e9

    def _verb(self, shape: Shape, verb: str) -> None:
        status = self._ask("POST", f"/v1/stacks/{shape.project}/{verb}?wait={TIMEOUT:.0f}")
        if status != 200:
            raise BenchError(f"stackd: {verb} of {shape.project}: {status}")

    def _ask(self, method: str, path: str) -> int:
        connection = UnixConnection(self._folder / "s", TIMEOUT + 10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except http.client.HTTPException as error:
            raise OSError(f"no answer: {error!r}") from error
        finally:
            connection.close()


class Compose:
    """The real docker compose. A command is over when it returns."""

    name = "docker compose"

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": host}
        self._binary = BIN / "docker-compose"
        folder.mkdir(parents=True)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def apply(self, shape: Shape) -> None:
        folder = self._folder / shape.project
        folder.mkdir(exist_ok=True)
        (folder / "compose.yaml").write_text(shape.text())
        self._run(shape, "up", "-d")

    def settle(self, shape: Shape) -> None:
        pass

    def again(self, shape: Shape) -> None:
        (self._folder / shape.project / "compose.yaml").touch()
        self._run(shape, "up", "-d")

    def crashed(self, shape: Shape, service: str, mark: int) -> None:
        """The engine's own restart policy is at work."""

    def down(self, shape: Shape) -> None:
        self._run(shape, "down")

    def cpu(self) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def version(self) -> str:
        """What it calls itself."""
        return subprocess.run([self._binary, "version", "--short"], capture_output=True, text=True).stdout.strip()

    def _run(self, shape: Shape, *words: str) -> None:
        done = subprocess.run(
            [self._binary, "--progress", "quiet", *words], cwd=self._folder / shape.project, env=self._environment,
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise BenchError(f"docker compose {' '.join(words)}: {done.stderr}")


class Floor:
    """Bare engine calls, as few and as many at once as can be."""

    name = "bare calls"

    def __init__(self, engine: Engine, feed: Feed) -> None:
        self._engine = engine
        self._feed = feed
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._there: dict[str, dict[str, tuple[str, str]]] = {}
        """Per project and service: the container's id and the mark it was made with."""

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def apply(self, shape: Shape) -> None:
        if shape.project not in self._there:
            self._up(shape)
            return
        for service, (old, mark) in list(self._there[shape.project].items()):
            if mark != shape.mark(service):
                self._replace(shape, service, old)

    def _up(self, shape: Shape) -> None:
        self._engine.ask("POST", "/networks/create", {"Name": shape.network, "Labels": {PROJECT_LABEL: shape.project}})
        made = list(self._pool.map(lambda service: self._create(shape, service), shape.services))
        self._there[shape.project] = {one: (made[i], shape.mark(one)) for i, one in enumerate(shape.services)}
        if shape.chain:
            for container in made:
                self._start(container)
        else:
            list(self._pool.map(self._start, made))

    def _replace(self, shape: Shape, service: str, old: str) -> None:
        new = self._create(shape, service, name=f"{shape.project}-{service}-new")
        self._engine.ask("POST", f"/containers/{old}/stop")
        self._start(new)
        self._engine.ask("DELETE", f"/containers/{old}")
        self._engine.ask("POST", f"/containers/{new}/rename?name={shape.project}-{service}-1")
        self._there[shape.project][service] = (new, shape.mark(service))

    def _create(self, shape: Shape, service: str, name: str = "") -> str:
        body: Json = {
            "Image": IMAGE,
            "Cmd": list(COMMAND),
            "StopSignal": "SIGKILL",
            "Env": [f"MARK={shape.mark(service)}"],
            "Labels": {PROJECT_LABEL: shape.project, SERVICE_LABEL: service},
            "HostConfig": {"NetworkMode": shape.network},
            "NetworkingConfig": {"EndpointsConfig": {shape.network: {"Aliases": [service]}}},
        }
        target = f"/containers/create?name={name or f'{shape.project}-{service}-1'}"
        return text(self._engine.ask("POST", target, body), "Id")

    def _start(self, container: str) -> None:
        self._engine.ask("POST", f"/containers/{container}/start")

    def settle(self, shape: Shape) -> None:
        pass

    def again(self, shape: Shape) -> None:
        self._engine.containers(shape.project)
        self._engine.ask("GET", "/networks")

    def crashed(self, shape: Shape, service: str, mark: int) -> None:
        self._feed.wait(mark, shape.project, "die")
        self._start(self._there[shape.project][service][0])

    def down(self, shape: Shape) -> None:
        gone = [container for container, _ in self._there.pop(shape.project).values()]
        list(self._pool.map(lambda one: self._engine.ask("DELETE", f"/containers/{one}?force=1"), gone))
        self._engine.ask("DELETE", f"/networks/{shape.network}")

    def cpu(self) -> float:
        return time.process_time()
