"""Which runs that are over ended badly, and what is told of their end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.crashes import BadEnd, bad_ends
from stackd.core.ends import DEATH_WAIT
from stackd.model.evidence import Condemned
from stackd.model.observed import ContainerState
from stackd.model.override import OverrideKind
from stackd.model.plan import Why
from stackd.model.spec import RestartPolicy
from tests.unit.core.dsl import EPOCH, Toy, evidence, service


def crashed(code: int = 1, policy: RestartPolicy | None = None) -> Toy:
    """A stack whose web has just ended with that code."""
    toy = Toy(service("web", restart=policy or RestartPolicy()), service("db")).settle().wait(1)
    toy.crash("web", code)
    return toy


def ends(toy: Toy) -> tuple[BadEnd, ...]:
    """What is told, by a daemon that decides about the very same view."""
    view = toy.view()
    return bad_ends(view, toy.decide().ledger, toy.now)


def causes(toy: Toy) -> list[str]:
    return [end.cause for end in ends(toy)]


@pytest.mark.parametrize(
    "kind", [OverrideKind.STOPPED, OverrideKind.HELD, OverrideKind.PAUSED, OverrideKind.RELEASED], ids=str
)
@pytest.mark.parametrize("scope", ["web", None])
def test_what_ends_while_it_is_left_alone_is_no_crash(kind: OverrideKind, scope: str | None) -> None:
    assert causes(crashed().override(kind, scope)) == []


def test_an_override_of_another_service_or_of_another_kind_excuses_no_crash() -> None:
    assert causes(crashed().override(OverrideKind.HELD, "db")) == ["exited 1"]
    assert causes(crashed().override(OverrideKind.SCALED, "web", value=1)) == ["exited 1"]


def test_a_container_that_never_ran_has_not_crashed() -> None:
    toy = crashed(127)
    toy.alter("web", started_at=0.0)
    assert causes(toy) == []


def test_our_stop_of_an_earlier_run_does_not_explain_the_end_of_this_one() -> None:
    toy = crashed()
    box = toy.box("web")
    for why in (Why.UNHEALTHY, Why.REQUESTED):
        toy.condemned[box.id] = Condemned(box.id, box.started_at - 60, why, "long ago", restart=True)
        assert causes(toy) == ["exited 1"]


def test_a_death_of_an_earlier_run_says_nothing_of_a_run_that_ended_well() -> None:
    toy = crashed(3)
    toy.settle(patience=5).wait(60)
    assert toy.box("web").running
    toy.crash("web", 0)
    assert causes(toy) == []


def test_a_crash_is_told_as_it_was_judged_when_it_was_new_even_while_the_engine_is_away() -> None:
    toy = crashed(137)
    box = toy.box("web")
    toy.evidence[box.id] = evidence(box, kill_at=toy.mono, died_at=toy.mono)
    toy.wait(DEATH_WAIT).decide()
    toy.evidence.clear()
    assert causes(toy) == ["killed by another hand, exited 137"]
    toy.host = replace(toy.host, engine_up=False)
    assert causes(toy) == ["killed by another hand, exited 137"]


def test_an_end_that_is_seen_while_the_engine_is_away_is_not_judged_yet() -> None:
    toy = crashed()
    toy.host = replace(toy.host, engine_up=False)
    assert causes(toy) == []


def test_the_codes_of_the_services_own_policy_tell_success_from_a_crash() -> None:
    success = RestartPolicy(success_exit_codes=frozenset({3}))
    assert causes(crashed(3, success)) == []
    assert causes(crashed(3)) == ["exited 3"]


def test_a_crash_of_what_is_not_in_the_file_is_told_too() -> None:
    toy = crashed()
    toy.edit(service("db"))
    assert causes(toy) == ["exited 1"]
    toy.override(OverrideKind.HELD, "db").override(OverrideKind.SCALED, "web", value=1)
    assert causes(toy) == ["exited 1"]
    toy.desired = None
    assert causes(toy) == ["exited 1"]


@pytest.mark.parametrize(("code", "signal"), [(1, None), (128, None), (129, 1), (137, 9), (192, 64), (193, None)])
def test_the_signal_is_read_from_the_exit_code_where_no_event_tells_it(code: int, signal: int | None) -> None:
    assert [end.signal for end in ends(crashed(code))] == [signal]


@pytest.mark.parametrize(("started", "signal"), [("this run", 15), ("unknown", 15), ("an earlier run", 9)])
def test_the_signal_of_an_event_counts_unless_it_is_of_an_earlier_run(started: str, signal: int) -> None:
    toy = crashed(137)
    box = toy.box("web")
    began = {"this run": box.started_at, "unknown": 0.0, "an earlier run": EPOCH}[started]
    toy.evidence[box.id] = replace(evidence(box, died_at=toy.mono), signal=15, started_at=began)
    assert [end.signal for end in ends(toy)] == [signal]


def test_an_event_without_a_signal_leaves_it_to_the_exit_code() -> None:
    toy = crashed(137)
    toy.evidence[toy.box("web").id] = evidence(toy.box("web"), died_at=toy.mono)
    assert [end.signal for end in ends(toy)] == [9]


@pytest.mark.parametrize("by", ["the state", "an event", "nothing"])
@pytest.mark.parametrize("code", [137, 1])
def test_want_of_memory_is_told_by_the_state_or_an_event_and_only_of_a_main_process_that_was_killed(
    by: str, code: int
) -> None:
    toy = crashed(code)
    box = toy.alter("web", oom_killed=by == "the state")
    toy.evidence[box.id] = replace(evidence(box, died_at=toy.mono), oom=by == "an event")
    assert [end.oom for end in ends(toy)] == [by != "nothing" and code == 137]


def test_what_runs_or_is_dead_is_told_by_how_it_ended_only() -> None:
    toy = Toy(service("web"), service("db")).settle().wait(1)
    toy.alter("db", exit_code=1)
    assert causes(toy) == []
    toy.crash("web", 2)
    toy.alter("web", state=ContainerState.DEAD)
    assert causes(toy) == ["exited 2"]
