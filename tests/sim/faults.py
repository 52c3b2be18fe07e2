"""What goes wrong in a play: calls, events, the engine and the disk.

Law: a fault is a thing of the world, never of the daemon; each ends by itself or when the story's quiet begins.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from stackd.model.evidence import EngineEvent, EventKind
from stackd.model.observed import ContainerState, Health
from stackd.model.view import ServiceState
from tests.fake import Fault, FaultKind
from tests.sim.daemon import EPOCH
from tests.sim.laws import well_since
from tests.sim.story import CALLS, LOOKS, SIGHT, STORM, Act
from tests.unit.core.dsl import STACK

if TYPE_CHECKING:
    from tests.sim.play import Play

LATEST = 5.0
"""Seconds by which an event may come late, and with it after those that followed it."""

LEFT = 0.5
"""The part of an engine's kills that leave a task in its containerd."""

_WELL = (ServiceState.RUNNING, ServiceState.HEALTHY)


class Faults:
    """The faults of one play."""

    def __init__(self, play: Play) -> None:
        self.play, self.engine = play, play.engine
        self.spoil: list[tuple[int, str]] = []

    async def befall(self, act: Act) -> None:
        """Let one act's fault happen."""
        dice = random.Random(act.dice)
        match act.what:
            case "hang" if act.dice == 0:
                self._fail("start_container", FaultKind.HANG_BEFORE)
            case "hang":
                self._fail(dice.choice(CALLS), dice.choice([FaultKind.HANG_BEFORE, FaultKind.HANG_AFTER]))
            case "hang_stop":
                self._fail("stop_container", FaultKind.HANG_BEFORE)
            case "hang_look":
                self._fail(dice.choice(LOOKS), FaultKind.HANG_BEFORE, times=2)
            case "break_call" | "break_after":
                kind = FaultKind.ERROR_BEFORE if act.what == "break_call" else FaultKind.ERROR_AFTER
                self._fail(dice.choice(CALLS), kind, times=dice.randint(1, 3))
            case "slow_pull":
                self.engine.fail("pull_image", Fault(FaultKind.DELAY, delay=50.0))
            case "slow_look":
                slow = Fault(FaultKind.DELAY_AFTER, delay=dice.uniform(0.05, 4))
                self.engine.fail(dice.choice(LOOKS), slow, times=2)
            case "lose_event" | "double_event" | "late_event":
                self.spoil.append((dice.randint(1, 3), act.what))
            case "break_stream":
                self.engine.bus.break_streams()
            case "suspend":
                self.play.loop.suspend(3600.0)
                self.play.witness.doubt = (self.play.loop.time(), "a suspend")
            case "storm":
                self._storm()
            case "fill_disk":
                self.play.disk.full = True
                await asyncio.sleep(dice.uniform(2, 40))
                self._heal_disk()
            case _:
                await self._power(act, dice)

    def _fail(self, method: str, kind: FaultKind, times: int = 1) -> None:
        """The next calls about what is ours meet a fault; strangers are seldom looked at and would swallow them."""
        theirs = [c.id for c in self.engine.containers.values() if not self.engine.is_ours(c)]
        self.engine.fail(method, Fault(kind), times=times, when=lambda call: call.args[0] not in theirs)

    def _storm(self) -> None:
        """Whatever is well fails at once: a host is out of memory, or its disk is full. Nothing else goes wrong then.

        A storm is only what the daemon must take for one: enough services, each shown as well before, and half of all.
        """
        self.take_back()
        decision = self.play.daemon.store.decision(STACK)
        shown = {one.service for one in decision.verdicts if one.state in _WELL} if decision is not None else set()
        play, now = self.play, self.play.loop.time()
        before = now + EPOCH - SIGHT
        hit = set()
        for spec in play.specs:
            mine = self.engine.live(spec.name)
            if mine and not play.judge.held() & {None, spec.name} and all(well_since(c) < before for c in mine):
                hit.add(spec.name)
                if mine[0].has_healthcheck:
                    self.engine.flip_health(mine[0].id, Health.UNHEALTHY)
                else:
                    self.engine.crash(mine[0].id, code=1)
        if len(hit & shown) >= STORM and now - play.daemon.born > SIGHT:
            play.witness.doubt = (now, "many failed at once")

    async def _power(self, act: Act, dice: random.Random) -> None:
        engine = self.engine
        match act.what:
            case "restart_engine" if engine.answers_fresh:
                engine.was_calm = False
                await engine.restart_engine(boot=dice.uniform(0.5, 10))
                self._revive()
            case "kill_engine" if engine.answers_fresh:
                engine.was_calm = False
                engine.kill_engine()
                boot = dice.uniform(0.5, 10)
                if dice.random() < LEFT:
                    self._leave_task(dice)
                await engine.start_engine(boot=boot)
                self._revive()
            case "freeze" if engine.answers_fresh:
                engine.freeze_engine()
                await asyncio.sleep(dice.uniform(1, 25))
                engine.thaw_engine()
            case _:
                pass

    def _leave_task(self, dice: random.Random) -> None:
        """The kill came upon the start or the end of one that is ours."""
        mine = [c.id for c in self.engine.containers.values() if self.engine.is_ours(c)]
        if mine:
            self.engine.leave_task(dice.choice(mine))

    def _revive(self) -> None:
        """The strangers come back by hand: stackd has no part in it."""
        for container in self.engine.containers.values():
            if container.id in self.play.before:
                container.state, container.started_at = ContainerState.RUNNING, self.play.before[container.id][1]

    def mangle(self, event: EngineEvent) -> list[tuple[float, EngineEvent]]:
        """When and how often an event is delivered."""
        lag = self.engine.bus.lag
        if self.spoil and event.kind not in (EventKind.NETWORK, EventKind.VOLUME):
            left, what = self.spoil[0]
            self.spoil[0] = (left - 1, what)
            if left <= 1:
                self.spoil.pop(0)
                late = lag + LATEST * self.play.dice.random()
                return {"lose_event": [], "double_event": [(lag, event), (late, event)]}.get(what, [(late, event)])
        return [(lag, event)]

    def take_back(self) -> None:
        """Nothing more goes wrong: what was not met yet is not going to be."""
        self.engine._faults.clear()
        self.spoil.clear()
        self._heal_disk()

    def _heal_disk(self) -> None:
        disk = self.play.disk
        if disk.full:
            disk.full, disk.full_until = False, self.play.loop.time()
            disk.write(disk.full_until)
