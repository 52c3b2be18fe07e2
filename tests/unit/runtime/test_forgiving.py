"""Which failed calls are forgotten: those of an earlier contact with the engine, and pulls once the network works."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import ContainerState, ObservedContainer, ObservedStack
from stackd.model.plan import PullImage, Reason, StartContainer, Why
from stackd.model.view import HostFacts
from stackd.runtime.store import Store
from tests.unit.runtime.world import OURS

BLOG, SHOP = StackName("blog"), StackName("shop")
WEB = ServiceName("web")
KIND = EngineErrorKind


def pull(ref: str) -> PullImage:
    return PullImage(WEB, ref, "", None, Reason(Why.MISSING))


def failing(*failures: tuple[StackName, str, KIND]) -> Store:
    """A store with these failures: stack, key, kind."""
    store = Store(HostFacts(OURS, engine_up=True), lambda: 10.0, lambda stack: None)
    op = StartContainer(WEB, ContainerId("c"), Reason(Why.NEEDED))
    for stack, key, kind in failures:
        store.failed(stack, op, key, "", EngineError(kind, "no"))
    return store


def test_another_contact_with_the_engine_forgets_every_failed_call_and_a_new_fact_alone_does_not() -> None:
    store = failing((BLOG, "start:c", KIND.TIMEOUT), (SHOP, "create:web:1", KIND.BAD_REQUEST))
    store.update_host(engine_up=False, storm="many fail")
    assert [len(store.view(stack).failures) for stack in (BLOG, SHOP)] == [1, 1]
    store.set_host(replace(store.host, engine_up=True, engine_epoch=store.host.engine_epoch + 1))
    assert [len(store.view(stack).failures) for stack in (BLOG, SHOP)] == [0, 0]


def test_a_pull_that_goes_well_frees_the_pulls_that_found_no_way_and_no_other_failure() -> None:
    lost, refused = (SHOP, "pull:a", KIND.FAILED), (SHOP, "pull:b", KIND.DENIED)
    store = failing(lost, refused, (SHOP, "start:c", KIND.FAILED))
    before = store.view(SHOP).version
    store.succeeded(BLOG, pull("c"), "pull:c", None)
    assert set(store.view(SHOP).failures) == {"pull:b", "start:c"}
    assert store.view(SHOP).version == before + 1


@pytest.mark.parametrize(
    ("kind", "state", "sent_at", "kept"),
    [
        (KIND.UNSTARTABLE, ContainerState.RUNNING, 11.0, False),
        (KIND.UNSTARTABLE, ContainerState.RUNNING, 9.0, True),
        (KIND.UNSTARTABLE, ContainerState.EXITED, 11.0, True),
        (KIND.FAILED, ContainerState.RUNNING, 11.0, True),
    ],
)
def test_a_container_that_could_never_be_started_and_runs_after_all_is_given_another_chance_at_its_next_end(
    kind: EngineErrorKind, state: ContainerState, sent_at: float, kept: bool
) -> None:
    store = failing((BLOG, "start:c", kind))
    box = ObservedContainer(ContainerId("c"), "w", BLOG, WEB, 1, state)
    store.set_observed(ObservedStack(BLOG, (box,), sent_at=sent_at))
    assert bool(store.view(BLOG).failures) is kept


def test_only_starts_refused_for_ever_in_a_row_are_counted_as_such() -> None:
    store = failing()
    start = StartContainer(WEB, ContainerId("c"), Reason(Why.NEEDED))
    told = []
    for kind in (KIND.TIMEOUT, KIND.UNSTARTABLE, KIND.UNSTARTABLE, KIND.FAILED, KIND.FAILED, KIND.UNSTARTABLE):
        store.failed(BLOG, start, "start:c", "", EngineError(kind, "no"))
        told.append(store.view(BLOG).failures["start:c"].count)
    assert told == [1, 1, 2, 1, 2, 1]
