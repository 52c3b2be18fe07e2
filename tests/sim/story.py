"""Seeded stories: a definition, how its processes behave, and what people, hosts and the network do when.

Law: a story is a function of its seed alone, and has at least one lost event, one hung call and one kill of the daemon.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass, replace

from stackd.model.ids import ServiceName
from stackd.model.observed import Health
from stackd.model.spec import (
    Dependency,
    DependencyCondition,
    HealthCheck,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    VolumesFrom,
)
from tests.fake import Behaviour, Dialect
from tests.unit.core.dsl import service

NAMES = ("a", "b", "c", "d")
CALLS = (
    "start_container", "start_container", "stop_container", "create_container", "pull_image", "list_containers",
    "inspect_container", "inspect_container", "remove_container", "rename_container", "create_network",
)  # fmt: skip
LOOKS = ("list_containers", "inspect_container", "list_networks", "inspect_image")
MUST = ("lose_event", "hang", "kill_daemon")
SIGHT = 90.0
"""Seconds for which the daemon may be wrong about a container: a resync, and a hung look."""
STORM = 3
"""Services that must fail together to make a storm, where there are not more than twice as many."""
MAY = (
    "edit", "edit", "undo", "drop_service", "bring_back", "crash", "crash", "crash", "sick", "well", "human_stop",
    "human_start", "human_restart", "human_rm", "human_kill", "human_pause", "hold", "stop", "start", "restart",
    "restart", "kill_daemon", "kill_daemon", "amnesia", "hang", "hang_look", "break_call", "break_after", "lose_event",
    "break_stream", "restart_engine", "freeze", "slow_pull", "double_event", "late_event", "late_event", "kill_engine",
    "slow_look", "slow_look", "fill_disk",
)  # fmt: skip


class Neighbour(enum.Enum):
    """Whether a second daemon lives on the same engine, and what project it keeps there."""

    NONE = "none"
    OTHER = "a project of its own"
    SAME = "one that has our project's name, from another folder"


@dataclass(frozen=True, slots=True)
class Act:
    """One happening: when (seconds after the beginning), what, to which service, and a number for its details."""

    at: float
    what: str
    service: ServiceName
    dice: int


@dataclass(frozen=True, slots=True)
class Story:
    """All that a seed says."""

    seed: int
    dialect: Dialect
    services: tuple[ServiceSpec, ...]
    behaviours: dict[ServiceName, tuple[Behaviour, ...]]
    acts: tuple[Act, ...]
    unpulled: frozenset[ServiceName]
    neighbour: Neighbour = Neighbour.NONE
    encore: bool = False
    """Whether one service that has long been well crashes once more when all is over."""

    @property
    def doomed(self) -> frozenset[ServiceName]:
        """The services whose every run dies in the end."""
        return frozenset(name for name, runs in self.behaviours.items() if runs[-1].exit_code != 0)

    @property
    def end(self) -> float:
        """When the last act is over."""
        return (self.acts[-1].at if self.acts else 0.0) + 30.0


def tell(seed: int) -> Story:
    """The story of a seed."""
    dice = random.Random(seed)
    services: list[ServiceSpec] = []
    for name in NAMES[: dice.randint(2, 4)]:
        services.append(_service(dice, name, services))
    names = [one.name for one in services]
    acts = [Act(dice.uniform(5, 150), what, dice.choice(names), dice.randrange(1 << 30)) for what in MUST]
    for _ in range(dice.randint(5, 14)):
        acts.append(Act(dice.uniform(0, 180), dice.choice(MAY), dice.choice(names), dice.randrange(1 << 30)))
    if dice.random() < 0.6:
        acts += _entangled(dice, services)
    more = random.Random(f"scenes of {seed}")
    acts += _scene(more, services, max(act.at for act in acts))
    acts.sort(key=lambda act: act.at)
    return Story(
        seed,
        dice.choice(list(Dialect)),
        tuple(services),
        {one.name: _behaviours(dice, one) for one in services},
        tuple(acts),
        frozenset(name for name in names if dice.random() < 0.3),
        dice.choice([Neighbour.NONE, Neighbour.NONE, Neighbour.OTHER, Neighbour.SAME]),
        encore=more.random() < 0.3,
    )


def _scene(dice: random.Random, services: list[ServiceSpec], last: float) -> list[Act]:
    """In half of the stories, what chance would seldom bring together: the first cause, and what must not follow.

    (The scenes have dice of their own: the rest of a story is the same with and without them.)
    """
    one, checked = dice.choice(services).name, [spec.name for spec in services if spec.healthcheck is not None]
    at, soon, details = dice.uniform(20, 130), dice.uniform(14, 45), dice.randrange(1 << 30)
    calm = last + 2 * SIGHT
    match dice.choice(["suspend", "storm", "hang_stop", "rollback", "", "", "", ""]):
        case "suspend" if checked:
            return [Act(at, "suspend", one, 0), Act(at + soon, "sick", dice.choice(checked), 0)]
        case "storm" if checked and len(services) >= STORM:
            return [Act(calm, "storm", one, 0), Act(calm + soon, "sick", dice.choice(checked), 0)]
        case "hang_stop":
            return [Act(at, "hang_stop", one, 0), Act(at + 0.01, dice.choice(["restart", "edit"]), one, details)]
        case "rollback":
            back = at + soon
            killed = Act(back + dice.uniform(0, 2), "kill_daemon", one, 0)
            return [Act(at, "edit", one, details), Act(back, "rollback", one, 0), killed]
        case _:
            return []


def _entangled(dice: random.Random, services: list[ServiceSpec]) -> list[Act]:
    """What is hardest together: a hung call and another's crash; our own stop under way, and a kill of the daemon."""
    one, other = dice.sample([spec.name for spec in services], 2)
    at = dice.uniform(20, 150)
    checked = [spec.name for spec in services if spec.healthcheck is not None]
    if checked and dice.random() < 0.5:
        return [Act(at, "sick", dice.choice(checked), 0), Act(at + dice.uniform(0.02, 0.6), "kill_daemon", one, 0)]
    what = dice.choice(["restart", "edit"])
    later = at + dice.uniform(1, 6)
    return [Act(at, "hang", one, 0), Act(at + 0.01, what, one, 0), Act(later, "crash", other, 1)]


