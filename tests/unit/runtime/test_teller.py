"""What is told of containers between two looks, and of a service's trouble: its beginning and its end, once each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.errors import Diagnostic, Severity, Span
from stackd.model.evidence import Verdict
from stackd.model.ids import ServiceName
from stackd.model.observed import ContainerState, Health
from stackd.model.override import OverrideKind, Verb
from stackd.model.spec import HealthCheck, RestartPolicy, UnhealthyAction
from stackd.model.status import Happening
from stackd.model.view import ServiceState, ServiceVerdict
from stackd.runtime.history import History
from stackd.runtime.teller import Teller
from tests.unit.core.dsl import STACK, Toy, evidence, service


def test_a_running_container_that_is_removed_by_force_is_told_whatever_is_seen_in_between() -> None:
    kept: list[Happening] = []
    teller = Teller(STACK, History(lambda: 0.0, kept.append, (), 1))
    toy = Toy(service("web")).settle()
    teller.tell(toy.view(), toy.decide(), toy.now)
    toy.alter("web", state=ContainerState.REMOVING)
    teller.tell(toy.view(), toy.decide(), toy.now)
    toy.boxes.clear()
    teller.tell(toy.view(), toy.decide(), toy.now)
    (gone,) = [one for one in kept if one.type == "container.gone"]
    assert (gone.service, dict(gone.data)["cause"]) == ("web", "foreign")
    assert gone.message.endswith("was removed by another hand")


def test_what_has_ended_and_is_removed_by_another_hand_is_told_and_a_removal_of_ours_is_not() -> None:
    told = Told(Toy(service("job"), service("web")).settle())
    told.toy.crash("job", 0)
    told.look()
    told.toy.boxes = {key: box for key, box in told.toy.boxes.items() if box.service != "job"}
    told.look()
    assert [one.service for one in told.kept if one.type == "container.gone"] == ["job"]
    told = Told(Toy(service("web")).settle())
    told.toy.override(OverrideKind.STOPPED)
    told.look()
    told.heal()
    assert not told.toy.boxes
    assert not told.of("container.gone")


class Told:
    """A teller beside a toy: every decision is told."""

    def __init__(self, toy: Toy) -> None:
        self.toy, self.kept = toy, list[Happening]()
        self.teller = Teller(STACK, History(lambda: 0.0, self.kept.append, (), 1))
        self.look()

    def begin_again(self) -> None:
        """Another life of the daemon, which has the history of those before."""
        last = self.kept[-1].seq if self.kept else 0
        self.teller = Teller(STACK, History(lambda: 0.0, self.kept.append, tuple(self.kept), last + 1))
        self.look()

    def look(self) -> None:
        self.teller.tell(self.toy.view(), self.toy.decide(), self.toy.now)

    def crash(self, times: int) -> Told:
        """So many crashes, each after another start."""
        for _ in range(times):
            self.toy.settle(patience=400)
            self.look()
            self.toy.wait(1).crash("web")
            self.look()
        return self

    def heal(self) -> Told:
        """It is started again, and seen to run."""
        self.toy.settle(patience=400)
        self.look()
        return self

    def of(self, kind: str) -> list[dict[str, object]]:
        return [dict(one.data) for one in self.kept if one.type == kind]


LOOP = RestartPolicy().crashloop_after


def test_a_crash_loop_is_told_once_when_it_begins_with_its_count_and_the_last_end() -> None:
    told = Told(Toy(service("web")).settle()).crash(LOOP - 1)
    assert told.of("service.crash_looping") == []
    told.crash(1)
    (loop,) = told.of("service.crash_looping")
    assert (loop["state"], loop["attempt"]) == ("crash_looping", LOOP)
    assert str(loop["detail"]).startswith("exited 1")
    told.crash(3)
    assert len(told.of("service.crash_looping")) == 1
    assert "crash_looping" not in [one["state"] for one in told.of("service.state")]


def test_a_daemon_that_is_started_again_tells_no_loop_again_and_still_tells_its_end() -> None:
    told = Told(Toy(service("web")).settle()).crash(LOOP)
    told.begin_again()
    told.crash(1).begin_again()
    assert len(told.of("service.crash_looping")) == 1
    told.heal()
    for _ in range(3):
        told.toy.wait(RestartPolicy().reset_after)
        told.look()
    assert [one["was"] for one in told.of("service.recovered")] == ["crash_looping"]
    told.begin_again()
    told.crash(LOOP)
    assert len(told.of("service.crash_looping")) == 2


def test_a_run_between_two_crashes_of_a_loop_is_no_recovery() -> None:
    told = Told(Toy(service("web")).settle()).crash(LOOP).heal()
    assert told.toy.box("web").running
    assert told.of("service.recovered") == []


def test_a_crash_loop_that_is_forgotten_is_told_as_a_recovery_once_and_the_next_loop_anew() -> None:
    told = Told(Toy(service("web")).settle()).crash(LOOP).heal()
    for _ in range(3):
        told.toy.wait(RestartPolicy().reset_after)
        told.look()
    (over,) = told.of("service.recovered")
    assert (over["was"], over["state"]) == ("crash_looping", "running")
    told.crash(LOOP)
    assert len(told.of("service.crash_looping")) == 2


def test_bad_health_that_passes_is_a_recovery_and_health_at_the_first_start_is_none() -> None:
    policy = RestartPolicy(unhealthy=UnhealthyAction.ALERT)
    told = Told(Toy(service("web", healthcheck=HealthCheck(("CMD", "true")), restart=policy)).settle())
    told.toy.alter("web", health=Health.HEALTHY)
    told.look()
    assert told.of("service.recovered") == []
    told.toy.alter("web", health=Health.UNHEALTHY)
    told.look()
    told.toy.alter("web", health=Health.HEALTHY)
    told.look()
    (over,) = told.of("service.recovered")
    assert (over["was"], over["state"]) == ("unhealthy", "healthy")


def test_a_hold_that_is_over_is_a_recovery_when_the_service_runs() -> None:
    told = Told(Toy(service("web")).settle())
    told.toy.override(OverrideKind.HELD, "web", definition="web@1").crash("web", 0)
    told.look()
    told.toy.overrides = ()
    told.toy.ask(Verb.START, "web")
    told.look()
    assert told.of("service.recovered") == []
    told.heal()
    (over,) = told.of("service.recovered")
    assert (over["was"], over["state"]) == ("held", "running")


TOLD_STATES = (
    ServiceState.HEALTHY, ServiceState.UNHEALTHY, ServiceState.COMPLETED, ServiceState.EXITED, ServiceState.HELD,
    ServiceState.BACKING_OFF, ServiceState.BLOCKED, ServiceState.STOPPED, ServiceState.PAUSED, ServiceState.WAITING,
    ServiceState.STUCK,
)  # fmt: skip


def judged(told: Told, state: ServiceState, detail: str = "") -> list[str]:
    """What is told of web's state once it is judged so."""
    before = len(told.kept)
    verdict = ServiceVerdict(ServiceName("web"), state, detail)
    decision = replace(told.toy.decide(), verdicts=(verdict,))
    told.teller.tell(told.toy.view(), decision, told.toy.now)
    return [one.message for one in told.kept[before:] if one.type == "service.state"]


