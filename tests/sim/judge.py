"""What must hold in a play: at once, every few seconds, and after ten quiet minutes.

Law: a service either runs as its definition says, or rests for a reason that the story itself gives and the daemon
shows. What this module does not do: the laws at the moment of each call (`laws`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackd.core.decide import decide
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import Health
from stackd.model.override import OverrideKind
from stackd.model.plan import Op
from stackd.model.spec import DependencyCondition, RestartCondition, ServiceSpec
from stackd.model.view import ServiceState
from tests.fake.values import FakeContainer
from tests.sim.daemon import clock
from tests.sim.laws import false_holds, well_since
from tests.sim.story import SIGHT, Neighbour
from tests.unit.core.dsl import STACK

if TYPE_CHECKING:
    from tests.sim.play import Play

PROMPT = 10.0
"""How long a step that nothing blocks may go undone."""
EXPLAINED = (
    ServiceState.WAITING, ServiceState.BLOCKED, ServiceState.CRASH_LOOPING, ServiceState.BACKING_OFF,
    ServiceState.STUCK, ServiceState.EXITED, ServiceState.HELD, ServiceState.STOPPED,
)  # fmt: skip


class Judge:
    """The judge of one play."""

    def __init__(self, play: Play) -> None:
        self.play, self.engine, self.witness = play, play.engine, play.witness
        self.due: dict[Op, float] = {}
        self.wrong: dict[ContainerId, float] = {}

    def now(self) -> None:
        """Nothing that could be done now is left undone, and no hold is invented."""
        store, at = self.play.daemon.store, clock()
        if STACK not in store.names():
            return
        self.engine.look_at_conditions()
        view = store.view(STACK)
        held = [(one.service, one.kind, one.by) for one in view.overrides]
        self.witness.violations.extend(false_holds(self.witness, held))
        if store.trouble(STACK):
            self.engine.note(f"the stack's task failed: {store.trouble(STACK)}")
        self._judge_sight(at.mono)
        ready = set(decide(view, at).plan.frontier()) - view.running
        self.due = {op: self.due.get(op, at.mono) for op in ready}
        for op, since in self.due.items():
            if at.mono - since > PROMPT:
                self.engine.note(f"nothing blocks it, and it is not done: {type(op).__name__}")

    def _judge_sight(self, now: float) -> None:
        """What the daemon believes of its containers becomes true again within a minute, whatever was lost."""
        seen = self.play.daemon.store.view(STACK).observed
        believed = {one.id: one.state for one in seen.containers} if seen is not None else {}
        real = {one.id: one.state for one in self.engine.containers.values() if self.engine.is_ours(one)}
        if not self.engine.answers_fresh:
            self.wrong.clear()
            return
        wrong = {one for one in {*believed, *real} if one in real and believed.get(one) != real[one]}
        self.wrong = {one: self.wrong.get(one, now) for one in wrong}
        for one, since in self.wrong.items():
            if now - since > SIGHT:
                self.engine.note(f"{one[:12]} is {real[one]}, and the daemon has long believed {believed.get(one)}")

    def quiet(self) -> None:
        view = self.play.daemon.store.view(STACK)
        decision = decide(view, clock())
        verdicts = {one.service: one for one in decision.verdicts}
        held = self.held()
        for spec in self.play.specs:
            verdict = verdicts.get(spec.name)
            if verdict is None:
                self.engine.note(f"{spec.name} has no verdict")
            elif spec.name in held or None in held:
                continue
            elif verdict.state in EXPLAINED and verdict.detail:
                self._excuse(spec, verdict.state, verdict.detail)
            else:
                self._service(spec, verdict.state)
        known = self.play.names()
        for container in self.engine.containers.values():
            if self.engine.is_ours(container) and container.labels.service not in known - held | held:
                self.engine.note(f"{container.name} is an orphan and still there")

    def held(self) -> set[ServiceName | None]:
        """What an override keeps as it is, or from running; None = all of it."""
        overrides = self.play.daemon.store.view(STACK).overrides
        return {one.service for one in overrides if one.kind is not OverrideKind.PINNED}

    def _service(self, spec: ServiceSpec, state: ServiceState) -> None:
        mine = [c for c in self.engine.of_service(spec.name) if self.engine.is_ours(c)]
        numbers = sorted(c.labels.number for c in mine)
        names = sorted(c.name for c in mine)
        wanted = list(range(1, spec.scale + 1))
        rival = self.play.story.neighbour is Neighbour.SAME  # it may have taken a name while ours had another one
        if numbers != wanted or not (rival or names == [f"app-{spec.name}-{number}" for number in wanted]):
            self.engine.note(f"{spec.name} ({state}) has the containers {names}")
        for container in mine:
            if container.live and container.health is Health.UNHEALTHY:
                self.engine.note(f"{container.name} ({state}) is unhealthy, and stays so")
            parent = self.engine.containers.get(ContainerId(container.network_mode.removeprefix("container:")))
            if container.live and parent is not None and container.started_at < parent.started_at:
                self.engine.note(f"{container.name} ({state}) lives in a namespace that is gone")
            if container.labels.config_hash not in spec.hashes:
                self.engine.note(f"{container.name} ({state}) is of an old definition")
            if not container.live and not self._may_rest(spec, container):
                self.engine.note(f"{container.name} ({state}) does not run: {container.state} {container.exit_code}")
            for other in self._outlived(spec, container):
                self.engine.note(f"{container.name} ({state}) runs on, and {other.name} has begun anew since")

    def _outlived(self, spec: ServiceSpec, container: FakeContainer) -> list[FakeContainer]:
        """What it depends on with `restart: true` and what has begun another run after it, a while ago.

        A number above 1 that was made after it may have come by scaling up.
        """
        begun, now = container.started_at, clock().wall
        return [
            other
            for dependency in spec.depends_on
            if dependency.restart and container.live
            for other in self.engine.live(dependency.service)
            if begun < other.started_at < now - SIGHT and (other.labels.number == 1 or other.created_at < begun)
        ]

    def long_well(self, spec: ServiceSpec) -> list[FakeContainer]:
        """Its containers, when all have run well for so long that what was before is forgotten; else none.

        Nothing keeps it from another start either: what it needs is there, and nobody holds it.
        """
        mine = self.engine.live(spec.name)
        since = clock().wall - spec.restart.reset_after - SIGHT
        needs = all(
            self.engine.is_met(one.service, one.condition)
            and (one.condition is DependencyCondition.COMPLETED or self._all_live(one.service))
            for one in spec.depends_on
        )
        around = {None, spec.name, *(one.service for one in spec.depends_on)}
        good = len(mine) == spec.scale and needs and not self.held() & around
        return mine if good and all(well_since(c) < since for c in mine) else []

    def _all_live(self, service: ServiceName) -> bool:
        scale = next((spec.scale for spec in self.play.specs if spec.name == service), 1)
        return len(self.engine.live(service)) >= scale

    def _excuse(self, spec: ServiceSpec, state: ServiceState, detail: str) -> None:
        """Why a service does not run after ten quiet minutes must be a reason that the story gives."""
        match state:
            case ServiceState.EXITED if not _always(spec):
                return
            case ServiceState.CRASH_LOOPING | ServiceState.BACKING_OFF if spec.name in self.play.story.doomed:
                return
            case ServiceState.WAITING if self._waits(spec):
                return
            case ServiceState.BLOCKED if self._taken(spec) and "waiting for the name" in detail:
                return
            case _:
                self.engine.note(f"{spec.name} is {state}: {detail}")

    def _waits(self, spec: ServiceSpec) -> bool:
        """Whether something that it needs rests, or waits itself for what rests."""
        names = {d.service for d in spec.depends_on} | {s.service for s in spec.volumes_from if s.service}
        return any(self._rests(one) or self._waits(one) for one in self.play.specs if one.name in names)

    def _rests(self, spec: ServiceSpec) -> bool:
        held = self.held()
        mine = [c for c in self.engine.of_service(spec.name) if self.engine.is_ours(c) and not c.live]
        return (
            spec.name in held
            or spec.name in self.play.story.doomed
            or self._taken(spec)
            or any(self._may_rest(spec, container) for container in mine)
        )

    def _taken(self, spec: ServiceSpec) -> bool:
        """Whether another's container has a name that it needs."""
        wanted = {f"app-{spec.name}-{number}" for number in range(1, spec.scale + 1)}
        return any(c.name in wanted and not self.engine.is_ours(c) for c in self.engine.containers.values())

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
