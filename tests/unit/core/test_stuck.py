"""A container that the engine cannot stop: it is shown, tried again, and nothing takes its place beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.status import stack_status
from stackd.errors import EngineErrorKind
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import RemoveContainer, StartContainer, StopContainer
from stackd.model.status import StackState
from stackd.model.view import ServiceState
from tests.unit.core.dsl import EPOCH, Toy, service


def refused(toy: Toy, times: int = 1) -> Toy:
    """The engine fails to stop the container that the plan wants stopped, again and again."""
    for _ in range(times):
        (step,) = toy.steps(StopContainer)
        assert isinstance(step.op, StopContainer)
        key, first = f"stop:{step.op.container}", toy.mono
        first = toy.failures[key].first_at if key in toy.failures else first
        toy.fail(key, "web", EngineErrorKind.TIMEOUT, "could not be killed", first_at=first)
        toy.wait(100)
    return toy


def test_an_edit_of_a_container_that_cannot_be_killed_starts_no_second_one_beside_it() -> None:
    toy = Toy(service("web")).settle().edit(service("web", version="2"))
    old = toy.box("web")
    toy.turn()  # the new one is created
    refused(toy, 3)
    for _ in range(20):
        ops = toy.decide().plan.frontier()
        assert not [op for op in ops if isinstance(op, StartContainer | RemoveContainer)]
        assert toy.boxes[old.id].running
        refused(toy)
    assert len(toy.boxes) == 2


@pytest.mark.parametrize("how", ["edit", "restart", "stop"])
def test_a_container_that_cannot_be_killed_is_stuck_since_the_first_failure_and_is_tried_again(how: str) -> None:
    toy = Toy(service("web")).settle()
    if how == "edit":
        toy.edit(service("web", version="2")).turn()
    elif how == "restart":
        toy.ask(Verb.RESTART, "web")
    else:
        toy.override(OverrideKind.STOPPED, "web")
    since = toy.now.wall
    refused(toy, 2)
    toy.failures = {key: replace(one, at=toy.mono) for key, one in toy.failures.items()}
    verdict, told = toy.verdict("web"), stack_status(toy.view(), toy.decide(), 0, "", toy.now)
    assert (verdict.state, verdict.attempt) == (ServiceState.STUCK, 2)
    assert verdict.next_at is not None and verdict.next_at > toy.mono
    assert "could not be killed" in verdict.detail and since >= EPOCH
    assert "since 2023-" in verdict.detail
    assert told.state is StackState.DEGRADED
    assert toy.wait(100).steps(StopContainer)[0].blocked_by == ()
