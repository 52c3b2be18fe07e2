"""Stories of a stack: anything happens between any two calls; then quiet, and it has converged, with nothing left."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from stackd.model.observed import ContainerState, Health
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import BlockerKind
from stackd.model.spec import ServiceSpec
from stackd.model.view import ServiceState
from tests.property.core.worlds import definitions, guard, stranger
from tests.unit.core.dsl import Toy

HAPPENINGS = ("turn", "turn", "turn", "wait", "crash", "finish", "sick", "well", "edit", "undo", "forget", "remove",
              "restart", "hold", "release", "reboot")  # fmt: skip
FINE = (
    ServiceState.RUNNING, ServiceState.HEALTHY, ServiceState.COMPLETED, ServiceState.EXITED, ServiceState.ABSENT,
    ServiceState.STARTING, ServiceState.UNHEALTHY,
)  # fmt: skip


def happen(toy: Toy, what: str, definition: tuple[ServiceSpec, ...]) -> None:
    """One happening to the first container it can happen to."""
    running = [c for c in toy.boxes.values() if c.running and c.instance == "here"]
    match what:
        case "turn":
            toy.turn()
        case "wait":
            toy.wait(45)
        case "crash" | "finish" if running:
            code = 1 if what == "crash" else 0
            toy.put(replace(running[0], state=ContainerState.EXITED, exit_code=code, finished_at=toy.now.wall,
                            health=Health.NONE))  # fmt: skip
        case "sick" | "well" if running and running[-1].health is not Health.NONE:
            toy.put(replace(running[-1], health=Health.UNHEALTHY if what == "sick" else Health.HEALTHY))
        case "edit":
            first = replace(definition[0], hashes=(f"{definition[0].name}@{toy.mono}",))
            toy.edit(first, *definition[1:])
        case "undo":
            toy.edit(*definition)
        case "forget":
            toy.forget()
        case "remove" if running:
            del toy.boxes[running[0].id]
        case "restart":
            toy.ask(Verb.RESTART)
        case "hold":
            toy.override(OverrideKind.HELD, definition[0].name)
        case "release":
            toy.overrides = ()
        case "reboot":
            for box in running:
                toy.put(replace(box, state=ContainerState.EXITED, finished_at=toy.now.wall, health=Health.NONE))
            toy.wait(1)
            toy.host = replace(toy.host, engine_started_at=toy.now.wall)
        case _:
            pass


def heal(toy: Toy) -> None:
    """Every probe turns well."""
    for box in list(toy.boxes.values()):
        if box.running and box.health in (Health.STARTING, Health.UNHEALTHY):
            toy.put(replace(box, health=Health.HEALTHY))


@settings(deadline=None, max_examples=60)
@given(definitions(), st.lists(st.sampled_from(HAPPENINGS), max_size=25))
def test_after_any_story_a_quiet_stack_converges_safely(definition: tuple[ServiceSpec, ...], story: list[str]) -> None:
    toy = Toy(*definition)
    other = toy.put(stranger(toy))
    guard(toy)
    for what in story:
        happen(toy, what, definition)
    toy.overrides = ()
    for _ in range(12):
        toy.settle(patience=700)
        heal(toy)
    for verdict in toy.decide().verdicts:
        told = (BlockerKind.DEPENDENCY, BlockerKind.FINAL)
        blockers = [b for s in toy.decide().plan.steps for b in s.blocked_by if b.kind in told]
        waits = verdict.state in (ServiceState.WAITING, ServiceState.BLOCKED)
        assert verdict.state in FINE or (waits and verdict.detail and blockers), verdict
    assert toy.boxes[other.id] == other


@settings(deadline=None, max_examples=40)
@given(definitions(), st.lists(st.sampled_from(HAPPENINGS), max_size=12))
def test_what_has_converged_stays_untouched_whatever_is_forgotten(
    definition: tuple[ServiceSpec, ...], story: list[str]
) -> None:
    toy = Toy(*definition)
    for what in story:
        happen(toy, what, definition)
    toy.overrides = ()
    for _ in range(12):
        toy.settle(patience=700)
        heal(toy)
    lives = {c.id: c.started_at for c in toy.boxes.values() if c.live}
    plan = toy.plan()
    for _ in range(3):
        toy.wait(3600).forget().settle(patience=60)
    assert {c.id: c.started_at for c in toy.boxes.values() if c.id in lives} == lives
    assert plan == [] or all(s.blocked_by for s in toy.decide().plan.steps)
