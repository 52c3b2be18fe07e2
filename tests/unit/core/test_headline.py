"""The line that says why a service is as it is, and the one about what comes next: one case a state and an override."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stackd.core.headline import Facts, headline, outlook
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ContainerState, Incarnation
from stackd.model.override import OverrideKind
from stackd.model.record import Crash, WhyLink
from stackd.model.spec import RestartPolicy
from stackd.model.view import Death, Ledger, Now, ServiceLedger, ServiceState, ServiceVerdict
from tests.unit.core.dsl import EPOCH, STACK, Toy, service

WEB = ServiceName("web")
DAY = 86400.0
MIDNIGHT = 1699920000.0
"""The wall clock of 2023-11-14, 00:00:00 UTC, the day of the toy's epoch."""
State = ServiceState
CRASH = Crash(1, EPOCH, STACK, WEB, ContainerId("c" * 64), "app-web-1", EPOCH, 1, None, False, "exited 1")


def made(
    state: ServiceState, detail: str = "", toy: Toy | None = None, root: WhyLink | None = None,
    crashes: tuple[Crash, ...] = (), **fields: Any,
) -> Facts:  # fmt: skip
    """Facts of web, in a stack where it runs beside db, told at 12:00:00 of the toy's day."""
    toy = toy or Toy(service("web"), service("db")).settle()
    return Facts(
        toy.view(), ServiceVerdict(WEB, state, detail, **fields), crashes, Now(toy.mono, MIDNIGHT + DAY / 2), root
    )


def at(hour: int, day: int = 0) -> float:
    return MIDNIGHT + day * DAY + hour * 3600


def running(**starts: float) -> Toy:
    """A stack whose services began to run at these instants."""
    toy = Toy(*(service(name) for name in starts)).settle()
    for name, began in starts.items():
        toy.alter(name, started_at=began)
    return toy


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.RUNNING, "web is running since 09:00:00 UTC"),
        (State.HEALTHY, "web is healthy, running since 09:00:00 UTC"),
        (State.STARTING, "web is starting, running since 09:00:00 UTC"),
    ],
)
def test_what_runs_is_told_with_since_when_by_its_own_runs_alone(state: ServiceState, words: str) -> None:
    assert headline(made(state, toy=running(web=at(9), db=at(11)))) == words


def test_of_several_runs_the_newest_that_lives_counts() -> None:
    toy = running(web=at(9))
    box = toy.box("web")
    toy.put(replace(box, id=ContainerId("2" * 64), number=2, started_at=at(10)))
    toy.put(replace(box, id=ContainerId("3" * 64), number=3, started_at=at(11), state=ContainerState.EXITED))
    assert headline(made(State.RUNNING, toy=toy)) == "web is running since 10:00:00 UTC"


def test_an_instant_of_another_day_is_told_with_its_date() -> None:
    assert headline(made(State.RUNNING, toy=running(web=at(9, -1)))) == "web is running since 2023-11-13 09:00:00 UTC"


def test_what_runs_without_a_container_or_with_a_detail_is_told_without_an_instant() -> None:
    toy = Toy(service("web"))
    assert headline(made(State.RUNNING, toy=toy)) == "web is running"
    told = made(State.RUNNING, "its health check fails", toy=running(web=at(9)))
    assert headline(told) == "web is running: its health check fails"


def test_the_cause_of_a_run_is_told_and_an_outcome_is_none() -> None:
    toy = running(web=at(9))
    edit, outcome = WhyLink("edit", "web: image: a -> b"), WhyLink("outcome", "web is running")
    since = "web is running since 09:00:00 UTC"
    assert headline(made(State.RUNNING, toy=toy, root=edit)) == f"{since}, started because image: a -> b"
    assert headline(made(State.RUNNING, toy=toy, root=outcome)) == since


