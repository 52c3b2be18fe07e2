"""The daemon is killed just before and just after every engine call that changes something, and started again.

Law: the calls are found by a recording run, so a new call is covered by itself. After each kill: as the files say, one
container per number under its final name, nothing left over, every container that the step is not about at the start it
had, and each service started exactly as often as the step needs, whoever of the two daemons did it.
`STACKD_CRASH_POINTS=all` kills at the calls that only look, too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

import pytest

from tests.bed.api import Bed
from tests.e2e import world as worlds
from tests.e2e.engine import PROJECT
from tests.e2e.stacks import FOREVER
from tests.e2e.world import Daemon, Stack, World, until
from tests.proxy.killer import Killer, Point, points
from tests.proxy.proxy import Proxy, proxy

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

READS = os.environ.get("STACKD_CRASH_POINTS") == "all"
SERVICE = "com.docker.compose.service"
Runs = Mapping[str, tuple[str, str]]
ALL = ("base", "mid", "solo", "top")


def compose(edit: int, *, solo: bool = True) -> str:
    """Four services: `top` follows `mid` and restarts with it, `mid` follows `base`; `edit` stands in `mid`."""
    run = f"    image: busybox\n    command: {FOREVER}\n    stop_grace_period: 2s\n"
    services = f"  base:\n{run}    volumes: ['rows:/rows']\n"
    services += f"  mid:\n{run}    environment: {{EDIT: '{edit}'}}\n    depends_on: [base]\n"
    services += f"  top:\n{run}    depends_on: {{mid: {{condition: service_started, restart: true}}}}\n"
    return f"services:\n{services}" + (f"  solo:\n{run}" if solo else "") + "volumes: {rows: }\n"


@dataclass(slots=True)
class Stage:
    """A stack, its daemon behind a proxy, and what has been asked for so far."""

    world: World
    daemon: Daemon
    proxy: Proxy
    stack: Stack
    edit: int = 1
    failures: list[str] = field(default_factory=list)

    def put(self) -> None:
        """Put the stack's folder where stackd sees it; without the volume that its removal has left."""
        self.world.engine.remove(self.stack.name)
        (self.world.folder / "aside").rename(self.stack.folder)

    def take(self) -> None:
        """Take the folder away."""
        self.stack.folder.rename(self.world.folder / "aside")

    def change(self) -> None:
        """Edit `mid`."""
        self.edit += 1
        self.stack.write(compose(self.edit))

    def with_solo(self) -> None:
        """All services."""
        self.stack.write(compose(self.edit))

    def without_solo(self) -> None:
        """All but `solo`."""
        self.stack.write(compose(self.edit, solo=False))

    def restart(self) -> None:
        """Ask for a restart of `mid`."""
        assert self.daemon.post(f"/v1/stacks/{self.stack.name}/services/mid/restart").status in (200, 202)

    def starts(self, since: str) -> Counter[str]:
        """How often the engine has started each service since then."""
        event = ("--filter", "event=start", "--filter", f"label={PROJECT}={self.stack.name}", "--format", "{{json .}}")
        told = self.world.engine.docker("events", "--since", since, "--until", self.now(), *event)
        return Counter(json.loads(line)["Actor"]["Attributes"][SERVICE] for line in told.splitlines())

    def now(self) -> str:
        """The engine's time."""
        return self.world.engine.docker("system", "info", "--format", "{{.SystemTime}}")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What is done, the services that must then run (none = the stack is gone), and how often each is started."""

    name: str
    do: Callable[[Stage], None]
    services: tuple[str, ...]
    starts: Mapping[str, int]


UP = Step("up", Stage.put, ALL, dict.fromkeys(ALL, 1))
REMOVE = Step("removal of a stack", Stage.take, (), {})
CHANGE = Step("change", Stage.change, ALL, {"mid": 1, "top": 1})
DROP = Step("removal of a service", Stage.without_solo, ("base", "mid", "top"), {})
ADD = Step("a service more", Stage.with_solo, ALL, {"solo": 1})
RESTART = Step("restart", Stage.restart, ALL, {"mid": 1, "top": 1})


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stack that is not yet put, and a running daemon behind a proxy."""
    with worlds.world(Bed.current().host, quiet=True) as world, proxy(world.folder / "p", Bed.current().socket) as made:
        folder = world.folder / "d"
        folder.mkdir()
        daemon = Daemon(folder, f"{world.prefix}-d", made.host)
        world.daemons.append(daemon)
        daemon.start()
        stack = world.stack(daemon, "points", {"compose.yaml": compose(1)}, where=world.folder / "first")
        (world.folder / "first" / stack.name).rename(world.folder / "aside")
        yield Stage(world, daemon, made, Stack(stack.name, daemon.stacks / stack.name, daemon, world.engine))
        daemon.stop(signal.SIGKILL)


