"""`make chaos`: random faults on a real engine, then quiet; all must be as the files say, and nothing lost.

`python -m tests.chaos --seconds 120 [--seed N] [--services 20]` prints the faults by kind, the time from each until all
that it struck was right again, the needless restarts and the things lost. Exit code 1, with the seed and the trace,
unless both are 0 and all is as wished. Law: it kills and freezes an engine, so it makes a bed of its own, and takes it
away again.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence

from tests.bed.api import Bed
from tests.chaos.city import city
from tests.chaos.run import run
from tests.chaos.table import table

NAME = "chaos"


def main(arguments: Sequence[str]) -> int:
    """Run, print; returns the exit code."""
    options = _options(arguments)
    if os.environ.get("STACKD_BED_NAME") != NAME:
        return _inside(arguments)
    return chaos(Bed.current(), options.seconds, options.services, options.seed, trace=options.trace)


def chaos(bed: Bed, seconds: float, services: int, seed: int, *, trace: bool = False) -> int:
    """A run on a bed that nobody else uses; prints, and returns the exit code."""
    print(f"chaos for {seconds:.0f} s, seed {seed}")
    with city(bed, services, seed) as made:
        well = run(made, seconds)
        judge, tail = made.judge, made.daemon.tail()
        version = made.engine.docker("version", "--format", "{{.Server.Version}}", check=False)
    count = len(made.town.services())
    print(
        f"{count} services in {len(made.town.stacks)} stacks, engine {version}; from fault until all it struck is right"
    )
    print(table([*judge.closed, *judge.open]))
    print(f"docker stop: held {made.holds}, taken for a crash or a completion, its evidence lost: {made.unheld}")
    print(f"needless restarts: {len(judge.needless)}    things lost: {len(made.lost)}    all as wished: {well}")
    good = well and not judge.needless and not made.lost
    if trace or not good:
        print(f"--- log of stackd\n{tail}\n--- trace\n" + "\n".join(judge.trace))
    if good:
        return 0
    print(
        "\n".join(
            [*judge.needless, *made.lost, f"FAILED; again: python -m tests.chaos --seconds {seconds:.0f} --seed {seed}"]
        )
    )
    return 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long faults are injected (default 120)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="which faults (default: any)")
    parser.add_argument("--services", type=int, default=20, help="at least so many (default 20)")
    parser.add_argument("--trace", action="store_true", help="print what happened even if all is well")
    return parser.parse_args(arguments)


def _inside(arguments: Sequence[str]) -> int:
    """The same inside a bed made for it."""
    bed = ("python3", "-m", "tests.bed", "--name", NAME)
    subprocess.run([*bed, "up", "--only", "busybox"], check=True)
    try:
        own = (sys.executable, "-m", "tests.chaos", *arguments)
        return subprocess.run([*bed, "exec", "--", "env", "PYTHONDONTWRITEBYTECODE=1", *own], check=False).returncode
    finally:
        subprocess.run([*bed, "clean"], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
