"""A small language for decisions: services, containers, and a toy stack that carries out what is decided.

Law: the toy does what one engine call does, at once and without events; it refuses what an engine refuses. What it does
not do: time, chance, faults (tests/sim has those).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, assert_never

from stackd.core.decide import decide, make_world
from stackd.core.sharing import made_from, shared_with
from stackd.core.slots import build_digest
from stackd.errors import EngineErrorKind
from stackd.model.evidence import Condemned, Evidence, Verdict
from stackd.model.ids import ContainerId, ImageId, InstanceName, NetworkId, OperationId, ServiceName, StackName
from stackd.model.observed import (
    ContainerState,
    Health,
    Incarnation,
    ObservedContainer,
    ObservedDependency,
    ObservedImage,
    ObservedMount,
    ObservedNetwork,
    ObservedStack,
    ObservedVolume,
)
from stackd.model.override import Override, OverrideKind, Request, Verb
from stackd.model.plan import (
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Op,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    UpdateRestartPolicy,
)
from stackd.model.spec import (
    Dependency,
    DependencyCondition,
    MountKind,
    NetworkAttachment,
    NetworkSpec,
    Project,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    VolumeSpec,
)
from stackd.model.view import (
    Decision,
    DesiredStack,
    Failure,
    HostFacts,
    Ledger,
    LostPin,
    Now,
    Pin,
    Presence,
    ServiceVerdict,
    View,
)

STACK = StackName("app")
OURS = InstanceName("here")
ROOT = "/stacks"
FOLDER = Path("/stacks/app")
EPOCH = 1.7e9
STARTED = DependencyCondition.STARTED
HEALTHY = DependencyCondition.HEALTHY
COMPLETED = DependencyCondition.COMPLETED
ALWAYS = RestartPolicy(RestartCondition.ALWAYS)
NEVER = RestartPolicy(RestartCondition.NO)


def needs(name: str, condition: DependencyCondition = STARTED, **how: bool) -> Dependency:
    """A `depends_on` entry: `restart`, `required`."""
    return Dependency(ServiceName(name), condition, **how)


def service(name: str, *depends_on: Dependency, version: str = "1", **fields: Any) -> ServiceSpec:
    """A service of image `NAME:1` on the default network; another `version` is an edit."""
    fields.setdefault("image", f"{name}:1")
    fields.setdefault("networks", (NetworkAttachment("default"),))
    return ServiceSpec(ServiceName(name), hashes=(f"{name}@{version}",), depends_on=depends_on, **fields)


def project(
    *services: ServiceSpec, networks: Iterable[NetworkSpec] = (), volumes: Iterable[VolumeSpec] = ()
) -> Project:
    """A definition with a default network."""
    known = [NetworkSpec("default", "app_default"), *networks]
    return Project(
        STACK,
        FOLDER,
        (FOLDER / "compose.yaml",),
        {one.name: one for one in services},
        {one.key: one for one in known},
        {one.key: one for one in volumes},
        digest="|".join(one.config_hash for one in services),
    )


def evidence(
    container: ObservedContainer, verdict: Verdict = Verdict.UNPROVEN, **instants: float | int | None
) -> Evidence:
    """Events of a container's run: `kill_at`, `stop_at`, `died_at`."""
    return Evidence(container.id, container.service, container.started_at, verdict=verdict, **instants)  # type: ignore[arg-type]


