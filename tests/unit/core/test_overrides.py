"""What a person asked for: overrides stand until released, requests are done exactly once."""

from __future__ import annotations

import pytest

from stackd.model.observed import ContainerState
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import StopContainer, Why
from stackd.model.spec import BuildSpec
from stackd.model.view import ServiceState
from tests.unit.core.dsl import NEVER, Toy, needs, service, words


def test_a_held_service_is_neither_started_nor_stopped_nor_replaced() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.HELD, "web")
    toy.edit(service("web", version="2"))
    assert toy.plan() == []
    toy.crash("web")
    assert toy.wait(3600).plan() == []
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.settled) == (ServiceState.HELD, True)
    assert "wanted so" in verdict.detail and "by test" in verdict.detail


def test_a_hold_of_one_service_holds_no_other() -> None:
    toy = Toy(service("web"), service("db")).settle().override(OverrideKind.HELD, "web")
    toy.crash("web"), toy.crash("db")
    assert toy.frontier() == ["start db"]


def test_a_hold_of_the_whole_stack_holds_everything() -> None:
    toy = Toy(service("web"), service("db")).settle().override(OverrideKind.HELD)
    toy.crash("web")
    toy.boxes.pop(toy.box("db").id)
    assert toy.plan() == []


def test_an_edit_of_the_held_service_releases_it_and_an_edit_of_another_does_not() -> None:
    toy = Toy(service("web"), service("db")).settle()
    toy.crash("web", 0)
    toy.override(OverrideKind.HELD, "web", definition="web@1")
    toy.edit(service("web"), service("db", version="2")).settle()
    assert [one.service for one in toy.overrides] == ["web"]
    toy.edit(service("web", version="2"), service("db", version="2")).settle()
    assert toy.overrides == ()
    assert toy.box("web").running


def test_any_edit_of_the_stack_releases_a_hold_of_the_whole_stack() -> None:
    toy = Toy(service("web"), service("db")).settle()
    toy.override(OverrideKind.HELD, definition=toy.definition.digest)
    assert len(toy.settle().overrides) == 1
    toy.edit(service("web"), service("db", version="2")).settle()
    assert toy.overrides == ()


def test_an_override_with_an_end_is_released_at_that_end() -> None:
    toy = Toy(service("web")).settle()
    toy.crash("web")
    toy.override(OverrideKind.HELD, "web", until=toy.now.wall + 60)
    decision = toy.decide()
    assert decision.wake_at == pytest.approx(toy.mono + 60)
    toy.wait(60).decide()
    assert toy.overrides == ()
    assert toy.settle().box("web").running


def test_a_stop_override_stops_dependents_first_and_keeps_containers() -> None:
    toy = Toy(service("web", needs("db")), service("db")).settle()
    toy.override(OverrideKind.STOPPED, "db").override(OverrideKind.STOPPED, "web")
    assert toy.turn() == ["stop web"]
    assert toy.turn() == ["stop db"]
    assert toy.plan() == []
    assert len(toy.boxes) == 2
    assert toy.verdict("db").state is ServiceState.STOPPED


def test_a_stopped_service_starts_again_when_the_override_is_dropped() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.STOPPED, "web").settle()
    toy.overrides = ()
    assert toy.settle().box("web").running


def test_a_stopped_dependency_keeps_its_dependents_from_starting_with_the_reason() -> None:
    toy = Toy(service("web", needs("db")), service("db")).settle().override(OverrideKind.STOPPED, "db").settle()
    assert toy.box("web").running
    toy.crash("web")
    assert toy.settle(patience=60).box("web").state is ContainerState.EXITED
    assert "db" in toy.verdict("web").detail


def test_a_scaled_override_wins_over_the_file() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.SCALED, "web", value=3).settle()
    assert sorted(c.number for c in toy.boxes.values()) == [1, 2, 3]
    toy.overrides = ()
    toy.settle()
    assert [c.number for c in toy.boxes.values()] == [1]


def test_a_restart_is_done_exactly_once() -> None:
    toy = Toy(service("web"), service("db")).settle()
    db = toy.box("db")
    toy.ask(Verb.RESTART, "web").settle()
    assert [words(op) for op in toy.done].count("stop web") == 1
    assert toy.requests == ()
    assert toy.box("db") == db
    assert toy.plan() == []


def test_a_restart_asked_for_survives_amnesia_between_its_stop_and_its_start() -> None:
    toy = Toy(service("web")).settle().ask(Verb.RESTART, "web")
    assert toy.turn() == ["stop web"]
    toy.forget()
    assert toy.turn() == ["start web"]
    toy.settle()
    assert (toy.requests, toy.plan()) == ((), [])


def test_a_restart_of_an_ended_job_runs_it_again() -> None:
    toy = Toy(service("job", restart=NEVER)).settle()
    toy.crash("job", 0)
    toy.settle().ask(Verb.RESTART, "job").settle()
    assert (toy.box("job").running, toy.requests) == (True, ())


@pytest.mark.parametrize("verb", [Verb.START, Verb.RESUME])
def test_a_start_asked_for_runs_a_completed_job_once(verb: Verb) -> None:
    toy = Toy(service("job")).settle()
    toy.crash("job", 0)
    toy.settle().ask(verb, "job").settle()
    assert toy.box("job").running
    toy.crash("job", 0)
    assert toy.settle(patience=60).requests == ()
    assert not toy.box("job").running


@pytest.mark.parametrize("verb", [Verb.START, Verb.RESUME])
def test_a_start_of_what_is_held_is_not_done_before_it_runs(verb: Verb) -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.HELD)
    toy.crash("web")
    toy.ask(verb, "web").settle()
    assert len(toy.requests) == 1
    toy.overrides = ()
    assert (toy.settle().requests, toy.box("web").running) == ((), True)


def test_a_start_of_what_runs_does_nothing_and_is_done() -> None:
    toy = Toy(service("web")).settle()
    toy.done.clear()
    toy.ask(Verb.START).settle()
    assert (toy.done, toy.requests) == ([], ())


def test_a_request_is_not_done_while_its_scope_has_steps_left() -> None:
    toy = Toy(service("web"), service("db")).settle()
    toy.crash("web"), toy.crash("db")
    toy.ask(Verb.UP, "web")
    toy.decide()
    assert len(toy.requests) == 1


def test_a_build_asked_for_builds_once_and_replaces() -> None:
    toy = Toy(service("web", build=BuildSpec("/src"))).settle()
    before = toy.box("web").id
    toy.ask(Verb.BUILD).settle()
    assert [words(op) for op in toy.done].count("build web:1") == 1
    assert toy.box("web").id != before
    assert (toy.requests, toy.plan()) == ((), [])


def test_a_pull_of_a_held_service_is_not_waited_for() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.HELD, "web").ask(Verb.RECONCILE).settle()
    assert toy.requests == ()


def test_a_stop_by_override_says_who_wanted_it() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.STOPPED, "web")
    reason = toy.step(StopContainer).op.reason
    assert (reason.why, str(reason)) == (Why.STOPPED_BY_OVERRIDE, "wanted so (by test)")
