"""The whole daemon, its files read for real, on the engine in memory; without API and signals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stackd.config import Config, WatchConfig
from stackd.daemon import Daemon, clock
from stackd.model.ids import ServiceName, StackName
from stackd.model.view import ServiceState
from stackd.runtime.database import Bounds
from stackd.runtime.journal import Journal
from tests.fake.engine import FakeEngine

APP = StackName("app")


def write(place: Path, text: str, name: str = "app") -> Path:
    """Save a stack's file in a folder beside the stacks directory; the folder."""
    folder = place / "src" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".new").write_text(text)
    (folder / ".new").rename(folder / "compose.yaml")
    return folder


def link(place: Path, folder: Path) -> None:
    """Put a folder into the stacks directory."""
    (place / "stacks").mkdir(exist_ok=True)
    (place / "stacks" / folder.name).symlink_to(folder)


def compose(**services: str) -> str:
    """A file of services, each with an environment variable MODE."""
    lines = ["services:"]
    for name, mode in services.items():
        lines += [f"  {name}:", f"    image: {name}:1", "    restart: unless-stopped", "    environment:"]
        lines.append(f"      MODE: {mode}")
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def whole(place: Path, engine: FakeEngine, **options: Any) -> AsyncIterator[Daemon]:
    """One life of the daemon; containers are left alone at its end."""
    (place / "stacks").mkdir(exist_ok=True)
    state = place / "state"
    options.setdefault("stacks", (place / "stacks",))
    config = Config(state_dir=state, watch=WatchConfig(step=0.01), **options)
    journal = Journal(state, Bounds(10_000, 1e6), clock)
    daemon = Daemon(config, engine, journal, await journal.load())
    works = (daemon.source.run(), daemon.intake.run(), daemon.notify.run())
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield daemon
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await daemon.jobs.drain(5)
        await daemon.stacks.stop()
        await daemon.applied.stop()
        await daemon.crashes.stop()
        await daemon.observer.stop()
        await daemon.intake.stop()
        await journal.close(daemon.history.last_seq)


def state(daemon: Daemon, service: str) -> ServiceState | None:
    """How a service of the stack `app` fares; None = nothing is known of it."""
    decision = daemon.store.decision(APP) if APP in daemon.store.names() else None
    verdicts = decision.verdicts if decision else ()
    return next((one.state for one in verdicts if one.service == ServiceName(service)), None)


def calm(daemon: Daemon, *services: str) -> bool:
    """Whether exactly these services run and nothing is left to do."""
    decision = daemon.store.decision(APP) if APP in daemon.store.names() else None
    seen = daemon.store.view(APP).observed if decision else None
    up = {str(one.service) for one in seen.containers if one.running} if seen else set()
    return decision is not None and up == {*services} and not decision.plan.steps and bool(decision.verdicts)


def mode(engine: FakeEngine, service: str) -> list[str]:
    """MODE of the running containers of a service."""
    found = [one for one in engine.containers.values() if one.labels.service == service and one.live]
    return sorted(word.partition("=")[2] for one in found for word in one.env if word.startswith("MODE="))
