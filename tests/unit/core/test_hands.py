"""What another hand did, as overrides tell it: one hold or many, of what, until when, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.hands import (
    BY_ENGINE,
    TOGETHER,
    definition_of,
    held_by_hand,
    how_it_was_paused,
    how_it_was_stopped,
    instant,
    narrowed,
    started_since,
    taken_down,
)
from stackd.model.evidence import Verdict
from stackd.model.ids import ServiceName
from stackd.model.observed import ContainerState
from stackd.model.override import Override, OverrideKind
from stackd.model.spec import RestartPolicy
from stackd.model.view import Now, ServiceState
from tests.unit.core.dsl import ALWAYS, EPOCH, NEVER, STACK, Toy, evidence, removed, service

WEB, DB = ServiceName("web"), ServiceName("db")


def stopped(*names: str, apart: float = 1.0) -> Toy:
    """A stack of web, db and job, of which another hand stopped these, one after the other."""
    toy = Toy(service("web"), service("db"), service("job")).settle().wait(100)
    for name in ("web", "db", "job"):
        toy.crash(name, 0)
    for name in names:
        toy.wait(apart)
        hold(toy, name)
    return toy


def hold(toy: Toy, name: str | None, **fields: object) -> Override:
    """A hold that was read from the engine's events just now."""
    scope = ServiceName(name) if name else None
    made = Override(STACK, scope, OverrideKind.HELD, "stopped", BY_ENGINE, toy.now.wall)
    made = replace(made, **fields)  # type: ignore[arg-type]
    toy.overrides += (made,)
    return made


def test_a_hold_is_another_hands_only_by_its_kind_and_by_who_made_it() -> None:
    made = hold(Toy(service("web")), "web")
    assert held_by_hand(made)
    assert not held_by_hand(replace(made, by="alice"))
    assert not held_by_hand(replace(made, kind=OverrideKind.STOPPED))


def test_the_definition_of_a_service_is_its_hash_and_of_a_stack_the_digest_of_its_newest_text() -> None:
    toy = Toy(service("web"))
    view = toy.view()
    assert (definition_of(view, WEB), definition_of(view, None)) == ("web@1", toy.definition.digest)
    assert definition_of(view, DB) == ""
    assert definition_of(replace(view, desired=None), WEB) == ""
    assert definition_of(removed(toy).view(), None) == ""


def test_a_narrowed_hold_covers_each_other_service_that_has_no_override_of_its_own() -> None:
    toy = Toy(service("web"), service("db"), service("job"))
    wide = hold(toy, None)
    toy.override(OverrideKind.STOPPED, "job")
    assert narrowed(toy.view(), wide, {WEB}) == (replace(wide, service=DB, definition="db@1"),)
    assert narrowed(removed(toy).view(), wide, {WEB}) == ()


def test_only_what_runs_since_after_a_hold_of_another_hand_was_started_again() -> None:
    toy = Toy(service("web"), service("db"), service("job")).settle()
    wide = hold(toy.wait(10), None)
    toy.alter("web", started_at=toy.now.wall + 1)
    toy.alter("job", started_at=toy.now.wall + 1)
    toy.crash("job")
    view = toy.view()
    assert started_since(view, wide) == {WEB}
    assert started_since(view, replace(wide, service=WEB)) == {WEB}
    assert started_since(view, replace(wide, service=DB)) == frozenset()
    assert started_since(view, replace(wide, by="alice")) == frozenset()


def test_what_was_stopped_together_becomes_one_hold_with_the_last_ones_instant_and_end() -> None:
    toy = stopped("web", "db")
    last = replace(toy.overrides[-1], until=toy.now.wall + 60)
    toy.overrides = (last, *toy.overrides[:-1])  # in whatever order
    found = taken_down(toy.view(), toy.now)
    assert found is not None
    assert (found.service, found.kind, found.by) == (None, OverrideKind.HELD, BY_ENGINE)
    assert (found.at, found.until, found.definition) == (last.at, last.until, toy.definition.digest)
    assert found.reason == "all of it was stopped by another hand, as `docker compose stop` does"


def test_one_service_alone_is_no_stack_taken_down_unless_nothing_is_left_of_it() -> None:
    toy = stopped("web")
    assert taken_down(toy.view(), toy.now) is None
    toy.boxes.clear()
    found = taken_down(toy.view(), toy.now)
    assert found is not None
    assert found.reason == "all of it was stopped and removed by another hand, as `docker compose down` does"


def test_stops_far_from_each_other_were_not_one() -> None:
    assert taken_down((toy := stopped("web", "db", apart=TOGETHER)).view(), toy.now) is not None
    assert taken_down((toy := stopped("web", "db", apart=TOGETHER + 1)).view(), toy.now) is None


