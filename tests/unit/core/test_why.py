"""Why a service is as it is: one line a person understands, the chain to its cause, and what comes next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.why import LONGEST, Known, explain
from stackd.errors import Span
from stackd.model.ids import ServiceName
from stackd.model.observed import Health
from stackd.model.override import Override, OverrideKind
from stackd.model.record import Crash, WhyAnswer
from stackd.model.spec import HealthCheck
from stackd.model.status import Happening
from stackd.model.view import ServiceState
from tests.unit.core.dsl import HEALTHY, STACK, Toy, needs, service

WEB, DB = ServiceName("web"), ServiceName("db")
EDIT = "environment.MODE: one -> two (compose.yaml:14:9)"
Fact = str | int | float | bool | None


class Tale:
    """A history, entry by entry."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self.entries: list[Happening] = []

    def add(self, type: str, text: str, service: str | None = "web", **data: Fact) -> None:
        at = self.toy.now.wall - 1000 + len(self.entries)
        name = ServiceName(service) if service else None
        self.entries.append(Happening(len(self.entries) + 1, at, STACK, name, type, text, tuple(data.items())))

    def call(self, type: str, text: str, why: str, reason: str, service: str = "web") -> None:
        self.add(f"container.{type}", f"{text}: {reason}", service, why=why, reason=reason)

    def why(self, name: ServiceName = WEB, crashes: tuple[Crash, ...] = ()) -> WhyAnswer:
        decision = self.toy.decide()
        return explain(name, Known(self.toy.view(), decision, tuple(self.entries), crashes, self.toy.now))


def texts(answer: WhyAnswer, kind: str) -> list[str]:
    return [link.text for link in answer.chain if link.kind == kind]


def running(*services: object) -> Toy:
    toy = Toy(*(services or (service("web"),)))  # type: ignore[arg-type]
    toy.settle()
    return toy


def replaced_by_an_edit(toy: Toy) -> Tale:
    tale = Tale(toy)
    tale.call("created", "created app-web-1", "missing", "web has no container")
    tale.add("service.state", "web is running", state="running")
    tale.call("created", "created x_app-web-1", "config_changed", EDIT)
    tale.call("stopped", "stopped web", "config_changed", EDIT)
    tale.add("container.exited", "app-web-1 exited 0 (stopped by stackd)", own=True, exit_code=0)
    tale.call("started", "started web", "needed", "it replaces another one")
    tale.call("removed", "removed abc of web", "config_changed", EDIT)
    tale.add("service.state", "web is running", state="running")
    return tale


def test_a_running_service_says_since_when_and_names_itself_once() -> None:
    toy = running()
    tale = Tale(toy)
    tale.call("created", "created app-web-1", "missing", "web has no container")
    tale.call("started", "started web", "missing", "web has no container")
    headline = tale.why().headline
    assert headline.startswith("web is running since ")
    assert headline.endswith(", started because web has no container")


def test_a_replaced_service_is_told_from_the_line_that_was_edited_to_its_start() -> None:
    answer = replaced_by_an_edit(running()).why()
    assert answer.headline.endswith(f"started because {EDIT}")
    first = answer.chain[0]
    assert (first.kind, first.span) == ("edit", Span("compose.yaml", 14, 9))
    kinds = [link.kind for link in answer.chain]
    assert kinds[:3] == ["edit", "decision", "call"] and kinds[-1] == "outcome"
    assert texts(answer, "edit") == [EDIT]
    assert not any("has no container" in link.text for link in answer.chain), "an older tale"


