"""Run `stackd` as its user does: another process, with an environment of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RUN = "from stackd.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        """Standard output as one JSON value."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Cli:
    """A command line with a home of its own; `socket` None = nobody ever served here."""

    home: Path
    socket: Path | None = None

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Nothing of the tester's own settings."""
        plain = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "TERM": "xterm",
        }
        return {**plain, **({"STACKD_SOCKET": str(self.socket)} if self.socket else {}), **more}

    async def start(self, *words: str, **more: str) -> asyncio.subprocess.Process:
        """Start a command."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(more) | {"PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=self.home,
        )

    async def __call__(self, *words: str, **more: str) -> Ended:
        """Run a command to its end."""
        process = await self.start(*words, **more)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())
