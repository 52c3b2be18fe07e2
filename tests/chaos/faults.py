"""The faults: one function each that does the harm of a cause already noted.

Law: harm is done by the means that people and machines have (signals, docker, files, the wire), never inside stackd.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos import sight
from tests.chaos.city import City
from tests.chaos.judge import Cause, newer, only
from tests.chaos.sight import Run
from tests.proxy.calls import Call
from tests.proxy.proxy import Answer, Fault, Reset

BROKEN = "services:\n  db: {image: busybox\n"
SHARE = 0.3
"""The part of the engine's calls that fails while the wire is bad."""


class FailedError(Exception):
    """The harm could not be done."""


def _docker(city: City, *words: str) -> None:
    try:
        city.engine.docker(*words, seconds=60)
    except AssertionError as error:
        raise FailedError(str(error)) from None


def kill(city: City, cause: Cause, run: Run) -> None:
    """SIGKILL to the first process."""
    try:
        os.kill(run.pid, signal.SIGKILL)
    except ProcessLookupError as error:
        raise FailedError(str(error)) from None


def remove(city: City, cause: Cause, run: Run) -> None:
    """docker rm -f."""
    _docker(city, "rm", "-f", run.id)


def restart(city: City, cause: Cause, run: Run) -> None:
    """docker restart."""
    _docker(city, "restart", "-t", "2", run.id)


def disconnect(city: City, cause: Cause, run: Run) -> None:
    """docker network disconnect."""
    _docker(city, "network", "disconnect", f"{run.key[0]}_default", run.id)


def stop(city: City, cause: Cause, run: Run) -> None:
    """docker stop; the hold is looked for, and then `start` is asked for. Recovery counts from there."""
    wish = city.town.wish(run.key)
    wish.rest = "held"
    try:
        _docker(city, "stop", "-t", "2", run.id)
        seen: list[str] = []

        def answered() -> bool:
            now = only(run.key, city.last)
            seen[:] = [city.override(run.key) or ""]
            return seen == ["held"] or (now is not None and now.good and now.run != run.run)

        city.soon(answered, 20)
        city.holds, city.unheld = (city.holds + 1, city.unheld) if seen == ["held"] else (city.holds, city.unheld + 1)
        city.note(f"{cause}: {'held' if seen == ['held'] else 'not held'}")
        cause.at = city.now()
        city.ask(f"/v1/stacks/{run.key[0]}/services/{run.key[1]}/start")
    finally:
        wish.rest = ""


def pause(city: City, cause: Cause, run: Run) -> None:
    """docker pause, and unpause once stackd has seen it. Recovery counts from there."""
    wish = city.town.wish(run.key)
    wish.rest = "paused"
    try:
        _docker(city, "pause", run.id)
        city.soon(lambda: sight.state(city.daemon.socket, run.key) == "paused", 5)
        cause.at = city.now()
        _docker(city, "unpause", run.id)
    finally:
        wish.rest = ""


def edit(city: City, cause: Cause, run: Run) -> None:
    """Another value for a variable of the service; what was broken in the file is right again."""
    stack = city.town.stacks[run.key[0]]
    stack.wishes[run.key[1]].edit += 1
    stack.broken = False
    stack.save(stack.text())


def broken_edit(city: City, cause: Cause, run: Run) -> None:
    """A file that is none. Recovery is that stackd shows it and all runs on."""
    stack = city.town.stacks[run.key[0]]
    stack.broken = True
    cause.after = lambda _: not stack.broken or sight.faulty(city.daemon.socket, run.key[0])
    stack.save(BROKEN)


def freeze_engine(city: City, cause: Cause) -> None:
    """SIGSTOP to the engine, and after some seconds SIGCONT."""
    city.bed.pause_engine()
    time.sleep(city.rng.uniform(0.5, 4))
    city.bed.resume_engine()


def _restart_engine(city: City, how: signal.Signals) -> None:
    city.engine_up = False
    try:
        city.bed.stop_engine(how)
        time.sleep(city.rng.uniform(0, 2))
        city.bed.start_engine()
    finally:
        city.engine_up = True


