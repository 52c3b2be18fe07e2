"""The daemon may end at any instant: containers run on, and the next one goes on where it stood."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.engine import Container
from tests.e2e.stacks import FOREVER, forever
from tests.e2e.world import Daemon, Stack, World, until

pytestmark = pytest.mark.engine

WAYS = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])

CHAIN = "services:\n" + "".join(
    f"  s{number}:\n    image: busybox\n    command: {FOREVER}\n"
    + (f"    depends_on: {{s{number - 1}: {{condition: service_started}}}}\n" if number else "")
    for number in range(8)
)


@pytest.mark.timeout(600)
def test_a_hundred_restarts_of_the_daemon_change_no_start(world: World, daemon: Daemon) -> None:
    probe = 'healthcheck: {test: ["CMD", "true"], interval: 1s}'
    stack = world.stack(daemon, "calm", {"compose.yaml": forever("one", "two") + f"    {probe}\n"})
    stack.running("one", "two")
    stack.settled()
    before = stack.containers()
    for _ in range(50):
        for how in (signal.SIGTERM, signal.SIGKILL):
            code = daemon.stop(how)
            assert code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
            daemon.start()
            stack.settled()
            assert stack.containers() == before


@WAYS
def test_an_apply_cut_short_is_finished_without_doing_anything_twice(
    world: World, daemon: Daemon, how: signal.Signals
) -> None:
    stack = world.stack(daemon, "cut", {"compose.yaml": CHAIN})
    for wanted in (1, 4):
        running = {one.id: one.started for one in _at_least(stack, wanted)}
        daemon.stop(how)
        daemon.start()
        _at_least(stack, len(running) + 1)
        now = {one.id: one.started for one in stack.containers()}
        assert {id_: now.get(id_) for id_ in running} == running
    stack.running(*(f"s{number}" for number in range(8)))
    stack.settled()
    assert len(stack.containers()) == 8


def _at_least(stack: Stack, count: int) -> list[Container]:
    """Wait until so many containers run; returns them."""
    return until(lambda: found if len(found := stack.good()) >= count else None, f"{count} running")


@WAYS
def test_an_edit_while_the_daemon_is_down_is_applied_and_an_old_stop_stands(
    world: World, daemon: Daemon, how: signal.Signals
) -> None:
    stack = world.stack(daemon, "edit", {"compose.yaml": forever("one", "two", "three")})
    before = stack.running("one", "two", "three")
    stack.settled()
    daemon.cli("stop", stack.name, "three")
    until(lambda: stack.one("three").state == "exited", "three stopped")
    daemon.stop(how)
    stack.edit("  two:", "  two:\n    environment: {EDITED: 'yes'}")
    daemon.start()
    until(lambda: stack.edited("EDITED=yes", "two"), "two replaced")
    stack.settled()
    assert stack.one("one").started == before["one"].started
    assert stack.one("three").state == "exited"
