"""Which services there are, and which revision is in force: what the memory of stable runs goes by."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stackd.model.ids import ServiceName
from stackd.model.override import OverrideKind
from stackd.model.view import Pin
from stackd.runtime.journal import Journal
from stackd.runtime.stable import in_force, services_of
from tests.unit.core.dsl import Toy, service


def journal(*digests: str) -> Journal:
    """One that keeps revisions of these definitions, from number 1 on."""
    kept = tuple(SimpleNamespace(number=number, digest=digest) for number, digest in enumerate(digests, 1))
    return cast("Journal", SimpleNamespace(applied=lambda stack: kept))


def there(toy: Toy) -> set[str]:
    return set(services_of(toy.view()) or ())


def test_the_services_that_there_are_are_those_of_the_file_and_those_that_left_containers() -> None:
    toy = Toy(service("web"), service("old")).settle().edit(service("web"), service("new"))
    assert there(toy) == {"web", "old", "new"}


def test_a_service_behind_a_profile_is_there() -> None:
    toy = Toy(service("web"))
    assert toy.desired is not None
    toy.desired = replace(toy.desired, project=replace(toy.definition, inactive=frozenset({ServiceName("debug")})))
    assert there(toy) == {"web", "debug"}


def test_a_stack_without_definition_has_the_services_of_its_containers() -> None:
    toy = Toy(service("web")).settle()
    toy.desired = None
    assert there(toy) == {"web"}


def test_a_service_of_the_file_is_there_while_an_earlier_revision_is_pinned() -> None:
    toy = Toy(service("web"), service("new")).override(OverrideKind.PINNED, value=1)
    toy.pin = Pin(1, Toy(service("web"), service("old")).definition, {})
    assert there(toy) == {"web", "new", "old"}


@pytest.mark.parametrize("unknown", ["observed", "sources", "definition"])
def test_nobody_knows_the_services_before_all_of_it_was_read_and_seen(unknown: str) -> None:
    toy = Toy(service("web"))
    view = toy.view()
    assert view.desired is not None
    ways: dict[str, dict[str, Any]] = {
        "observed": {"observed": None},
        "sources": {"host": replace(view.host, sources_loaded=False)},
        "definition": {"desired": replace(view.desired, project=None)},
    }
    assert services_of(replace(view, **ways[unknown])) is None


def test_the_revision_in_force_is_the_newest_of_its_definition() -> None:
    toy = Toy(service("web"))
    digest = toy.definition.digest
    assert in_force(toy.view(), journal(digest, "other", digest, "another")) == 3
    assert in_force(toy.view(), journal("other")) is None


def test_a_pinned_revision_is_in_force_whatever_the_files_say() -> None:
    toy = Toy(service("web")).override(OverrideKind.PINNED, value=1)
    toy.pin = Pin(1, toy.definition, {})
    assert in_force(toy.view(), journal("other", toy.definition.digest)) == 1


def test_a_stack_without_definition_has_no_revision_in_force() -> None:
    toy = Toy()
    toy.desired = None
    assert in_force(toy.view(), journal("1")) is None
