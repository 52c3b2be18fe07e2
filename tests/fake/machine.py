"""The fake engine's machine: containers and their runs, and the events that each change causes.

Law: one method = what the engine does for one cause, with exactly its events (behaviour.md 1); the order of `stop` and
`die` is the dialect's. Processes live on the host: they end whether or not the engine is there to see it. What this
module does not do: calls, deadlines, faults (`engine`), the engine's own life (`power`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import EngineEvent, EventKind
from stackd.model.ids import ContainerId, NetworkId, ServiceName, StackName
from stackd.model.observed import ContainerState, Health, HealthProbe, ObservedNetwork, ObservedVolume
from stackd.translate.labels import is_of_a_project
from tests.fake.bus import EventBus
from tests.fake.values import Behaviour, Dialect, FakeContainer, FakeImage

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]

KILL, TERM = 9, 15
_DIE_AFTER_STOP = 0.002
_STOP_AFTER_DIE = 0.075
_PROCESS_GONE = 0.01


def refuse(kind: EngineErrorKind, message: str, status: int | None = None) -> EngineError:
    """The engine's refusal."""
    return EngineError(kind, message, status=status)


class Machine:
    """Containers, networks, volumes, images, and what happens to them."""

    def __init__(self, dialect: Dialect, wall: Clock, sleep: Sleep, lag: float) -> None:
        self.dialect = dialect
        self.wall = wall
        self.sleep = sleep
        self.bus = EventBus(lag)
        self.containers: dict[ContainerId, FakeContainer] = {}
        self.networks: dict[NetworkId, ObservedNetwork] = {}
        self.subnets: set[NetworkId] = set()
        self.volumes: dict[str, ObservedVolume] = {}
        self.images: dict[str, FakeImage] = {}
        self.registry: dict[str, FakeImage] = {}
        self.taken_ports: set[str] = set()
        self.up = True
        self.awake = asyncio.Event()
        self.awake.set()
        self._behaviours: dict[str, list[Behaviour]] = {}
        self._serial = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._slept_through: list[Callable[[], None]] = []

    # What a test lays down and looks up

    def behave(self, key: str, *behaviours: Behaviour) -> None:
        """How runs behave, in order of their starts; the last one goes for all later runs.

        `key`: a container's name, a service or an image, looked up in this order.
        """
        self._behaviours[key] = list(behaviours)

    def find(self, which: str) -> FakeContainer:
        """A container by id or name. Raises EngineError(missing)."""
        for container in self.containers.values():
            if which in (container.id, container.name):
                return container
        raise refuse(EngineErrorKind.MISSING, f"No such container: {which}", 404)

    def of_service(self, service: str, stack: str | None = None) -> list[FakeContainer]:
        """All containers of a service, oldest first."""
        everything = self.containers.values()
        return [c for c in everything if c.labels.service == service and stack in (None, c.labels.stack)]

    def fresh_id(self) -> str:
        """A full 64-digit id, the same for the same history."""
        self._serial += 1
        return hashlib.sha256(str(self._serial).encode()).hexdigest()

    # What the engine goes on with by itself

    def own(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run what the engine finishes whoever called for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._disown)
        return task

    def _disown(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def carry(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Call for work and wait; it goes on without the caller, and dies with the engine. Raises EngineError."""
        task = self.own(work)
        await asyncio.wait({task})
        if task.cancelled():
            raise refuse(EngineErrorKind.UNAVAILABLE, "the engine went away during the call")
        return task.result()

    def drop_work(self) -> None:
        """Everything under way in the engine ends without a trace."""
        for task in self._tasks:
            task.cancel()

    def later(self, container: FakeContainer, delay: float, act: Callable[[], None]) -> None:
        """Something of the engine's doing (a probe, a restart): not while it sleeps, never when it is gone."""

        def due() -> None:
            if not self.awake.is_set():
                self._slept_through.append(act)
            elif self.up:
                act()

        container.timers.append(asyncio.get_running_loop().call_later(delay, due))

    def disarm(self, container: FakeContainer) -> None:
        """Forget what was to come of this run."""
        for timer in container.timers:
            timer.cancel()
        container.timers.clear()

    # Events

    def emit(
        self,
        container: FakeContainer,
        kind: EventKind,
        *,
        action: str = "",
        signal: int | None = None,
        exit_code: int | None = None,
    ) -> None:
        """Tell of a container; of one that is of no project nothing, as the adapter does."""
        if not is_of_a_project(container.raw_labels):
            return
        event = EngineEvent(
            kind=kind,
            actor=container.id,
            action=action or kind.value,
            stack=container.labels.stack,
            time_nano=round(self.wall() * 1e9),
            service=container.labels.service,
            container=container.id,
            name=container.name,
            exit_code=exit_code,
            signal=signal,
            oneoff=container.labels.oneoff,
        )
        self.bus.publish(event)

    def emit_other(self, kind: EventKind, name: str, action: str, container: str = "") -> None:
        """Tell of a network, a volume or an image."""
        nano = round(self.wall() * 1e9)
        self.bus.publish(EngineEvent(kind, name, action, StackName(""), nano, ServiceName(""), ContainerId(container)))

    # Runs

    def choose(self, container: FakeContainer) -> Behaviour:
        """How the run that is about to start behaves."""
        for key in (container.name, container.labels.service, container.image):
            if listed := self._behaviours.get(key):
                return listed.pop(0) if len(listed) > 1 else listed[0]
        return Behaviour()

    def begin_run(self, container: FakeContainer) -> None:
        """The process starts: `start`."""
        container.state = ContainerState.RUNNING
        container.started_at = self.wall()
        container.runs += 1
        self._serial += 1
        container.pid = 1000 + self._serial
        container.exit_code, container.error, container.dead_unseen = 0, "", None
        container.oom_killed = container.oom_killed and self.dialect is Dialect.V20
        container.health = Health.STARTING if container.has_healthcheck else Health.NONE
        container.signalled = container.stopped_by_hand = False
        container.ended = asyncio.Event()
        for name in container.networks:
            self.emit_other(EventKind.NETWORK, name, "connect", container.id)
        self.emit(container, EventKind.START)
        self.arm(container)

    def arm(self, container: FakeContainer) -> None:
        """Set the clocks of a run: its own end, and its probes' verdicts."""
        manner = container.manner
        if manner.exits_after is not None:
            loop = asyncio.get_running_loop()
            end = loop.call_later(
                manner.exits_after, lambda: self.process_ends(container, manner.exit_code, oom=manner.oom)
            )
            container.timers.append(end)
        if container.has_healthcheck:
            for delay, verdict in manner.health:
                self.later(container, delay, lambda verdict=verdict: self.judge(container, verdict))  # type: ignore[misc]

    def judge(self, container: FakeContainer, verdict: Health) -> None:
        """A probe changes the verdict: `health_status: ...`."""
        if container.state is ContainerState.RUNNING and container.health is not verdict:
            container.health = verdict
            good = verdict is Health.HEALTHY
            container.probes = [*container.probes[-4:], HealthProbe(self.wall(), int(not good), "" if good else "bad")]
            self.emit(container, EventKind.HEALTH, action=f"health_status: {verdict.value}")

    def process_ends(self, container: FakeContainer, code: int, *, oom: bool = False) -> None:
        """The host's process is gone. Seen at once, unless the engine is away or asleep or the container is paused."""
        if not container.live or container.dead_unseen is not None:
            return
        self.disarm(container)
        if not self.up or container.state is ContainerState.PAUSED:
            container.dead_unseen = code
        elif not self.awake.is_set():
            container.dead_unseen = code
            self._slept_through.append(lambda: self.see_end(container, code, oom=oom))
        else:
            self.see_end(container, code, oom=oom)

    def see_end(self, container: FakeContainer, code: int, *, oom: bool = False) -> None:
        """The engine notices an end: [`oom`] `die`, after `stop` where the dialect has it so."""
        if not container.live:
            return
        self.disarm(container)
        container.state = ContainerState.EXITED
        container.finished_at = self.wall()
        container.exit_code, container.pid, container.dead_unseen = code, 0, None
        container.oom_killed = container.oom_killed or oom
        container.ended.set()
        container.grown.set()
        if oom:
            self.emit(container, EventKind.OOM)
        self._tell_end(container, code)
        self._end_children(container)
        self._follow_policy(container)

    def _end_children(self, container: FakeContainer) -> None:
        """Whoever lives in its pid namespace is killed with its first process, a moment later (behaviour.md 6)."""
        for child in self.containers.values():
            if child.live and child.pid_mode == f"container:{container.id}":
                self._process_gone_soon(child, 128 + KILL)

    def _tell_end(self, container: FakeContainer, code: int) -> None:
        """20.10: `die`, then the teardown; later ones: the teardown, [`stop`], `die`."""
        if self.dialect is Dialect.V20:
            self.emit(container, EventKind.DIE, exit_code=code)
        for name in container.networks:
            self.emit_other(EventKind.NETWORK, name, "disconnect", container.id)
        if self.dialect is Dialect.V20:
            return
        tell = partial(self.emit, container, EventKind.DIE, exit_code=code)
        if container.stoppers:
            asyncio.get_running_loop().call_later(_DIE_AFTER_STOP, tell)
        else:
            tell()

    def _follow_policy(self, container: FakeContainer) -> None:
        """The engine's own restarts: `die start`, void for a run that was signalled by hand (moby#41302)."""
        if not self.up or container.stoppers or container.signalled or container.stopped_by_hand:
            return
        wants = container.policy in ("always", "unless-stopped") or (
            container.policy == "on-failure"
            and container.exit_code != 0
            and (container.policy_retries == 0 or container.engine_restarts < container.policy_retries)
        )
        if wants:
            container.state = ContainerState.RESTARTING
            container.engine_restarts += 1
            delay = min(60.0, 0.1 * 2 ** min(container.engine_restarts, 10))
            self.later(container, delay, lambda: self._policy_start(container))

    def _policy_start(self, container: FakeContainer) -> None:
        if container.state is ContainerState.RESTARTING:
            container.manner = self.choose(container)
            self.begin_run(container)

    # Causes

    async def do_stop(self, container: FakeContainer, grace: float | None) -> None:
        """`docker stop`: `kill` [`kill(9)`], `stop` and `die` in the dialect's order; nothing for an ended one."""
        if container.state is ContainerState.RESTARTING:
            self.disarm(container)
            container.state, container.stopped_by_hand = ContainerState.EXITED, True
            self.emit(container, EventKind.STOP)
            return
        if not container.live:
            return
        container.stopped_by_hand = True
        container.stoppers += 1
        try:
            await self._end_politely(container, grace)
        finally:
            container.stoppers -= 1
        if self.dialect is Dialect.V20:
            await self.sleep(_STOP_AFTER_DIE)
            await self.awake.wait()
        self.emit(container, EventKind.STOP)

    async def _end_politely(self, container: FakeContainer, grace: float | None) -> None:
        ended = container.ended
        self.emit(container, EventKind.KILL, signal=container.stop_signal)
        self.unpause(container)
        self.terminate(container)
        patience = grace if grace is not None else container.stop_grace if container.stop_grace is not None else 10.0
        try:
            async with asyncio.timeout(patience):
                await ended.wait()
        except TimeoutError:
            await self.awake.wait()
            if not ended.is_set():
                self.emit(container, EventKind.KILL, signal=KILL)
                self._process_gone_soon(container, 128 + KILL)
            await ended.wait()

    def terminate(self, container: FakeContainer) -> None:
        """The process gets its stop signal."""
        if not container.manner.ignores_term:
            loop = asyncio.get_running_loop()
            manner = container.manner
            container.timers.append(
                loop.call_later(manner.stop_takes, lambda: self.process_ends(container, manner.stop_code))
            )

    def _process_gone_soon(self, container: FakeContainer, code: int) -> None:
        loop = asyncio.get_running_loop()
        container.timers.append(loop.call_later(_PROCESS_GONE, lambda: self.process_ends(container, code)))

    def unpause(self, container: FakeContainer) -> None:
        """`unpause`; one that died while paused is only now seen dead."""
        if container.state is not ContainerState.PAUSED:
            return
        container.state = ContainerState.RUNNING
        self.emit(container, EventKind.UNPAUSE)
        if container.dead_unseen is not None:
            self.see_end(container, container.dead_unseen)
        else:
            self.arm(container)

    async def do_kill(self, container: FakeContainer, signal: int) -> None:
        """`docker kill`: `kill` alone, or `kill die`; never `stop`, never `unpause`. Raises EngineError(conflict)."""
        if not container.live:
            raise refuse(EngineErrorKind.CONFLICT, f"Container {container.id} is not running", 409)
        container.signalled = True
        ended = container.ended
        self.emit(container, EventKind.KILL, signal=signal)
        if signal == KILL:
            container.state = ContainerState.RUNNING
            if container.dead_unseen is not None:
                self.see_end(container, container.dead_unseen)
            self._process_gone_soon(container, 128 + KILL)
            await ended.wait()
        elif signal == container.stop_signal:
            self.terminate(container)

    def forget(self, container: FakeContainer, *, volumes: bool) -> None:
        """The container is gone: `destroy`."""
        self.disarm(container)
        del self.containers[container.id]
        if volumes:
            used = {m.source for other in self.containers.values() for m in other.mounts}
            for mount in container.mounts:
                if mount.source in self.volumes and len(mount.source) == 64 and mount.source not in used:
                    del self.volumes[mount.source]
        self.emit(container, EventKind.DESTROY)
