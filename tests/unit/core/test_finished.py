"""A finished job stays finished: neither `up`, a moved tag nor a new parent runs it again; what never ends is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.errors import EngineErrorKind
from stackd.model.ids import ImageId
from stackd.model.observed import ObservedImage
from stackd.model.override import Verb
from stackd.model.view import ServiceState
from tests.unit.core.dsl import ALWAYS, COMPLETED, Toy, needs, service


def finished() -> Toy:
    """A job that another service waited for, and that is done."""
    toy = Toy(service("job"), service("web", needs("job", COMPLETED))).settle()
    toy.crash("job", 0)
    return toy.settle()


@pytest.mark.parametrize("verb", [Verb.UP, Verb.PULL])
def test_neither_up_nor_a_pull_runs_a_finished_job_again_though_its_tag_has_moved(verb: Verb) -> None:
    toy = finished()
    before = toy.box("job")
    toy.images["job:1"] = ObservedImage("job:1", ImageId("sha256:moved"))
    toy.wait(1).ask(verb)
    if verb is Verb.PULL:  # it names no runs
        toy.requests = tuple(replace(one, targets=frozenset()) for one in toy.requests)
    toy.settle(patience=60)
    assert (toy.box("job"), toy.requests, toy.plan()) == (before, (), [])


def test_an_edit_runs_a_finished_job_again() -> None:
    toy = finished()
    toy.edit(service("job", version="2"), service("web", needs("job", COMPLETED))).settle()
    assert toy.box("job").running


def test_a_wait_for_the_completion_of_what_is_restarted_always_is_known_before_anything_runs() -> None:
    toy = Toy(service("job", restart=ALWAYS), service("web", needs("job", COMPLETED)))
    toy.turn(), toy.turn()
    verdict = toy.verdict("web")
    assert (verdict.state, "never completes" in verdict.detail) == (ServiceState.BLOCKED, True)


def test_a_child_follows_its_namespace_whatever_its_depends_on_says() -> None:
    child = service("child", needs("vpn"), network_mode="service:vpn", networks=())
    toy = Toy(service("vpn"), child).settle()
    toy.crash("vpn")
    assert toy.turn() + toy.turn() + toy.turn() == ["start vpn", "stop child", "start child"]


def test_a_failed_takeover_waits_out_its_curve() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", engine_policy="always")
    toy.fail(f"update:{toy.box('web').id}", "web", EngineErrorKind.FAILED)
    assert toy.frontier() == []
