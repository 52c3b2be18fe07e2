"""A run: up, chaos for some seconds, quiet until all is as wished, and a while of looking on.

Law: what strikes when is drawn from the seed alone. No fault waits for the one before, but a service is struck anew
only once it is right again, and faults of the host come one at a time.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.bed.host import BedError
from tests.chaos import sight
from tests.chaos.city import City
from tests.chaos.faults import HOST, SERVICE, FailedError, HostKind, Kind
from tests.chaos.judge import Cause, only
from tests.chaos.sight import Run

PAUSE = (0.1, 1.2)
"""Seconds between two faults of services, at least and at most."""
HOST_PAUSE = (2.0, 6.0)
"""The same for faults of the host, from the end of the last."""
UP, QUIET, LOOK_ON = 120.0, 120.0, 5.0
"""Seconds: for the first up, for recovery after the last fault, and of looking on afterwards, at rest."""


@dataclass(slots=True)
class Chaos:
    """The faults under way."""

    city: City
    pool: ThreadPoolExecutor
    strikes: list[Future[None]] = field(default_factory=list)
    host: Future[None] | None = None
    next_at: float = 0.0
    next_host_at: float = 0.0

    def turn(self) -> None:
        """Look, and strike if it is time to."""
        city, rng = self.city, self.city.rng
        city.look()
        if self.host is not None and self.host.done():
            self.host, self.next_host_at = None, city.now() + rng.uniform(*HOST_PAUSE)
        if self.host is None and city.now() >= self.next_host_at:
            kind = rng.choices(HOST, [one.weight for one in HOST])[0]
            self.host = self._submit(kind, kind.cause(city), None)
        elif city.engine_up and city.now() >= self.next_at:
            self.next_at = city.now() + rng.uniform(*PAUSE)
            kind_of_service = rng.choices(SERVICE, [one.weight for one in SERVICE])[0]
            if (run := self._target()) is not None:
                self._submit(kind_of_service, kind_of_service.cause(city, run), run)

    def _target(self) -> Run | None:
        """A service that is right, and that no fault is about."""
        judge, town = self.city.judge, self.city.town
        struck = {key for cause in judge.open if len(cause.keys) < 4 for key in (*cause.keys, *cause.starts)}
        found = []
        for key in town.services():
            wish, run = town.wish(key), only(key, self.city.last)
            free = not struck & set(town.closure(key)) and not wish.rest and not wish.job
            if free and run is not None and judge.as_wished(key, self.city.last):
                found.append(run)
        return self.city.rng.choice(found) if found else None

    def _submit(self, kind: Kind | HostKind, cause: Cause, run: Run | None) -> Future[None]:
        self.city.judge.open.append(cause)
        self.city.note(f"fault: {cause}")
        self.strikes.append(self.pool.submit(self._strike, kind, cause, run))
        return self.strikes[-1]

    def _strike(self, kind: Kind | HostKind, cause: Cause, run: Run | None) -> None:
        try:
            match kind, run:
                case Kind(), Run():
                    kind.strike(self.city, cause, run)
                case HostKind(), _:
                    kind.strike(self.city, cause)
                case _:
                    raise AssertionError(f"{kind.name} strikes nothing")
        except (FailedError, BedError) as error:
            cause.void = True
            self.city.note(f"not done: {cause}: {error}")
        finally:
            cause.done = True


def run(city: City, seconds: float) -> bool:
    """All of it; whether everything was as wished in the end. Raises what a fault or the start raises."""
    if not _up(city):
        return False
    with ThreadPoolExecutor(16) as pool:
        chaos = Chaos(city, pool)
        end, read_at = city.now() + seconds, 0.0
        while city.now() < end:
            chaos.turn()
            if city.now() > read_at:
                city.read_history()
                read_at = city.now() + 5
            time.sleep(0.05)
        city.note("quiet")
        while not all(one.done() for one in chaos.strikes):
            city.look()
        for strike in chaos.strikes:
            strike.result()
    for stack in city.town.stacks.values():
        stack.broken = False
        stack.save(stack.text())
    well = city.soon(city.at_rest, QUIET)
    city.note("at rest" if well else f"NOT at rest: {describe(city)}")
    end = city.now() + LOOK_ON
    while city.now() < end:
        city.look()
    city.count_lost()
    return well and not city.judge.wrong(city.last)


def _up(city: City) -> bool:
    keys = tuple(city.town.services())
    first = Cause("up", keys, set(keys), city.now(), done=True)
    city.judge.open.append(first)
    city.daemon.start()
    if not city.soon(city.at_rest, UP):
        city.note(f"NOT up: {describe(city)}")
        return False
    for key in keys:
        if key[1] == "setup" and not city.town.wish(key).job:
            city.ask(f"/v1/stacks/{key[0]}/services/{key[1]}/stop")
            city.town.wish(key).rest = "stopped"
    city.remember()
    return city.soon(city.at_rest, UP)


def describe(city: City) -> str:
    """What is not as wished, and what stackd says of it."""
    lines = [f"not as wished: {'/'.join(key)}: {city.last.get(key)}" for key in city.judge.wrong(city.last)]
    lines += [f"open: {cause}" for cause in city.judge.open]
    lines += [f"{name}: {sight.told(city.daemon.socket, name)}" for name in sorted(city.town.stacks)]
    return "\n".join(lines)
