"""The safety laws, watched from outside: on the engine's own containers and at the moment of each call.

Law: nothing of stackd's memory is believed; a call is judged by what the engine and the people's actions show. A cause
that ended up to GRACE seconds ago still counts: the daemon may have acted on what it saw then.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from stackd.engine.base import CreateRequest, Json
from stackd.errors import EngineError
from stackd.model.evidence import EventKind
from stackd.model.ids import ContainerId, InstanceName, NetworkId, ServiceName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import OverrideKind
from stackd.model.spec import Dependency, DependencyCondition, Project, RestartCondition
from tests.fake import FakeEngine
from tests.fake.values import FakeContainer
from tests.sim.daemon import EPOCH, OURS
from tests.sim.virtual import OWNER

GRACE = 12.0
"""A look may take 5 s, its repetition a second, and a stop waits 1 s for the disk."""
READ_AGAIN = 1.0
"""A service that is missing from its file counts as gone only when that was read twice."""
MOST_STARTS = 12
"""Starts within a minute of a service that needs no other; in a crash loop there are fewer. (A dependency that recovers
lets what failed with it begin anew, so there is no such bound for the others.)"""
HOLD_GRACE = 1.5
"""A call that was under way or waited its turn when a hold came into force."""

HEALTH_WAITS = 60.0
"""Seconds after a suspend, or after many failed at once, for which nobody is restarted for its health alone."""

LONGEST_RESTART = 15.0
"""From another hand's start or restart to the start: what runs beside it then is no second one of the daemon's."""
LONGEST_START = 1.0
"""From the call of a start to the start, where nothing hangs: a later one was another hand's."""


@dataclass(slots=True)
class Witness:
    """What people and the simulation did, which may be a cause; instants are the loop's."""

    definitions: list[tuple[float, Project]] = field(default_factory=list)
    coming: Project | None = None
    """What the last rollback brings into force, or has brought."""
    asked: dict[ServiceName, float] = field(default_factory=dict)
    sick: dict[ContainerId, float] = field(default_factory=dict)
    human_stops: set[ServiceName] = field(default_factory=set)
    finished: set[ServiceName] = field(default_factory=set)
    amnesia: bool = False
    holds: dict[ServiceName, float] = field(default_factory=dict)
    stopped: set[tuple[ContainerId, float]] = field(default_factory=set)
    met: dict[tuple[ServiceName, DependencyCondition], float] = field(default_factory=dict)
    starts: dict[ContainerId, float] = field(default_factory=dict)
    begun_by_hand: dict[ContainerId, float] = field(default_factory=dict)
    started: dict[ServiceName, float] = field(default_factory=dict)
    runs: dict[ServiceName, list[float]] = field(default_factory=dict)
    made: dict[str, tuple[int, ContainerId]] = field(default_factory=dict)
    doubt: tuple[float, str] = (-1e9, "")
    """Since when, and why, verdicts on health are not to be trusted. The daemon that was there then knows it."""
    violations: list[str] = field(default_factory=list)

    @property
    def project(self) -> Project:
        """The definition in force."""
        return self.definitions[-1][1]

    def recent(self, now: float) -> list[Project]:
        """The definitions that were in force within the grace, the newest first."""
        out = [self.definitions[-1][1], *([self.coming] if self.coming is not None else [])]
        for (_, before), (ended, _) in zip(self.definitions, self.definitions[1:], strict=False):
            if now - ended <= GRACE:
                out.append(before)
        return out


