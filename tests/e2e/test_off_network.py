"""A container that another hand took off its network is replaced, once."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.stacks import forever
from tests.e2e.world import Daemon, World, until

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("there", [True, False], ids=["seen by stackd", "while stackd is down"])
def test_a_container_that_was_disconnected_is_replaced_once(world: World, daemon: Daemon, there: bool) -> None:
    stack = world.stack(daemon, "off", {"compose.yaml": forever("one", "two")})
    before = stack.running("one", "two")
    stack.settled()
    if not there:
        daemon.stop(signal.SIGKILL)
    world.engine.docker("network", "disconnect", f"{stack.name}_default", before["one"].id)
    if not there:
        daemon.start()
    until(lambda: before["one"].id not in {one.id for one in stack.containers()}, "one replaced", 30)
    stack.settled()
    after = stack.running("one", "two")
    assert (after["one"].name, after["two"]) == (before["one"].name, before["two"])
    assert stack.messages().count("one container.started started one: it replaces") == 1
