"""`make bench`: rounds of turns, the daemon at rest, the table.

Law: runs inside a bed of its own (`python3 -m tests.bed --name bench exec -- ...`); takes away all it made.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stackd import __version__
from tests.bed.api import Bed
from tests.bed.engine import sweep
from tests.bed.places import DEFAULT_NAME
from tests.bench.engine import Engine, Feed
from tests.bench.loader import loading
from tests.bench.measures import Lab, Measure, Rest, rest, turn
from tests.bench.sides import Compose, Floor, Side, Stackd
from tests.bench.table import Setting, put, table

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "performance.md"
ALL = (1, 5)
"""Stacks of ten with which the daemon is looked at while it rests."""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and write the page; returns the exit code."""
    options = _options(arguments)
    bed = Bed.current()
    if bed.places.name == DEFAULT_NAME:
        raise SystemExit("the bench empties its engine, so it wants one of its own: make bench")
    sweep(bed.places)
    folder = Path(tempfile.mkdtemp(prefix="stackd-bench-"))
    loads = [_load()]
    try:
        lab = Lab(Engine(bed.socket), Feed(bed.socket))
        stackd, compose = Stackd(folder / "d", bed.host), Compose(folder / "c", bed.host)
        sides: tuple[Side, ...] = (stackd, compose, Floor(lab.engine, lab.feed))
        figures = _rounds(lab, sides, options.rounds, options.only)
        rests = _rests(lab, stackd, options.rest) if options.rest else []
        reading = loading()
        loads.append(_load())
        compose_version = compose.version()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        sweep(bed.places)
    setting = _setting(options.rounds, options.rest, loads, (lab.engine.version(), compose_version))
    piece = table(figures, [side.name for side in sides], rests, setting) + "\n\n" + "\n".join(reading.lines())
    sys.stdout.write(f"\n{piece}\n")
    if options.write:
        put(PAGE, piece)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default 3)")
    parser.add_argument("--rest", type=float, default=65.0, metavar="SECONDS", help="how long the daemon is looked at")
    parser.add_argument("--only", default="", metavar="SIDE", help="one side only, as stackd")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    return parser.parse_args(arguments)


def _rounds(lab: Lab, sides: Sequence[Side], rounds: int, only: str) -> dict[Measure, dict[str, list[float]]]:
    figures: dict[Measure, dict[str, list[float]]] = {}
    for number in range(rounds):
        shift = number % len(sides)
        for side in (*sides[shift:], *sides[:shift]):
            if only and side.name != only:
                continue
            side.open()
            try:
                for measure, seconds in turn(lab, side, f"{number}-{side.name[0]}"):
                    figures.setdefault(measure, {}).setdefault(side.name, []).append(seconds)
                    sys.stderr.write(f"round {number + 1}: {side.name}: {measure.value}: {seconds * 1000:.0f} ms\n")
            finally:
                side.close()
    return figures


def _rests(lab: Lab, side: Stackd, seconds: float) -> list[Rest]:
    found = []
    for stacks in ALL:
        side.open()
        try:
            found.append(rest(lab, side, stacks, seconds))
        finally:
            side.close()
    return found


def _setting(rounds: int, resting: float, loads: Sequence[float], versions: tuple[str, str]) -> Setting:
    engine, compose = versions
    cores = os.cpu_count() or 1
    busy = " **It was busy with other work: only the ratios count.**" if loads[0] > cores / 2 else ""
    load = " and ".join(f"{one:.1f}" for one in loads)
    return Setting(
        (
            f"Command: `make bench`, {rounds} rounds. stackd {__version__}, docker compose {compose}, engine {engine},",
            f"Python {platform.python_version()}. A machine with {cores} cores; load average {load} at the beginning",
            f"and the end, the bench's own work included.{busy}",
            f"At rest: {resting:.0f} s of looking on, after all had settled.",
        )
    )


def _load() -> float:
    return os.getloadavg()[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
