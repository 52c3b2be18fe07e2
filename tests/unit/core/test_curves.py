"""Which failure is tried again when: classes of call failures, ends that no try mends, exit codes of the policy, and
what clears the past."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.backoff import PORT_TRIES, next_call
from stackd.errors import EngineErrorKind
from stackd.model.ids import ImageId
from stackd.model.observed import ContainerState, Health, ObservedImage
from stackd.model.override import OverrideKind
from stackd.model.plan import BlockerKind, StartContainer
from stackd.model.spec import HealthCheck, RestartCondition, RestartPolicy, ServiceSpec, UnhealthyAction
from stackd.model.view import Failure, ServiceState
from tests.unit.core.dsl import ALWAYS, COMPLETED, HEALTHY, NEVER, Toy, needs, service

CHECKED = HealthCheck(("CMD", "true"))
KIND = EngineErrorKind


def wait_after(message: str, kind: KIND = KIND.FAILED, key: str = "start:x", count: int = 1) -> float | None:
    """How long a call that failed so waits, with a slow delay of 1000 s."""
    return next_call(Failure(key, None, count, 0.0, kind, message), 1000.0)


def crashed(toy: Toy, name: str = "web", times: int = 1, code: int = 1) -> Toy:
    """So many crashes, each but the last followed by its start."""
    for _ in range(times):
        toy.settle()
        if not toy.box(name).running:
            toy.wait(due(toy, name)).settle()
        toy.crash(name, code)
        toy.decide()
    return toy


def due(toy: Toy, name: str = "web") -> float:
    """How long the start still waits."""
    waits = [b.until for b in toy.step(StartContainer, name).blocked_by if b.kind is BlockerKind.BACKOFF]
    return waits[0] - toy.mono if waits and waits[0] is not None else 0.0


# Calls


@pytest.mark.parametrize(
    ("message", "kind", "key"),
    [
        ("invalid mount config: bind source path does not exist: /mnt/x", KIND.BAD_REQUEST, "create:w:1"),
        ("error while mounting volume '/v': failed to mount local volume", KIND.FAILED, "start:x"),
        ('unable to start: exec: "nope": executable file not found in $PATH: unknown', KIND.FAILED, "start:x"),
        ('unable to start: exec: "/x": permission denied: unknown', KIND.FAILED, "start:x"),
        ("manifest for a:1 not found: manifest unknown", KIND.MISSING, "pull:a:1"),
        ("pull access denied for a", KIND.DENIED, "pull:a:1"),
    ],
)  # fmt: skip
def test_what_only_a_person_or_a_disk_mends_is_tried_every_slow_delay(message: str, kind: KIND, key: str) -> None:
    first, later = wait_after(message, kind, key), wait_after(message, kind, key, 50)
    assert first is not None and later is not None
    assert 800 <= first <= 1200
    assert 800 <= later <= 1200


def test_a_taken_port_is_asked_for_every_few_seconds_for_ten_minutes_and_then_slowly() -> None:
    text = "Bind for 0.0.0.0:80 failed: port is already allocated"
    waits = [wait_after(text, count=count) or 0.0 for count in range(1, PORT_TRIES + 1)]
    assert max(waits) <= 6.0
    assert 480 <= sum(waits) <= 720
    assert wait_after(text, count=PORT_TRIES + 1) == 1000.0


def test_a_pull_that_finds_no_way_waits_ten_seconds_to_five_minutes() -> None:
    first, later = (wait_after("no route to host", KIND.FAILED, "pull:a:1", count) for count in (1, 50))
    assert first is not None and later is not None
    assert 8 <= first <= 12
    assert 240 <= later <= 360


def test_a_refused_payload_alone_is_final() -> None:
    assert wait_after("invalid reference", KIND.BAD_REQUEST, "create:web:1") is None
    for kind in set(KIND) - {KIND.BAD_REQUEST}:
        assert wait_after("whatever", kind, "create:web:1") is not None


def test_a_failed_call_waits_the_slow_delay_of_its_own_service() -> None:
    toy = Toy(service("web", restart=RestartPolicy(slow_delay=50)))
    toy.settle()
    toy.crash("web")
    toy.fail(f"start:{toy.box('web').id}", "web", KIND.FAILED, 'exec: "x": executable file not found in $PATH')
    (blocker,) = [b for b in toy.step(StartContainer).blocked_by if b.until is not None]
    assert blocker.until is not None
    assert 40 <= blocker.until - toy.mono <= 60
    assert "executable file not found" in toy.verdict("web").detail


# Ends


@pytest.mark.parametrize(("code", "words"), [(126, "its command cannot be run"), (127, "its command is not there")])
def test_a_command_that_cannot_be_run_is_tried_every_slow_delay_and_the_reason_shown(code: int, words: str) -> None:
    toy = Toy(service("web"))
    crashed(toy, code=code)
    verdict = toy.verdict("web")
    assert 240 <= due(toy) <= 360
    assert (verdict.state, verdict.attempt) == (ServiceState.BACKING_OFF, 1)
    assert verdict.detail == f"exited {code}: {words}; tried every 5 min"
    assert toy.wait(due(toy)).turn() == ["start web"]


def test_a_code_of_success_completes_like_zero() -> None:
    toy = Toy(service("job", restart=RestartPolicy(success_exit_codes=frozenset({3})))).settle()
    toy.crash("job", 3)
    assert toy.settle(patience=3600).plan() == []
    assert (toy.verdict("job").state, toy.verdict("job").good) == (ServiceState.COMPLETED, True)
    assert toy.forget().plan() == []


def test_a_code_of_success_is_restarted_always_all_the_same() -> None:
    policy = replace(ALWAYS, success_exit_codes=frozenset({3}))
    toy = Toy(service("web", restart=policy)).settle()
    toy.crash("web", 3)
    assert toy.turn() == ["start web"]


def test_a_dependency_completes_successfully_by_zero_alone() -> None:
    job = service("job", restart=RestartPolicy(success_exit_codes=frozenset({3})))
    toy = Toy(job, service("web", needs("job", COMPLETED))).settle()
    toy.crash("job", 3)
    toy.settle(patience=60)
    assert "did not complete: it exited 3" in toy.verdict("web").detail


@pytest.mark.parametrize("condition", RestartCondition)
def test_a_code_that_is_not_restarted_is_left_and_told(condition: RestartCondition) -> None:
    policy = RestartPolicy(condition, no_restart_exit_codes=frozenset({78}), force_restart_exit_codes=frozenset({78}))
    toy = Toy(service("web", restart=policy)).settle()
    toy.crash("web", 78)
    assert toy.settle(patience=7200).plan() == []
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.settled, verdict.good) == (ServiceState.EXITED, True, False)
    assert verdict.detail == "exited 78, after which its restart policy does not start it again"
    assert toy.forget().plan() == []


def test_a_code_that_is_not_restarted_holds_no_dependent_that_wants_it_started() -> None:
    policy = RestartPolicy(no_restart_exit_codes=frozenset({78}))
    toy = Toy(service("db", restart=policy), service("web", needs("db"))).settle()
    toy.crash("db", 78), toy.crash("web", 1)
    assert toy.turn() == ["start web"]


@pytest.mark.parametrize(("condition", "code"), [(RestartCondition.NO, 75), (RestartCondition.ON_FAILURE, 0)])
def test_a_code_that_is_always_restarted_is_so_whatever_the_policy_with_back_off(
    condition: RestartCondition, code: int
) -> None:
    policy = RestartPolicy(condition, force_restart_exit_codes=frozenset({code}))
    toy = Toy(service("web", restart=policy))
    crashed(toy, times=2, code=code)
    assert due(toy) > 0
    assert toy.wait(due(toy)).turn() == ["start web"]


@pytest.mark.parametrize("code", [143, 130, 137, 1])
def test_whatever_code_follows_our_own_stop_is_clean(code: int) -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.STOPPED, "web")
    assert toy.turn() == ["stop web"]
    toy.alter("web", exit_code=code)
    toy.decide()
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.good, verdict.attempt) == (ServiceState.STOPPED, True, 0)


# What a person reads


def test_the_detail_tells_which_attempt_of_how_many_comes_next() -> None:
    toy = Toy(service("web", restart=RestartPolicy(max_attempts=3)))
    crashed(toy, times=2)
    verdict = toy.verdict("web")
    assert verdict.detail == "exited 1; restart 2 of 3 comes next"
    assert (verdict.attempt, verdict.next_at is not None) == (2, True)


def test_a_crash_loop_tells_why_and_how_often_it_is_tried() -> None:
    toy = Toy(service("web"))
    crashed(toy, times=5)
    verdict = toy.verdict("web")
    assert verdict.state is ServiceState.CRASH_LOOPING
    assert verdict.detail == "exited 1; 5 failures within 10 min: tried every 5 min"


# What clears the past


def test_a_new_image_clears_the_curve_and_the_same_one_does_not() -> None:
    toy = Toy(service("web"))
    crashed(toy, times=5)
    assert due(toy) > 100
    toy.images["web:1"] = None  # not known for a moment
    toy.decide()
    toy.images["web:1"] = ObservedImage("web:1", ImageId("sha256:web:1"))
    assert due(toy) > 100
    toy.images["web:1"] = ObservedImage("web:1", ImageId("sha256:new"))
    assert toy.turn() == ["start web"]
    toy.crash("web")
    toy.decide()
    assert due(toy) < 2


def test_a_dependency_that_becomes_healthy_clears_what_failed_before() -> None:
    told = RestartPolicy(unhealthy=UnhealthyAction.ALERT)
    toy = Toy(service("db", healthcheck=CHECKED, restart=told), service("web", needs("db"))).settle()
    toy.alter("db", health=Health.UNHEALTHY)
    crashed(toy, times=5)
    assert toy.verdict("web").state is ServiceState.CRASH_LOOPING
    toy.wait(1).alter("db", health=Health.HEALTHY)
    assert toy.turn() == ["start web"]
    toy.crash("web")
    toy.decide()
    assert toy.verdict("web").attempt == 2


def test_a_dependency_that_was_healthy_all_along_clears_nothing() -> None:
    toy = Toy(service("db", healthcheck=CHECKED), service("web", needs("db", HEALTHY))).settle()
    toy.alter("db", health=Health.HEALTHY)
    crashed(toy, times=5)
    toy.wait(1).decide()
    assert due(toy) > 100


def test_an_engine_that_began_anew_clears_what_failed_before_it() -> None:
    toy = Toy(service("web"))
    crashed(toy, times=5)
    toy.wait(2)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall)
    toy.wait(1)
    assert toy.turn() == ["start web"]
    toy.decide()
    assert toy.verdict("web").attempt == 0


def test_all_replicas_well_for_long_forget_the_past_and_one_that_is_not_keeps_it() -> None:
    pair = service("web", scale=2, healthcheck=CHECKED, restart=RestartPolicy(unhealthy=UnhealthyAction.ALERT))
    toy = Toy(pair).settle()

    def both(first: Health, second: Health) -> None:
        toy.alter("web", 1, health=first)
        toy.alter("web", 2, health=second)
        toy.decide()

    both(Health.HEALTHY, Health.HEALTHY)
    toy.alter("web", 2, state=ContainerState.EXITED, exit_code=1, finished_at=toy.now.wall, health=Health.NONE)
    toy.settle()
    both(Health.HEALTHY, Health.UNHEALTHY)
    toy.wait(700).decide()
    assert _deaths(toy) == 1
    both(Health.HEALTHY, Health.HEALTHY)
    toy.wait(599).decide()
    assert _deaths(toy) == 1
    toy.wait(2).decide()
    assert _deaths(toy) == 0


def test_a_sick_replica_beside_a_well_one_is_restarted_after_its_grace() -> None:
    policy = RestartPolicy(unhealthy_grace=20)
    toy = Toy(service("web", scale=2, healthcheck=CHECKED, restart=policy)).settle()
    toy.alter("web", 1, health=Health.HEALTHY)
    toy.alter("web", 2, health=Health.UNHEALTHY)
    toy.decide()
    toy.wait(10).decide()
    assert toy.frontier() == []
    assert toy.wait(10).frontier() == ["stop web"]


def _deaths(toy: Toy) -> int:
    (ledger,) = toy.ledger.services.values()
    return len(ledger.deaths)


# Health


def test_alert_shows_the_failing_check_as_not_good() -> None:
    policy = RestartPolicy(unhealthy=UnhealthyAction.ALERT)
    toy = Toy(service("web", healthcheck=CHECKED, restart=policy)).settle()
    toy.alter("web", health=Health.UNHEALTHY, health_output="no route")
    assert toy.plan() == []
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.good, verdict.detail) == (ServiceState.UNHEALTHY, False, "unhealthy: no route")


def test_none_ignores_the_check_says_so_and_counts_the_run_as_well() -> None:
    policy = RestartPolicy(unhealthy=UnhealthyAction.NONE)
    toy = Toy(service("web", healthcheck=CHECKED, restart=policy))
    crashed(toy)
    toy.settle()
    toy.alter("web", health=Health.UNHEALTHY)
    toy.decide()
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.good) == (ServiceState.RUNNING, True)
    assert verdict.detail == "its health check fails, which its policy ignores"
    toy.wait(601).decide()
    assert _deaths(toy) == 0


def test_used_up_health_restarts_are_a_loop_with_its_reason_and_go_on_after_the_window() -> None:
    toy = Toy(service("web", healthcheck=CHECKED, restart=RestartPolicy(unhealthy_limit=2))).settle()
    for _ in range(2):
        toy.alter("web", health=Health.UNHEALTHY)
        assert toy.turn() + toy.turn() == ["stop web", "start web"]
    toy.alter("web", health=Health.UNHEALTHY, health_output="no route")
    toy.decide()
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.attempt) == (ServiceState.CRASH_LOOPING, 2)
    assert verdict.detail == "unhealthy: no route; restarted 2 times for its health within 5 min, which is its limit"
    assert verdict.next_at is not None
    assert toy.wait(verdict.next_at - toy.mono).turn() == ["stop web"]


def test_within_its_grace_and_in_a_storm_a_service_is_unhealthy_not_backing_off_or_stopping() -> None:
    toy = Toy(service("web", healthcheck=CHECKED, restart=RestartPolicy(unhealthy_grace=20))).settle()
    toy.alter("web", health=Health.UNHEALTHY)
    toy.decide()
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.good) == (ServiceState.UNHEALTHY, False)
    assert verdict.detail == "unhealthy; it is restarted if it stays so for 20 s"
    toy.wait(30)
    toy.host = replace(toy.host, storm="the host is suspected")
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.detail) == (ServiceState.UNHEALTHY, "unhealthy; the host is suspected")


def test_a_storm_holds_no_restart_of_what_crashed() -> None:
    toy = Toy(service("web")).settle()
    toy.host = replace(toy.host, storm="the host is suspected")
    toy.crash("web")
    assert toy.turn() == ["start web"]


def test_more_health_restarts_than_are_kept_can_be_the_limit() -> None:
    toy = Toy(service("web", healthcheck=CHECKED, restart=RestartPolicy(unhealthy_limit=30))).settle()
    for _ in range(30):
        toy.alter("web", health=Health.UNHEALTHY)
        assert toy.turn() + toy.turn() == ["stop web", "start web"]
    toy.alter("web", health=Health.UNHEALTHY)
    assert toy.frontier() == []


def test_health_restarts_of_an_engine_before_this_one_are_forgotten() -> None:
    toy = Toy(service("web", healthcheck=CHECKED, restart=RestartPolicy(unhealthy_limit=1))).settle().wait(1)
    toy.alter("web", health=Health.UNHEALTHY)
    assert toy.turn() + toy.turn() == ["stop web", "start web"]
    toy.wait(1).crash("web", 143)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall)
    assert toy.wait(1).turn() == ["start web"]
    toy.alter("web", health=Health.UNHEALTHY)
    assert toy.frontier() == ["stop web"]


def test_of_two_sick_replicas_each_has_its_grace_and_the_first_is_not_forgotten_for_the_second() -> None:
    policy = RestartPolicy(unhealthy_grace=20)
    toy = Toy(service("web", scale=2, healthcheck=CHECKED, restart=policy)).settle()
    toy.alter("web", 1, health=Health.HEALTHY)
    toy.alter("web", 2, health=Health.UNHEALTHY)
    toy.decide()
    toy.wait(15).alter("web", 1, health=Health.UNHEALTHY)
    toy.decide()
    toy.wait(5)
    (op,) = toy.decide().plan.frontier()
    assert getattr(op, "container", None) == toy.box("web", 2).id


def deployed(**fields: float) -> ServiceSpec:
    return service("web", restart=RestartPolicy(RestartCondition.ALWAYS, **fields))  # type: ignore[arg-type]


def test_a_constant_delay_holds_before_every_attempt_the_first_included() -> None:
    toy = Toy(deployed(first_delay=5, base_delay=5, factor=1, jitter=0, crashloop_after=99))
    for _ in range(4):
        crashed(toy)
        assert due(toy) == pytest.approx(5)


def test_at_most_so_many_attempts_whatever_the_condition() -> None:
    toy = Toy(deployed(max_attempts=2))
    crashed(toy, times=3)
    assert toy.settle(patience=9999).plan() == []
    assert "given up after 2 restarts" in toy.verdict("web").detail


def test_a_run_as_long_as_the_window_was_a_success() -> None:
    toy = Toy(deployed(max_attempts=1, reset_after=30))
    crashed(toy)
    toy.settle()
    toy.wait(31).decide()
    toy.crash("web")
    assert toy.turn() == ["start web"]


def test_no_is_never_started_after_an_engine_restart_either() -> None:
    toy = Toy(service("web", restart=replace(NEVER, force_restart_exit_codes=frozenset({1})))).settle()
    toy.wait(1).crash("web", 1)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall)
    assert toy.wait(1).plan() == []
