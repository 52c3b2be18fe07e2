"""When a request counts as done: a level, over its own scope only."""

from __future__ import annotations

from dataclasses import replace

from stackd.model.ids import ServiceName
from stackd.model.override import Verb
from stackd.model.plan import CreateNetwork, PullImage, Reason, Why
from tests.unit.core.dsl import Toy, service

ID = "op-1"


def pull(name: str) -> PullImage:
    return PullImage(ServiceName(name), f"{name}:1", "", None, Reason(Why.MISSING))


def asked(*names: str) -> Toy:
    toy = Toy(service("web"), service("db")).settle().ask(Verb.UP, *names, id=ID)
    return toy


def test_a_request_for_one_service_does_not_wait_for_the_pull_of_another() -> None:
    toy = asked("web")
    toy.running = frozenset({pull("db")})
    assert toy.decide().done == {ID}


def test_a_request_waits_for_what_is_under_way_in_its_scope() -> None:
    for names in (("web",), ()):
        toy = asked(*names)
        toy.running = frozenset({pull("web")})
        assert not toy.decide().done


def test_a_request_for_one_service_does_not_wait_for_another_ones_network() -> None:
    toy = asked("web")
    toy.networks.clear()
    toy.boxes = {key: box for key, box in toy.boxes.items() if box.service != "db"}
    decision = toy.decide()
    assert any(isinstance(step.op, CreateNetwork) for step in decision.plan.steps)
    assert decision.done == {ID}


def test_what_was_seen_before_contact_broke_is_not_acted_upon_when_the_engine_is_back() -> None:
    toy = Toy(service("web")).settle()
    toy.crash("web", 1)
    toy.host = replace(toy.host, contact_at=toy.mono + 1)
    assert toy.frontier() == []
    assert toy.wait(1).frontier() == ["start web"]
