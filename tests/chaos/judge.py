"""What must be, held against what is seen: causes, the starts that they account for, and how long recovery takes.

Law: PURE: sights and instants in. A start that no open cause accounts for is needless. A cause accounts for at most one
start of each service that it is about, and only until all of them are as wished, after it, and stackd is calm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.chaos.sight import Run, Sight
from tests.chaos.town import Key, Town


@dataclass(slots=True, eq=False)
class Cause:
    """A fault, an edit or a request. `keys`: whose recovery is waited for; `starts`: whom it may start, once each.

    `at`: monotonic seconds. `done`: all of it has been injected. `void`: it could not be. `after` tells whether what is
    seen comes after it, and not from before.
    """

    kind: str
    keys: tuple[Key, ...]
    starts: set[Key]
    at: float
    after: Callable[[Sight], bool] = lambda _: True
    done: bool = False
    void: bool = False
    recovered: float | None = None

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(self.keys[0]) if len(self.keys) < 4 else ''}".strip()


@dataclass(slots=True)
class Judge:
    """`trace` has every line of what happened, for people."""

    town: Town
    trace: list[str] = field(default_factory=list)
    open: list[Cause] = field(default_factory=list)
    closed: list[Cause] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)
    _seen: dict[Key, set[tuple[str, str]]] = field(default_factory=dict)

    def see(self, sight: Sight, at: float) -> None:
        """Take what is seen: new starts are accounted for, recoveries noted."""
        for key, runs in sight.items():
            known = self._seen.setdefault(key, set())
            for run in runs:
                if run.started and run.run not in known:
                    known.add(run.run)
                    self._account(run, at)
        for cause in self.open:
            if cause.done and cause.recovered is None and self._right(cause, sight):
                cause.recovered = at
                self.note(at, f"right again after {at - cause.at:.2f} s: {cause}")

    def close(self, calm: Collection[str], sight: Sight) -> None:
        """Causes whose stacks are calm account for nothing more. `sight` is no older than `calm`."""
        for cause in list(self.open):
            if (
                cause.recovered is not None
                and self._right(cause, sight)
                and {key[0] for key in cause.keys} <= set(calm)
            ):
                self.open.remove(cause)
                self.closed.append(cause)

    def wrong(self, sight: Sight) -> list[Key]:
        """The services that are not as wished."""
        return [key for key in self.town.services() if not self.as_wished(key, sight)]

    def as_wished(self, key: Key, sight: Sight) -> bool:
        """Whether a service is as it is to be."""
        wish, runs = self.town.wish(key), sight.get(key, [])
        if wish.rest == "stopped":
            return not any(run.state == "running" for run in runs)
        if len(runs) != 1 or runs[0].name != f"{key[0]}-{key[1]}-1" or runs[0].edit != wish.edit:
            return False
        if wish.job:
            return runs[0].state == "exited" and runs[0].exit_code == 0
        return bool(wish.rest) or runs[0].good

    def note(self, at: float, line: str) -> None:
        """Add to the trace."""
        self.trace.append(f"{at:9.2f}  {line}")

    def _right(self, cause: Cause, sight: Sight) -> bool:
        return (cause.void or cause.after(sight)) and all(self.as_wished(key, sight) for key in cause.keys)

    def _account(self, run: Run, at: float) -> None:
        about = f"{'/'.join(run.key)} started at {run.started} ({run.id[:12]})"
        for cause in self.open:
            if run.key in cause.starts:
                cause.starts.discard(run.key)
                self.note(at, f"{about}, for: {cause}")
                return
        self.needless.append(about)
        self.note(at, f"NEEDLESS: {about}")


def newer(key: Key, before: Run | None, followers: Collection[Key]) -> Callable[[Sight], bool]:
    """Whether a service has started anew since `before`, and its followers after that."""

    def after(sight: Sight) -> bool:
        run = only(key, sight)
        if run is None or (before is not None and run.run == before.run):
            return False
        others = [only(other, sight) for other in followers]
        return all(other is not None and other.started > run.started for other in others)

    return after


def only(key: Key, sight: Sight) -> Run | None:
    """The one container of a service."""
    runs = sight.get(key, [])
    return runs[0] if len(runs) == 1 else None