@pytest.mark.parametrize("state", TOLD_STATES)
def test_a_state_that_a_person_cares_for_is_told_once_with_its_detail(state: ServiceState) -> None:
    told = Told(Toy(service("web")).settle())
    assert judged(told, state, "so") == [f"web is {state}: so"]
    assert judged(told, state, "so") == []


@pytest.mark.parametrize("state", [ServiceState.PENDING, ServiceState.STARTING, ServiceState.PULLING])
def test_a_state_that_only_leads_to_another_is_not_told(state: ServiceState) -> None:
    assert judged(Told(Toy(service("web")).settle()), state) == []


def test_a_service_that_runs_and_still_waits_for_something_is_not_told_to_run() -> None:
    told = Told(Toy(service("web")).settle())
    judged(told, ServiceState.STOPPED)
    assert judged(told, ServiceState.RUNNING, "its replacement waits") == []
    assert judged(told, ServiceState.RUNNING) == ["web is running"]


@pytest.mark.parametrize(
    ("state", "again"), [(ServiceState.BACKING_OFF, 0), (ServiceState.STUCK, 0), (ServiceState.WAITING, 1)]
)
def test_a_detail_that_changes_with_each_try_is_no_news_and_any_other_is(state: ServiceState, again: int) -> None:
    told = Told(Toy(service("web")).settle())
    assert len(judged(told, state, "one")) == 1
    assert len(judged(told, state, "two")) == again


def test_a_finding_about_the_definition_is_told_once_with_its_place() -> None:
    told = Told(Toy(service("web")).settle())
    assert told.toy.desired is not None
    wrong = Diagnostic("bad-port", "no port", Span("compose.yaml", 3, 1))
    told.toy.desired = replace(told.toy.desired, diagnostics=(wrong,))
    told.look()
    told.look()
    assert told.of("definition.error") == [{"code": "bad-port", "span": "compose.yaml:3:1"}]


def test_a_change_of_health_is_told_and_the_time_before_the_first_answer_is_not() -> None:
    told = Told(Toy(service("web", healthcheck=HealthCheck(("CMD", "true")))))
    told.toy.settle()
    told.look()
    for health in (Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY, Health.STARTING):
        told.toy.alter("web", health=health)
        told.look()
    assert [one["health"] for one in told.of("container.health")] == ["healthy", "unhealthy"]


def test_a_pause_by_another_hand_and_its_end_are_told_once_each() -> None:
    told = Told(Toy(service("web")).settle())
    for state in (ContainerState.PAUSED, ContainerState.PAUSED, ContainerState.RUNNING, ContainerState.RUNNING):
        told.toy.alter("web", state=state)
        told.look()
    assert [one.type for one in told.kept if "paused" in one.type] == ["container.paused", "container.unpaused"]


