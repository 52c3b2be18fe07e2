"""The bed for tests: the engine they run beside, engines of their own, registries, free ports.

Law: for processes inside a bed's network namespace (`python3 -m tests.bed exec -- ...`), where published ports and
registries are on 127.0.0.1. A test that stops, pauses or kills an engine makes one of its own with `Bed.create` and
destroys it; it never does so to the engine that other tests share.
"""

import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bed import engine, images, processes
from tests.bed.host import BedError, wait_until
from tests.bed.places import Places, cache_dir, places
from tests.bed.registry import Registry, open_registry, private_registry


@dataclass(frozen=True, slots=True)
class Bed:
    """One private engine and its network namespace."""

    places: Places

    @classmethod
    def current(cls) -> "Bed":
        """The bed this process runs in; BedError outside of one."""
        here = places()
        if "STACKD_BED_NAME" not in os.environ or not engine.inside(here):
            raise BedError("not inside a bed: run the tests with `python3 -m tests.bed exec -- ...`")
        return cls(here)

    @classmethod
    def create(cls, name: str, only: Sequence[str] = ()) -> "Bed":
        """Start an engine of one's own, empty but for images, in a network namespace of its own; images come from the
        shared cache. `only` limits them, as ("busybox",): up in a second. A bed of that name is reused."""
        bed = cls(places(name))
        if engine.start(bed.places):
            engine.sweep(bed.places)
        images.ensure(bed.places, images.standard(only))
        return bed

    def destroy(self) -> None:
        """Stop the engine and delete all it stored."""
        engine.remove(self.places)

    @property
    def socket(self) -> Path:
        """The engine's socket; it can be reached from every network namespace."""
        return self.places.socket

    @property
    def host(self) -> str:
        """The socket as DOCKER_HOST takes it."""
        return f"unix://{self.socket}"

    @property
    def engine_pid(self) -> int:
        """The pid of the engine; BedError when it does not run."""
        pid = processes.engine_pid(self.places)
        if pid is None:
            raise BedError(f"the engine of bed {self.places.name!r} does not run")
        return pid

    def command(self, *words: str) -> list[str]:
        """`words` as a command that runs inside this bed, whichever bed it is started from."""
        return [*engine.nsenter(self.places), "env", *(f"{k}={v}" for k, v in self.environment().items()), *words]

    def environment(self) -> dict[str, str]:
        """What a command inside this bed finds in its environment."""
        return {"DOCKER_HOST": self.host, "STACKD_BED_NAME": self.places.name, "STACKD_BED_DIR": str(cache_dir())}

    def stop_engine(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Signal the engine and wait until it is gone. After SIGTERM its containers are stopped, after SIGKILL they
        run on without it."""
        engine.stop(self.places, how)

    def start_engine(self) -> None:
        """Start the stopped engine and wait until it answers."""
        engine.start_again(self.places)

    def restart_engine(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the engine by a signal and start it again."""
        self.stop_engine(how)
        self.start_engine()

    def pause_engine(self) -> None:
        """Freeze the engine: it accepts connections and answers nothing until `resume_engine`."""
        pid = self.engine_pid
        os.kill(pid, signal.SIGSTOP)
        if not wait_until(lambda: processes.stopped(pid), 10.0):
            raise BedError(f"engine {pid} goes on after SIGSTOP")

    def resume_engine(self) -> None:
        """Let a frozen engine go on."""
        os.kill(self.engine_pid, signal.SIGCONT)

    def registry(self) -> Registry:
        """The open registry on 127.0.0.1:5000 of this bed, started when needed."""
        self._be_inside()
        return open_registry(self.places)

    def private_registry(self) -> Registry:
        """The registry with a password on 127.0.0.1:5001 of this bed, started when needed."""
        self._be_inside()
        return private_registry(self.places)

    def _be_inside(self) -> None:
        if not engine.inside(self.places):
            raise BedError(f"127.0.0.1 is that of another namespace here: run this inside bed {self.places.name!r}")


def free_port() -> int:
    """A TCP port that nothing uses on 127.0.0.1 of the bed this process runs in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return int(port)
