"""How a run ended, where the exit code alone misleads; and the curves that follow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.backoff import CALL, is_crash_looping
from stackd.core.ends import (
    DEATH_WAIT,
    KILL_WAIT,
    KILLED_WITHIN,
    PROOF_WAIT,
    TOLD_WAIT,
    End,
    Ended,
    awaited_stop,
    ended,
)
from stackd.model.evidence import Condemned, Verdict
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import Incarnation
from stackd.model.plan import Why
from stackd.model.spec import RestartPolicy
from stackd.model.view import Death, ServiceLedger, ServiceState
from tests.unit.core.dsl import Toy, evidence, service


def test_an_exit_of_zero_after_a_signal_from_outside_is_no_success() -> None:
    toy = Toy(service("web")).settle().wait(1)
    box = toy.crash("web", 0)
    toy.evidence[box.id] = evidence(box, kill_at=toy.mono, died_at=toy.mono)
    toy.wait(DEATH_WAIT)
    assert toy.turn() == ["start web"]


def test_an_exit_of_zero_long_after_a_restart_by_hand_is_a_success() -> None:
    toy = Toy(service("job")).settle().wait(1)
    box = toy.box("job")
    told = evidence(box, Verdict.RESTARTED, kill_at=toy.mono)
    toy.evidence[box.id] = replace(told, started_at=0.0)
    toy.wait(60)
    toy.crash("job", 0)
    assert toy.plan() == []
    assert toy.verdict("job").state is ServiceState.COMPLETED


def test_an_exit_of_zero_just_before_contact_broke_is_the_engines_doing() -> None:
    toy = Toy(service("web")).settle().wait(60)
    toy.crash("web", 0)
    toy.wait(1)
    toy.host = replace(toy.host, engine_lost_at=toy.now.wall)
    assert toy.turn() == ["start web"]


@pytest.mark.parametrize(("ended_after", "end"), [(1, End.ENGINE), (3, End.CRASHED), (3600, End.CRASHED)])
def test_what_ended_after_the_engine_was_back_is_not_its_doing(ended_after: float, end: End) -> None:
    toy = Toy(service("web")).settle().wait(60)
    lost, back = toy.now.wall, toy.mono + 2
    toy.wait(ended_after)
    toy.crash("web")
    toy.wait(5)
    toy.host = replace(toy.host, engine_lost_at=lost, contact_at=back)
    assert how(toy).end is end


def test_an_end_that_is_seen_while_the_engine_is_away_charges_nobody() -> None:
    toy = Toy(service("web")).settle().wait(1)
    toy.host = replace(toy.host, engine_up=False)
    toy.crash("web")
    assert toy.decide().ledger.services[ServiceName("web")].deaths == ()


def test_the_pause_within_a_restart_by_hand_is_not_filled_by_us() -> None:
    toy = Toy(service("web")).settle().wait(1)
    box = toy.crash("web", 143)
    toy.evidence[box.id] = evidence(box, Verdict.RESTARTED, kill_at=toy.mono, stop_at=toy.mono, died_at=toy.mono)
    assert toy.frontier() == []
    assert toy.wait(6.01).frontier() == ["start web"]


def test_a_stop_of_an_earlier_run_excuses_no_crash_of_a_later_one() -> None:
    toy = Toy(service("web")).settle().wait(1)
    box = toy.box("web")
    toy.condemned[box.id] = Condemned(box.id, box.started_at - 60, Why.UNHEALTHY, "unhealthy", restart=True)
    toy.crash("web")
    assert [death.exit_code for death in toy.decide().ledger.services[box.service].deaths] == [1]


def test_services_that_fail_together_do_not_come_back_in_step() -> None:
    assert CALL.delay(3, "blog/web") != CALL.delay(3, "blog/db")
    assert CALL.delay(3, "blog/web") == CALL.delay(3, "blog/web")


def test_failures_far_apart_are_no_crash_loop() -> None:
    policy = RestartPolicy()

    def ledger(gap: float) -> ServiceLedger:
        runs = (Incarnation(ContainerId("c"), float(number)) for number in range(policy.crashloop_after))
        return ServiceLedger(deaths=tuple(Death(run, run.started_at * gap, 1, False, "exited 1") for run in runs))

    edge = policy.crashloop_window / (policy.crashloop_after - 1)
    assert is_crash_looping(ledger(edge), policy)
    assert not is_crash_looping(ledger(edge + 1), policy)


def test_a_death_long_after_its_signal_still_waits_for_the_stop_that_follows_it() -> None:
    toy = Toy(service("web")).settle().wait(1)
    kill_at = toy.mono
    toy.wait(50)
    box = toy.crash("web", 0)
    toy.evidence[box.id] = evidence(box, kill_at=kill_at, died_at=toy.mono)
    assert toy.frontier() == []
    assert toy.verdict("web").state is not ServiceState.COMPLETED


def test_an_exit_of_zero_after_a_stop_by_another_hand_that_is_not_held_is_no_success() -> None:
    toy = Toy(service("web")).settle().wait(1)
    kill_at = toy.mono
    toy.wait(50)
    box = toy.crash("web", 0)
    toy.evidence[box.id] = evidence(box, kill_at=kill_at, died_at=toy.mono, stop_at=toy.mono)
    assert toy.turn() == ["start web"]


def test_what_another_hand_takes_down_gets_no_network_again_while_that_is_explained() -> None:
    toy = Toy(service("web")).settle().wait(1)
    box = toy.box("web")
    toy.boxes.clear()
    toy.networks.clear()
    toy.evidence[box.id] = evidence(box, Verdict.PENDING, kill_at=toy.mono, died_at=toy.mono, stop_at=toy.mono)
    assert toy.frontier() == []
    toy.evidence.clear()
    assert toy.frontier() == ["network app_default"]


def test_a_container_that_vanished_after_a_signal_is_not_made_again_before_its_stop_could_be_told() -> None:
    toy = Toy(service("web")).settle().wait(1)
    box = toy.box("web")
    toy.boxes.clear()
    toy.evidence[box.id] = evidence(box, kill_at=toy.mono, died_at=toy.mono)
    assert toy.frontier() == []
    assert toy.wait(DEATH_WAIT + 0.1).frontier() == ["create web 1"]


@pytest.mark.parametrize("verdict", [Verdict.UNPROVEN, Verdict.OWN])
def test_a_container_that_no_list_shows_any_more_is_not_made_again_before_its_removal_could_be_told(
    verdict: Verdict,
) -> None:
    toy = Toy(service("web")).settle().wait(1)
    box = toy.box("web")
    toy.boxes.clear()
    toy.evidence[box.id] = evidence(box, verdict, over_at=toy.mono)
    assert toy.frontier() == ([] if verdict is Verdict.UNPROVEN else ["create web 1"])
    assert toy.wait(0.6).frontier() == ["create web 1"]


def test_an_end_that_only_a_list_shows_is_not_answered_before_its_stop_could_be_told() -> None:
    toy = Toy(service("web")).settle().wait(1)
    box = toy.crash("web", 0)
    toy.evidence[box.id] = evidence(box, over_at=toy.mono)
    assert toy.frontier() == []
    assert how(toy).end is End.WAIT
    assert toy.wait(TOLD_WAIT + 0.1).frontier() == []
    assert how(toy).end is End.COMPLETED


def awaited(verdict: Verdict, **instants: float) -> float | None:
    """Until when a stop is awaited at 1000 s, for evidence of these instants."""
    toy = Toy(service("web")).settle()
    toy.mono = 1000.0
    return awaited_stop(evidence(toy.box("web"), verdict, **instants), toy.now)


@pytest.mark.parametrize(
    ("verdict", "instants", "until"),
    [
        (Verdict.FOREIGN_STOP, {"stop_at": 900.0}, 1000 + PROOF_WAIT),
        (Verdict.RESTARTED, {"kill_at": 999.0}, 999 + PROOF_WAIT),
        (Verdict.RESTARTED, {"kill_at": 990.0, "stop_at": 999.0}, 999 + PROOF_WAIT),
        (Verdict.RESTARTED, {"kill_at": 990.0, "stop_at": 990.0, "died_at": 999.0}, 999 + PROOF_WAIT),
        (Verdict.RESTARTED, {"kill_at": 1000 - PROOF_WAIT}, None),
        (Verdict.RESTARTED, {"kill_at": 900.0, "stop_at": 901.0, "begun_at": 999.9}, 999.9 + TOLD_WAIT),
        (Verdict.RESTARTED, {"kill_at": 900.0, "stop_at": 901.0, "begun_at": 1000 - TOLD_WAIT}, None),
        (Verdict.PENDING, {"stop_at": 999.0}, 999 + PROOF_WAIT),
        (Verdict.PENDING, {"stop_at": 1000 - PROOF_WAIT, "kill_at": 999.0}, None),
        (Verdict.PENDING, {"kill_at": 999.0}, 999 + KILL_WAIT),
        (Verdict.UNPROVEN, {"kill_at": 999.0}, 999 + KILL_WAIT),
        (Verdict.UNPROVEN, {"kill_at": 999.0, "died_at": 998.9}, 999 + KILL_WAIT),
        (Verdict.UNPROVEN, {"kill_at": 900.0, "died_at": 999.9}, 999.9 + DEATH_WAIT),
        (Verdict.UNPROVEN, {"died_at": 999.9}, None),
        (Verdict.UNPROVEN, {"over_at": 999.9}, 999.9 + TOLD_WAIT),
        (Verdict.UNPROVEN, {"over_at": 1000 - TOLD_WAIT}, None),
        (Verdict.UNPROVEN, {"over_at": 999.9, "died_at": 999.95}, None),
        (Verdict.UNPROVEN, {"over_at": 999.9, "kill_at": 999.95}, 999.95 + KILL_WAIT),
        (Verdict.OWN, {"over_at": 999.9}, None),
        (Verdict.UNPROVEN, {"kill_at": 999.0, "stop_at": 999.0}, None),
        (Verdict.OWN, {"kill_at": 999.0}, None),
    ],
)
def test_a_stop_is_awaited_as_long_as_it_may_still_be_proven_and_no_longer(
    verdict: Verdict, instants: dict[str, float], until: float | None
) -> None:
    assert awaited(verdict, **instants) == until


def how(toy: Toy) -> Ended:
    """How web's last run came to its end."""
    return ended(toy.view(), toy.box("web"), RestartPolicy(), toy.now)


