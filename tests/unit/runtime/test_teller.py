"""What is told of containers between two looks."""

from __future__ import annotations

from stackd.model.observed import ContainerState
from stackd.model.status import Happening
from stackd.runtime.history import History
from stackd.runtime.teller import Teller
from tests.unit.core.dsl import STACK, Toy, service


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
