"""How a run ended, where the exit code alone misleads; and the curves that follow."""

from __future__ import annotations

from dataclasses import replace

from stackd.core.backoff import CALL, is_crash_looping
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
    toy.wait(1)
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
    assert toy.wait(0.6).frontier() == ["create web 1"]
