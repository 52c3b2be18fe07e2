"""Two controllers: a fight is recognised and not fought, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace

from stackd.core.decide import decide
from stackd.model.ids import ContainerId
from stackd.model.observed import ContainerState
from stackd.model.override import OverrideKind, Verb
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
