"""The storm guard: many services failing at once point at the host, DNS, the disk or the engine, not at themselves.

Law: pure, and not self-sustaining. A failure counts only for a service that was well before (`runtime.host` sees to
that), so what the guard itself keeps from being healed never feeds it; it ends a while after the last such failure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WINDOW = 30.0
SHARE = 0.5
LEAST = 3
CALM = 60.0
"""Seconds, a part of the running services, services, seconds (supervision.md, "Storm guard")."""


@dataclass(frozen=True, slots=True)
class Storm:
    """A storm: until when (monotonic), and in words why the host is suspected."""

    until: float
    text: str


def storm(now: float, failures: Iterable[float], running: int, before: Storm | None = None) -> Storm | None:
    """The storm that there is at `now`, None = there is none.

    `failures`: when each service that was well failed last (one instant a service, monotonic); `running`: how many
    services there are that ought to run, over all stacks; `before`: what this function answered last.
    """
    times = list(failures)
    recent = [at for at in times if at > now - WINDOW]
    if before is not None and now < before.until:
        return Storm(max([before.until, *(at + CALM for at in times)]), before.text)
    if len(recent) < LEAST or len(recent) < SHARE * running:
        return None
    text = (
        f"{len(recent)} of {running} services failed within {WINDOW:.0f} s: the host, DNS, disk or engine is suspected;"
        " health restarts wait"
    )
    return Storm(max(recent) + CALM, text)
