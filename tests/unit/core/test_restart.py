"""Who is started again, when, how often, and who is not: crashes, completions, health, engine restarts, evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.ends import DEATH_WAIT
from stackd.model.evidence import Verdict
from stackd.model.observed import ContainerState, Health
from stackd.model.override import Verb
from stackd.model.plan import BlockerKind, StartContainer, StopContainer, Why
from stackd.model.spec import HealthCheck, RestartCondition, RestartPolicy, ServiceSpec, UnhealthyAction
from stackd.model.view import ServiceState
from tests.unit.core.dsl import ALWAYS, COMPLETED, EPOCH, HEALTHY, NEVER, Toy, evidence, needs, service

CHECKED = HealthCheck(("CMD", "true"))


def up(*services: ServiceSpec) -> Toy:
    """A converged stack."""
    return Toy(*services).settle()


def due(toy: Toy) -> float:
    """How long the start of the crashed service still waits."""
    blockers = [b for b in toy.step(StartContainer).blocked_by if b.kind is BlockerKind.BACKOFF]
    return blockers[0].until - toy.mono if blockers and blockers[0].until is not None else 0.0


def crash_again(toy: Toy, name: str = "web") -> float:
    """A crash, its delay, and the start after it; the delay."""
    toy.crash(name)
    toy.decide()
    delay = due(toy)
    toy.wait(delay)
    assert toy.turn() == [f"start {name}"]
    return delay


def test_the_first_crash_is_answered_at_once() -> None:
    toy = up(service("web"))
    toy.crash("web", 137)
    step = toy.step(StartContainer)
    assert (step.blocked_by, str(step.op.reason)) == ((), "exited 137")


def test_further_crashes_wait_one_two_four_seconds_with_a_fifth_of_jitter() -> None:
    toy = up(service("web"))
    delays = [crash_again(toy) for _ in range(4)]
    assert delays[0] == 0.0
    for delay, plain in zip(delays[1:], (1, 2, 4), strict=True):
        assert plain * 0.8 <= delay <= plain * 1.2


def test_a_crashed_service_waits_out_its_backoff() -> None:
    toy = up(service("web"))
    crash_again(toy)
    toy.crash("web")
    toy.decide()
    delay = due(toy)
    assert toy.wait(delay - 0.01).frontier() == []
    assert toy.wait(0.02).frontier() == ["start web"]


def test_the_same_crash_waits_the_same_time_after_a_restart_of_the_daemon() -> None:
    toy = up(service("web"))
    crash_again(toy)
    toy.crash("web")
    toy.decide()
    first = due(toy)
    toy.decide()
    assert due(toy) == first


def test_five_crashes_make_a_crash_loop_that_is_tried_every_five_minutes_for_ever() -> None:
    toy = up(service("web"))
    for _ in range(4):
        crash_again(toy)
    for _ in range(30):
        toy.crash("web")
        toy.decide()
        assert toy.verdict("web").state is ServiceState.CRASH_LOOPING
        assert toy.verdict("web").next_at is not None
        assert 240 <= due(toy) <= 360
        toy.wait(due(toy))
        assert toy.turn() == ["start web"]


def test_a_long_stable_run_forgets_the_past_and_says_when() -> None:
    toy = up(service("web"))
    for _ in range(3):
        crash_again(toy)
    decision = toy.decide()
    assert decision.wake_at == pytest.approx(toy.mono + 600, abs=1)
    toy.wait(601).decide()
    toy.crash("web")
    toy.decide()
    assert due(toy) == 0.0


def test_a_run_that_is_not_yet_healthy_forgets_nothing() -> None:
    toy = up(service("web", healthcheck=CHECKED))
    crash_again(toy)
    toy.decide()
    toy.wait(700).decide()
    toy.crash("web")
    toy.decide()
    assert due(toy) > 0


def test_on_failure_with_a_number_is_exact_and_final_and_says_so() -> None:
    policy = RestartPolicy(RestartCondition.ON_FAILURE, max_attempts=2)
    toy = up(service("web", restart=policy))
    crash_again(toy)
    crash_again(toy)
    toy.crash("web", 9)
    assert toy.settle(patience=7200).plan() == []
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.settled, verdict.good) == (ServiceState.EXITED, True, False)
    assert "given up after 2 restarts" in verdict.detail


@pytest.mark.parametrize("policy", [RestartPolicy(), NEVER])
def test_an_exit_of_zero_is_completed_and_stays_so(policy: RestartPolicy) -> None:
    toy = up(service("job", restart=policy))
    toy.crash("job", 0)
    for _ in range(3):
        assert toy.wait(3600).plan() == []
    assert toy.verdict("job").state is ServiceState.COMPLETED
    assert toy.forget().plan() == []


def test_always_restarts_an_exit_of_zero() -> None:
    toy = up(service("web", restart=ALWAYS))
    toy.crash("web", 0)
    assert toy.frontier() == ["start web"]


def test_no_never_restarts_and_the_state_tells_the_code() -> None:
    toy = up(service("web", restart=NEVER))
    toy.crash("web", 3)
    assert toy.settle(patience=3600).plan() == []
    assert (toy.verdict("web").state, "exited 3" in toy.verdict("web").detail) == (ServiceState.EXITED, True)


def test_a_completed_job_runs_again_only_when_its_definition_changes() -> None:
    toy = up(service("job"))
    toy.crash("job", 0)
    toy.settle()
    toy.edit(service("job", version="2")).settle()
    assert (toy.box("job").running, toy.box("job").config_hash) == (True, "job@2")


def test_a_changed_definition_clears_the_curve() -> None:
    toy = up(service("web"))
    for _ in range(5):
        crash_again(toy)
    toy.edit(service("web", version="2")).settle()
    toy.crash("web")
    toy.decide()
    assert due(toy) == 0.0


def test_a_start_by_a_person_clears_the_curve_and_is_done_at_once() -> None:
    toy = up(service("web"))
    for _ in range(5):
        crash_again(toy)
    toy.crash("web")
    toy.decide()
    assert toy.frontier() == []
    toy.ask(Verb.START, "web")
    assert toy.frontier() == ["start web"]
    toy.settle()
    assert (toy.box("web").running, toy.requests) == (True, ())


def test_a_restart_of_the_engine_brings_back_what_it_stopped_but_not_what_had_completed() -> None:
    toy = up(service("web"), service("job"))
    toy.crash("job", 0)
    toy.settle()
    toy.wait(60)
    toy.crash("web", 0)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall, engine_lost_at=toy.now.wall)
    toy.wait(2)
    assert toy.frontier() == ["start web"]
    assert toy.step(StartContainer).op.reason.why is Why.ENGINE_RESTARTED
    assert toy.settle().verdict("job").state is ServiceState.COMPLETED


def test_an_engine_restart_charges_no_service() -> None:
    toy = up(service("web", restart=ALWAYS))
    for _ in range(8):
        toy.wait(5)
        toy.crash("web", 143)
        toy.host = replace(toy.host, engine_started_at=toy.now.wall)
        assert toy.settle().box("web").running
    assert toy.verdict("web").attempt == 0


def test_after_an_engine_restart_dependencies_come_first() -> None:
    toy = up(service("db", healthcheck=CHECKED), service("web", needs("db", HEALTHY)))
    toy.alter("db", health=Health.HEALTHY)
    toy.settle()
    toy.crash("db", 0), toy.crash("web", 0)
    toy.wait(1)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall)
    assert toy.turn() == ["start db"]
    assert toy.frontier() == []
    toy.alter("db", health=Health.HEALTHY)
    assert toy.frontier() == ["start web"]


def test_a_job_that_the_engine_ended_has_not_completed() -> None:
    toy = up(service("job"), service("web", needs("job", COMPLETED)))
    toy.crash("job", 0)
    toy.wait(1)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall)
    assert toy.turn() == ["start job"]
    assert toy.frontier() == []
    toy.crash("job", 0)
    assert toy.frontier() == ["start web"]


def test_an_unhealthy_run_is_restarted_after_its_grace() -> None:
    policy = RestartPolicy(unhealthy_grace=20)
    toy = up(service("web", healthcheck=CHECKED, restart=policy))
    toy.alter("web", health=Health.UNHEALTHY, health_output="no route")
    toy.decide()
    assert toy.frontier() == []
    toy.wait(20)
    assert toy.frontier() == ["stop web"]
    assert str(toy.step(StopContainer).op.reason) == "unhealthy: no route"
    assert toy.turn() + toy.turn() == ["stop web", "start web"]


def test_health_restarts_are_limited_within_a_window_and_go_on_after_it() -> None:
    toy = up(service("web", healthcheck=CHECKED))
    restarts = []
    begin = toy.mono
    for _ in range(12):
        toy.alter("web", health=Health.UNHEALTHY)
        decision = toy.decide()
        while not decision.plan.frontier():
            assert decision.wake_at is not None
            toy.mono = decision.wake_at
            decision = toy.decide()
        restarts.append(toy.mono - begin)
        assert toy.turn() + toy.turn() == ["stop web", "start web"]
        toy.wait(1)
    assert restarts[4] < 10
    assert restarts[5] >= 300
    for early, late in zip(restarts, restarts[5:], strict=False):
        assert late - early >= 299


@pytest.mark.parametrize("action", [UnhealthyAction.ALERT, UnhealthyAction.NONE])
def test_alert_and_none_stop_nothing(action: UnhealthyAction) -> None:
    toy = up(service("web", healthcheck=CHECKED, restart=RestartPolicy(unhealthy=action)))
    toy.alter("web", health=Health.UNHEALTHY)
    assert toy.wait(3600).plan() == []


def test_health_restarts_wait_during_a_storm_and_after_a_suspend() -> None:
    toy = up(service("web", healthcheck=CHECKED))
    toy.alter("web", health=Health.UNHEALTHY)
    toy.host = replace(toy.host, storm="the host is suspected")
    assert toy.frontier() == []
    toy.host = replace(toy.host, storm="", health_ignored_until=toy.mono + 60)
    assert toy.frontier() == []
    assert toy.wait(60).frontier() == ["stop web"]


def test_health_counts_only_while_running() -> None:
    toy = up(service("web", healthcheck=CHECKED))
    toy.alter("web", state=ContainerState.PAUSED, health=Health.UNHEALTHY)
    assert toy.plan() == []


def test_an_end_after_a_kill_waits_for_the_stop_that_may_follow_then_counts_as_a_crash() -> None:
    toy = up(service("web"))
    box = toy.crash("web", 137)
    toy.evidence[box.id] = evidence(box, kill_at=toy.mono, died_at=toy.mono)
    decision = toy.decide()
    assert decision.plan.frontier() == ()
    assert decision.wake_at == pytest.approx(toy.mono + DEATH_WAIT)
    assert toy.wait(DEATH_WAIT + 0.01).frontier() == ["start web"]


def test_an_end_without_a_kill_is_answered_at_once() -> None:
    toy = up(service("web"))
    box = toy.crash("web", 137)
    toy.evidence[box.id] = evidence(box, died_at=toy.mono)
    assert toy.frontier() == ["start web"]


def test_a_stop_by_another_hand_is_waited_for_while_its_proof_is_pending_and_no_longer() -> None:
    toy = up(service("web"))
    box = toy.crash("web", 0)
    toy.evidence[box.id] = evidence(box, Verdict.PENDING, kill_at=toy.mono, stop_at=toy.mono, died_at=toy.mono)
    assert toy.frontier() == []
    toy.wait(6.01)
    toy.evidence[box.id] = replace(toy.evidence[box.id], exit_code=1)
    toy.alter("web", exit_code=1)
    assert toy.frontier() == ["start web"]


def test_evidence_of_an_earlier_run_delays_nothing() -> None:
    toy = up(service("web"))
    box = toy.crash("web", 137)
    toy.evidence[box.id] = replace(evidence(box, kill_at=toy.mono), started_at=EPOCH)
    assert toy.frontier() == ["start web"]


def test_a_knob_turns_waiting_for_foreign_stops_off() -> None:
    toy = up(service("web"))
    toy.host = replace(toy.host, on_external_stop_hold=False)
    box = toy.crash("web", 137)
    toy.evidence[box.id] = evidence(box, kill_at=toy.mono)
    assert toy.frontier() == ["start web"]


def test_a_removed_container_of_a_pending_stop_is_not_made_again_before_the_proof() -> None:
    toy = up(service("web"))
    box = toy.crash("web", 0)
    toy.evidence[box.id] = evidence(box, Verdict.PENDING, kill_at=toy.mono, stop_at=toy.mono)
    toy.boxes.clear()
    assert toy.frontier() == []
    assert toy.wait(7).frontier() == ["create web 1"]


@pytest.mark.parametrize(
    ("stops", "removals", "waits"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_a_removed_container_is_made_again_at_once_only_when_both_knobs_are_off(
    stops: bool, removals: bool, waits: bool
) -> None:
    toy = up(service("web"))
    toy.host = replace(toy.host, on_external_stop_hold=stops, on_external_remove_hold=removals)
    box = toy.crash("web", 0)
    toy.evidence[box.id] = evidence(box, Verdict.PENDING, kill_at=toy.mono, stop_at=toy.mono)
    toy.boxes.clear()
    assert toy.frontier() == ([] if waits else ["create web 1"])


def test_a_vanished_container_waits_for_no_evidence_of_another_service_or_of_one_that_is_there() -> None:
    toy = up(service("web", scale=2), service("db"))
    gone, other, db = toy.box("web"), toy.box("web", 2), toy.box("db")
    for box in (other, db):
        toy.evidence[box.id] = evidence(box, Verdict.PENDING, kill_at=toy.mono, stop_at=toy.mono)
    del toy.boxes[gone.id], toy.boxes[db.id]
    assert toy.frontier() == ["create web 1"]


def test_a_dependent_is_restarted_when_its_dependency_was_and_only_then() -> None:
    toy = up(service("db"), service("web", needs("db", restart=True)), service("lazy", needs("db")))
    web, lazy = toy.box("web"), toy.box("lazy")
    toy.crash("db")
    toy.settle(patience=10)
    assert toy.box("web").started_at > web.started_at
    assert toy.box("lazy") == lazy
    assert toy.plan() == []


def test_a_cascade_waits_until_the_dependency_is_healthy() -> None:
    toy = up(service("db", healthcheck=CHECKED), service("web", needs("db", HEALTHY, restart=True)))
    toy.alter("db", health=Health.HEALTHY)
    toy.settle()
    toy.crash("db")
    toy.settle(patience=10)
    assert toy.steps(StopContainer)[0].blocked_by[0].kind is BlockerKind.DEPENDENCY
    toy.alter("db", health=Health.HEALTHY)
    assert toy.turn() + toy.turn() == ["stop web", "start web"]


def test_our_own_stop_for_a_restart_is_followed_by_a_start_even_when_it_exits_zero() -> None:
    toy = up(service("web", healthcheck=CHECKED))
    toy.alter("web", health=Health.UNHEALTHY)
    assert toy.turn() == ["stop web"]
    assert toy.turn() == ["start web"]


def test_a_condemned_run_is_stopped_again_though_its_cause_is_gone() -> None:
    toy = up(service("web", healthcheck=CHECKED))
    toy.alter("web", health=Health.UNHEALTHY)
    (stop,) = toy.decide().plan.frontier()
    toy.do(stop)
    toy.alter("web", state=ContainerState.RUNNING, health=Health.HEALTHY)
    assert toy.frontier() == ["stop web"]
    assert toy.turn() + toy.turn() == ["stop web", "start web"]
    assert toy.plan() == []


def test_a_crash_loop_without_a_ledger_still_converges() -> None:
    toy = up(service("web"))
    for _ in range(3):
        toy.crash("web")
        toy.forget()
        assert toy.settle(patience=5).box("web").running


def test_a_paused_container_is_held_while_paused() -> None:
    toy = up(service("web"))
    toy.alter("web", state=ContainerState.PAUSED)
    assert (toy.plan(), toy.verdict("web").state) == ([], ServiceState.PAUSED)


def test_a_restart_that_a_person_asks_for_ends_a_paused_run_too() -> None:
    toy = Toy(service("web")).settle()
    before = toy.box("web").incarnation
    toy.alter("web", state=ContainerState.PAUSED)
    toy.ask(Verb.RESTART).settle()
    after = toy.box("web")
    assert after.running
    assert after.incarnation != before
