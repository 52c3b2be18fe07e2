"""An earlier revision comes back by one command, stays over a restart of the daemon, and gives way to the next edit."""

from __future__ import annotations

import pytest

from tests.e2e.stacks import forever
from tests.e2e.world import Daemon, Stack, World, until

pytestmark = pytest.mark.engine


def version(text: str) -> str:
    return forever("one", extra=[f"environment: {{VERSION: '{text}'}}"])


def revisions(stack: Stack) -> int:
    answer = stack.daemon.get(f"/v1/stacks/{stack.name}/revisions")
    return answer.text.count('"number"')


def two(world: World, daemon: Daemon, name: str) -> Stack:
    """A stack with two applied revisions, the second in force."""
    stack = world.stack(daemon, name, {"compose.yaml": version("1")})
    stack.running("one")
    until(lambda: revisions(stack) == 1, "the first revision kept")
    stack.write(version("2"))
    until(lambda: stack.edited("VERSION=2", "one"), "the second in force")
    until(lambda: revisions(stack) == 2, "the second revision kept")
    return stack


def test_a_rollback_stays_over_a_killed_daemon_and_gives_way_to_the_next_edit(world: World, daemon: Daemon) -> None:
    stack = two(world, daemon, "back")
    answer = daemon.post(f"/v1/stacks/{stack.name}/rollback?wait=60")
    assert answer.status == 200, answer.text
    assert stack.edited("VERSION=1", "one")
    assert stack.status().at("overrides", 0, "kind") == "pinned"
    before = stack.one("one")
    daemon.restart()
    stack.settled()
    assert stack.one("one") == before
    stack.write(version("3"))
    until(lambda: stack.edited("VERSION=3", "one"), "the edit in force")
    stack.settled()
    assert stack.status().at("overrides") == []


def test_up_puts_the_newest_text_in_force_again(world: World, daemon: Daemon) -> None:
    stack = two(world, daemon, "forth")
    assert daemon.post(f"/v1/stacks/{stack.name}/rollback?wait=60").status == 200
    assert daemon.post(f"/v1/stacks/{stack.name}/up?wait=60").status == 200
    assert stack.edited("VERSION=2", "one")
    assert stack.status().at("overrides") == []
