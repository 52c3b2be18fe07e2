"""What of the past is held in memory: the newest of each, within its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.record import Crash
from stackd.runtime.database import Bounds
from stackd.runtime.kept import Kept

APP, BLOG = StackName("app"), StackName("blog")
WEB, DB = ServiceName("web"), ServiceName("db")
ONE = Crash(1, 100.0, APP, WEB, ContainerId("c"), "app-web-1", 1.0, 1, None, False, "exited 1")
BOUNDS = Bounds(10, 50.0, max_crashes=4, max_crashes_of_service=2)


def crashes(*of: tuple[StackName, ServiceName]) -> list[Crash]:
    """Crashes in the order given, with ids from 1 on."""
    return [replace(ONE, id=number, stack=stack, service=service) for number, (stack, service) in enumerate(of, 1)]


def kept(*of: tuple[StackName, ServiceName]) -> Kept:
    made = Kept(BOUNDS)
    made.add_crashes(crashes(*of))
    return made


def ids(made: Kept, stack: StackName = APP, now: float = 100.0) -> list[int]:
    return [one.id for one in made.crashes(stack, now)]


def test_the_newest_crashes_of_a_service_are_kept() -> None:
    assert ids(kept((APP, WEB), (APP, WEB), (APP, WEB))) == [3, 2]


@pytest.mark.parametrize("other", [(APP, DB), (BLOG, WEB)])
def test_crashes_of_another_service_or_stack_take_no_room_of_a_services_own(
    other: tuple[StackName, ServiceName],
) -> None:
    made = kept((APP, WEB), (APP, WEB), other)
    assert [number for number in (1, 2, 3) if made.crash(number)] == [1, 2, 3]


def test_of_all_crashes_only_so_many_are_kept_the_newest() -> None:
    made = kept((APP, WEB), (APP, WEB), (APP, DB), (BLOG, WEB), (BLOG, DB))
    assert [number for number in range(1, 6) if made.crash(number)] == [2, 3, 4, 5]


def test_a_crash_that_is_too_old_is_told_no_more() -> None:
    made = kept((APP, WEB), (BLOG, WEB))
    assert (ids(made, now=150.0), ids(made, now=150.1)) == ([1], [])


def test_a_crash_that_comes_later_is_kept_beside_those_before() -> None:
    made = kept((APP, WEB))
    made.add_crashes([replace(ONE, id=7, service=DB)])
    assert ids(made) == [7, 1]