def test_an_end_for_want_of_memory_says_so_and_another_does_not() -> None:
    for oom in (True, False):
        told = Told(Toy(service("web")).settle())
        told.toy.wait(1).crash("web", 137)
        told.toy.alter("web", oom_killed=oom)
        told.look()
        told.toy.wait(60)
        told.look()
        (end,) = [one for one in told.kept if one.type == "container.exited"]
        assert ("out of memory" in end.message) is oom


@pytest.mark.parametrize("seen", [True, False], ids=["seen ended in between", "seen running only"])
def test_a_restart_by_another_hand_is_told_as_one_whatever_is_seen_in_between(seen: bool) -> None:
    told = Told(Toy(service("web")).settle())
    _another_hand(told, stop=True, seen=seen)
    _runs_again(told)
    assert told.of("container.restarted")[0]["cause"] == "foreign"
    texts = [one.message for one in told.kept if one.type in ("container.exited", "container.restarted")]
    exited = ["app-web-1 exited 143 (by another hand)"] if seen else []
    assert texts == [*exited, "app-web-1 was restarted by another hand, as `docker restart` does"]


def test_a_kill_and_a_start_by_another_hand_at_once_are_told_and_attributed() -> None:
    told = Told(Toy(service("web")).settle())
    _another_hand(told, stop=False, seen=True)
    _runs_again(told)
    texts = [one.message for one in told.kept if one.type in ("container.exited", "container.restarted")]
    assert texts == ["app-web-1 exited 143 (by another hand)", "app-web-1 was started by another hand"]


def test_a_start_that_was_asked_of_us_after_a_stop_by_another_hand_is_not_told_as_theirs() -> None:
    told = Told(Toy(service("web")).settle())
    _another_hand(told, stop=True, seen=True)
    told.toy.ask(Verb.START, "web")
    told.look()
    _runs_again(told)
    assert [one.message for one in told.kept if one.type == "container.exited"] == [
        "app-web-1 exited 143 (by another hand)"
    ]
    assert not told.of("container.restarted")


def _another_hand(told: Told, *, stop: bool, seen: bool) -> None:
    """Another hand signals web, and it ends; `seen`: a list shows it ended before it runs again."""
    toy = told.toy.wait(5)
    box = toy.box("web")
    toy.evidence[box.id] = evidence(
        box, Verdict.PENDING, kill_at=toy.mono, died_at=toy.mono, stop_at=toy.mono if stop else None
    )
    if seen:
        toy.crash("web", 143)
        told.look()


def _runs_again(told: Told) -> None:
    toy = told.toy.wait(0.3)
    box = toy.box("web")
    toy.evidence[box.id] = replace(toy.evidence[box.id], verdict=Verdict.RESTARTED)
    toy.alter("web", state=ContainerState.RUNNING, started_at=toy.now.wall)
    told.look()
    told.look()


def test_an_end_with_the_engine_is_no_other_hands_when_the_container_is_gone_before_it_is_clear() -> None:
    told = Told(Toy(service("web")).settle())
    _another_hand(told, stop=True, seen=True)
    told.toy.host = replace(told.toy.host, engine_started_at=told.toy.now.wall)
    told.toy.boxes.clear()
    told.look()
    assert [one["cause"] for one in told.of("container.exited")] == ["engine"]


def test_a_finding_whose_text_changes_while_it_lasts_is_recorded_once_and_again_when_it_comes_back() -> None:
    told = Told(Toy(service("web")).settle())

    def found(*texts: str) -> int:
        late = tuple(Diagnostic("edit-not-taken", text, Span("compose.yaml"), Severity.WARNING) for text in texts)
        assert told.toy.desired is not None
        told.toy.desired = replace(told.toy.desired, diagnostics=late)
        told.look()
        return len(told.of("definition.warning"))

    assert [found("at 1"), found("at 2"), found("at 3"), found(), found("at 4")] == [1, 1, 1, 1, 2]


def test_a_released_stack_whose_link_is_removed_is_not_warned_of_a_removal() -> None:
    told = Told(Toy(service("web")).settle())
    told.toy.override(OverrideKind.RELEASED)
    assert told.toy.desired is not None
    going = Diagnostic("stack-going", "it will be removed", Span("/stacks/app"), Severity.WARNING)
    told.toy.desired = replace(told.toy.desired, diagnostics=(going,))
    told.look()
    assert told.of("definition.warning") == []


def test_a_finding_about_the_definition_is_recorded_while_there_is_no_engine() -> None:
    toy, kept = Toy(service("web")), list[Happening]()
    assert toy.desired is not None
    toy.desired = replace(toy.desired, diagnostics=(Diagnostic("bad-port", "no port", Span("compose.yaml", 3)),))
    view = replace(toy.view(), observed=None)
    Teller(STACK, History(lambda: 0.0, kept.append, (), 1)).tell(view, toy.decide(), toy.now)
    assert [one.type for one in kept] == ["definition.error"]