def _service(dice: random.Random, name: str, earlier: list[ServiceSpec]) -> ServiceSpec:
    job = dice.random() < 0.12
    depends = []
    for other in dice.sample(earlier, min(len(earlier), dice.choice([0, 1, 1, 2]))):
        depends.append(_dependency(dice, other))
    shares = [d for d in depends if d.condition is DependencyCondition.STARTED and dice.random() < 0.15]
    policy = RestartPolicy(RestartCondition.NO) if job else dice.choice(
        [RestartPolicy(), RestartPolicy(), RestartPolicy(RestartCondition.ALWAYS),
         RestartPolicy(RestartCondition.ON_FAILURE, max_attempts=3)]
    )  # fmt: skip
    joined = [d for d in depends if d.condition is DependencyCondition.STARTED and dice.random() < 0.2]
    return service(
        name,
        *depends,
        restart=policy,
        healthcheck=HealthCheck(("CMD", "true")) if not job and dice.random() < 0.5 else None,
        volumes_from=tuple(VolumesFrom(d.service) for d in shares[:1]),
        network_mode=f"service:{joined[0].service}" if joined else "",
        scale=2 if not job and dice.random() < 0.15 else 1,
    )


def _dependency(dice: random.Random, other: ServiceSpec) -> Dependency:
    if other.restart.condition is RestartCondition.NO:
        condition = DependencyCondition.COMPLETED
    elif other.healthcheck is not None and dice.random() < 0.7:
        condition = DependencyCondition.HEALTHY
    else:
        condition = DependencyCondition.STARTED
    return Dependency(other.name, condition, restart=dice.random() < 0.4, required=dice.random() < 0.9)


def _behaviours(dice: random.Random, spec: ServiceSpec) -> tuple[Behaviour, ...]:
    """How its runs go: the last one is well, so that every stack can converge."""
    if spec.restart.condition is RestartCondition.NO:
        return (Behaviour(exits_after=dice.uniform(0.2, 5.0)),)
    healthy = ((dice.choice([0.5, 3.0]), Health.HEALTHY),)
    last = Behaviour(
        health=healthy,
        ignores_term=dice.random() < 0.1,
        stop_takes=dice.choice([0.02, 0.3, 4.0]),
        stop_code=dice.choice([0, 0, 143]),
    )
    if dice.random() < 0.06:
        return (replace(last, exits_after=dice.uniform(0.1, 2.0), exit_code=1),)
    first = []
    if dice.random() < 0.25:
        dies = replace(last, exits_after=dice.uniform(0.1, 20), exit_code=1)
        first = [dies] * dice.randint(1, 2)
    if spec.healthcheck is not None and dice.random() < 0.2:
        first.append(replace(last, health=((1.0, Health.UNHEALTHY),)))
    return (*first, last)
