"""Everything that chaos needs: an engine of its own, a proxy, a daemon with its state on a small disk, and stacks.

Law: nothing outside of its folder and of its engine is touched, and all of it is taken away at the end.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bed.api import Bed
from tests.chaos import sight
from tests.chaos.judge import Judge
from tests.chaos.sight import Sight
from tests.chaos.town import Key, Town
from tests.e2e import world as worlds
from tests.e2e.engine import Engine
from tests.e2e.world import Daemon
from tests.proxy.proxy import Proxy, proxy

PATIENCE = """
[supervision]
max_delay = "3s"
crashloop_after = 1000
"""
"""Chaos strikes one service more often than a service may crash: the waits of a crash loop are not measured."""
DISK = "8m"


@dataclass(slots=True)
class City:
    """All of it. `engine_up` is False while a fault has the engine down."""

    bed: Bed
    folder: Path
    engine: Engine
    proxy: Proxy
    daemon: Daemon
    town: Town
    judge: Judge
    rng: random.Random
    began: float = field(default_factory=time.monotonic)
    engine_up: bool = True
    last: Sight = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    history: dict[int, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    holds: int = 0
    unheld: int = 0

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def look(self) -> None:
        """Look at everything once and let the judge see it."""
        calm = [name for name in self.town.stacks if sight.calm(self.daemon.socket, name)]
        seen = sight.look(self.bed.socket, self.town.stacks)
        if seen is not None:
            self.last = seen
            self.judge.see(seen, self.now())
            self.judge.close(calm, seen)

    def at_rest(self) -> bool:
        """Whether all is as wished and stackd has nothing left to do."""
        self.look()
        return not self.judge.open and not self.judge.wrong(self.last)

    def override(self, key: Key) -> str | None:
        """The kind of a service's override as stackd tells it."""
        return sight.override(self.daemon.socket, key)

    def ask(self, target: str, method: str = "POST") -> bool:
        """A request to stackd, repeated until it is accepted."""

        def accepted() -> bool:
            answer = sight.ask(self.daemon.socket, target, method)
            return answer is not None and answer[0] in (200, 202)

        return bool(self.soon(accepted, 60))

    def soon(self, look: Callable[[], bool], seconds: float) -> bool:
        """Whether it becomes so within `seconds`."""
        deadline = time.monotonic() + seconds
        while not look():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def note(self, line: str) -> None:
        """Add to the trace."""
        self.judge.note(self.now(), line)

    # What may get lost

    def remember(self) -> None:
        """Note what must still be there at the end."""
        for name in self.town.stacks:
            self.volumes[f"{name}_rows"] = self._volume(f"{name}_rows")
            label = ("--label", f"{sight.PROJECT}={name}", "--label", "com.docker.compose.oneoff=True")
            words = ("run", "-d", "--name", f"{name}-foreign", *label, "busybox", "sleep", "1000000")
            self.foreign[self.engine.docker(*words)] = name

    def read_history(self) -> None:
        """The history so far: in order, and nothing in it ever becomes something else."""
        try:
            events = self.daemon.events()
        except (OSError, AssertionError, ValueError):
            return
        numbers = [int(str(event["seq"])) for event in events]
        if numbers != sorted(set(numbers)):
            self.lost.append("history: out of order")
        for number, event in zip(numbers, events, strict=True):
            line = json.dumps(event, sort_keys=True)
            if self.history.setdefault(number, line) != line:
                self.lost.append(f"history: {number} was {self.history[number]} and is {line}")

    def count_lost(self) -> None:
        """What is gone at the end."""
        self.read_history()
        for key in self.town.services():
            if self.town.wish(key).rest == "stopped" and self.override(key) != "stopped":
                self.lost.append(f"override: {'/'.join(key)} is not stopped any more")
        self.lost += [f"volume: {name}" for name, made in self.volumes.items() if self._volume(name) != made]
        there = set(self.engine.docker("ps", "-aq", "--no-trunc").split())
        self.lost += [f"foreign container of {name}" for id_, name in self.foreign.items() if id_ not in there]

    def _volume(self, name: str) -> str:
        return self.engine.docker("volume", "inspect", "--format", "{{.CreatedAt}}", name, check=False)


@contextlib.contextmanager
def city(bed: Bed, services: int, seed: int) -> Iterator[City]:
    """A city on a bed's engine, its daemon not yet started."""
    with worlds.world(bed.host, "c", quiet=True) as world:
        folder = world.folder / "d"
        (folder / "state").mkdir(parents=True)
        town = Town.made(world.prefix, services, folder / "stacks")
        world.names.update(town.stacks)
        with proxy(world.folder / "p", bed.socket) as between, _disk(folder / "state"):
            daemon = Daemon(folder, f"{world.prefix}-d", between.host, more=PATIENCE)
            world.daemons.append(daemon)
            yield City(bed, folder, world.engine, between, daemon, town, Judge(town), random.Random(seed))
            if daemon.process is not None:
                daemon.stop(signal.SIGKILL)


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """A small disk of its own at a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "stackd-chaos", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
