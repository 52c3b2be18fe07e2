"""A container that docker compose made is not replaced by one that carries out less, until somebody accepts that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stackd.core.status import plan_status, stack_status
from stackd.core.why import Known, explain
from stackd.model.ids import NetworkId, ServiceName
from stackd.model.observed import ContainerState
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import Blocker, BlockerKind, CreateContainer
from stackd.model.status import StackState
from stackd.model.view import ServiceState
from tests.unit.core.dsl import ALWAYS, Toy, service

KEYS = ("cap_drop", "mem_limit")
LOSS = "would lose cap_drop, mem_limit; confirm: stackd up app --accept-loss"


def adopted() -> Toy:
    """A stack of one service that docker compose made, hardened and limited; nothing is left to do."""
    toy = Toy(service("web", unsupported=KEYS, restart=ALWAYS)).settle()
    toy.alter("web", instance="", root="", carried=frozenset(KEYS))
    toy.done = []
    assert toy.plan() == []
    return toy


def edited(toy: Toy) -> Toy:
    return toy.edit(service("web", version="2", unsupported=KEYS, restart=ALWAYS))


def test_an_edit_holds_the_service_and_status_plan_and_why_say_what_it_would_lose() -> None:
    toy = edited(adopted())
    before = toy.box("web")
    assert toy.wait(3600).settle().done == []
    assert toy.box("web") == before
    verdict = toy.verdict("web")
    assert (verdict.state, verdict.detail, verdict.good) == (ServiceState.HELD, LOSS, False)
    decision = toy.decide()
    told = stack_status(toy.view(), decision, 0, "", toy.now)
    assert (told.state, told.detail) == (StackState.DEGRADED, f"web: {LOSS}")
    (step,) = plan_status(toy.view(), decision, {}).steps
    assert (step.action, step.waits_for) == ("create", (LOSS,))
    answer = explain(ServiceName("web"), Known(toy.view(), decision, (), (), toy.now))
    assert answer.headline == f"web is held: {LOSS}"
    assert [link.text for link in answer.chain if link.kind == "waiting"] == [LOSS]
    assert "kept" in answer.next


def test_a_confirmed_loss_lets_the_edit_through_once_and_no_later_one_asks_again() -> None:
    toy = edited(adopted()).ask(Verb.UP, accept_loss=True)
    old = toy.box("web")
    toy.settle()
    assert toy.box("web").id != old.id and toy.box("web").running
    assert toy.requests == ()
    toy.edit(service("web", version="3", unsupported=KEYS, restart=ALWAYS)).settle()
    assert toy.box("web").config_hash == "web@3"


@pytest.mark.parametrize("names", [(), ("db",)])
def test_a_plain_up_and_one_of_another_service_do_not_accept_it(names: tuple[str, ...]) -> None:
    toy = edited(adopted()).ask(Verb.UP, *names, accept_loss=bool(names))
    assert toy.settle().done == []
    assert len(toy.requests) == (0 if names else 1)


def test_a_held_service_is_restarted_like_any_other() -> None:
    toy = edited(adopted())
    toy.crash("web")
    toy.wait(60).settle()
    assert toy.box("web").running and toy.box("web").config_hash == "web@1"
    toy.ask(Verb.RESTART).settle()
    assert toy.requests == ()
    toy.override(OverrideKind.STOPPED, "web").settle()
    assert toy.box("web").ended


def test_going_back_to_the_old_text_ends_the_hold() -> None:
    toy = edited(adopted())
    toy.edit(service("web", unsupported=KEYS, restart=ALWAYS))
    assert toy.plan() == [] and toy.verdict("web").good


@pytest.mark.parametrize(
    "fields",
    [
        {"instance": "here"},
        {"carried": frozenset()},
        {"state": ContainerState.DEAD},
    ],
    ids=["stackd made it", "it has none of the keys", "it can never run again"],
)
def test_what_loses_nothing_is_replaced(fields: dict[str, Any]) -> None:
    toy = edited(adopted())
    toy.alter("web", **fields)
    toy.settle()
    assert [box.config_hash for box in toy.boxes.values()] == ["web@2"]


def test_a_key_whose_effect_the_engine_does_not_show_counts_as_carried_out() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", instance="")
    toy.edit(service("web", version="2", unsupported=("shm_size",)))
    assert toy.verdict("web").detail.startswith("would lose shm_size;")


def test_another_image_and_a_lost_network_hold_it_too() -> None:
    toy = adopted()
    image = toy.images["web:1"]
    assert image is not None
    toy.images["web:1"] = replace(image, id=type(image.id)("sha256:new"))
    toy.ask(Verb.UP)
    assert toy.settle().done == []
    toy.requests = ()
    toy.networks["app_default"] = replace(toy.networks["app_default"], id=NetworkId("another"))
    assert toy.settle().done == []
    assert toy.verdict("web").detail == LOSS


def test_whoever_shares_its_network_is_not_replaced_with_it() -> None:
    vpn, child = service("vpn"), service("web", unsupported=KEYS, networks=(), network_mode="service:vpn")
    toy = Toy(vpn, child).settle()
    toy.alter("web", instance="", carried=frozenset({"mem_limit"}))
    toy.alter("vpn", instance="")
    toy.done = []
    toy.edit(service("vpn", version="2"), child)
    assert toy.settle().done == []
    text = "web, which is made from it, would lose mem_limit; confirm: stackd up app --accept-loss"
    assert toy.verdict("vpn").detail == text
    toy.ask(Verb.UP, accept_loss=True).settle()
    assert toy.box("vpn").config_hash == "vpn@2" and toy.box("web").instance == "here"


def test_only_one_of_two_containers_of_a_number_is_kept_and_surplus_goes() -> None:
    toy = Toy(service("web", unsupported=KEYS, scale=2)).settle()
    for number in (1, 2):
        toy.alter("web", number, instance="", carried=frozenset(KEYS))
    toy.edit(service("web", version="2", unsupported=KEYS))
    toy.settle()
    assert [(box.number, box.config_hash) for box in toy.boxes.values()] == [(1, "web@1")]


def test_the_gate_names_the_command() -> None:
    toy = edited(adopted())
    (step,) = toy.steps(CreateContainer)
    assert step.blocked_by[-1] == Blocker(BlockerKind.LOSS, LOSS)