def test_a_chain_of_stops_is_one_though_its_first_and_its_last_are_far_apart() -> None:
    toy = stopped("web", "db", "job", apart=TOGETHER - 1)
    assert taken_down(toy.view(), toy.now) is not None
    toy = stopped("web")
    toy.wait(TOGETHER + 5)
    for name in ("db", "job"):
        hold(toy, name)
    assert taken_down(toy.view(), toy.now) is not None


def test_a_stop_of_long_ago_makes_no_stack_taken_down() -> None:
    toy = stopped("web", "db")
    assert taken_down(toy.view(), toy.wait(TOGETHER).now) is not None
    assert taken_down(toy.view(), toy.wait(1).now) is None


def test_a_stack_of_which_something_lives_was_not_taken_down() -> None:
    toy = stopped("web", "db")
    toy.alter("job", state=ContainerState.RUNNING)
    assert taken_down(toy.view(), toy.now) is None


def test_a_stack_without_holds_of_another_hand_or_a_definition_or_with_a_hold_of_the_whole_was_not() -> None:
    assert taken_down((toy := stopped()).view(), toy.now) is None
    toy = stopped("web", "db")
    assert taken_down(replace(toy.view(), desired=None), toy.now) is None
    hold(toy, None)
    assert taken_down(toy.view(), toy.now) is None
    toy = stopped("web", "db")
    toy.overrides = tuple(replace(one, by="alice") for one in toy.overrides)
    assert taken_down(toy.view(), toy.now) is None


def test_a_stop_that_is_still_being_explained_is_waited_for_and_a_removal_is_not() -> None:
    toy = stopped("web", "db")
    box = toy.box("job")
    told = evidence(box, Verdict.PENDING, stop_at=toy.mono)
    toy.evidence[box.id] = told
    assert taken_down(toy.view(), toy.now) is None
    for other in (replace(told, removal=True), replace(told, verdict=Verdict.UNPROVEN)):
        toy.evidence[box.id] = other
        assert taken_down(toy.view(), toy.now) is not None


NOW = Now(1000.0, EPOCH + 1000.0)
STOPPED_AT = instant(EPOCH + 990.0)


@pytest.mark.parametrize(
    ("fields", "removed_too", "words"),
    [
        ({"signal": 15}, False, f"stopped by another hand, as `docker stop` does (SIGTERM, {STOPPED_AT})"),
        ({"signal": 42}, False, f"stopped by another hand, as `docker stop` does (signal 42, {STOPPED_AT})"),
        ({}, True, f"stopped and removed by another hand, as `docker stop` does ({STOPPED_AT})"),
        ({"removal": True}, True, f"removed by another hand, as `docker rm` does ({STOPPED_AT})"),
        (
            {"removal": True, "kill_at": 990.0, "signal": 9}, True,
            f"removed by another hand, as `docker rm -f` does (SIGKILL, {STOPPED_AT})",
        ),
        (
            {"stop_at": None}, False,
            f"stopped by another hand, as `docker stop` does ({instant(NOW.wall)})",
        ),
    ],
)  # fmt: skip
def test_a_stop_is_told_with_its_command_its_signal_and_its_instant(
    fields: dict[str, object], removed_too: bool, words: str
) -> None:
    box = Toy(service("web")).settle().box("web")
    told = replace(evidence(box, stop_at=990.0), **fields)  # type: ignore[arg-type]
    assert how_it_was_stopped(told, NOW, removed=removed_too) == words


def test_a_pause_is_told_with_its_instant_where_that_is_known() -> None:
    toy = Toy(service("web")).settle()
    box = toy.box("web")
    plain = "paused by another hand; held until it is unpaused"
    assert how_it_was_paused(toy.view(), box) == plain
    toy.evidence[box.id] = evidence(box)
    assert how_it_was_paused(toy.view(), box) == plain
    toy.evidence[box.id] = evidence(box, paused_at=EPOCH)
    told = f"paused by another hand ({instant(EPOCH)}); held until it is unpaused"
    assert how_it_was_paused(toy.view(), box) == told


@pytest.mark.parametrize(("policy", "then"), [(ALWAYS, "it is started again"), (NEVER, "its end is seen")])
def test_a_paused_container_whose_process_is_dead_says_so_and_is_left_alone(policy: RestartPolicy, then: str) -> None:
    toy = Toy(service("web", restart=policy)).settle()
    toy.alter("web", state=ContainerState.PAUSED, lost=True)
    verdict = toy.verdict("web")
    assert verdict.detail == f"paused by another hand, and its process is dead: unpause it, and {then}"
    assert (toy.plan(), verdict.state) == ([], ServiceState.PAUSED)


def test_an_instant_is_told_in_utc_to_the_second() -> None:
    assert instant(0.9) == "1970-01-01T00:00:00Z"
