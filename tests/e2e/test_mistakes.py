"""A mistake in a file stops nothing and is shown where it stands."""

from __future__ import annotations

import pytest

from tests.e2e.stacks import forever
from tests.e2e.world import Daemon, World, until

pytestmark = pytest.mark.engine


def test_a_syntax_error_leaves_all_running_and_shows_its_place_until_the_next_good_save(
    world: World, daemon: Daemon
) -> None:
    stack = world.stack(daemon, "typo", {"compose.yaml": forever("one", "two")})
    before = stack.running("one", "two")
    stack.settled()
    stack.write(forever("one") + "  two: [\n")
    until(lambda: stack.status().at("diagnostics"), "the mistake reported")
    found = stack.status()
    line, column = found.at("diagnostics", 0, "line"), found.at("diagnostics", 0, "column")
    assert str(found.at("diagnostics", 0, "file")).endswith("compose.yaml")
    assert isinstance(line, int) and line >= 5 and isinstance(column, int) and column >= 1
    assert f"compose.yaml:{line}:{column}: error" in daemon.cli("status", stack.name, check=False)
    assert {one.service: one.started for one in stack.containers()} == {n: c.started for n, c in before.items()}
    stack.write(forever("one", "two", "three"))
    after = stack.running("one", "two", "three")
    stack.settled()
    assert stack.status().at("diagnostics") == []
    assert {name: after[name].started for name in before} == {name: one.started for name, one in before.items()}
