"""The whole check, as `make test` runs it: style, types, layers, pure tests, then the tests on the bed's real engine.

Law: every step runs, whatever failed before, except that without an engine nothing is run on it; the closing lines name
each step with its result, and the exit code is 0 only when all passed. It does not choose tests: markers do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST = (str(BIN / "python"), "-m", "pytest", "-q", "--durations=5")
BED = ("python3", "-m", "tests.bed")
# Inside the bed tests run as root: nothing of theirs may stay in the tree of the user who owns it.
NOTHING_LEFT = ("env", "PYTHONDONTWRITEBYTECODE=1", "HYPOTHESIS_STORAGE_DIRECTORY=/tmp/stackd-hypothesis")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: its exit code, its last line, and how long it took in seconds."""

    name: str
    code: int
    line: str
    seconds: float


def main() -> int:
    """Run all steps; returns 0 when all passed."""
    outcomes = [
        _step("style", str(BIN / "ruff"), "check", "."),
        _step("format", str(BIN / "ruff"), "format", "--check", "."),
        _step("layers", str(BIN / "lint-imports")),
        _step("types", str(BIN / "mypy")),
        _step("tests", *PYTEST, "-n", "auto", "-m", "not engine and not systemd"),
        _step("bed", *BED, "up", "--systemd"),
    ]
    if outcomes[-1].code == 0:
        inside = (*BED, "exec", "--", *NOTHING_LEFT, *PYTEST, "-p", "no:cacheprovider")
        outcomes.append(_step("engine tests", *inside, "-n", "2", "-m", "engine or systemd"))
    for one in outcomes:
        sys.stdout.write(f"{'ok  ' if one.code == 0 else 'FAIL'} {one.name:13}{one.seconds:6.1f} s  {one.line}\n")
    return int(any(one.code != 0 for one in outcomes))


def _step(name: str, *command: str) -> Outcome:
    """Run a command, showing what it prints, and remember its last line."""
    sys.stdout.write(f"--- {name}: {' '.join(Path(word).name if word[:1] == '/' else word for word in command)}\n")
    sys.stdout.flush()
    began, last = time.monotonic(), ""
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env={**os.environ, "PYTHONUNBUFFERED": "1"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        last = line.strip() or last
    return Outcome(name, process.wait(), last.strip("= "), time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