def kill_engine(city: City, cause: Cause) -> None:
    """SIGKILL to the engine, and start it again."""
    _restart_engine(city, signal.SIGKILL)


def restart_engine(city: City, cause: Cause) -> None:
    """SIGTERM to the engine, and start it again."""
    _restart_engine(city, signal.SIGTERM)


def kill_daemon(city: City, cause: Cause) -> None:
    """SIGKILL to stackd, and start it again."""
    city.daemon.stop(signal.SIGKILL)
    city.daemon.launch()
    city.soon(lambda: sight.ask(city.daemon.socket, "/livez") is not None, 30)


def _bad_wire(city: City, fault: Fault) -> None:
    chance = random.Random(city.rng.random())

    def sometimes(_: Call) -> Fault | None:
        return fault if chance.random() < SHARE / 2 else None

    city.proxy.before = city.proxy.after = sometimes
    time.sleep(city.rng.uniform(1, 4))
    city.proxy.calm()


def resets(city: City, cause: Cause) -> None:
    """All connections to the engine break, and for some seconds a part of the calls, before or after the engine."""
    city.proxy.reset_all()
    _bad_wire(city, Reset())


def errors(city: City, cause: Cause) -> None:
    """For some seconds a part of the calls is answered by 500, before or after the engine has acted."""
    _bad_wire(city, Answer())


def fill_disk(city: City, cause: Cause) -> None:
    """The disk under the state directory is full for some seconds. Recovered: stackd says it is ready."""
    cause.after = lambda _: (sight.ask(city.daemon.socket, "/readyz") or (0, None))[0] == 200
    filler = city.folder / "state" / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                _write(file.fileno())
        time.sleep(city.rng.uniform(2, 5))
    finally:
        filler.unlink(missing_ok=True)


def _write(descriptor: int) -> None:
    """A piece, down to single bytes, until there is no room."""
    for size in (65536, 4096, 1):
        try:
            os.write(descriptor, bytes(size))
            return
        except OSError as error:
            if error.errno != errno.ENOSPC or size == 1:
                raise


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: how often it comes, relative to the others, and whether it may restart a service."""

    name: str
    weight: int
    restarts: bool
    strike: Callable[[City, Cause, Run], None]

    def cause(self, city: City, run: Run) -> Cause:
        """The cause that it is. If it restarts a service, the followers go along."""
        if not self.restarts:
            return Cause(self.name, (run.key,), set(), city.now())
        closure = city.town.closure(run.key)
        followers = [other for other in closure[1:] if not city.town.wish(other).rest]
        return Cause(self.name, (run.key, *followers), set(closure), city.now(), newer(run.key, run, followers))


@dataclass(frozen=True, slots=True)
class HostKind:
    """The same for all services at once."""

    name: str
    weight: int
    restarts: bool
    strike: Callable[[City, Cause], None]

    def cause(self, city: City) -> Cause:
        """The cause that it is."""
        keys = tuple(city.town.services())
        return Cause(self.name, keys, set(keys) if self.restarts else set(), city.now())


SERVICE = (
    Kind("SIGKILL of a process", 5, True, kill),
    Kind("docker stop", 3, True, stop),
    Kind("docker rm -f", 3, True, remove),
    Kind("docker pause", 3, False, pause),
    Kind("docker restart", 3, True, restart),
    Kind("network disconnect", 2, True, disconnect),
    Kind("edit", 4, True, edit),
    Kind("broken edit", 2, False, broken_edit),
)
HOST = (
    HostKind("engine SIGSTOP", 2, False, freeze_engine),
    HostKind("engine SIGKILL", 1, True, kill_engine),
    HostKind("engine restart", 1, True, restart_engine),
    HostKind("stackd SIGKILL", 4, False, kill_daemon),
    HostKind("proxy resets", 3, False, resets),
    HostKind("proxy 500s", 3, False, errors),
    HostKind("full disk", 2, False, fill_disk),
)