def test_a_crash_loop_is_told_with_how_often_and_when_the_next_try_is() -> None:
    toy = running()
    for _ in range(5):
        toy.crash("web")
        toy.decide()
        toy.wait(61)
        toy.settle()
    toy.crash("web")
    tale = Tale(toy)
    tale.add("container.exited", "app-web-1 exited 2", own=False, exit_code=2)
    tale.call("started", "started web", "exited", "exited 2")
    tale.add("container.exited", "app-web-1 exited 1", own=False, exit_code=1)
    tale.add("service.state", "web is crash_looping: exited 1", state="crash_looping")
    answer = tale.why()
    assert answer.state is ServiceState.CRASH_LOOPING
    assert answer.headline.startswith("web is crash looping: exited 1, 5 times within 10 min; next try at ")
    assert [link.text for link in answer.chain if link.kind == "event"] == ["app-web-1 exited 1"]
    assert "`stackd restart app web`" in answer.next


def test_a_restart_by_another_hand_is_named_as_the_cause_of_the_run() -> None:
    toy = running()
    tale = Tale(toy)
    tale.add("container.exited", "app-web-1 exited 143 (by another hand)", own=False, exit_code=143)
    tale.add("container.restarted", "app-web-1 was restarted by another hand, as `docker restart` does")
    tale.add("service.state", "web is running", state="running")
    answer = tale.why()
    assert answer.headline.endswith("started because app-web-1 was restarted by another hand, as `docker restart` does")
    assert answer.chain[0].kind == "event"


@pytest.mark.parametrize("word", ["paused", "unpaused"])
def test_a_pause_by_another_hand_is_an_event_and_no_call_of_ours(word: str) -> None:
    tale = Tale(running())
    tale.add(f"container.{word}", f"app-web-1 was {word} by another hand")
    assert [link.kind for link in tale.why().chain] == ["event"]


def test_a_service_that_fails_since_an_edit_is_told_with_that_edit() -> None:
    toy = running()
    tale = replaced_by_an_edit(toy)
    toy.crash("web")
    toy.decide()
    tale.entries = [replace(one, at=toy.now.wall - 20) for one in tale.entries]
    tale.add("container.exited", "app-web-1 exited 1", own=False, exit_code=1)
    for _ in range(2):
        toy.settle()
        toy.crash("web")
        toy.decide()
    answer = tale.why()
    assert answer.state in (ServiceState.BACKING_OFF, ServiceState.CRASH_LOOPING)
    assert answer.chain[0].text == f"failing since this edit: {EDIT}"
    assert answer.chain[0].span == Span("compose.yaml", 14, 9)


def test_a_hold_names_who_when_and_the_command_that_ends_it() -> None:
    toy = running(service("db"))
    toy.crash("db", 0)
    reason = "stopped by another hand (docker stop)"
    toy.overrides = (Override(STACK, DB, OverrideKind.HELD, reason, "docker", toy.now.wall),)
    answer = Tale(toy).why(DB)
    assert answer.headline.startswith(f"db is held: {reason} (by docker) at ")
    assert answer.headline.endswith(" UTC; `stackd start app db` starts it")
    assert texts(answer, "override")


def test_a_hold_that_ends_by_itself_says_when() -> None:
    toy = running(service("db"))
    toy.overrides = (Override(STACK, DB, OverrideKind.HELD, "x", "me", toy.now.wall, until=toy.now.wall + 60),)
    assert Tale(toy).why(DB).next.startswith("it ends at ")


def test_a_stack_that_is_down_names_up_and_a_released_one_adopt() -> None:
    for kind, command in ((OverrideKind.STOPPED, "`stackd up app`"), (OverrideKind.RELEASED, "`stackd adopt app`")):
        toy = running()
        toy.overrides = (Override(STACK, None, kind, "asked for", "me", toy.now.wall),)
        toy.settle()
        assert command in Tale(toy).why().headline


def test_a_waiting_service_says_what_for() -> None:
    toy = Toy(service("db", healthcheck=HealthCheck(("CMD", "true"))), service("web", needs("db", HEALTHY)))
    toy.settle()
    toy.alter("db", health=Health.STARTING)
    answer = Tale(toy).why()
    assert answer.headline == "web waits for db to become healthy (now starting)"
    assert texts(answer, "waiting") == ["waiting for db to become healthy (now starting)"]


