"""A definition that keeps changing: a service that writes into the files it is made from must not keep being remade.

Law: pure. After TOO_MANY changes within WINDOW seconds a new text is taken at most every FIRST_REST seconds, growing to
LONGEST_REST, until nothing has changed for WINDOW seconds. What is in force stays meanwhile; nothing is lost, the
newest text is taken at last. What this module does NOT do: read, or say it (`force` does).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

TOO_MANY = 10
WINDOW = 60.0
FIRST_REST = 10.0
LONGEST_REST = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often one stack's text has changed. Instants are monotonic; `rest` 0 = nothing is odd."""

    seen: str = ""
    changes: tuple[float, ...] = ()
    taken_at: float = 0.0
    rest: float = 0.0

    def noticed(self, digest: str, at: float) -> Pace:
        """After a reading: a text that differs from the last one counts, a minute of quiet forgets."""
        if self.changes and digest == self.seen and at - self.changes[-1] >= WINDOW:
            return Pace(digest, taken_at=self.taken_at)
        if digest == self.seen:
            return self
        changes = (*self.changes, at)[-TOO_MANY:] if self.seen else ()
        crowded = len(changes) == TOO_MANY and changes[-1] - changes[0] <= WINDOW
        rest = self.rest or (FIRST_REST if crowded else 0.0)
        return replace(self, seen=digest, changes=changes, rest=rest)

    def due(self, at: float) -> float | None:
        """When a new text may be taken, None = now."""
        due = self.taken_at + self.rest
        return due if at < due else None

    def took(self, at: float) -> Pace:
        """A new text came into force."""
        return replace(self, taken_at=at, rest=min(LONGEST_REST, self.rest * 2))

    @property
    def calm_at(self) -> float | None:
        """When this is over if nothing changes any more, None = nothing is odd."""
        return self.changes[-1] + WINDOW if self.rest else None
