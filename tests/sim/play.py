"""Playing a story: the acts on their time, the laws at every step, ten quiet minutes, and what must hold then."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stackd.core.decide import decide
from stackd.engine.base import CreateRequest, Json
from stackd.errors import EngineError
from stackd.model.evidence import EngineEvent, EventKind
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import Op
from stackd.model.spec import RestartCondition, ServiceSpec
from stackd.model.view import DesiredStack, ServiceState
from stackd.translate import labels as label
from tests.fake import Behaviour, Fault, FaultKind
from tests.fake.values import FakeContainer
from tests.sim.daemon import EPOCH, ROOT, SimDaemon, clock
from tests.sim.laws import FOREIGN, WatchedEngine, Witness, false_holds, strangers
from tests.sim.memory import Disk
from tests.sim.story import CALLS, LOOKS, Act, Story
from tests.sim.virtual import VirtualLoop, complaint
from tests.unit.core.dsl import STACK, project

QUIET = 600.0
PROMPT = 10.0
"""How long a step that nothing blocks may go undone."""
EXPLAINED = (
    ServiceState.WAITING, ServiceState.BLOCKED, ServiceState.CRASH_LOOPING, ServiceState.BACKING_OFF,
    ServiceState.EXITED, ServiceState.HELD, ServiceState.STOPPED,
)  # fmt: skip


class Play(logging.Handler):
    """One story under way. It is a log handler too: an error that stackd logs breaks the story."""

    def __init__(self, story: Story, loop: VirtualLoop) -> None:
        super().__init__(logging.ERROR)
        self.story, self.loop = story, loop
        self.engine = WatchedEngine(dialect=story.dialect, wall=lambda: EPOCH + loop.time(), seed=story.seed)
        self.witness = self.engine.witness = Witness()
        self.disk = Disk()
        self.dice = random.Random(story.seed)
        self.specs = list(story.services)
        self.desired = self._defined()
        self.daemon = SimDaemon(self.engine, self.disk, loop)
        self.begun = loop.time()
        self.lose: list[int] = []
        self.work: set[asyncio.Task[None]] = set()
        self.due: dict[Op, float] = {}
        self.before: dict[ContainerId, tuple[str, float, str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        trouble = record.exc_info[1] if record.exc_info else ""
        self.engine.note(f"logged: {record.getMessage()} {trouble!r}")

    # The whole

    async def run(self) -> list[str]:
        """Play it; the laws that were broken."""
        self.loop.set_exception_handler(lambda _, context: self.engine.note(complaint(context)))
        await self._furnish()
        self.before = before = strangers(self.engine)
        self.engine.bus.mangle = self._mangle
        self.daemon.start(self.desired)
        for act in self.story.acts:
            await self._wait_until(self.begun + act.at)
            self._begin(act)
        await self._wait_until(self.begun + self.story.end)
        await self._calm()
        await self._wait_until(self.loop.time() + QUIET)
        self._judge_quiet()
        if strangers(self.engine) != before:
            self.engine.note("a container that is not ours was touched")
        await self.daemon.kill(self.engine._tasks)
        await self.engine.shut_down()
        return self.witness.violations

    async def _furnish(self) -> None:
        """Images, behaviours, and two containers of others under our project's name."""
        for spec in self.specs:
            (self.engine.publish_image if spec.name in self.story.unpulled else self.engine.add_image)(spec.image)
            self.engine.behave(spec.name, *self.story.behaviours[spec.name])
        self.engine.add_image("other:1")
        await self._other("stranger", {label.INSTANCE: FOREIGN, label.ONEOFF: "False"})
        await self._other("app-a-run-1", {label.ONEOFF: "True"})

    async def _other(self, name: str, extra: dict[str, str]) -> None:
        self.engine.behave(name, Behaviour())
        marks: dict[str, Json] = {label.PROJECT: STACK, label.SERVICE: "a", label.NUMBER: "1", **extra}
        made = await self.engine.create_container(CreateRequest(name, {"Image": "other:1", "Labels": marks}))
        await self.engine.human_start(made)

    async def _wait_until(self, when: float) -> None:
        """Let time pass, looking at the promptness of the daemon every few seconds."""
        while (left := when - self.loop.time()) > 0:
            await asyncio.sleep(min(2.5, left))
            self._judge_now()

    def _defined(self) -> DesiredStack:
        made = replace(project(*self.specs), digest=str(self.loop.time()))
        self.witness.definitions.append((self.loop.time(), made))
        return DesiredStack(STACK, made, folder=Path(ROOT) / "app", root=Path(ROOT))

    def _save(self) -> None:
        """The file is saved; the set of services is read again a second later."""
        self.desired = replace(self._defined(), services_settled=False)
        self.daemon.publish(self.desired)
        self.loop.call_later(1.0, self._settled, self.desired)

    def _settled(self, read: DesiredStack) -> None:
        if read is self.desired:
            self.desired = replace(read, services_settled=True)
            self.daemon.publish(self.desired)

    # The acts

    def _begin(self, act: Act) -> None:
        task = self.loop.create_task(self._do(act))
        self.work.add(task)
        task.add_done_callback(self.work.discard)

    async def _do(self, act: Act) -> None:
        """One act. What a dead engine or a missing container refuses does not happen."""
        engine = self.engine
        mine = [c for c in engine.of_service(act.service) if engine.is_ours(c)]
        with suppress(EngineError):
            if act.what.startswith("human_"):
                await self._human(act, mine)
            elif act.what in ("edit", "undo", "drop_service", "bring_back"):
                self._edit(act)
            elif act.what in ("hold", "stop", "start", "restart"):
                await self._ask(act)
            elif act.what in ("crash", "sick", "well") and mine:
                self._host(act, mine[0])
            elif act.what in ("kill_daemon", "amnesia"):
                await self._kill(amnesia=act.what == "amnesia")
            else:
                await self._fault(act)

    async def _human(self, act: Act, mine: list[FakeContainer]) -> None:
        engine = self.engine
        if act.what in ("human_stop", "human_restart", "human_kill"):
            self.witness.human_stops.add(act.service)
        if not mine:
            return
        which = mine[act.dice % len(mine)].id
        match act.what:
            case "human_stop":
                await engine.human_stop(which)
            case "human_start":
                await engine.human_start(which)
            case "human_restart":
                await engine.human_restart(which)
            case "human_rm":
                await engine.human_rm(which)
            case "human_kill":
                await engine.human_kill(which)
            case _:
                await engine.human_pause(which)
                await asyncio.sleep(8)
                await engine.human_unpause(which)

    def _edit(self, act: Act) -> None:
        at = next((i for i, one in enumerate(self.specs) if one.name == act.service), None)
        first = next(one for one in self.story.services if one.name == act.service)
        needed = {d.service for one in self.specs for d in one.depends_on}
        match act.what:
            case "edit" if at is not None:
                self.specs[at] = replace(first, hashes=(f"{act.service}@{act.dice}",))
            case "undo" if at is not None:
                self.specs[at] = first
            case "drop_service" if at is not None and act.service not in needed and len(self.specs) > 1:
                del self.specs[at]
            case "bring_back" if at is None:
                names = [one.name for one in self.story.services]
                self.specs = sorted([*self.specs, first], key=lambda one: names.index(one.name))
            case _:
                return
        self.witness.holds.clear()
        self._save()

    async def _ask(self, act: Act) -> None:
        if self.daemon.store.view(STACK).desired is None or act.service not in self._names():
            return
        self.witness.asked[act.service] = self.loop.time()
        self.witness.holds.pop(act.service, None)
        if act.what in ("hold", "stop"):
            kind = OverrideKind.HELD if act.what == "hold" else OverrideKind.STOPPED
            await self.daemon.hold(STACK, act.service, kind)
            if kind is OverrideKind.HELD and any(o.service == act.service for o in self.disk.overrides.values()):
                self.witness.holds[act.service] = self.loop.time()
        else:
            verb = Verb.START if act.what == "start" else Verb.RESTART
            await self.daemon.ask(STACK, verb, act.service)

    def _names(self) -> set[ServiceName]:
        return {one.name for one in self.specs}

    def _host(self, act: Act, container: FakeContainer) -> None:
        match act.what:
            case "crash":
                if container.live:
                    if act.dice % 3 == 0:
                        self.witness.finished.add(act.service)
                    self.engine.crash(container.id, code=act.dice % 3)
            case _:
                verdict = Health.UNHEALTHY if act.what == "sick" else Health.HEALTHY
                if container.has_healthcheck and container.state is ContainerState.RUNNING:
                    self.engine.flip_health(container.id, verdict)

    async def _kill(self, *, amnesia: bool) -> None:
        old = self.daemon
        await old.kill(self.engine._tasks)
        if old is not self.daemon:
            return
        if amnesia:
            self.witness.amnesia = True
            self.disk.wipe()
            self.witness.holds.clear()
        self.daemon = SimDaemon(self.engine, self.disk, self.loop)
        self.due.clear()
        self.daemon.start(self.desired)

    async def _fault(self, act: Act) -> None:
        dice = random.Random(act.dice)
        match act.what:
            case "hang" if act.dice == 0:
                self._fail("start_container", FaultKind.HANG_BEFORE)
            case "hang":
                self._fail(dice.choice(CALLS), dice.choice([FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER]))
            case "hang_look":
                self._fail(dice.choice(LOOKS), FaultKind.HANG_BEFORE, times=2)
            case "break_call" | "break_after":
                kind = FaultKind.ERROR_BEFORE if act.what == "break_call" else FaultKind.ERROR_AFTER
                self._fail(dice.choice(CALLS), kind, times=dice.randint(1, 3))
            case "slow_pull":
                self.engine.fail("pull_image", Fault(FaultKind.DELAY, delay=50.0))
            case "lose_event":
                self.lose.append(dice.randint(1, 3))
            case "break_stream":
                self.engine.bus.break_streams()
            case _:
                await self._power(act, dice)

    def _fail(self, method: str, kind: FaultKind, times: int = 1) -> None:
        """The next calls about what is ours meet a fault; strangers are seldom looked at and would swallow them."""
        theirs = [c.id for c in self.engine.containers.values() if not self.engine.is_ours(c)]
        self.engine.fail(method, Fault(kind), times=times, when=lambda call: call.args[0] not in theirs)

    async def _power(self, act: Act, dice: random.Random) -> None:
        engine = self.engine
        match act.what:
            case "restart_engine" if engine.answers_fresh:
                await engine.restart_engine(boot=dice.uniform(0.5, 10))
                self._revive()
            case "freeze" if engine.answers_fresh:
                engine.freeze_engine()
                await asyncio.sleep(dice.uniform(1, 25))
                engine.thaw_engine()
            case _:
                pass

    def _revive(self) -> None:
        """The strangers come back by hand: stackd has no part in it."""
        for container in self.engine.containers.values():
            if not self.engine.is_ours(container):
                container.state, container.started_at = ContainerState.RUNNING, self.before[container.id][1]

    def _mangle(self, event: EngineEvent) -> list[tuple[float, EngineEvent]]:
        if self.lose and event.kind not in (EventKind.NETWORK, EventKind.VOLUME):
            self.lose[0] -= 1
            if self.lose[0] <= 0:
                self.lose.pop(0)
                return []
        return [(self.engine.bus.lag, event)]

    async def _calm(self) -> None:
        """People and hosts leave it alone; faults not yet met are taken back."""
        while self.work:
            await asyncio.wait(self.work)
        self.engine._faults.clear()
        self.lose.clear()
        for container in self.engine.containers.values():
            if container.state is ContainerState.PAUSED:
                self.engine.unpause(container)

    # The judgements

    def _judge_now(self) -> None:
        """Nothing that could be done now is left undone, and no hold is invented."""
        store, now = self.daemon.store, clock()
        if STACK not in store.names():
            return
        self.engine.look_at_conditions()
        view = store.view(STACK)
        held = [(one.service, one.kind, one.by) for one in view.overrides]
        self.witness.violations.extend(false_holds(self.witness, held))
        if store.trouble(STACK):
            self.engine.note(f"the stack's task failed: {store.trouble(STACK)}")
        ready = set(decide(view, now).plan.frontier()) - view.running
        self.due = {op: self.due.get(op, now.mono) for op in ready}
        for op, since in self.due.items():
            if now.mono - since > PROMPT:
                self.engine.note(f"nothing blocks it, and it is not done: {type(op).__name__}")

    def _judge_quiet(self) -> None:
        view = self.daemon.store.view(STACK)
        decision = decide(view, clock())
        verdicts = {one.service: one for one in decision.verdicts}
        held = {one.service for one in view.overrides}
        for spec in self.specs:
            verdict = verdicts.get(spec.name)
            if verdict is None:
                self.engine.note(f"{spec.name} has no verdict")
            elif spec.name in held:
                continue
            elif verdict.state in EXPLAINED and verdict.detail:
                self._judge_excuse(spec, verdict.state, verdict.detail)
            else:
                self._judge_service(spec, verdict.state)
        known = self._names()
        for container in self.engine.containers.values():
            if self.engine.is_ours(container) and container.labels.service not in known - held | held:
                self.engine.note(f"{container.name} is an orphan and still there")

    def _judge_service(self, spec: ServiceSpec, state: ServiceState) -> None:
        mine = [c for c in self.engine.of_service(spec.name) if self.engine.is_ours(c)]
        names = sorted(c.name for c in mine)
        if names != [f"app-{spec.name}-{number}" for number in range(1, spec.scale + 1)]:
            self.engine.note(f"{spec.name} ({state}) has the containers {names}")
        for container in mine:
            if container.labels.config_hash not in spec.hashes:
                self.engine.note(f"{container.name} ({state}) is of an old definition")
            if not container.live and not self._may_rest(spec, container):
                self.engine.note(f"{container.name} ({state}) does not run: {container.state} {container.exit_code}")

    def _judge_excuse(self, spec: ServiceSpec, state: ServiceState, detail: str) -> None:
        """Why a service does not run after ten quiet minutes must be a reason that the story gives."""
        match state:
            case ServiceState.EXITED if not _always(spec):
                return
            case ServiceState.WAITING if self._waits(spec):
                return
            case _:
                self.engine.note(f"{spec.name} is {state}: {detail}")

    def _waits(self, spec: ServiceSpec) -> bool:
        """Whether something that it needs rests, or waits itself for what rests."""
        names = {d.service for d in spec.depends_on} | {s.service for s in spec.volumes_from if s.service}
        return any(self._rests(one) or self._waits(one) for one in self.specs if one.name in names)

    def _rests(self, spec: ServiceSpec) -> bool:
        held = {one.service for one in self.daemon.store.view(STACK).overrides}
        mine = [c for c in self.engine.of_service(spec.name) if self.engine.is_ours(c) and not c.live]
        return spec.name in held or any(self._may_rest(spec, container) for container in mine)

    def _may_rest(self, spec: ServiceSpec, container: FakeContainer) -> bool:
        """Whether it ended for good: given up by its policy, or with 0 by itself, or so for all that anybody knows."""
        if not _always(spec):
            return True
        if container.exit_code != 0 or spec.restart.condition is RestartCondition.ALWAYS:
            return False
        witness = self.witness
        return witness.amnesia or spec.name in witness.finished or spec.name in witness.human_stops


def _always(spec: ServiceSpec) -> bool:
    return spec.restart.condition is not RestartCondition.NO and spec.restart.max_attempts is None


def perform(story: Story) -> Play:
    """Play a story on a loop of its own; the play as it ended, for looking at its engine, disk and violations."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    show = Play(story, loop)
    logger = logging.getLogger("stackd")
    logger.addHandler(show)
    try:
        loop.run_until_complete(show.run())
    finally:
        logger.removeHandler(show)
        loop.put_down()
        asyncio.set_event_loop(None)
    return show


def play(story: Story) -> list[str]:
    """The laws that a story breaks, each in one line."""
    return perform(story).witness.violations
