"""The fake engine's own life, and the hands of people and hosts on it.

Law: SIGTERM, SIGKILL, SIGSTOP and the boot after them do to containers and to the stream what real engines do
(behaviour.md 1, "Engine stop", "Engine SIGKILL"); people act through `human_*`, which is another client's call; hosts
through `crash`.
"""

from __future__ import annotations

import asyncio

from stackd.engine.logs import Splitter
from stackd.errors import EngineErrorKind
from stackd.model.evidence import EventKind
from stackd.model.observed import ContainerState, Health
from tests.fake.machine import KILL, Clock, Machine, Sleep, refuse
from tests.fake.starting import start
from tests.fake.values import Dialect, FakeContainer

_ENGINE_GRACE = 10.0
_UNKNOWN_END = 255


class Power(Machine):
    """A machine whose engine can be stopped, killed, frozen and started again."""

    def __init__(self, dialect: Dialect, wall: Clock, sleep: Sleep, lag: float) -> None:
        super().__init__(dialect, wall, sleep, lag)
        self.stopping = False
        self.booted_at = wall()

    @property
    def answers_fresh(self) -> bool:
        """Whether a new connection is answered."""
        return self.up and not self.stopping and self.awake.is_set()

    @property
    def answers_pooled(self) -> bool:
        """Whether an open connection is answered: 20.10 does so while it shuts down, later engines do not."""
        return self.up and (not self.stopping or self.dialect is Dialect.V20)

    # The engine

    async def stop_engine(self) -> None:
        """SIGTERM: every container is stopped, grace 10 s; the stream ends 1 s (20.10) or 5 s after the last event."""
        self.stopping = True
        alive = [c for c in self.containers.values() if c.live]
        by_hand = {c.id: c.stopped_by_hand for c in alive}
        if stops := [self.own(self.do_stop(container, _ENGINE_GRACE)) for container in alive]:
            await asyncio.wait(stops)
        for container in alive:
            container.stopped_by_hand = by_hand[container.id]
        await self.sleep(1.0 if self.dialect is Dialect.V20 else 5.0)
        if not self.up:
            return
        self.bus.break_streams()
        self._go_down()

    def kill_engine(self) -> None:
        """SIGKILL: no event, the stream ends at once, processes live on."""
        self.bus.break_streams(0.01)
        self._go_down()

    def _go_down(self) -> None:
        self.up = self.stopping = False
        self.drop_work()
        self.awake.set()
        self._slept_through.clear()

    def leave_task(self, which: str) -> None:
        """The engine is killed between two steps of a start or an end: its containerd takes what is left for a task of
        this container, and every start of it is refused for ever. Call it while the engine is down."""
        self.find(which).left_task = True

    async def start_engine(self, boot: float = 1.0) -> None:
        """Boot: survivors of a SIGKILL are stopped first (their events reach no stream), then policies are followed."""
        await self.sleep(boot)
        self.up = True
        restart = [container for container in self.containers.values() if self._settle(container)]
        self.booted_at = self.wall()
        for container in restart:
            container.state = ContainerState.EXITED
            container.manner = self.choose(container)
            self.begin_run(container)

    def _settle(self, container: FakeContainer) -> bool:
        """What the boot makes of one container; whether it is to be started."""
        survivor = container.live and container.dead_unseen is None
        if container.live:
            code = container.manner.stop_code if survivor else self._unseen_code(container)
            container.state = ContainerState.RUNNING
            container.stopped_by_hand = container.stopped_by_hand or survivor
            policy, container.policy = container.policy, "no"
            self.see_end(container, code)
            container.policy = policy
        if container.policy == "always" and container.state is not ContainerState.CREATED:
            return True
        return container.policy == "unless-stopped" and container.runs > 0 and not container.stopped_by_hand

    def _unseen_code(self, container: FakeContainer) -> int:
        known = container.dead_unseen if self.dialect is Dialect.V20 else _UNKNOWN_END
        return known if known is not None else _UNKNOWN_END

    async def restart_engine(self, boot: float = 1.0) -> None:
        """SIGTERM, then a new start."""
        await self.stop_engine()
        await self.start_engine(boot)

    def freeze_engine(self) -> None:
        """SIGSTOP: calls get no answer, nothing is seen, nothing is told."""
        self.awake.clear()

    def thaw_engine(self) -> None:
        """SIGCONT: what ended meanwhile is seen now, what was called is done now."""
        self.awake.set()
        slept_through, self._slept_through = self._slept_through, []
        for act in slept_through:
            act()

    # The host

    def crash(self, which: str, code: int = 137, *, oom: bool = False) -> None:
        """The process ends by itself or by the host's hand: `die` alone, or `oom die`."""
        self.process_ends(self.find(which), code, oom=oom)

    def flip_health(self, which: str, verdict: Health) -> None:
        """A probe turns."""
        self.judge(self.find(which), verdict)

    def say(self, which: str, text: str, stream: str = "stdout") -> None:
        """The process prints a line."""
        container = self.find(which)
        stamp = b"2024-05-01T10:00:00.000000001Z "
        for line in Splitter(container.id, tty=True).feed(stamp + text.encode() + b"\n"):
            container.log.append((round(self.wall() * 1e9), stream, line.text))
        container.grown.set()

    # People, with the engine's command line

    async def human_stop(self, which: str, grace: float | None = None) -> None:
        """`docker stop`."""
        await self.carry(self.do_stop(self._hand(which), grace))

    async def human_kill(self, which: str, signal: int = KILL) -> None:
        """`docker kill`."""
        await self.carry(self.do_kill(self._hand(which), signal))

    async def human_start(self, which: str) -> None:
        """`docker start`."""
        start(self, self._hand(which))

    async def human_restart(self, which: str, grace: float | None = None) -> None:
        """`docker restart`: of a running one the stop's events first; of an ended one `start restart` only."""
        container = self._hand(which)
        await self.carry(self.do_stop(container, grace))
        if self.dialect is not Dialect.V20:
            await self.sleep(0.01)
        start(self, container)
        self.emit(container, EventKind.RESTART)

    async def human_rm(self, which: str, *, volumes: bool = False) -> None:
        """`docker rm -f`: [`kill(9) die`] `destroy`."""
        container = self._hand(which)
        if container.live:
            await self.carry(self.do_kill(container, KILL))
            await self.sleep(0.01)
        self.forget(container, volumes=volumes)

    async def human_pause(self, which: str) -> None:
        """`docker pause`: the processes stand still, probes too."""
        container = self._hand(which)
        if container.state is not ContainerState.RUNNING:
            raise refuse(EngineErrorKind.CONFLICT, f"Container {container.id} is not running", 409)
        self.disarm(container)
        container.state = ContainerState.PAUSED
        self.emit(container, EventKind.PAUSE)

    async def human_unpause(self, which: str) -> None:
        """`docker unpause`; the clocks of its behaviour start anew."""
        self.unpause(self._hand(which))

    async def human_rename(self, which: str, name: str) -> None:
        """`docker rename`."""
        container = self._hand(which)
        container.name = name
        self.emit(container, EventKind.RENAME)

    def _hand(self, which: str) -> FakeContainer:
        if not self.answers_fresh:
            raise refuse(EngineErrorKind.UNAVAILABLE, "Cannot connect to the Docker daemon")
        return self.find(which)
