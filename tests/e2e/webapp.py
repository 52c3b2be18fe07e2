"""The example web app in a world: its folder with free ports in `.env`, and its answers."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.bed.api import free_port
from tests.e2e.world import EXAMPLES, Daemon, Json, Stack, World, until

SERVICES = ("postgres", "redis", "memcached", "web")


@dataclass(frozen=True, slots=True)
class Webapp:
    """The stack and its published ports."""

    stack: Stack
    web_port: int
    postgres_port: int

    def answer(self) -> dict[str, Json]:
        """What the app answers once it answers well."""
        return until(lambda: ask(self.web_port), f"an answer of the web app on port {self.web_port}")

    def psql(self, query: str) -> str:
        """The output of psql, run on the host's network."""
        address = f"postgresql://postgres:example@127.0.0.1:{self.postgres_port}/postgres"
        command = ("run", "--rm", "--network", "host", "postgres:15", "psql", "-Atc", query, address)
        return self.stack.engine.docker(*command)


def ask(port: int) -> dict[str, Json] | None:
    """One request; None unless it was answered with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
            body = json.load(response)
    except (OSError, urllib.error.URLError):
        return None
    return body if isinstance(body, dict) else None


def webapp(world: World, daemon: Daemon, name: str = "webapp") -> Webapp:
    """Save the example as a stack and wait until all four run."""
    web, postgres = free_port(), free_port()
    source = world.folder / f"source-{name}"
    copied(EXAMPLES / "webapp", source)
    (source / ".env").write_text(f"WEB_PORT={web}\nPOSTGRES_PORT={postgres}\n", encoding="utf-8")
    stack = world.stack(daemon, name, source)
    stack.running(*SERVICES)
    return Webapp(stack, web, postgres)


def copied(source: Path, target: Path) -> None:
    """A copy that has none of the permissions of the checkout."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
