"""Two controllers: a fight is recognised and not fought, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stackd.core.decide import decide
from stackd.core.rivals import _last_known
from stackd.errors import Span
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ContainerState, Health, Incarnation
from stackd.model.override import OverrideKind, Verb
from stackd.model.spec import HealthCheck
from stackd.model.view import Death, ServiceLedger
from tests.unit.core.dsl import FOLDER, OURS, Toy, service


def intrude(toy: Toy, serial: int, config_hash: str = "else", **fields: Any) -> None:
    """Another hand puts its own container in the place of web's."""
    old = toy.box("web")
    del toy.boxes[old.id]
    made = replace(
        old, id=ContainerId(f"{serial}".rjust(64, "e")), instance="", root="", config_hash=config_hash,
        created_at=toy.now.wall, started_at=toy.now.wall, state=ContainerState.RUNNING, replaces="",
    )  # fmt: skip
    toy.put(replace(made, **fields))


def counted(toy: Toy) -> int:
    """How many replacements by another hand are remembered of web."""
    return len(toy.decide().ledger.services[ServiceName("web")].usurped)


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
    assert (toy.decide().holds, toy.decide().diagnostics) == ((), ())
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


def test_what_another_hand_does_to_a_held_service_counts_nothing() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.HELD, "web")
    for serial in range(3):
        intrude(toy.wait(60), serial)
        beside = toy.put(replace(toy.box("web"), id=ContainerId(f"{serial}".rjust(64, "d")), name="beside"))
        toy.decide()
        del toy.boxes[beside.id]
    toy.overrides = ()
    assert toy.decide().holds == ()


def test_a_crashed_service_that_is_scaled_to_nothing_is_gone_and_no_fight() -> None:
    toy = Toy(service("web")).settle()
    toy.crash("web")
    toy.decide()
    toy.edit(service("web", scale=0)).settle()
    assert (toy.boxes, toy.decide().holds) == ({}, ())


def test_nothing_is_remembered_of_a_service_that_is_not_in_the_file() -> None:
    toy = Toy(service("web")).settle()
    toy.put(replace(toy.box("web"), id=ContainerId("e" * 64), name="else", service=ServiceName("else")))
    assert set(toy.decide().ledger.services) == {"web"}


def test_what_another_life_of_ours_made_is_no_intruder_by_its_label_or_by_what_we_know_to_have_made() -> None:
    for labelled in (True, False):
        toy = Toy(service("web")).settle()
        intrude(toy.wait(10), 1, instance=OURS if labelled else "")
        toy.created = set() if labelled else {toy.box("web").id}
        assert counted(toy) == 0


def test_an_intruder_that_stays_is_counted_once_however_often_it_is_looked_at() -> None:
    toy = Toy(service("web")).settle()
    toy.crash("web")
    toy.decide()
    intrude(toy.wait(10), 1)
    assert [counted(toy) for _ in range(4)] == [1, 1, 1, 1]


def test_a_container_that_is_older_than_the_last_run_that_we_knew_is_no_intruder() -> None:
    toy = Toy(service("web")).settle()
    before = toy.now.wall - 5
    intrude(toy.wait(10), 1, created_at=before)
    assert counted(toy) == 0
    toy = Toy(service("web")).settle()
    intrude(toy.wait(10), 1)
    toy.decide()
    toy.settle()
    intrude(toy.wait(10), 2, created_at=before)
    assert counted(toy) == 1


def test_intruders_that_follow_each_other_before_ours_is_back_are_a_fight_too() -> None:
    toy = Toy(service("web")).settle()
    for serial in range(3):
        intrude(toy.wait(10), serial)
        toy.decide()
    assert [hold.service for hold in toy.decide().holds] == ["web"]


def test_an_intruder_in_the_place_of_an_ill_or_a_crashed_run_counts_like_any_other() -> None:
    ill = Toy(service("web", healthcheck=HealthCheck(("CMD", "true")))).settle()
    ill.alter("web", health=Health.UNHEALTHY)
    crashed = Toy(service("web")).settle()
    crashed.crash("web")
    for toy in (ill, crashed):
        toy.decide()
        intrude(toy.wait(10), 1, health=Health.NONE)
        assert counted(toy) == 1


def test_the_warning_names_the_place_of_the_service_in_its_file_or_else_the_file() -> None:
    assert [one.span for one in fought(3).decide().diagnostics] == [Span(str(FOLDER / "compose.yaml"))]
    place = Span("compose.yaml", 3, 5)
    toy = fought(3)
    toy.edit(service("web", span=place))
    assert [one.span for one in toy.decide().diagnostics] == [place]


def test_a_hold_by_a_person_is_no_fight_whatever_was_counted_before() -> None:
    for reason in ("wanted so", "another controller replaces it: 3 times in 10 minutes"):
        toy = fought(3).override(OverrideKind.HELD, "web")
        toy.overrides = tuple(replace(one, reason=reason) for one in toy.overrides)
        assert (toy.decide().holds, toy.decide().diagnostics) == ((), ())