class WatchedEngine(FakeEngine):
    """The fake engine with the laws in its way. A violation is noted, never raised: the story goes on to its end."""

    witness: Witness
    callers: dict[int, InstanceName]

    def caller(self) -> InstanceName:
        """Whose call this is: the instance of the daemon that makes it."""
        return self.callers.get(OWNER.get(), OURS)

    def note(self, text: str) -> None:
        """A law was broken."""
        self.witness.violations.append(f"at {self.wall() - EPOCH:.2f}: {text}")

    def is_ours(self, container: FakeContainer) -> bool:
        """Whether the daemon may touch it."""
        return container.raw_labels.get("io.stackd.instance") == OURS and not container.labels.oneoff

    def live(self, service: ServiceName) -> list[FakeContainer]:
        """The live containers of ours of a service."""
        return [c for c in self.of_service(service) if c.live and self.is_ours(c)]

    # Every change of state

    def emit(self, container: FakeContainer, kind: EventKind, **told: object) -> None:
        super().emit(container, kind, **told)  # type: ignore[arg-type]
        service = container.labels.service
        if kind is EventKind.START and self.is_ours(container):
            self.witness.started[service] = asyncio.get_running_loop().time()
            self._check_pace(service)
            same = [c for c in self.live(service) if c.labels.number == container.labels.number]
            asked = self.witness.starts.get(container.id)
            hands = [self.witness.started[service] - self.witness.begun_by_hand.get(c.id, -1e9) for c in same]
            if (
                len(same) > 1
                and min(hands) > LONGEST_RESTART
                and asked is not None
                and self.witness.started[service] - asked < LONGEST_START
            ):
                self.note(f"two live containers of {service} {container.labels.number}")
        if container.health is Health.UNHEALTHY:
            self.witness.sick[container.id] = asyncio.get_running_loop().time()
        self.look_at_conditions()

    def look_at_conditions(self) -> None:
        """Note which dependencies are met at this instant."""
        now = asyncio.get_running_loop().time()
        for service in self.witness.project.services:
            for condition in DependencyCondition:
                if self.is_met(service, condition):
                    self.witness.met[service, condition] = now

    def is_met(self, service: ServiceName, condition: DependencyCondition) -> bool:
        """Whether a dependency on a service is met right now."""
        mine = [c for c in self.of_service(service) if self.is_ours(c)]
        over = any(c.runs > 0 and not c.live for c in mine)
        match condition:
            case DependencyCondition.STARTED:
                return any(c.live for c in mine) or over
            case DependencyCondition.HEALTHY:
                return any(c.live and c.health is Health.HEALTHY for c in mine)
            case DependencyCondition.COMPLETED:
                return any(c.runs > 0 and not c.live and c.exit_code == 0 for c in mine)

    # Every call

    async def start_container(self, container: ContainerId) -> None:
        found = self._touch("start", container)
        self._check_stopped("start", found)
        if found is not None and not found.live:
            self.witness.starts[container] = asyncio.get_running_loop().time()
            if self.caller() == OURS:
                self._check_order(found)
                self._check_finished(found)
        await super().start_container(container)

    async def stop_container(self, container: ContainerId, grace: float | None) -> None:
        found = self._touch("stop", container)
        if found is not None and found.live and self.caller() == OURS:
            self._check_cause(found)
        await super().stop_container(container, grace)

    async def remove_container(self, container: ContainerId, *, volumes: bool) -> None:
        self._check_stopped("remove", self._touch("remove", container))
        if volumes:
            self.note("anonymous volumes removed")
        await super().remove_container(container, volumes=volumes)

    async def rename_container(self, container: ContainerId, name: str) -> None:
        self._touch("rename", container)
        await super().rename_container(container, name)

    async def update_restart_policy(self, container: ContainerId, policy: str, retries: int) -> None:
        self._touch("update", container)
        await super().update_restart_policy(container, policy, retries)

    async def create_container(self, request: CreateRequest) -> ContainerId:
        now = EPOCH + asyncio.get_running_loop().time()
        mine = self.caller() == OURS
        for container in self.containers.values():
            if mine and container.name == request.name and self.is_ours(container):
                if now - container.created_at > GRACE:
                    self.note(f"create {request.name}, which has long been there")
                if self.witness.made.get(request.name) == (OWNER.get(), container.id):
                    self.note(f"create {request.name}, which this daemon has just made")
        made = await super().create_container(request)
        self.witness.made[request.name] = (OWNER.get(), made)
        return made

    async def create_network(self, body: object) -> NetworkId:
        name = body.get("Name") if isinstance(body, dict) else None
        if self.caller() == OURS and any(network.name == name for network in self.networks.values()):
            self.note(f"create network {name}, which is there")
        made: dict[str, Json] = dict(body) if isinstance(body, dict) else {}
        return await super().create_network(made)

    async def remove_network(self, network: NetworkId) -> None:
        self.note("a network of a stack that is there is removed")
        await super().remove_network(network)

    # The judgements

    def _touch(self, what: str, which: ContainerId) -> FakeContainer | None:
        try:
            found = self.find(which)
        except EngineError:
            return None
        whose = found.raw_labels.get("io.stackd.instance")
        if whose != self.caller() or found.labels.oneoff:
            self.note(f"{what} of {found.name}, which is not {self.caller()}'s")
        if whose != OURS:
            return found
        held = self.witness.holds.get(found.labels.service)
        if held is not None and asyncio.get_running_loop().time() - held > HOLD_GRACE:
            self.note(f"{what} of {found.name}, whose service is held")
        return found

    def _check_stopped(self, what: str, found: FakeContainer | None) -> None:
        """A stop without an answer is no stop: nobody goes on as if the run had ended that it was to end."""
        if found is not None and found.live and (found.id, found.started_at) in self.witness.stopped:
            self.note(f"{what} of {found.name}, whose run was to be stopped and goes on")

    def _check_pace(self, service: ServiceName) -> None:
        """A service that dies again and again is started ever more slowly; edit, request or new engine begin anew."""
        now = self.witness.started[service]
        booted = self.booted_at - EPOCH
        anew = max(now - 60, booted, self.witness.asked.get(service, 0.0), self.witness.definitions[-1][0])
        runs = [at for at in self.witness.runs.get(service, []) if at > anew] + [now]
        self.witness.runs[service] = runs
        spec = self.witness.project.services.get(service)
        if spec is not None and not spec.depends_on and len(runs) == MOST_STARTS * spec.scale:
            self.note(f"{service} was started {len(runs)} times within a minute")

    def _check_finished(self, container: FakeContainer) -> None:
        """What has done its work is not run again, unless somebody asks."""
        service = container.labels.service
        now = asyncio.get_running_loop().time()
        spec = self.witness.project.services.get(service)
        job = spec is not None and spec.restart.condition is RestartCondition.NO
        if not job or container.runs == 0 or container.exit_code != 0 or container.stopped_by_hand:
            return
        if now - self.witness.asked.get(service, -1e9) > 300 and not self.witness.amnesia and self.was_calm:
            self.note(f"start of {container.name}, which has done its work")

    was_calm = True
    """Whether the engine lived through the whole story: it ends a job as it ends anything else."""

    def _check_order(self, container: FakeContainer) -> None:
        now = asyncio.get_running_loop().time()
        specs = [p.services.get(container.labels.service) for p in self.witness.recent(now)]
        if not any(spec is None or all(self._was_met(d, now) for d in spec.depends_on) for spec in specs):
            self.note(f"start of {container.name} before what it depends on")

    def _was_met(self, dependency: Dependency, now: float) -> bool:
        if not dependency.required or dependency.service not in self.witness.project.services:
            return True
        self.look_at_conditions()
        return now - self.witness.met.get((dependency.service, dependency.condition), 0.0) <= GRACE

    def _check_cause(self, container: FakeContainer) -> None:
        """A running container is stopped only for a cause that a person can name."""
        now = asyncio.get_running_loop().time()
        run, recent = (container.id, container.started_at), self.witness.recent(now)
        if run in self.witness.stopped or any(self._reasons(container, p, now) for p in recent):
            self.witness.stopped.add(run)
        elif self._is_sick(container, now):
            self.witness.stopped.add(run)
            since, why = self.witness.doubt
            if GRACE < now - since < HEALTH_WAITS:
                self.note(f"stop of {container.name} for its health alone, {now - since:.0f} s after {why}")
        else:
            self.note(f"stop of {container.name} without a cause")

    def _causes(self, container: FakeContainer, project: Project, now: float) -> bool:
        return self._reasons(container, project, now) or self._is_sick(container, now)

    def _is_sick(self, container: FakeContainer, now: float) -> bool:
        return now - self.witness.sick.get(container.id, -1e9) <= GRACE or container.health is Health.UNHEALTHY

    def _reasons(self, container: FakeContainer, project: Project, now: float) -> bool:
        """Every cause but bad health."""
        service = container.labels.service
        spec = project.services.get(service)
        if spec is None and project is self.witness.coming:
            return True  # a rollback: no file has to be read again
        if spec is None:
            return project is not self.witness.project or now - self.witness.definitions[-1][0] > READ_AGAIN - 0.001
        if container.labels.config_hash not in spec.hashes or container.labels.number > spec.scale:
            return True
        if now - self.witness.asked.get(service, -1e9) <= 300 or len(self.live(service)) > spec.scale:
            return True
        parents = [source.service for source in spec.volumes_from if source.service]
        joined = [mode[8:] for mode in (spec.network_mode, spec.ipc, spec.pid) if mode.startswith("service:")]
        born = container.started_at - EPOCH
        return (
            any(self.witness.started.get(d.service, 0.0) > born for d in spec.depends_on if d.restart)
            or any(self._parent_goes(ServiceName(one), container, now) for one in joined)
            or any(c.created_at > container.created_at for p in (*parents, *joined) for c in self.of_service(p))
        )

    def _parent_goes(self, parent: ServiceName, child: FakeContainer, now: float) -> bool:
        """Whether the owner of a shared namespace has begun another run, is down, or is itself about to be stopped."""
        modes = (child.network_mode, child.ipc_mode, child.pid_mode)
        owners = [self.containers.get(ContainerId(mode.removeprefix("container:"))) for mode in modes]
        if any(one is not None and not one.live and one.labels.service == parent for one in owners):
            return True
        if self.witness.started.get(parent, 0.0) > child.started_at - EPOCH:
            return True
        held = now - self.witness.asked.get(parent, -1e9) <= 300
        live = self.live(parent)
        return held or any(self._causes(c, p, now) for c in live for p in self.witness.recent(now)) or not live