def looping(*ends: tuple[float, str], policy: RestartPolicy | None = None) -> Toy:
    """A stack whose web died at these instants (monotonic), in these ways."""
    toy = Toy(service("web", restart=policy or RestartPolicy()))
    deaths = tuple(Death(Incarnation(ContainerId("c" * 64), seen), seen, 1, False, how) for seen, how in ends)
    toy.ledger = Ledger({WEB: ServiceLedger(deaths=deaths, attempts=len(deaths))})
    return toy


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (((1, "exited 1"), (700, "exited 3"), (800, "exited 3")), "exited 3, 2 times within 10 min"),
        (((700, "exited 3"), (800, "exited 1")), "2 failures within 10 min, the last one: exited 1"),
        (((1, "exited 1"), (700, "exited 1")), "exited 1, 2 times within 10 min"),
        ((), "as it was judged"),
    ],
)
def test_a_crash_loop_is_told_by_the_ways_in_which_its_newest_runs_ended(
    ends: tuple[tuple[float, str], ...], words: str
) -> None:
    assert headline(made(State.CRASH_LOOPING, "as it was judged", looping(*ends))) == f"web is crash looping: {words}"


def test_the_window_of_a_crash_loop_is_its_services_own() -> None:
    toy = looping((100, "exited 1"), (110, "exited 1"), policy=RestartPolicy(crashloop_window=90))
    assert headline(made(State.CRASH_LOOPING, toy=toy)).endswith("2 times within 90 s")
    toy.edit()
    assert headline(made(State.CRASH_LOOPING, toy=toy)).endswith("2 times within 10 min")
    toy.desired = None
    assert headline(made(State.CRASH_LOOPING, toy=toy)).endswith("2 times within 10 min")


def test_a_back_off_is_told_with_its_attempt_and_its_next_try_where_there_are_any() -> None:
    toy = Toy(service("web"))
    told = made(State.BACKING_OFF, "exited 1", toy, attempt=2, next_at=toy.mono + 60)
    assert headline(told) == "web is backing off: exited 1; attempt 2; next try at 12:01:00 UTC"
    assert headline(made(State.BACKING_OFF, "exited 1")) == "web is backing off: exited 1"


@pytest.mark.parametrize(
    ("state", "detail", "words"),
    [
        (State.WAITING, "waiting for db to start", "web waits for db to start"),
        (State.WAITING, "db is held: so", "web waits: db is held: so"),
        (State.EXITED, "given up", "web is not running: given up"),
        (State.EXITED, "", "web is not running: it has exited"),
        (State.COMPLETED, "", "web has completed"),
        (State.UNKNOWN, "", "web is unknown"),
        (State.BLOCKED, "no such network", "web is blocked: no such network"),
        (State.HELD, "not read yet", "web is held: not read yet"),
        (State.CRASH_LOOPING, "exited 1", "web is crash looping: exited 1"),
    ],
)
def test_every_other_state_is_told_by_its_word_and_its_detail(state: ServiceState, detail: str, words: str) -> None:
    assert headline(made(state, detail)) == words


def test_the_end_of_a_run_is_told_with_its_instant_and_of_a_job_with_its_code() -> None:
    toy = running(web=at(8), db=at(8))
    toy.crash("web", 3), toy.crash("db", 5)
    toy.alter("web", finished_at=at(9)), toy.alter("db", finished_at=at(11))
    box = toy.box("web")
    toy.put(replace(box, id=ContainerId("2" * 64), number=2, finished_at=at(7)))
    toy.put(replace(box, id=ContainerId("3" * 64), number=3, finished_at=at(10), state=ContainerState.RUNNING))
    assert headline(made(State.COMPLETED, toy=toy)) == "web has completed: exited 3 at 09:00:00 UTC"
    assert headline(made(State.EXITED, "given up", toy)) == "web is not running: given up at 09:00:00 UTC"
    toy.boxes = {}
    toy.put(replace(box, finished_at=0.0))
    assert headline(made(State.COMPLETED, toy=toy)) == "web has completed"


def overridden(kind: OverrideKind, scope: str | None = "web", runs: bool = False, **fields: Any) -> Toy:
    toy = Toy(service("web"), service("db")).settle()
    if not runs:
        toy.crash("web", 0)
    toy.override(kind, scope, **fields)
    toy.overrides = tuple(replace(one, at=at(9)) for one in toy.overrides)
    return toy


Kind = OverrideKind


