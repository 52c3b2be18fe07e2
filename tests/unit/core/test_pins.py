"""A rollback: an earlier revision is in force, with the images it ran, until an edit releases it."""

from __future__ import annotations

from dataclasses import replace

from stackd.core.status import stack_status
from stackd.model.ids import ImageId, ServiceName
from stackd.model.observed import ObservedImage
from stackd.model.override import OverrideKind, Verb
from stackd.model.plan import StopContainer, Why
from stackd.model.spec import BuildSpec, ServiceSpec
from stackd.model.status import StackState
from stackd.model.view import LostPin, Pin, ServiceState
from tests.unit.core.dsl import NEVER, Toy, project, service, words

OLD = ImageId("sha256:web:1")
NEW = ImageId("sha256:later")


def pinned(toy: Toy, *services: ServiceSpec, present: bool = True, **images: ImageId) -> Toy:
    """Revision 3, of these services and images, is pinned."""
    assert toy.desired is not None and toy.desired.project is not None
    by_name = {ServiceName(name): image for name, image in images.items()}
    toy.pin = Pin(3, project(*services), by_name)
    for image in images.values():
        toy.images[image] = ObservedImage(image, image) if present else None
    return toy.override(OverrideKind.PINNED, value=3, definition=toy.desired.project.digest)


def moved() -> Toy:
    """A web whose tag has moved and was applied."""
    toy = Toy(service("web")).settle()
    toy.images["web:1"] = ObservedImage("web:1", NEW)
    return toy.ask(Verb.UP).settle()


def test_a_pinned_revision_brings_back_its_definition_and_its_image() -> None:
    toy = Toy(service("web")).settle().edit(service("web", version="2", image="web:2")).settle()
    pinned(toy, service("web"), web=OLD)
    reason = toy.step(StopContainer).op.reason
    assert (reason.why, str(reason)) == (Why.ROLLED_BACK, "rollback to revision 3")
    toy.settle()
    assert (toy.box("web").config_hash, toy.box("web").image_id, toy.plan()) == ("web@1", OLD, [])


def test_another_image_of_the_same_definition_is_rolled_back_too() -> None:
    toy = moved()
    assert toy.box("web").image_id == NEW
    pinned(toy, service("web"), web=OLD)
    assert toy.step(StopContainer).op.reason.why is Why.ROLLED_BACK
    toy.settle()
    assert (toy.box("web").image_id, toy.plan()) == (OLD, [])
    assert not [op for op in toy.done if words(op).startswith("pull")]


def test_an_image_of_the_revision_that_is_gone_blocks_with_its_name_and_stops_nothing() -> None:
    toy = pinned(moved(), service("web"), present=False, web=OLD)
    before = toy.box("web")
    toy.settle(patience=60)
    verdict = toy.verdict("web")
    assert (toy.box("web"), verdict.state, verdict.settled) == (before, ServiceState.BLOCKED, True)
    assert "of revision 3 is not on this machine" in verdict.detail


def test_an_image_of_the_revision_that_was_not_asked_about_is_looked_for() -> None:
    toy = pinned(moved(), service("web"), web=OLD)
    del toy.images[OLD]
    assert toy.frontier() == []


def test_nothing_is_built_or_fetched_while_pinned() -> None:
    spec = service("web", build=BuildSpec("/src"))
    toy = Toy(spec).settle()
    toy.images["web:1"] = ObservedImage("web:1", NEW, build="v1:of-another-definition")
    assert toy.plan() != []
    assert pinned(toy, spec, web=OLD).plan() == []


def test_a_service_that_the_revision_does_not_have_goes() -> None:
    toy = Toy(service("web"), service("new")).settle()
    assert toy.desired is not None
    toy.desired = replace(toy.desired, services_settled=False)
    pinned(toy, service("web"), web=OLD).settle()
    assert {box.service for box in toy.boxes.values()} == {"web"}


def test_an_edit_releases_the_pin_and_the_newest_text_is_in_force() -> None:
    toy = pinned(Toy(service("web", version="2")).settle(), service("web"), web=OLD).settle()
    assert toy.box("web").config_hash == "web@1"
    toy.edit(service("web", version="3")).settle()
    assert (toy.box("web").config_hash, toy.overrides) == ("web@3", ())


def test_a_hold_of_one_service_counts_beside_a_pin() -> None:
    toy = Toy(service("web", version="2"), service("db")).settle()
    toy.override(OverrideKind.HELD, "web")
    pinned(toy, service("web"), service("db"), web=OLD).settle()
    assert toy.box("web").config_hash == "web@2"


def test_a_finished_job_is_not_run_again_for_the_image_of_a_revision() -> None:
    toy = Toy(service("job", restart=NEVER)).settle()
    before = toy.crash("job", 0)
    pinned(toy, service("job", restart=NEVER), job=ImageId("sha256:other")).settle()
    assert toy.box("job") == before


def test_a_revision_that_is_not_read_yet_leaves_everything_alone_and_says_so() -> None:
    toy = pinned(Toy(service("web", version="2")).settle(), service("web"), web=OLD).settle()
    toy.pin = None
    assert toy.plan() == []
    assert "revision 3" in toy.verdict("web").detail


def test_the_status_names_the_pin() -> None:
    toy = pinned(Toy(service("web")).settle(), service("web"), web=OLD).settle()
    told = stack_status(toy.view(), toy.decide(), 0, "", toy.now)
    assert (told.state, told.detail) == (StackState.RUNNING, "pinned to revision 3 by test")


def test_a_revision_that_is_lost_leaves_everything_alone_and_says_what_is_wrong_with_it() -> None:
    toy = pinned(Toy(service("web", version="2")).settle(), service("web"), web=OLD).settle()
    toy.pin = LostPin(3, "its files are gone")
    toy.crash("web")
    verdict = toy.verdict("web")
    assert (toy.plan(), verdict.state) == ([], ServiceState.HELD)
    assert verdict.detail == "revision 3 cannot be read any more, so nothing is changed: its files are gone"


def test_what_is_wrong_with_another_revision_is_not_said_of_the_pinned_one() -> None:
    toy = pinned(Toy(service("web", version="2")).settle(), service("web"), web=OLD).settle()
    toy.pin = LostPin(2, "its files are gone")
    assert toy.verdict("web").detail == "revision 3, to which it is pinned, is not read yet"
