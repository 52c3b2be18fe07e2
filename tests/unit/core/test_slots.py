"""Which container fills a slot: what we stopped ourselves has not finished, whatever it exited with."""

from __future__ import annotations

from stackd.core.decide import make_world
from stackd.model.evidence import Condemned
from stackd.model.ids import ServiceName
from stackd.model.observed import ObservedContainer
from stackd.model.plan import Why
from stackd.model.spec import ServiceSpec
from tests.unit.core.dsl import Toy, needs, service


def cast(version: str) -> tuple[ServiceSpec, ServiceSpec]:
    """A parent of some version, and a child in its network."""
    child = service("child", needs("vpn", implicit=True), network_mode="service:vpn", networks=())
    return service("vpn", version=version), child


def misfit_that_exited_0() -> Toy:
    """The parent was replaced, and the child that was made from the old one has ended with exit code 0."""
    toy = Toy(*cast("1")).settle().wait(60)
    toy.edit(*cast("2")).turn()
    toy.crash("child", 0)
    return toy


def current(toy: Toy) -> ObservedContainer | None:
    """What fits the slot of the child."""
    (slot,) = make_world(toy.view(), toy.now).slots_of(ServiceName("child"))
    return slot.current


def test_a_misfit_that_finished_by_itself_stays_the_fitting_one() -> None:
    toy = misfit_that_exited_0()
    assert current(toy) == toy.box("child")


def test_a_misfit_that_we_stopped_does_not_become_the_fitting_one_by_its_exit_code_0() -> None:
    toy = misfit_that_exited_0()
    box = toy.box("child")
    toy.condemned[box.id] = Condemned(box.id, box.started_at, Why.PARENT_REPLACED, "its parent was replaced", True)
    assert current(toy) is None


def test_our_stop_of_an_earlier_run_does_not_undo_that_a_later_one_finished() -> None:
    toy = misfit_that_exited_0()
    box = toy.box("child")
    toy.condemned[box.id] = Condemned(box.id, box.started_at - 60, Why.REQUESTED, "asked for", True)
    assert current(toy) == box
