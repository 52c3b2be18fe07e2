"""A container that can never be started again: another one of the same definition takes its place, and it says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.errors import EngineErrorKind
from stackd.model.override import OverrideKind
from stackd.model.plan import Why
from stackd.model.view import ServiceState
from tests.unit.core.dsl import Toy, service

LEFT = "start 05c354fcc2a0: task 05c3: already exists"
SEQUENCE = ["create web 1", "start web", "remove web", "rename web"]


def refused(times: int, kind: EngineErrorKind = EngineErrorKind.UNSTARTABLE) -> Toy:
    """A web that has crashed and that the engine has refused to start so many times in a row."""
    toy = Toy(service("web")).settle()
    toy.crash("web")
    return again(toy, times, kind)


def again(toy: Toy, times: int, kind: EngineErrorKind = EngineErrorKind.UNSTARTABLE) -> Toy:
    """The newest container of web is refused so many times more."""
    newest = max(toy.boxes.values(), key=lambda box: box.created_at)
    for _ in range(times):
        toy.fail(f"start:{newest.id}", "web", kind, LEFT)
    return toy


def test_a_container_that_can_never_start_again_is_replaced_by_one_of_the_same_definition() -> None:
    toy = refused(2)
    old = toy.box("web")
    assert [toy.turn() for _ in range(5)] == [[one] for one in SEQUENCE] + [[]]
    new = toy.box("web")
    assert (new.running, new.name, new.config_hash) == (True, old.name, old.config_hash)
    assert new.id != old.id


def test_the_replacement_says_why_and_what_is_lost() -> None:
    reason = refused(2).decide().plan.steps[0].op.reason
    assert reason.why is Why.UNSTARTABLE
    assert "can never start it again" in str(reason)
    assert "outside its volumes is lost" in str(reason)


def test_one_refusal_alone_replaces_nothing_and_is_tried_again() -> None:
    toy = refused(1)
    verdict = toy.verdict("web")
    assert (verdict.state, "already exists" in verdict.detail) == (ServiceState.BACKING_OFF, True)
    assert toy.wait(10).turn() == ["start web"]
    assert len(toy.boxes) == 1


@pytest.mark.parametrize("kind", [kind for kind in EngineErrorKind if kind is not EngineErrorKind.UNSTARTABLE])
def test_no_other_failure_of_a_start_replaces_a_container(kind: EngineErrorKind) -> None:
    assert refused(5, kind).wait(1000).plan() == ["start web"]


def test_a_container_that_runs_is_not_replaced_for_what_its_start_once_met() -> None:
    toy = Toy(service("web")).settle()
    for _ in range(2):
        toy.fail(f"start:{toy.box('web').id}", "web", EngineErrorKind.UNSTARTABLE, LEFT)
    assert toy.plan() == []


@pytest.mark.parametrize("done", range(len(SEQUENCE) + 1))
def test_failures_forgotten_after_any_step_end_with_one_container_that_runs(done: int) -> None:
    """The engine is restarted in the middle: what failed before is no longer known."""
    toy = refused(2)
    for _ in range(done):
        toy.turn()
    toy.failures = {}
    toy.settle(patience=10)
    box = toy.box("web")
    assert (box.running, box.name) == (True, "app-web-1")
    assert toy.plan() == []


def test_one_that_a_person_has_stopped_is_left_as_it_is() -> None:
    toy = refused(2).override(OverrideKind.STOPPED, "web")
    assert toy.plan() == []


def test_one_that_takes_its_place_and_is_refused_as_well_is_tried_on_and_not_replaced_in_turn() -> None:
    toy = refused(2)
    assert toy.turn() == ["create web 1"]
    again(toy, 20)
    assert toy.frontier() == []
    assert toy.verdict("web").state is ServiceState.BACKING_OFF
    assert toy.wait(100).frontier() == ["start web"]


def test_one_that_takes_its_place_is_replaced_in_turn_once_another_kill_of_the_engine_explains_it() -> None:
    toy = refused(2)
    toy.turn()
    again(toy, 2)
    toy.host = replace(toy.host, engine_started_at=toy.wait(100).now.wall)
    assert toy.frontier() == ["create web 1"]


def test_one_that_took_its_place_and_has_run_is_replaced_like_any_other() -> None:
    toy = refused(2)
    for _ in SEQUENCE:
        toy.turn()
    toy.crash("web")
    assert again(toy, 2).frontier() == ["create web 1"]
