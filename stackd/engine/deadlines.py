"""How long each kind of engine call may take before its outcome counts as unknown. Seconds, all of them.

Law: no call waits for ever. A deadline says nothing about the outcome: look again.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_GRACE = 10.0
"""The engine's own grace of a stop, when neither the container nor the call says another."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`look`: lists, inspects; `silence`: a pull or a build without progress; `packing`: a whole build context;
    `margin`: on top of a stop's grace.
    """

    look: float = 5.0
    unary: float = 30.0
    start: float = 120.0
    margin: float = 15.0
    silence: float = 60.0
    packing: float = 600.0

    def stop(self, grace: float | None) -> float:
        """For a stop: with grace None the container's own is not known here, so the engine's default is assumed."""
        return (DEFAULT_GRACE if grace is None else grace) + self.margin