def strangers(engine: WatchedEngine) -> dict[ContainerId, tuple[str, float, str]]:
    """What may never change: name, start and state of every container that is not ours."""
    return {
        c.id: (c.name, c.started_at, c.state.value)
        for c in engine.containers.values()
        if not engine.is_ours(c) and c.raw_labels.get("io.stackd.instance") != NEIGHBOUR
    }


def well_since(container: FakeContainer) -> float:
    """Since when a container is well (wall clock): it runs, and its last verdict is good; inf = it is not."""
    if container.state is not ContainerState.RUNNING or (container.has_healthcheck and not container.probes):
        return math.inf
    if not container.has_healthcheck:
        return container.started_at
    return max(container.started_at, container.probes[-1].at) if container.health is Health.HEALTHY else math.inf


def false_holds(witness: Witness, overrides: list[tuple[ServiceName | None, OverrideKind, str]]) -> list[str]:
    """Holds in the engine's name for services that no person has touched there.

    A stop of our own that was under way when all was forgotten looks like another hand's.
    """
    theirs = [service for service, kind, by in overrides if kind is OverrideKind.HELD and by == "docker"]
    stops = witness.human_stops | (witness.asked.keys() if witness.amnesia else set())
    false = [one for one in theirs if (one not in stops if one is not None else not stops)]
    return [f"{service or 'the stack'} is held though nobody stopped it" for service in false]


def runs_for_good(project: Project, service: ServiceName) -> bool:
    """Whether a crash of it is always answered by another run."""
    policy = project.services[service].restart
    return policy.condition is not RestartCondition.NO and policy.max_attempts is None


NEIGHBOUR = InstanceName("next door")
FOREIGN = InstanceName("other")
