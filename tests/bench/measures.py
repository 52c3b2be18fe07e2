"""What is measured: one turn of one side, and the daemon at rest.

Law: from the instant at which a person acts (saves, runs the command, a process dies) to the engine's own time stamp of
the last start that was wanted; before the next measure the side has come to rest.
"""

from __future__ import annotations

import enum
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.engine import Engine, Feed, until
from tests.bench.shapes import Shape
from tests.bench.sides import Side, Stackd

CRASHES = 3
"""Of different services, each its first: neither the engine's back-off nor stackd's has grown."""
CALM = 1.0
"""Seconds in which a side may do what it does after a file was saved unchanged."""


class Measure(enum.Enum):
    """What is measured, in words."""

    UP = "up, 10 independent services"
    CHAIN = "up, a chain of 10 (each waits for the one before to start)"
    NOOP = "no-op: file touched, then asked for `up`"
    NOOP_CPU = "no-op: file touched, CPU used"
    CHANGE = "1 of 10 changed: its new container runs"
    EDIT = "a stack of one, edit saved: its new container runs"
    CRASH = "process killed: it runs again"
    REACTION = "of this, after the engine's `die` event"
    DOWN = "down, 10 services"


@dataclass(frozen=True, slots=True)
class Lab:
    """Where it is measured."""

    engine: Engine
    feed: Feed


def turn(lab: Lab, side: Side, tag: str) -> Iterator[tuple[Measure, float]]:
    """One turn of a side, its figures in seconds; `tag` makes its projects' names new."""
    ten, chain, one = Shape(f"ten-{tag}", 10), Shape(f"chain-{tag}", 10, chain=True), Shape(f"one-{tag}", 1)
    yield Measure.UP, _started(lab, side, ten)
    yield from _nothing(lab, side, ten)
    yield Measure.CHANGE, _started(lab, side, ten.edit("s04"), 1)
    for service in ten.services[:CRASHES]:
        yield from _crash(lab, side, ten.edit("s04"), service)
    yield Measure.DOWN, _lasted(lambda: side.down(ten))
    _forget(side, ten)
    yield Measure.CHAIN, _started(lab, side, chain)
    side.down(chain)
    _forget(side, chain)
    _started(lab, side, one)
    yield Measure.EDIT, _started(lab, side, one.edit("s00"))
    side.down(one)
    _forget(side, one)


def _started(lab: Lab, side: Side, shape: Shape, starts: int = 0) -> float:
    """From applying a shape to the last of its `starts` (0 = all its services); then the side comes to rest."""
    mark, began = lab.feed.mark(), time.time()
    side.apply(shape)
    ended = lab.feed.wait(mark, shape.project, "start", starts or shape.count).at
    side.settle(shape)
    return ended - began


def _nothing(lab: Lab, side: Side, shape: Shape) -> Iterator[tuple[Measure, float]]:
    """A file saved unchanged."""
    mark, cpu = lab.feed.mark(), side.cpu()
    if isinstance(side, Stackd):  # Nobody asks a daemon: to notice by itself is its work.
        side.touch(shape)
        time.sleep(CALM)
    else:
        side.again(shape)
    yield Measure.NOOP_CPU, side.cpu() - cpu
    yield Measure.NOOP, _lasted(lambda: side.again(shape))
    lab.feed.quiet_check(mark, shape.project, f"{side.name}: a file saved unchanged")


def _crash(lab: Lab, side: Side, shape: Shape, service: str) -> Iterator[tuple[Measure, float]]:
    pid = lab.engine.pid(lab.engine.containers(shape.project)[service])
    mark, began = lab.feed.mark(), time.time()
    os.kill(pid, signal.SIGKILL)
    side.crashed(shape, service, mark)
    died = lab.feed.wait(mark, shape.project, "die").at
    running = lab.feed.wait(mark, shape.project, "start").at
    side.settle(shape)
    yield Measure.CRASH, running - began
    yield Measure.REACTION, running - died


def _lasted(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _forget(side: Side, shape: Shape) -> None:
    if isinstance(side, Stackd):
        side.forget(shape)


@dataclass(frozen=True, slots=True)
class Rest:
    """The daemon at rest: `cpu` = share of one core, `memory` = resident bytes."""

    containers: int
    cpu: float
    memory: int


def rest(lab: Lab, side: Stackd, stacks: int, seconds: float) -> Rest:
    """The daemon with `stacks` stacks of ten running services, looked at for `seconds`."""
    shapes = [Shape(f"rest-{stacks}-{number}", 10) for number in range(stacks)]
    mark = lab.feed.mark()
    for shape in shapes:
        side.apply(shape)
    for shape in shapes:
        lab.feed.wait(mark, shape.project, "start", shape.count)
        side.settle(shape)
    _let_rest(side)
    began, cpu = time.monotonic(), side.cpu()
    time.sleep(seconds)
    share = (side.cpu() - cpu) / (time.monotonic() - began)
    found = Rest(stacks * 10, share, _resident(side.pid))
    for shape in shapes:
        side.down(shape)
        side.forget(shape)
    return found


def _let_rest(side: Stackd) -> None:
    """Wait until a whole second costs next to nothing."""

    def calm() -> bool:
        before = side.cpu()
        time.sleep(1.0)
        return side.cpu() - before < 0.02

    until(calm, "the daemon comes to rest")


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))
