"""The way of a call into the fake engine: latency, faults, deadline, log.

Law: a call takes effect in the engine whether or not its caller waits (a cancelled stop is still a stop); every call
ends within its deadline. Faults and latencies happen here, in the way of the call, never in the machine.
What this module does not do: know what the calls do (`engine`), or what an engine does (`machine`, `power`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from stackd.engine.deadlines import Deadlines
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, ImageId
from stackd.model.observed import ContainerState
from tests.fake.machine import Clock, Sleep, refuse
from tests.fake.power import Power
from tests.fake.values import Call, Dialect, FakeImage, Fault, FaultKind

T = TypeVar("T")

LATENCY: Mapping[str, float] = {
    "list_containers": 0.004,
    "create_container": 0.01,
    "start_container": 0.12,
    "stop_container": 0.01,
    "create_network": 0.03,
    "remove_network": 0.1,
    "pull_image": 2.0,
    "build_image": 3.0,
}
_LATENCY_OF_OTHERS = 0.001
_START_CAN_BE_CUT = 0.005
_CUT_EXIT_CODE = 128


class Calls(Power):
    """A machine that can be called, with everything that may go wrong on the way.

    `wall` gives the engine's clock (Unix seconds), `sleep` its patience; timers and deadlines are those of the running
    loop. `seed` draws latencies and nothing else.
    """

    def __init__(
        self,
        *,
        dialect: Dialect = Dialect.V28,
        wall: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
        seed: int = 0,
        lag: float = 0.002,
        deadlines: Deadlines = Deadlines(),  # noqa: B008
    ) -> None:
        super().__init__(dialect, wall, sleep, lag)
        self.deadlines = deadlines
        self.latency = dict(LATENCY)
        self.calls: list[Call] = []
        self.fault_for: Callable[[Call], Fault | None] | None = None
        self._faults: list[tuple[str, Fault, Callable[[Call], bool]]] = []
        self._random = random.Random(seed)

    # Set up and inspect a test

    def add_image(self, ref: str, *, volumes: tuple[str, ...] = (), has_healthcheck: bool = False) -> ImageId:
        """A local image; the same reference again is a moved tag."""
        return self._make_image(self.images, ref, volumes, has_healthcheck)

    def publish_image(self, ref: str, *, volumes: tuple[str, ...] = (), has_healthcheck: bool = False) -> ImageId:
        """An image of the registry: `pull_image` gets it."""
        return self._make_image(self.registry, ref, volumes, has_healthcheck)

    def _make_image(
        self, store: dict[str, FakeImage], ref: str, volumes: tuple[str, ...], has_healthcheck: bool
    ) -> ImageId:
        store[ref] = FakeImage(ImageId("sha256:" + self.fresh_id()), volumes, has_healthcheck)
        return store[ref].id

    def fail(
        self, method: str, fault: Fault, *, times: int = 1, when: Callable[[Call], bool] = lambda _call: True
    ) -> None:
        """The next `times` calls of `method` that `when` accepts meet this fault."""
        self._faults.extend([(method, fault, when)] * times)

    def called(self, method: str) -> list[Call]:
        """The calls of one method, in order."""
        return [call for call in self.calls if call.method == method]

    async def shut_down(self) -> None:
        """End of the test: nothing of the engine is left on the loop."""
        self.drop_work()
        for container in self.containers.values():
            self.disarm(container)
        if tasks := list(self._tasks):
            await asyncio.wait(tasks)

    # The way of a call

    async def call(
        self, method: str, args: tuple[object, ...], effect: Callable[[], Awaitable[T]], deadline: float
    ) -> T:
        call = Call(method, tuple(str(arg) for arg in args), asyncio.get_running_loop().time())
        self.calls.append(call)
        task = self.own(self._perform(call, effect))
        try:
            done, _ = await asyncio.wait({task}, timeout=deadline)
            if not done:
                raise EngineError(EngineErrorKind.TIMEOUT, f"{method}: no answer within {deadline:g} s")
            if task.cancelled():
                raise EngineError(EngineErrorKind.UNAVAILABLE, f"{method}: the engine went away")
            result: T = task.result()
        except EngineError as error:
            call.outcome = error.kind.value
            raise
        except asyncio.CancelledError:
            call.outcome = "cancelled"
            self._cut(call, task)
            raise
        else:
            call.outcome = "ok"
            return result
        finally:
            call.done_at = asyncio.get_running_loop().time()

    async def _perform(self, call: Call, effect: Callable[[], Awaitable[T]]) -> T:
        fault = self._next_fault(call)
        await self._suffer(fault, before=True)
        self._reach()
        usual = self.latency.get(call.method, _LATENCY_OF_OTHERS)
        await self.sleep(usual * (0.75 + self._random.random() / 2))
        await self.awake.wait()
        self._reach()
        result = await effect()
        await self._suffer(fault, before=False)
        return result

    def _reach(self) -> None:
        if not self.answers_pooled:
            raise refuse(EngineErrorKind.UNAVAILABLE, "Cannot connect to the Docker daemon")

    def _next_fault(self, call: Call) -> Fault | None:
        for index, (method, fault, when) in enumerate(self._faults):
            if method == call.method and when(call):
                del self._faults[index]
                return fault
        return self.fault_for(call) if self.fault_for is not None else None

    async def _suffer(self, fault: Fault | None, *, before: bool) -> None:
        if fault is None:
            return
        match fault.kind, before:
            case (FaultKind.DELAY, True) | (FaultKind.DELAY_AFTER, False):
                await self.sleep(fault.delay)
            case (FaultKind.HANG_BEFORE, True) | (FaultKind.HANG_AFTER, False):
                await asyncio.Event().wait()
            case (FaultKind.ERROR_BEFORE, True) | (FaultKind.ERROR_AFTER, False):
                raise fault.error or refuse(EngineErrorKind.UNAVAILABLE, "connection reset by peer")
            case _:
                return

    def _cut(self, call: Call, task: asyncio.Task[T]) -> None:
        """What a client's hanging up undoes: pulls, builds, and on 26 and 28 a start just sent."""
        if call.method in ("pull_image", "build_image"):
            task.cancel()
        elapsed = asyncio.get_running_loop().time() - call.at
        if call.method == "start_container" and self.dialect is not Dialect.V20 and elapsed <= _START_CAN_BE_CUT:
            container = self.containers.get(ContainerId(call.args[0]))
            if container is not None and container.state is ContainerState.CREATED and not task.done():
                task.cancel()
                container.exit_code = _CUT_EXIT_CODE