class Toy:
    """A stack, its containers, and a daemon that decides; every input can be changed between two decisions."""

    def __init__(self, *services: ServiceSpec, **parts: Any) -> None:
        self.mono = 1000.0
        self.desired: DesiredStack | None = DesiredStack(STACK, project(*services, **parts))
        self.boxes: dict[ContainerId, ObservedContainer] = {}
        self.networks: dict[str, ObservedNetwork] = {}
        self.volumes: dict[str, ObservedVolume] = {}
        self.images: dict[str, ObservedImage | None] = {}
        self.host = HostFacts(OURS, (ROOT,), engine_up=True, sources_loaded=True, engine_started_at=EPOCH - 1000)
        self.ledger = Ledger()
        self.evidence: dict[ContainerId, Evidence] = {}
        self.condemned: dict[ContainerId, Condemned] = {}
        self.overrides: tuple[Override, ...] = ()
        self.requests: tuple[Request, ...] = ()
        self.failures: dict[str, Failure] = {}
        self.fetched: set[tuple[str, ServiceName]] = set()
        self.running: frozenset[Op] = frozenset()
        self.answered: dict[ServiceName | None, float] = {}
        self.policies: dict[ServiceName, str] = {}
        self.pin: Pin | LostPin | None = None
        self.created: set[ContainerId] = set()
        self.done: list[Op] = []
        self.watch: Callable[[Op], None] = lambda op: None
        self._serial = 0
        for spec in services:
            self.images[spec.image] = self._image(spec.image)

    # Clocks and looking

    @property
    def now(self) -> Now:
        """Both clocks."""
        return Now(self.mono, EPOCH + self.mono)

    @property
    def definition(self) -> Project:
        """The project in force."""
        assert self.desired is not None and self.desired.project is not None
        return self.desired.project

    def view(self) -> View:
        """Everything as it is now, freshly observed."""
        seen = ObservedStack(
            STACK,
            tuple(self.boxes.values()),
            tuple(self.networks.values()),
            tuple(self.volumes.values()),
            dict(self.images),
            self.mono,
        )
        return View(
            STACK,
            1,
            self.desired,
            seen,
            self.host,
            self.ledger,
            dict(self.evidence),
            dict(self.condemned),
            self.overrides,
            self.requests,
            dict(self.failures),
            frozenset(self.fetched),
            self.running,
            dict(self.answered),
            pin=self.pin,
            created=frozenset(self.created),
        )

    def decide(self) -> Decision:
        """One decision, committed."""
        decision = decide(self.view(), self.now)
        self.ledger = decision.ledger
        self.requests = tuple(one for one in self.requests if one.id not in decision.done)
        self.overrides = tuple(one for one in self.overrides if one not in decision.released)
        return decision

    def verdict(self, name: str) -> ServiceVerdict:
        """How a service fares."""
        return next(one for one in decide(self.view(), self.now).verdicts if one.service == name)

    def frontier(self) -> list[str]:
        """What would be started now, in words."""
        return [words(op) for op in self.decide().plan.frontier()]

    def plan(self) -> list[str]:
        """All that is left to do, in words."""
        return [words(step.op) for step in self.decide().plan.steps]

    def steps(self, kind: type[Op], name: str = "") -> list[Step]:
        """The planned steps of one kind, of one service."""
        steps = decide(self.view(), self.now).plan.steps
        return [s for s in steps if isinstance(s.op, kind) and name in ("", getattr(s.op, "service", ""))]

    def step(self, kind: type[Op], name: str = "") -> Step:
        """The one planned step of its kind."""
        (found,) = self.steps(kind, name)
        return found

    def box(self, name: str, number: int = 1) -> ObservedContainer:
        """The one container of a service's number."""
        (found,) = [c for c in self.boxes.values() if (c.service, c.number) == (name, number)]
        return found

    # Time, people and processes

    def wait(self, seconds: float) -> Toy:
        """Let time pass."""
        self.mono += seconds
        return self

    def edit(self, *services: ServiceSpec, **parts: Any) -> Toy:
        """Save another definition; new images are there."""
        assert self.desired is not None
        self.desired = replace(self.desired, project=project(*services, **parts))
        for spec in services:
            self.images.setdefault(spec.image, self._image(spec.image))
        return self

    def put(self, container: ObservedContainer) -> ObservedContainer:
        """A container as if it had always been there."""
        self.boxes[container.id] = container
        return container

    def alter(self, name: str, number: int = 1, **fields: Any) -> ObservedContainer:
        """Change what is observed of a container."""
        return self.put(replace(self.box(name, number), **fields))

    def crash(self, name: str, code: int = 1) -> ObservedContainer:
        """Its process ends by itself."""
        box = self.alter(
            name, state=ContainerState.EXITED, exit_code=code, finished_at=self.now.wall, health=Health.NONE
        )
        self._orphaned(box.id)
        return box

    def override(self, kind: OverrideKind, name: str | None = None, **fields: Any) -> Toy:
        """A person's override."""
        scope = None if name is None else ServiceName(name)
        self.overrides += (Override(STACK, scope, kind, "wanted so", "test", self.now.wall, **fields),)
        return self

    def ask(self, verb: Verb, *names: str, id: str = "", accept_loss: bool = False) -> Toy:
        """A person's request; its targets are the present runs of its scope, as the store notes them."""
        scope = tuple(ServiceName(name) for name in names)
        runs = frozenset(c.incarnation for c in self.boxes.values() if not scope or c.service in scope)
        number = id or f"op-{self.mono:09.0f}"
        self.requests += (Request(OperationId(number), STACK, verb, scope, "test", self.now.wall, runs, accept_loss),)
        return self

    def fail(self, key: str, name: str, kind: EngineErrorKind, message: str = "no", **fields: Any) -> Toy:
        """A call of this key has failed just now."""
        count = self.failures[key].count + 1 if key in self.failures else 1
        self.failures[key] = Failure(key, ServiceName(name), count, self.mono, kind, message, **fields)
        return self

    def forget(self) -> Toy:
        """The daemon's memory is deleted."""
        self.ledger, self.evidence, self.condemned = Ledger(), {}, {}
        return self

    # Carrying out

    def settle(self, patience: float = 0.0) -> Toy:
        """Do what is decided until nothing is left that could be done now, waiting out delays up to `patience`."""
        until = self.mono + patience
        for _ in range(300):
            decision = self.decide()
            ops = decision.plan.frontier()
            if ops:
                for op in ops:
                    self.do(op)
                self.mono += 0.01
            elif decision.released:
                continue  # that was news
            elif decision.wake_at is not None and decision.wake_at <= until:
                self.mono = decision.wake_at
            else:
                return self
        raise AssertionError(f"never settles: {[words(op) for op in self.done[-12:]]}")

    def turn(self) -> list[str]:
        """One decision carried out; what was done."""
        ops = self.decide().plan.frontier()
        for op in ops:
            self.do(op)
        self.mono += 0.01
        return [words(op) for op in ops]

    def do(self, op: Op) -> None:
        """One engine call."""
        self.watch(op)
        self.done.append(op)
        match op:
            case CreateContainer():
                if all(self._parents_of(name) for name in made_from(op.spec)):  # else a conflict: not there any more
                    self.created.add(self.put(self.made(op)).id)
            case StartContainer():
                self._start(op.container)
            case StopContainer():
                self._stop(op)
            case RemoveContainer():
                assert not self.boxes[op.container].live, "cannot remove a running container"
                del self.boxes[op.container]
            case RenameContainer():
                assert op.name not in {c.name for c in self.boxes.values()}, "name in use"
                self.put(replace(self.boxes[op.container], name=op.name))
            case PullImage():
                self._fetched(op.request, op.service, op.ref, "")
            case BuildImage():
                self._fetched(op.request, op.service, op.ref, build_digest(op.build))
            case CreateNetwork():
                self.networks[op.name] = self.network(op.spec)
            case RemoveNetwork():
                self.networks = {name: one for name, one in self.networks.items() if one.id != op.network}
            case CreateVolume():
                self.volumes[op.name] = ObservedVolume(op.name, STACK, op.spec.key)
            case UpdateRestartPolicy():
                policy = f"{op.policy}:{op.retries}" if op.retries else op.policy
                self.policies[self.boxes[op.container].service] = policy
                self.put(replace(self.boxes[op.container], engine_policy=op.policy))
            case _:
                assert_never(op)

    def network(self, spec: NetworkSpec) -> ObservedNetwork:
        """A network as made for a spec."""
        self._serial += 1
        return ObservedNetwork(NetworkId(f"net{self._serial}"), spec.name, STACK, spec.key, OURS)

    def made(self, op: CreateContainer) -> ObservedContainer:
        """The container that a create makes."""
        assert op.name not in {c.name for c in self.boxes.values()}, "name in use"
        spec, pinned = op.spec, self.view().pinned
        ref = pinned.images.get(spec.name, spec.image) if pinned is not None else spec.image
        image = self.images[ref]
        assert image is not None, "no such image"
        self._serial += 1
        return ObservedContainer(
            id=ContainerId(f"{self._serial:012d}".ljust(64, "0")),
            name=op.name,
            stack=STACK,
            service=spec.name,
            number=op.number,
            state=ContainerState.CREATED,
            created_at=self.now.wall,
            image=ref,
            image_id=image.id,
            config_hash=spec.config_hash,
            content=spec.content,
            instance=OURS,
            root=ROOT,
            working_dir=str(FOLDER),
            replaces=op.replaces or "",
            networks={self._name(n.network): self.networks[self._name(n.network)].id for n in spec.networks},
            mounts=tuple(
                ObservedMount("volume", self.definition.volumes[m.source].name, m.target)
                for m in spec.mounts
                if m.kind is MountKind.VOLUME and m.source
            ),
            volumes_from=tuple(self._parent(p.service) for p in spec.volumes_from if p.service),
            network_mode=self._mode(spec.network_mode),
            ipc_mode=self._mode(spec.ipc),
            pid_mode=self._mode(spec.pid),
            depends_on=tuple(ObservedDependency(d.service, d.condition.value, d.restart) for d in spec.depends_on),
        )

    def _name(self, key: str) -> str:
        return self.definition.networks[key].name

    def _mode(self, mode: str) -> str:
        name = mode.removeprefix("service:")
        return "" if name == mode else f"container:{self._parent(ServiceName(name))}"

    def _parent(self, name: ServiceName) -> ContainerId:
        return self._parents_of(name)[0]

    def _parents_of(self, name: ServiceName) -> list[ContainerId]:
        slots = make_world(self.view(), self.now).slots_of(name)
        return [slot.current.id for slot in slots if slot.current is not None]

    def _start(self, which: ContainerId) -> None:
        box = self.boxes[which]
        for parent in shared_with(box):
            assert self.boxes[parent].running, "cannot join the namespace of a container that does not run"
        known = self.definition.services.get(box.service)
        health = Health.STARTING if known is not None and known.healthcheck is not None else Health.NONE
        self.put(
            replace(box, state=ContainerState.RUNNING, started_at=self.now.wall, health=health, exit_code=0, pid=7)
        )

    def _stop(self, op: StopContainer) -> None:
        box = self.boxes[op.container]
        why = op.reason
        self.condemned[op.container] = Condemned(op.container, op.started_at, why.why, str(why), op.restart)
        if box.live and box.started_at == op.started_at:
            self.put(replace(box, state=ContainerState.EXITED, finished_at=self.now.wall, health=Health.NONE, pid=0))
            self._orphaned(box.id)

    def _orphaned(self, parent: ContainerId) -> None:
        """Whoever lives in the pid namespace of a container is killed with it."""
        for box in list(self.boxes.values()):
            if box.live and box.pid_mode == f"container:{parent}":
                at = self.now.wall + 0.03
                self.put(replace(box, state=ContainerState.EXITED, exit_code=137, finished_at=at, health=Health.NONE))

    def _fetched(self, request: OperationId | None, name: ServiceName, ref: str, build: str) -> None:
        self._serial += 1
        self.images[ref] = ObservedImage(ref, ImageId(f"sha256:{self._serial}"), build=build)
        if request is not None:
            self.fetched.add((request, name))

    def _image(self, ref: str) -> ObservedImage:
        return ObservedImage(ref, ImageId(f"sha256:{ref}"))


