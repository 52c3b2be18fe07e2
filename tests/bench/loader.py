"""What reading definitions costs, in CPU time: of a large file beside docker compose, of many stacks, and how it grows.

Law: CPU time, not time on the clock, so that other work on the machine counts little; of several turns the least
counts. Docker compose's figure is that of its process less that of the same process on a file of one service, which is
what starting it costs. stackd reads in one process, after a first turn, as the daemon does.
What this module does NOT do: need an engine (`python -m tests.bench.loader` prints the figures alone).
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stackd.compose.load import load, stack_inputs
from stackd.source.scan import Scanner, SourceSettings
from tests.oracle.compose import BINARY

TURNS = 7
MANY = 200


@dataclass(frozen=True, slots=True)
class Loading:
    """CPU seconds. `large`: 50 services in 3,000 lines; `theirs`: docker compose's for it; `tenth`: 5 such services;
    `many`: 200 stacks of 5 services, as at the daemon's start.
    """

    large: float
    theirs: float
    tenth: float
    many: float

    def lines(self) -> list[str]:
        """The figures as rows of a table."""
        rows = [
            ("50 services, 3,000 lines", self.large, f"{self.large / self.theirs:.2f} of docker compose's"),
            ("the same, docker compose (its start subtracted)", self.theirs, ""),
            ("5 services, 300 lines", self.tenth, f"10x the services: {self.large / self.tenth:.1f}x"),
            (f"{MANY} stacks of 5 services, read at the daemon's start", self.many, ""),
        ]
        head = ["| reading definitions | ms of CPU | ratio |", "| --- | ---: | ---: |"]
        return head + [f"| {what} | {seconds * 1000:.0f} | {ratio or '-'} |" for what, seconds, ratio in rows]


def loading(turns: int = TURNS) -> Loading:
    """Measure; `turns` of each, the least counts."""
    with tempfile.TemporaryDirectory(prefix="stackd-bench-loader-") as place:
        folder = Path(place)
        large, tenth, one = (_stack(folder / f"stack{count}", count) for count in (50, 5, 1))
        stacks = folder / "stacks"
        for number in range(MANY):
            _stack(stacks / f"stack{number:03d}", 5, lines=12)
        return Loading(
            large=_least(turns, lambda: _read(large)),
            theirs=max(_theirs(large, turns) - _theirs(one, turns), 1e-9),
            tenth=_least(turns, lambda: _read(tenth)),
            many=_least(min(turns, 3), lambda: _scan(stacks)),
        )


def text(count: int, lines: int = 60) -> str:
    """A file of `count` services of `lines` lines each, of the kinds that people write."""
    out = ["x-logging: &logging", "  driver: json-file", "  options: {max-size: 10m}", "services:"]
    for number in range(count):
        out += _service(number, lines)
    return "\n".join([*out, "volumes:", *(f"  data{number:02d}:" for number in range(count)), ""])


def _service(number: int, lines: int) -> list[str]:
    name = f"s{number:02d}"
    head = [
        f"  {name}:",
        f"    image: registry.example.com/team/{name}:${{TAG:-1.{number}}}",
        "    restart: unless-stopped",
        "    command: [serve, --port, '8080']",
        "    volumes:",
        f"      - data{number:02d}:/var/lib/{name}",
        "      - ./etc:/etc/app:ro",
        "    ports:",
        f"      - '{9000 + number}:8080'",
        "    environment:",
        f"      SELF: {name}",
    ]
    needs = [f"    depends_on: [s{number - 1:02d}]"] if number else []
    tail = [
        "    logging: *logging",
        "    healthcheck:",
        "      test: [CMD, wget, -q, -O-, http://localhost:8080/health]",
        "      interval: 30s",
        "      timeout: 5s",
        "      retries: 3",
        "    labels:",
        f"      - com.example.owner=team{number % 7}",
        "      - com.example.tier=back",
        "    stop_grace_period: 20s",
    ]
    if lines < len(head) + len(needs) + len(tail):
        return head
    room = lines - len(head) - len(needs) - len(tail)
    settings = [f"      SETTING_{at:02d}: ${{S{at % 5}:-value}} of {name}" for at in range(room)]
    return [*head, *settings, *needs, *tail]


def _stack(folder: Path, count: int, lines: int = 60) -> Path:
    folder.mkdir(parents=True)
    (folder / "compose.yaml").write_text(text(count, lines))
    return folder


def _read(folder: Path) -> None:
    inputs = stack_inputs(folder, ["compose.yaml"])
    assert inputs is not None
    loaded = load(inputs, Path.read_bytes, {})
    assert loaded.project is not None, loaded.diagnostics


def _scan(stacks: Path) -> None:
    reading = Scanner(SourceSettings((stacks,), {})).read()
    assert len(reading.stacks) == MANY
    assert all(stack.loaded is not None and stack.loaded.project is not None for stack in reading.stacks)


def _least(turns: int, work: Callable[[], None]) -> float:
    work()
    spent = []
    for _ in range(turns):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def _theirs(folder: Path, turns: int) -> float:
    spent = []
    for _ in range(turns):
        began = _of_children()
        subprocess.run(
            [str(BINARY), "config", "--quiet"], cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
            check=True, timeout=60, capture_output=True,
        )  # fmt: skip
        spent.append(_of_children() - began)
    return min(spent)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.stdout.write("\n".join(loading().lines()) + "\n")
