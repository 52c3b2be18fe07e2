"""With `supervision.handover`, the engine restarts what crashes while stackd is stopped."""

from __future__ import annotations

import pytest

from tests.e2e.stacks import FOREVER
from tests.e2e.world import World, until

pytestmark = pytest.mark.engine

ALWAYS = f"services:\n  one:\n    image: busybox\n    restart: always\n    command: {FOREVER}\n"


def test_a_crash_while_stackd_is_stopped_is_answered_by_the_engine_and_taken_back_at_start(world: World) -> None:
    daemon = world.daemon(start=False)
    daemon.more = "[supervision]\nhandover = true\n"
    daemon.start()
    stack = world.stack(daemon, "handed", {"compose.yaml": ALWAYS})
    before = stack.running("one")["one"]
    stack.settled()

    def policy() -> str:
        return world.engine.docker("inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", before.id).strip()

    assert policy() == "no"
    assert daemon.stop() == 0
    assert policy() == "always"
    world.engine.kill(stack.one("one"))
    until(lambda: stack.one("one").started != before.started and stack.one("one").state == "running", "another run")
    by_engine = stack.one("one")
    daemon.start()
    until(lambda: policy() == "no", "taken back")
    stack.settled()
    assert stack.one("one").started == by_engine.started