def words(op: Op) -> str:
    """An operation in two or three words: `create db 1`, `stop db`, `network app_default`."""
    match op:
        case CreateContainer():
            return f"create {op.service} {op.number}"
        case StartContainer():
            return f"start {op.service}"
        case StopContainer():
            return f"stop {op.service}"
        case RemoveContainer():
            return f"remove {op.service}"
        case RenameContainer():
            return f"rename {op.service}"
        case PullImage():
            return f"pull {op.ref}"
        case BuildImage():
            return f"build {op.ref}"
        case CreateNetwork():
            return f"network {op.name}"
        case RemoveNetwork():
            return f"remove network {op.name}"
        case CreateVolume():
            return f"volume {op.name}"
        case UpdateRestartPolicy():
            return f"policy {op.service} {op.policy}"
        case _:
            assert_never(op)


def run(container: ObservedContainer) -> Incarnation:
    """This run of it."""
    return container.incarnation


def reasons(toy: Toy) -> list[str]:
    """Why the planned steps are planned."""
    return [str(step.op.reason) for step in toy.decide().plan.steps]


def removed(toy: Toy) -> Toy:
    """The stack's folder is gone, and that is believed."""
    assert toy.desired is not None
    toy.desired = replace(toy.desired, project=None, presence=Presence.REMOVED)
    return toy
