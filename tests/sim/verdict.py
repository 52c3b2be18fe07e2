"""Whether a seed's story breaks a law, and the one line that repeats it."""

from __future__ import annotations

from tests.sim.play import play
from tests.sim.story import tell
from tests.sim.virtual import Starved, Stuck


def broken(seed: int) -> list[str]:
    """The laws that a seed's story breaks, each in one line."""
    try:
        return play(tell(seed))
    except (Starved, Stuck) as error:
        return [f"{type(error).__name__}: {error}"]


def repro(seed: int) -> str:
    """The command that replays a seed with its trace."""
    return f"python -m tests.sim {seed}"
