"""Two daemons on one engine: neither touches the other's stacks."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.stacks import forever
from tests.e2e.world import World, until

pytestmark = pytest.mark.engine


def test_two_instances_leave_each_others_stacks_alone(world: World) -> None:
    first, second = world.daemon("first"), world.daemon("second")
    mine = world.stack(first, "mine", {"compose.yaml": forever("one", "two")})
    theirs = world.stack(second, "theirs", {"compose.yaml": forever("one")})
    before = mine.running("one", "two"), theirs.running("one")
    mine.settled()
    theirs.settled()
    mine.write(forever("one"))
    until(lambda: len(mine.containers()) == 1, "two removed")
    shutil.rmtree(theirs.folder)
    first.restart()
    mine.settled()
    second.restart()
    assert mine.one("one").started == before[0]["one"].started
    assert first.names() == {mine.name}
