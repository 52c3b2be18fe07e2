"""The laws of decide(), over any world: fixpoint, one live container of a number, nothing foreign, never an error."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings

from stackd.core.decide import decide, make_world
from stackd.core.desired import Want
from stackd.core.ownership import is_ours, ours
from stackd.core.sharing import shared_with
from stackd.model.plan import StartContainer, StopContainer, UpdateRestartPolicy, Why
from stackd.model.view import Ledger
from tests.property.core.worlds import worlds
from tests.unit.core.dsl import Toy


@settings(deadline=None, max_examples=150)
@given(worlds())
def test_a_decision_is_a_fixpoint(toy: Toy) -> None:
    view = toy.view()
    first = decide(view, toy.now)
    second = decide(replace(view, ledger=first.ledger), toy.now)
    assert second == first


@settings(deadline=None, max_examples=150)
@given(worlds())
def test_no_start_is_in_the_frontier_while_another_container_of_the_number_lives(toy: Toy) -> None:
    view = toy.view()
    mine = {c.id: c for c in ours(view)}
    for op in decide(view, toy.now).plan.frontier():
        if isinstance(op, StartContainer):
            box = mine[op.container]
            same = [c for c in mine.values() if (c.service, c.number) == (box.service, box.number) and c is not box]
            assert not [c for c in same if c.live]


@settings(deadline=None, max_examples=150)
@given(worlds())
def test_no_two_starts_of_one_number_are_in_the_frontier(toy: Toy) -> None:
    view = toy.view()
    starts = [toy.boxes[op.container] for op in decide(view, toy.now).plan.frontier() if isinstance(op, StartContainer)]
    places = [(box.service, box.number) for box in starts]
    assert len(places) == len(set(places))


@settings(deadline=None, max_examples=150)
@given(worlds())
def test_no_operation_names_a_container_that_is_not_ours(toy: Toy) -> None:
    view = toy.view()
    theirs = {c.id for c in toy.boxes.values() if not is_ours(c, view)}
    for step in decide(view, toy.now).plan.steps:
        assert getattr(step.op, "container", None) not in theirs
        assert getattr(step.op, "replaces", None) not in theirs


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_a_held_service_has_no_step_but_its_hand_back(toy: Toy) -> None:
    view = toy.view()
    world = make_world(view, toy.now)
    held = {t.service for t in world.wanted.targets if t.want.value == "leave"}
    steps = [s for s in decide(view, toy.now).plan.steps if getattr(s.op, "service", None) in held]
    assert all(isinstance(s.op, UpdateRestartPolicy) and s.op.reason.why is Why.RELEASED for s in steps)


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_every_blocked_frontier_has_a_reason_or_a_time(toy: Toy) -> None:
    decision = decide(toy.view(), toy.now)
    for step in decision.plan.steps:
        for blocker in step.blocked_by:
            assert blocker.detail
            if blocker.until is not None:
                assert decision.wake_at is not None and decision.wake_at <= blocker.until


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_amnesia_never_raises_and_forbids_nothing_that_memory_allowed_to_stop(toy: Toy) -> None:
    decide(replace(toy.view(), ledger=Ledger(), evidence={}, condemned={}), toy.now)


@settings(deadline=None, max_examples=150)
@given(worlds())
def test_no_stop_is_in_the_frontier_while_a_child_in_its_namespace_runs_on(toy: Toy) -> None:
    view = toy.view()
    targets = make_world(view, toy.now).targets
    for op in decide(view, toy.now).plan.frontier():
        if isinstance(op, StopContainer):
            children = [c for c in ours(view) if c.running and op.container in shared_with(c) and c.id != op.container]
            assert all(targets[child.service].want is Want.LEAVE for child in children)


@settings(deadline=None, max_examples=100)
@given(worlds())
def test_what_a_decision_holds_is_left_alone_once_that_is_in_force(toy: Toy) -> None:
    holds = decide(toy.view(), toy.now).holds
    toy.overrides += holds
    after = decide(toy.view(), toy.now)
    held = {hold.service for hold in holds}
    assert after.holds == ()
    assert not [step for step in after.plan.steps if getattr(step.op, "service", None) in held]