@pytest.mark.parametrize(
    ("kind", "scope", "runs", "state", "way"),
    [
        (Kind.STOPPED, "web", False, State.STOPPED, "`stackd start app web` starts it"),
        (Kind.STOPPED, None, False, State.ABSENT, "`stackd up app` starts it"),
        (Kind.HELD, "web", False, State.HELD, "`stackd start app web` starts it"),
        (Kind.HELD, "web", True, State.HELD, "`stackd resume app web` ends that"),
        (Kind.HELD, None, True, State.HELD, "`stackd resume app` ends that"),
        (Kind.PAUSED, "web", True, State.HELD, "`stackd start app web` starts it"),
        (Kind.RELEASED, None, False, State.HELD, "`stackd adopt app` has stackd keep it again"),
    ],
)
def test_an_override_is_told_with_who_when_and_the_way_out(
    kind: OverrideKind, scope: str | None, runs: bool, state: ServiceState, way: str
) -> None:
    toy = overridden(kind, scope, runs)
    facts = made(state, toy=toy)
    assert headline(facts) == f"web is {kind}: wanted so (by test) at 09:00:00 UTC; {way}"
    edit = "" if kind is OverrideKind.RELEASED else ", and so does an edit of its definition"
    assert outlook(facts) == f"nothing happens by itself; {way}{edit}"


def test_an_override_with_an_end_says_when_it_ends() -> None:
    facts = made(State.HELD, toy=overridden(OverrideKind.HELD, until=at(13)))
    assert outlook(facts).startswith("it ends at 13:00:00 UTC; ")


def test_a_pin_is_told_by_what_it_leaves_as_it_is() -> None:
    words = "web is left as it is: wanted so; `stackd up app` puts its files in force"
    assert headline(made(State.HELD, toy=overridden(OverrideKind.PINNED, None))) == words


@pytest.mark.parametrize(
    "kind", [OverrideKind.STOPPED, OverrideKind.HELD, OverrideKind.PAUSED, OverrideKind.RELEASED], ids=str
)
def test_what_stops_or_holds_is_told_before_a_pin_and_that_of_the_stack_before_that_of_the_service(
    kind: OverrideKind,
) -> None:
    toy = Toy(service("web"), service("db")).override(OverrideKind.PINNED, None).override(OverrideKind.HELD, "db")
    assert (told := made(State.HELD, toy=toy.override(kind, "web")).override) and told.kind is kind
    assert (told := made(State.HELD, toy=toy.override(OverrideKind.STOPPED)).override) and told.service is None
    assert told.kind is OverrideKind.STOPPED


@pytest.mark.parametrize("state", [State.CRASH_LOOPING, State.BACKING_OFF])
def test_what_fails_has_a_next_try_and_a_command_that_tries_at_once(state: ServiceState) -> None:
    toy = Toy(service("web"))
    try_now = "or at once: an edit of its definition, or `stackd restart app web`"
    assert outlook(made(state, toy=toy)) == try_now
    told = outlook(made(state, toy=toy, crashes=(CRASH,), next_at=toy.mono + 60))
    assert told == f"next try at 12:01:00 UTC, {try_now}; what it said: `stackd crashes app web`"


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        (State.BLOCKED, {"settled": True}, "nothing happens by itself: its definition must change"),
        (State.BLOCKED, {}, "it goes on by itself once that is so"),
        (State.WAITING, {}, "it goes on by itself once that is so"),
        (State.PAUSED, {}, "nothing happens by itself: unpause it with docker, or `stackd restart app web`"),
        (State.COMPLETED, {}, "it does not run again until its definition changes, or `stackd restart app web`"),
        (State.EXITED, {}, "it stays so until its definition changes, or `stackd start app web`"),
        (State.RUNNING, {"good": True}, "nothing is to be done"),
        (State.HEALTHY, {"good": True}, "nothing is to be done"),
        (State.RUNNING, {}, ""),
        (State.HELD, {}, ""),
        (State.UNHEALTHY, {"next_at": 1060.0}, "next try at 12:01:00 UTC"),
    ],
)
def test_what_comes_next_is_told_of_every_other_state(state: ServiceState, fields: dict[str, Any], words: str) -> None:
    toy = Toy(service("web"))
    assert outlook(made(state, toy=toy, **fields)) == words


def test_a_scale_by_hand_is_nothing_to_be_done() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.SCALED, "web", value=2)
    assert outlook(made(State.RUNNING, toy=toy, good=True)) == "nothing is to be done"