def test_a_service_that_followed_another_one_is_told_from_the_cause_of_that_one() -> None:
    toy = running(service("db"), service("web", needs("db", restart=True)))
    tale = Tale(toy)
    tale.add("container.exited", "app-db-1 exited 137", "db", own=False, exit_code=137)
    tale.call("started", "started db", "exited", "exited 137", "db")
    tale.call("stopped", "stopped web", "dependency_restarted", "db was restarted")
    tale.add("container.exited", "app-web-1 exited 0 (stopped by stackd)", own=True)
    tale.call("started", "started web", "dependency_restarted", "db was restarted")
    assert tale.why().chain[0].text == "app-db-1 exited 137"


def test_a_request_of_another_service_is_no_part_of_the_tale() -> None:
    tale = Tale(running(service("db"), service("web")))
    tale.add("operation.requested", "restart web asked for by me", None, verb="restart")
    tale.call("stopped", "stopped web", "requested", "restart asked for by me")
    tale.add("operation.requested", "restart db asked for by me", None, verb="restart")
    answer = tale.why()
    assert answer.chain[0].text == "restart web asked for by me"
    assert not any("restart db" in link.text for link in answer.chain)


def test_a_long_tale_keeps_its_first_link() -> None:
    tale = Tale(running())
    tale.call("created", "created app-web-1", "config_changed", EDIT)
    for number in range(40):
        tale.add("operation.failed", f"starting web failed: {number}")
    answer = tale.why()
    assert answer.chain[0].text == EDIT
    assert len([link for link in answer.chain if link.kind in ("edit", "decision", "call", "outcome")]) == LONGEST


def test_what_is_not_looked_at_yet_says_so() -> None:
    toy = running()
    answer = explain(WEB, Known(toy.view(), None, (), (), toy.now))
    assert (answer.state, answer.headline) == (ServiceState.UNKNOWN, "web is unknown: not looked at yet")


def test_what_came_after_a_run_began_is_not_why_it_runs() -> None:
    toy = running()
    tale = replaced_by_an_edit(toy)
    toy.wait(500)
    later = Happening(99, toy.now.wall - 10, STACK, None, "operation.requested", "start web asked for by me")
    tale.entries.append(later)
    answer = tale.why()
    assert answer.headline.endswith(f"started because {EDIT}")
    assert "asked for by me" not in " ".join(texts(answer, "event"))


def test_every_link_of_the_past_says_when_it_was() -> None:
    answer = replaced_by_an_edit(running()).why()
    assert all(link.at is not None for link in answer.chain)


def test_the_way_out_of_a_hold_of_what_runs_is_resume() -> None:
    toy = running()
    toy.override(OverrideKind.HELD, "web")
    answer = Tale(toy).why()
    assert "`stackd resume app web`" in answer.headline
    assert "`stackd resume app web`" in answer.next


def test_a_replacement_that_was_seen_to_run_before_it_had_its_name_is_told_from_the_edit() -> None:
    tale = replaced_by_an_edit(running())
    tale.call("renamed", "renamed to app-web-1", "replaced", "it takes over the name of the one it replaces")
    tale.add("service.state", "web is running", state="running")
    answer = tale.why()
    assert texts(answer, "edit") == [EDIT]
    assert EDIT in answer.headline


def test_what_was_made_again_is_told_from_its_removal_by_another_hand() -> None:
    tale = Tale(running())
    tale.call("created", "created app-web-1", "missing", "web has no container")
    tale.add("service.state", "web is running", state="running")
    tale.add("container.gone", "app-web-1 was removed by another hand", cause="foreign")
    tale.add("service.state", "web is waiting: for the network", state="waiting")
    tale.call("created", "created app-web-1", "missing", "web has no container")
    tale.call("started", "started web", "needed", "it was created and has not run yet")
    answer = tale.why()
    assert answer.chain[0].text == "app-web-1 was removed by another hand"
    assert len(texts(answer, "call")) == 2