def test_what_was_noted_as_a_crash_stays_one_though_the_engine_is_lost_later() -> None:
    toy = Toy(service("web")).settle().wait(60)
    toy.crash("web")
    toy.decide()
    toy.host = replace(toy.host, engine_lost_at=toy.wait(1).now.wall)
    assert how(toy).end is End.CRASHED


def test_events_of_a_run_that_nobody_knew_yet_count_for_the_present_one() -> None:
    toy = Toy(service("web")).settle().wait(60)
    box = toy.crash("web", 0)
    toy.evidence[box.id] = replace(evidence(box, kill_at=toy.mono), started_at=0.0)
    assert how(toy).end is End.WAIT
    toy.wait(10)
    assert (how(toy).end, how(toy).detail) == (End.CRASHED, "killed by another hand, exited 0")


@pytest.mark.parametrize(
    ("verdict", "began", "instants"),
    [
        (Verdict.UNPROVEN, 1.0, {"stop_at": 900.0}),
        (Verdict.OWN, 0.0, {"stop_at": 900.0}),
        (Verdict.UNPROVEN, 0.0, {"died_at": 900.0}),
        (Verdict.UNPROVEN, 0.0, {"kill_at": 900.0 - KILLED_WITHIN - 1, "died_at": 900.0}),
    ],
)
def test_an_exit_of_zero_is_a_success_where_the_events_are_of_another_run_or_tell_of_no_signal_near_it(
    verdict: Verdict, began: float, instants: dict[str, float]
) -> None:
    toy = Toy(service("web")).settle().wait(60)
    box = toy.crash("web", 0)
    toy.evidence[box.id] = replace(evidence(box, verdict, **instants), started_at=began)
    assert how(toy).end is End.COMPLETED


def test_want_of_memory_is_said_only_of_a_process_that_was_killed_for_it() -> None:
    toy = Toy(service("web")).settle().wait(60)
    toy.crash("web", 137)
    assert how(toy).detail == "exited 137"
    toy.alter("web", oom_killed=True)
    assert how(toy).detail == "exited 137, out of memory"
    toy.alter("web", exit_code=1)
    assert how(toy).detail == "exited 1"
