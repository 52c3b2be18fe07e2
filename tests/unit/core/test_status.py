"""What people are told, and that it is true."""

from __future__ import annotations

from dataclasses import replace

from stackd.core.status import stack_status
from stackd.model.override import OverrideKind
from stackd.model.status import StackState, StackStatus
from stackd.model.view import DesiredStack
from tests.unit.core.dsl import STACK, Toy, needs, removed, service


def status(toy: Toy) -> StackStatus:
    return stack_status(toy.view(), toy.decide(), 0, "", toy.now)


def test_a_removed_stack_is_being_removed_while_something_of_ours_is_left() -> None:
    assert status(removed(Toy(service("web")).settle())).state is StackState.REMOVING


def test_a_good_definition_that_waits_for_a_person_is_frozen_and_a_bad_one_invalid() -> None:
    for waits, state in (("this was blog; `stackd up site` replaces it", StackState.FROZEN), ("", StackState.INVALID)):
        toy = Toy(service("web"))
        view = replace(toy.view(), desired=DesiredStack(STACK, None, waits=waits))
        told = stack_status(view, None, 0, "", toy.now)
        assert (told.state, told.detail) == (state, waits or "it has no definition yet")


def test_a_removed_stack_whose_containers_were_adopted_does_not_say_that_they_are_being_removed() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", instance="", root="")
    told = status(removed(toy))
    assert (told.state, "runs on" in told.detail) == (StackState.ORPHANED, True)


def test_what_waits_for_a_stopped_dependency_says_so_in_words() -> None:
    toy = Toy(service("db"), service("web", needs("db"))).settle().override(OverrideKind.STOPPED, "db")
    toy.crash("db")
    toy.crash("web")
    assert toy.verdict("web").detail == "db is stopped: wanted so (by test)"


def test_a_stack_whose_every_service_is_stopped_is_stopped_not_running() -> None:
    toy = Toy(service("db"), service("web")).settle().override(OverrideKind.STOPPED, "db")
    assert status(toy.settle()).state is StackState.RUNNING
    assert status(toy.override(OverrideKind.STOPPED, "web").settle()).state is StackState.STOPPED


def test_failures_are_told_with_when_they_are_forgotten_only_while_it_runs() -> None:
    toy = Toy(service("web")).settle()
    toy.crash("web")
    assert status(toy).services[0].restart.reset_at is None
    toy.settle()
    restart = status(toy).services[0].restart
    assert restart.attempt == 1
    assert restart.reset_at is not None
    assert toy.now.wall < restart.reset_at <= toy.now.wall + 600


def test_a_container_of_another_hand_is_told_to_be_adopted() -> None:
    toy = Toy(service("web")).settle()
    assert [one.adopted for one in status(toy).services[0].replicas] == [False]
    toy.alter("web", instance="", root="")
    assert [one.adopted for one in status(toy).services[0].replicas] == [True]
