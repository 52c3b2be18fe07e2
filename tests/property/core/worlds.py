"""Generated stacks: any definition, any containers in any state, any inputs; and stories of what happens to one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from stackd.core.decide import make_world
from stackd.core.gates import dependency_gate
from stackd.errors import EngineErrorKind
from stackd.model.evidence import Condemned, Verdict
from stackd.model.ids import ContainerId, ImageId, InstanceName, NetworkId, ServiceName
from stackd.model.observed import (
    ContainerState,
    Health,
    Incarnation,
    ObservedContainer,
    ObservedImage,
    ObservedNetwork,
)
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import Op, StartContainer, Why
from stackd.model.spec import (
    Dependency,
    DependencyCondition,
    HealthCheck,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    UnhealthyAction,
    VolumesFrom,
)
from stackd.model.view import Ledger, Pin, ServiceLedger
from tests.unit.core.dsl import FOLDER, OURS, ROOT, STACK, Toy, evidence, project, removed, service

NAMES = ("a", "b", "c", "d")
MODES = ("network_mode", "ipc_mode", "pid_mode")


@st.composite
def policies(draw: st.DrawFn) -> RestartPolicy:
    """A restart policy."""
    condition = draw(st.sampled_from(RestartCondition))
    attempts = draw(st.sampled_from([None, None, 1])) if condition is RestartCondition.ON_FAILURE else None
    codes = st.sampled_from([frozenset[int](), frozenset[int](), frozenset({1}), frozenset({0, 137})])
    return RestartPolicy(
        condition,
        max_attempts=attempts,
        unhealthy=draw(st.sampled_from([UnhealthyAction.RESTART, *UnhealthyAction])),
        success_exit_codes=draw(codes),
        no_restart_exit_codes=draw(codes),
        force_restart_exit_codes=draw(codes),
    )


@st.composite
def definitions(draw: st.DrawFn) -> tuple[ServiceSpec, ...]:
    """One to four services; each depends only on earlier ones."""
    count = draw(st.integers(1, 4))
    return tuple(draw(specs(NAMES[at], NAMES[:at])) for at in range(count))


@st.composite
def specs(draw: st.DrawFn, name: str, earlier: tuple[str, ...]) -> ServiceSpec:
    """One service."""
    depends = draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else []
    parent = draw(st.sampled_from([None, None, None, *depends]))
    owner = draw(st.sampled_from([None, None, *earlier]))
    shared = draw(st.sampled_from(["network_mode", "ipc", "pid"]))
    places: dict[str, Any] = {shared: f"service:{owner}"} if owner else {}
    if "network_mode" in places:
        places["networks"] = ()
    return service(
        name,
        *(draw(dependencies(other)) for other in depends),
        version=draw(st.sampled_from(["1", "2"])),
        scale=draw(st.sampled_from([1, 1, 1, 2, 0])),
        restart=draw(policies()),
        healthcheck=draw(st.sampled_from([None, HealthCheck(("CMD", "true"))])),
        volumes_from=(VolumesFrom(ServiceName(parent)),) if parent else (),
        **places,
    )


@st.composite
def dependencies(draw: st.DrawFn, name: str) -> Dependency:
    """A `depends_on` entry."""
    condition = draw(st.sampled_from(DependencyCondition))
    return Dependency(ServiceName(name), condition, restart=draw(st.booleans()), required=draw(st.booleans()))


@st.composite
def containers(draw: st.DrawFn, serial: int, now: float, others: tuple[ContainerId, ...] = ()) -> ObservedContainer:
    """A container in any state, of any of the services and any owner."""
    state = draw(st.sampled_from(ContainerState))
    name = draw(st.sampled_from((*NAMES, "gone")))
    number = draw(st.integers(1, 2))
    ran = state not in (ContainerState.CREATED,)
    started = now - draw(st.sampled_from([1.0, 30.0, 4000.0])) if ran else 0.0
    modes = ["", "", "", *(f"container:{other}" for other in others)]
    shared: dict[str, Any] = {kind: draw(st.sampled_from(modes)) for kind in MODES}
    return ObservedContainer(
        id=ContainerId(f"{serial:012d}".ljust(64, "f")),
        name=draw(st.sampled_from([f"app-{name}-{number}", f"x{serial}"])) if serial else f"app-{name}-{number}",
        stack=STACK,
        service=ServiceName(name),
        number=number,
        state=state,
        health=draw(st.sampled_from(Health)) if state is ContainerState.RUNNING else Health.NONE,
        exit_code=draw(st.sampled_from([0, 1, 137])) if state is ContainerState.EXITED else 0,
        created_at=now - 5000 + serial,
        started_at=started,
        finished_at=started + 1 if state is ContainerState.EXITED else 0.0,
        config_hash=f"{name}@{draw(st.sampled_from(['1', '2']))}",
        instance=draw(st.sampled_from(["here", "here", "here", "", "other"])),
        root=draw(st.sampled_from([ROOT, "/else"])),
        working_dir=draw(st.sampled_from([str(FOLDER), "/else"])),
        oneoff=draw(st.sampled_from([False, False, False, True])),
        hook=draw(st.sampled_from([False, False, False, True])),
        engine_policy=draw(st.sampled_from(["no", "no", "always"])),
        networks={"app_default": NetworkId(draw(st.sampled_from(["net0", "net9", ""])))},
        image_id=ImageId(draw(st.sampled_from(["", "sha256:a:1", "sha256:old"]))),
        **shared,
    )


@st.composite
def worlds(draw: st.DrawFn) -> Toy:
    """A stack with everything in any state; names of containers are unique, as an engine has it."""
    toy = Toy(*draw(definitions()))
    toy.mono = draw(st.sampled_from([5000.0, 9000.0]))
    toy.networks["app_default"] = ObservedNetwork(NetworkId("net0"), "app_default", STACK, "default", OURS)
    names = set()
    for serial in range(draw(st.integers(0, 6))):
        box = draw(containers(serial, toy.now.wall, tuple(toy.boxes)))
        box = replace(box, name=f"x{serial}") if box.name in names else box
        names.add(box.name)
        toy.put(box)
    draw(disturb(toy))
    return toy


@st.composite
def disturb(draw: st.DrawFn, toy: Toy) -> Toy:
    """Add overrides, requests, evidence, condemned runs, failures, host facts."""
    boxes = list(toy.boxes.values())
    services = list(toy.definition.services)
    for box in boxes:
        kind = draw(st.sampled_from(["", "", "", "evidence", "condemned", "start", "stop"]))
        match kind:
            case "evidence":
                at = toy.mono - draw(st.sampled_from([0.1, 1.0, 20.0]))
                toy.evidence[box.id] = evidence(
                    box, draw(st.sampled_from(Verdict)), kill_at=at, stop_at=draw(st.sampled_from([None, at]))
                )
            case "condemned":
                why = draw(st.sampled_from([Why.CONFIG_CHANGED, Why.UNHEALTHY, Why.REQUESTED]))
                toy.condemned[box.id] = Condemned(box.id, box.started_at, why, "so", draw(st.booleans()))
            case "start" | "stop":
                toy.fail(f"{kind}:{box.id}", box.service, draw(st.sampled_from(EngineErrorKind)))
            case _:
                pass
    for _ in range(draw(st.integers(0, 2))):
        scope = draw(st.sampled_from([None, *services]))
        toy.override(draw(st.sampled_from(OverrideKind)), scope, until=draw(st.sampled_from([None, toy.now.wall + 9])))
    for serial in range(draw(st.integers(0, 2))):
        toy.ask(draw(st.sampled_from(Verb)), *draw(st.sampled_from([[], services[:1]])), id=f"op{serial}")
    toy.host = replace(
        toy.host,
        engine_up=draw(st.sampled_from([True, True, True, False])),
        engine_started_at=toy.now.wall - draw(st.sampled_from([10.0, 1e6])),
        storm=draw(st.sampled_from(["", "many fail at once"])),
    )
    draw(remember(toy))
    if draw(st.sampled_from([False, False, False, True])):
        removed(toy)
    return toy


@st.composite
def remember(draw: st.DrawFn, toy: Toy) -> Toy:
    """Add a pinned revision, what this life made, and what was seen of other hands."""
    if draw(st.sampled_from([False, False, True])):
        held = draw(st.sampled_from([None, "sha256:old"]))
        images = {ServiceName(name): ImageId("sha256:old") for name in draw(st.sets(st.sampled_from(NAMES)))}
        toy.images["sha256:old"] = ObservedImage("sha256:old", ImageId(held)) if held else None
        toy.pin = Pin(3, project(*draw(definitions())), images)
        toy.override(OverrideKind.PINNED, value=draw(st.sampled_from([3, 3, 4])))
    for box in toy.boxes.values():
        if draw(st.booleans()):
            toy.created.add(box.id)
    gone = Incarnation(ContainerId("9" * 64), toy.now.wall - 9000)
    ledgers = {}
    for name in toy.definition.services:
        usurped = tuple((one, toy.mono - draw(st.sampled_from([1.0, 700.0]))) for one in list(toy.boxes)[:3])
        if draw(st.booleans()):
            known = ServiceLedger(f"{name}@{draw(st.sampled_from('12'))}", stable=gone, stable_since=toy.mono - 800)
            ledgers[name] = replace(known, usurped=usurped[: draw(st.integers(0, 3))])
    toy.ledger = Ledger(ledgers)
    return toy


def stranger(toy: Toy) -> ObservedContainer:
    """A container of our project and service names that belongs to another instance."""
    return ObservedContainer(
        ContainerId("e" * 64), "stranger", STACK, ServiceName("a"), 1, ContainerState.RUNNING, config_hash="a@9",
        started_at=toy.now.wall - 10, instance=InstanceName("other"), networks={"default": NetworkId("n")},
    )  # fmt: skip


def required(spec: ServiceSpec) -> tuple[Dependency, ...]:
    """What it cannot do without."""
    return tuple(one for one in spec.depends_on if one.required)


def guard(toy: Toy) -> None:
    """Check every operation that the toy carries out: ours, in order, and never two of one number."""

    def watch(op: Op) -> None:
        if not isinstance(op, StartContainer):
            assert not hasattr(op, "container") or toy.boxes[op.container].instance in ("", OURS)
            return
        box = toy.boxes[op.container]
        same = [c for c in toy.boxes.values() if (c.service, c.number, c.instance) == (box.service, box.number, OURS)]
        assert not [c for c in same if c.live and c.id != box.id], "two live containers of one number"
        spec = toy.definition.services[box.service]
        gate = dependency_gate(make_world(toy.view(), toy.now), replace(spec, depends_on=required(spec)))
        assert gate == (), "started before what it depends on"

    toy.watch = watch