CYCLES = {
    "up and removal of a stack, one half": ((UP, REMOVE), slice(0, None, 2)),
    "up and removal of a stack, the other": ((UP, REMOVE), slice(1, None, 2)),
    "change": ((CHANGE,), slice(None)),
    "removal of a service": ((DROP, ADD), slice(None)),
    "restart": ((RESTART,), slice(None)),
}
"""Steps that follow one another for ever, and which of their points one test takes."""


@pytest.mark.parametrize("name", CYCLES)
def test_a_kill_beside_any_engine_call_of_a_step_changes_nothing_of_where_it_leads(stage: Stage, name: str) -> None:
    cycle, part = CYCLES[name]
    if cycle[0] is not UP:
        _play(stage, UP, None)
    began = time.monotonic()
    found = {step: _recorded(stage, step) for step in cycle}
    assert all(found.values())
    for round_ in zip_longest(*(found[step][part] for step in cycle)):
        for step, point in zip(cycle, round_, strict=True):
            _play(stage, step, point)
    counts = ", ".join(f"{step.name}: {len(one[part])} points" for step, one in found.items())
    sys.stderr.write(f"{counts}; {time.monotonic() - began:.0f} s\n")
    assert stage.failures == []


def _recorded(stage: Stage, step: Step) -> list[Point]:
    mark = stage.proxy.mark()
    _play(stage, step, None)
    return points(stage.proxy.calls()[mark:], reads=READS)


def _play(stage: Stage, step: Step, point: Point | None) -> None:
    """Do a step, with a kill at a point if one is given, and note what is wrong afterwards."""
    since, before = stage.now(), _runs(stage)
    killer = None
    if point is not None:
        assert stage.daemon.process is not None
        killer = Killer(stage.proxy, point, stage.daemon.process.pid)
    step.do(stage)
    if killer is not None:
        until(lambda: killer.struck.is_set() or (READS and _quiet(stage, step, before)), f"{step.name}: {point}")
        stage.proxy.calm()
        stage.daemon.stop(signal.SIGKILL)
        stage.daemon.start()
    until(lambda: _quiet(stage, step, before), f"{step.name}: quiet after {point}; {stage.stack.status().text}")
    stage.failures += [f"{step.name}: {point}: {wrong}" for wrong in _wrong(stage, step, since, before)]


def _runs(stage: Stage) -> Runs:
    return {one.service: (one.id, one.started) for one in stage.stack.containers()}


def _quiet(stage: Stage, step: Step, before: Runs) -> bool:
    """The step has been noticed, and nothing is left to be done for it."""
    try:
        status = stage.stack.status()
        if not step.services:
            return status.status == 404
        services = {str(worlds.at(one, "name")) for one in worlds.items(status.at("services"))}
        now = _runs(stage) if services == set(step.services) else {}
        noticed = bool(now) and all(now.get(service) != before.get(service) for service in step.starts)
        return noticed and stage.stack.calm()
    except (OSError, AssertionError):
        return False


def _wrong(stage: Stage, step: Step, since: str, before: Runs) -> Iterator[str]:
    found = stage.stack.containers()
    if sorted(one.name for one in found) != [f"{stage.stack.name}-{service}-1" for service in step.services]:
        yield f"containers {[(one.name, one.state) for one in found]}"
    if stage.edit != 1 and step.services and not stage.stack.edited(f"EDIT={stage.edit}", "mid"):
        yield "the edit is not applied"
    if not all(one.good for one in found):
        yield f"not running: {[(one.name, one.state) for one in found if not one.good]}"
    networks, wanted = stage.world.engine.networks(stage.stack.name), len(step.services[:1])
    if len(networks) != wanted:
        yield f"networks {networks}"
    if stage.world.engine.volumes(stage.stack.name) != [f"{stage.stack.name}_rows"]:
        yield "the volume is gone or has company"
    for one in found:
        if one.service not in (step.starts) and before[one.service] != (one.id, one.started):
            yield f"{one.service} was touched"
    if (starts := stage.starts(since)) != Counter(step.starts):
        yield f"starts {dict(starts)}, wanted {dict(step.starts)}"
