"""What is kept of a crash on a real engine."""

from __future__ import annotations

import pytest

from tests.e2e.world import Daemon, Json, World, at, until

pytestmark = pytest.mark.engine

SHORT = """\
services:
  web:
    image: busybox
    command: sh -c "echo boom >> /said; cat /said; exit 3"
    restart: always
    x-stackd: {restart: {base_delay: 100ms, factor: 1}}
"""


def test_each_crash_of_a_short_program_keeps_what_it_said_and_nothing_of_the_others(
    world: World, daemon: Daemon
) -> None:
    stack = world.stack(daemon, "short", {"compose.yaml": SHORT})
    until(lambda: '"crash_looping"' in stack.service("web").text, "the crash loop")

    place = f"/v1/stacks/{stack.name}/services/web/crashes"

    def said() -> list[Json]:
        crashes = daemon.get(place).at("crashes")
        assert isinstance(crashes, list)
        return [daemon.get(f"{place}/{at(one, 'id')}").at("logs") for one in reversed(crashes)]

    until(lambda: said() == [["boom"] * run for run in range(1, 6)], "five crashes, each with its own lines", 20)
