"""Two controllers: a fight is recognised and not fought, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace

from stackd.core.decide import decide
from stackd.core.rivals import _last_known
from stackd.model.ids import ContainerId
from stackd.model.observed import ContainerState, Incarnation
from stackd.model.override import OverrideKind, Verb
from stackd.model.view import Death, ServiceLedger
from tests.unit.core.dsl import Toy, service


def intrude(toy: Toy, serial: int, config_hash: str = "else") -> None:
    """Another hand puts its own container in the place of web's."""
    old = toy.box("web")
    del toy.boxes[old.id]
    made = replace(
        old, id=ContainerId(f"{serial}".rjust(64, "e")), instance="", root="", config_hash=config_hash,
        created_at=toy.now.wall, started_at=toy.now.wall, state=ContainerState.RUNNING, replaces="",
    )  # fmt: skip
    toy.put(made)


def fought(times: int, pause: float = 60.0) -> Toy:
    """A stack whose web was replaced so often, and put right again each time but the last."""
    toy = Toy(service("web")).settle()
    for serial in range(times):
        toy.settle()
        intrude(toy.wait(pause), serial)
        toy.decide()
    return toy


def test_the_third_replacement_within_ten_minutes_asks_for_a_hold_and_says_why() -> None:
    toy = fought(3)
    decision = toy.decide()
    (hold,) = decision.holds
    assert (hold.service, hold.kind, hold.by, hold.definition) == ("web", OverrideKind.HELD, "stackd", "web@1")
    assert hold.reason == "another controller replaces it: 3 times in 10 minutes"
    assert [one.code for one in decision.diagnostics] == ["two-controllers"]
    toy.overrides = (hold,)
    assert (toy.plan(), toy.decide().holds) == ([], ())
    assert [one.code for one in toy.decide().diagnostics] == ["two-controllers"]


def test_two_replacements_are_put_right_without_a_hold() -> None:
    toy = fought(2)
    assert toy.decide().holds == ()
    assert toy.settle().box("web").config_hash == "web@1"


def test_replacements_far_apart_are_no_fight() -> None:
    assert fought(4, pause=400).decide().holds == ()


def test_a_request_and_an_edit_count_anew() -> None:
    asked = fought(3).ask(Verb.UP)
    assert asked.decide().holds == ()
    edited = fought(3).edit(service("web", version="2"))
    assert edited.decide().holds == ()


def test_a_container_that_fits_is_no_intruder() -> None:
    toy = Toy(service("web")).settle()
    for serial in range(5):
        intrude(toy.wait(10), serial, config_hash="web@1")
        assert toy.settle().decide().holds == ()


def test_our_own_containers_are_no_intruders_whatever_is_remembered_of_them() -> None:
    toy = Toy(service("web")).settle()
    for version in range(2, 7):
        toy.wait(10).alter("web", config_hash=f"older-{version}")  # what another life of ours made
        toy.created.clear()
        assert toy.settle().decide().holds == ()


def test_a_first_look_at_a_foreign_stack_counts_nothing() -> None:
    toy = Toy(service("web")).settle()
    intrude(toy, 1)
    toy.forget().decide()
    assert [one.usurped for one in toy.ledger.services.values()] == [()]


def test_all_numbers_replaced_at_once_are_one_replacement() -> None:
    toy = Toy(service("web", scale=3)).settle()
    boxes, toy.boxes = list(toy.boxes.values()), {}
    for serial, box in enumerate(boxes):
        fields = {"instance": "", "config_hash": "else", "created_at": toy.now.wall + 1}
        toy.put(replace(box, id=ContainerId(f"{serial}".rjust(64, "e")), **fields))  # type: ignore[arg-type]
    toy.wait(1)
    assert len(decide(toy.view(), toy.now).ledger.services[boxes[0].service].usurped) == 1


GONE, THERE = ContainerId("gone".ljust(64, "0")), ContainerId("there".ljust(64, "0"))


def known(**fields: object) -> float | None:
    """`_last_known` of a ledger, where of the two containers THERE alone is there."""
    toy = Toy(service("web")).settle()
    box = toy.box("web")
    toy.boxes = {THERE: replace(box, id=THERE)}
    return _last_known(toy.view(), ServiceLedger(**fields))  # type: ignore[arg-type]


def death(container: ContainerId, at: float) -> Death:
    return Death(Incarnation(container, at), 1.0, 1, False, "exited 1")


def test_nothing_is_known_of_a_service_that_never_ran_here() -> None:
    assert known() is None


def test_the_run_that_was_well_is_the_last_known_once_its_container_is_gone() -> None:
    assert known(stable=Incarnation(GONE, 50.0), stable_since=60.0) == 50.0
    assert known(stable=Incarnation(THERE, 50.0), stable_since=60.0) is None


def test_a_run_that_was_ill_or_died_is_known_as_well_and_the_newest_counts() -> None:
    assert known(sick=Incarnation(GONE, 70.0), sick_since=80.0) == 70.0
    assert known(deaths=(death(GONE, 90.0),)) == 90.0
    assert known(stable=Incarnation(GONE, 50.0), sick=Incarnation(GONE, 70.0), deaths=(death(GONE, 60.0),)) == 70.0


def test_as_long_as_one_known_container_is_there_nothing_was_replaced() -> None:
    assert known(stable=Incarnation(GONE, 50.0), deaths=(death(THERE, 40.0),)) is None
    assert known(stable=Incarnation(THERE, 50.0), sick=Incarnation(GONE, 70.0)) is None


def test_of_the_dead_runs_only_the_last_one_counts() -> None:
    assert known(deaths=(death(THERE, 10.0), death(GONE, 20.0))) == 20.0
    assert known(deaths=(death(GONE, 10.0), death(THERE, 20.0))) is None


def test_an_intruder_that_is_gone_before_anything_of_ours_ran_leaves_whatever_comes_next_an_intruder() -> None:
    assert known(usurped=((GONE, 5.0),)) == 0.0
    assert known(usurped=((THERE, 5.0),)) is None
    assert known(usurped=((GONE, 5.0),), stable=Incarnation(GONE, 50.0)) == 50.0
