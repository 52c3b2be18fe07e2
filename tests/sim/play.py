"""Playing a story: the acts on their time, the laws at every step, ten quiet minutes, and what must hold then."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from stackd.engine.base import CreateRequest, Json
from stackd.errors import EngineError
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import OverrideKind, Verb
from stackd.model.spec import Project
from stackd.model.view import DesiredStack
from stackd.translate import labels as label
from tests.fake import Behaviour
from tests.fake.values import FakeContainer
from tests.sim.daemon import ELSEWHERE, EPOCH, ROOT, SimDaemon
from tests.sim.faults import Faults
from tests.sim.judge import Judge
from tests.sim.laws import FOREIGN, NEIGHBOUR, WatchedEngine, Witness, strangers
from tests.sim.memory import Disk
from tests.sim.story import Act, Neighbour, Story
from tests.sim.virtual import VirtualLoop, complaint
from tests.unit.core.dsl import STACK, project, service

QUIET = 600.0
AT_ONCE = 0.7
"""Seconds in which a service is started again that did not fail before; after a second failure it takes longer."""


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
        self.engine.callers = {}
        self.daemon = SimDaemon(self.engine, self.disk, loop)
        self.neighbour = SimDaemon(self.engine, Disk(), loop, NEIGHBOUR)
        self.engine.callers[self.neighbour.number] = NEIGHBOUR
        self.begun = loop.time()
        self.faults = Faults(self)
        self.work: set[asyncio.Task[None]] = set()
        self.judge = Judge(self)
        self.before: dict[ContainerId, tuple[str, float, str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        trouble = record.exc_info[1] if record.exc_info else ""
        self.engine.note(f"logged: {record.getMessage()} {trouble!r}")

    # The whole

    async def run(self) -> None:
        """Play all of it."""
        await self.open()
        for act in self.story.acts:
            await self.wait_until(self.begun + act.at)
            self.begin(act)
        await self.wait_until(self.begun + self.story.end)
        await self.finish()

    async def open(self) -> None:
        """Lay everything down and start the daemon."""
        self.loop.set_exception_handler(lambda _, context: self.engine.note(complaint(context)))
        await self._furnish()
        self.before = strangers(self.engine)
        self.engine.bus.mangle = self.faults.mangle
        self.daemon.start(self.desired)
        if self.story.neighbour is not Neighbour.NONE:
            self.loop.call_later(3.0, self.neighbour.start, next_door(self.story.neighbour))

    async def finish(self, quiet: float = QUIET) -> None:
        """Let it rest for `quiet` seconds, and judge what is there then."""
        await self._calm()
        await self.wait_until(self.loop.time() + quiet)
        self.judge.quiet()
        if self.story.encore:
            await self._encore()
        if strangers(self.engine) != self.before:
            self.engine.note("a container that is not ours was touched")
        await self.daemon.kill(self.engine._tasks)
        await self.neighbour.kill(self.engine._tasks)
        await self.engine.shut_down()

    async def _furnish(self) -> None:
        """Images, behaviours, and two containers of others under our project's name."""
        for spec in self.specs:
            (self.engine.publish_image if spec.name in self.story.unpulled else self.engine.add_image)(spec.image)
            self.engine.behave(spec.name, *self.story.behaviours[spec.name])
        self.engine.add_image("other:1")
        theirs = next_door(Neighbour.OTHER).project
        for spec in theirs.services.values() if theirs is not None else ():
            if spec.image not in self.engine.registry:
                self.engine.add_image(spec.image)
        await self._other("stranger", {label.INSTANCE: FOREIGN, label.ONEOFF: "False"})
        await self._other("app-a-run-1", {label.ONEOFF: "True", label.WORKING_DIR: f"{ROOT}/app"})

    async def _other(self, name: str, extra: dict[str, str]) -> None:
        self.engine.behave(name, Behaviour())
        marks: dict[str, Json] = {label.PROJECT: STACK, label.SERVICE: "a", label.NUMBER: "1", **extra}
        made = await self.engine.create_container(CreateRequest(name, {"Image": "other:1", "Labels": marks}))
        await self.engine.human_start(made)

    async def wait_until(self, when: float) -> None:
        """Let time pass, looking at the promptness of the daemon every few seconds."""
        while (left := when - self.loop.time()) > 0:
            await asyncio.sleep(min(2.5, left))
            self.judge.now()

    def _defined(self) -> DesiredStack:
        made = replace(project(*self.specs), digest=str(self.loop.time()))
        self.witness.coming = None
        self._in_force(made)
        self.disk.texts[made.digest] = made
        return DesiredStack(STACK, made, folder=Path(ROOT) / "app", root=Path(ROOT))

    def _in_force(self, made: Project) -> None:
        self.witness.definitions.append((self.loop.time(), made))

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

    def begin(self, act: Act) -> None:
        """Let an act begin; it may take its time."""
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
            elif act.what == "rollback":
                await self._roll_back()
            elif act.what in ("hold", "stop", "start", "restart"):
                await self._ask(act)
            elif act.what in ("crash", "sick", "well") and mine:
                self._host(act, mine[0])
            elif act.what in ("kill_daemon", "amnesia"):
                await self.kill(amnesia=act.what == "amnesia")
            else:
                await self.faults.befall(act)

    async def _human(self, act: Act, mine: list[FakeContainer]) -> None:
        engine = self.engine
        if act.what in ("human_stop", "human_restart", "human_kill"):
            self.witness.human_stops.add(act.service)
        if act.what == "human_down":
            await self._down()
        if not mine or act.what == "human_down":
            return
        which = mine[act.dice % len(mine)].id
        if act.what in ("human_start", "human_restart"):
            self.witness.begun_by_hand[which] = self.loop.time()
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

    async def _down(self) -> None:
        """`docker compose down`: every container of the project is stopped and removed, dependents first."""
        mine = [c for c in self.engine.containers.values() if self.engine.is_ours(c)]
        self.witness.human_stops |= {c.labels.service for c in mine}
        for container in sorted(mine, key=lambda one: one.labels.service, reverse=True):
            with suppress(EngineError):
                await self.engine.human_stop(container.id)
                await self.engine.human_rm(container.id)

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

    async def _roll_back(self) -> None:
        """An earlier definition is in force until the next edit, as soon as that is on the disk; like an edit it
        releases the holds of what it changes."""
        daemon, wished = self.daemon, self.desired
        pin = daemon.earlier(STACK)
        earlier = self.witness.coming = pin.project if pin is not None else None
        if pin is not None:
            await daemon.roll_back(STACK, pin)
        if earlier is not None and wished is self.desired and daemon is self.daemon:
            self.specs = list(earlier.services.values())
            self.witness.holds.clear()
            self._in_force(earlier)
        else:
            self.witness.coming = None

    async def _ask(self, act: Act) -> None:
        if self.daemon.store.view(STACK).desired is None or act.service not in self.names():
            return
        self.witness.asked[act.service] = self.loop.time()
        self.witness.holds.pop(act.service, None)
        if act.what in ("hold", "stop"):
            kind = OverrideKind.HELD if act.what == "hold" else OverrideKind.STOPPED
            await self.daemon.hold(STACK, act.service, kind)
            if kind is OverrideKind.HELD:
                self.witness.holds[act.service] = self.loop.time()
        else:
            verb = Verb.START if act.what == "start" else Verb.RESTART
            await self.daemon.ask(STACK, verb, act.service)

    def names(self) -> set[ServiceName]:
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

    async def kill(self, *, amnesia: bool) -> None:
        """SIGKILL of the daemon and a new life of it, which finds an empty database after `amnesia`."""
        old = self.daemon
        await old.kill(self.engine._tasks)
        if old is not self.daemon:
            return
        if amnesia:
            self.witness.amnesia = True
            self.disk.wipe()
            self.witness.holds.clear()
        self._forget_unwritten()
        self._forget_stops(old)
        self.witness.doubt = (-1e9, "")
        self.daemon = SimDaemon(self.engine, self.disk, self.loop)
        self._keep_rollback()
        self.judge.due.clear()
        self.daemon.start(self.desired)

    def _forget_unwritten(self) -> None:
        """A hold that a full disk did not take is over with the daemon that knew of it."""
        kept = {one.service for one in self.disk.overrides.values()}
        for name, since in list(self.witness.holds.items()):
            if name not in kept and (self.disk.full or self.loop.time() - max(since, self.disk.full_until) < 2):
                del self.witness.holds[name]

    def _forget_stops(self, old: SimDaemon) -> None:
        """Nor does anybody know any more of a stop that is not on the disk: an end with 0 is then one by itself."""
        view = old.store.view(STACK)
        written = self.disk.condemned.get(STACK, {})
        lost = {one for one, condemned in view.condemned.items() if written.get(one) != condemned}
        mine = view.observed.containers if view.observed is not None else ()
        self.witness.finished |= {one.service for one in mine if one.id in lost}

    def _keep_rollback(self) -> None:
        """A rollback that is not on the disk is over with the daemon that knew of it; one that is stands."""
        wished = self.desired.project
        assert wished is not None
        pin = next((o for o in self.disk.overrides.values() if o.kind is OverrideKind.PINNED), None)
        row = self.disk.applied.get((STACK, pin.value or 0)) if pin and pin.definition == wished.digest else None
        made = self.disk.texts[row.digest] if row is not None else wished
        if list(made.services.values()) != self.specs:
            self.specs = list(made.services.values())
            self._in_force(made)

    async def _encore(self) -> None:
        """What has run well for long crashes once more: its past is forgotten, so it is started again at once."""
        crashed = [(spec, mine[0]) for spec in self.specs if (mine := self.judge.long_well(spec))]
        for spec, container in crashed[:1]:
            self.engine.crash(container.id, code=1)
            await self.wait_until(self.loop.time() + AT_ONCE)
            if not container.live:
                self.engine.note(f"{spec.name} was well for long, and is not started again at once")

    async def _calm(self) -> None:
        """People and hosts leave it alone; faults not yet met are taken back."""
        while self.work:
            await asyncio.wait(self.work)
        self.faults.take_back()
        for container in self.engine.containers.values():
            if container.state is ContainerState.PAUSED:
                self.engine.unpause(container)


def next_door(kind: Neighbour) -> DesiredStack:
    """What the neighbour wants: a service of the same name as one of ours, in a project that is not ours."""
    made = project(service("a", healthcheck=None), service("z"))
    name = STACK if kind is Neighbour.SAME else StackName("nearby")
    folder = Path(ELSEWHERE) / name
    nets = {key: replace(one, name=f"{name}_{key}") for key, one in made.networks.items()}
    made = replace(made, name=name, working_dir=folder, networks=nets)
    return DesiredStack(name, made, folder=folder, root=Path(ELSEWHERE))


def perform(story: Story, prepare: Callable[[Play], None] = lambda show: None) -> Play:
    """Play a story on a loop of its own; the play as it ended, for looking at its engine, disk and violations.

    `prepare` is given the play before it begins.
    """
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    show = Play(story, loop)
    prepare(show)
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
