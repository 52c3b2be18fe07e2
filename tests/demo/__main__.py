"""Which engine the story is told on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bed import unixhttp
from tests.demo.story import tell

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BED = ("python3", "-m", "tests.bed", "--name", "demo")
IMAGES = ("postgres:15", "redis:7", "memcached:1.6", "python:3-slim")
PULL_SECONDS = 240.0


def main() -> int:
    """Tell the story; returns 0 when all of it went as it should."""
    if "STACKD_BED_NAME" in os.environ:
        return tell(os.environ["DOCKER_HOST"])
    host = _machines_engine()
    if host:
        return tell(host)
    sys.stdout.write("No engine of this machine can be used, so the demo starts one of its own; curl works inside.\n")
    sys.stdout.flush()
    return _beside()


def _machines_engine() -> str:
    """The machine's engine, if it answers and has the images or can pull them; else ""."""
    named = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    socket = Path(named.removeprefix("unix://"))
    if not named.startswith("unix://") or not os.access(socket, os.W_OK) or not unixhttp.answers(socket):
        return ""
    return named if all(_has(named, image) for image in IMAGES) else ""


def _has(host: str, image: str) -> bool:
    environment = {**os.environ, "DOCKER_HOST": host}
    for command in (("image", "inspect", image), ("pull", "-q", image)):
        try:
            done = subprocess.run(
                ["docker", *command], env=environment, capture_output=True, timeout=PULL_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode == 0:
            return True
    return False


def _beside() -> int:
    """On an engine of its own, in a network namespace of its own, deleted afterwards."""
    inside = ("exec", "--", "env", "PYTHONDONTWRITEBYTECODE=1", sys.executable, "-m", "tests.demo")
    try:
        for words in (("up",), inside):
            done = subprocess.run([*BED, *words], cwd=REPOSITORY, check=False)
            if done.returncode != 0:
                return done.returncode
    finally:
        subprocess.run([*BED, "clean"], cwd=REPOSITORY, check=False)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
