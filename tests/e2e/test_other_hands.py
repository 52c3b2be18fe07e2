"""What people and other programs do on the engine is answered, respected or left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stacks import forever
from tests.e2e.world import Daemon, Json, Stack, World, at, until

pytestmark = pytest.mark.engine

COMPOSE = Path(sys.executable).parent / "docker-compose"
SLOW = 'healthcheck: {test: ["CMD", "true"], interval: 4s}'


def test_a_container_removed_by_hand_is_created_again(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "rm", {"compose.yaml": forever("one", "two")})
    before = stack.running("one", "two")
    stack.settled()
    world.engine.docker("rm", "-f", before["one"].id)
    after = stack.running("one", "two")
    assert after["one"].id != before["one"].id
    assert after["two"].started == before["two"].started


def test_a_container_stopped_by_hand_is_held_visibly_and_released_by_start(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "stop", {"compose.yaml": forever("one", "two")})
    before = stack.running("one", "two")
    stack.settled()
    world.engine.docker("stop", before["one"].id)
    until(lambda: stack.service("one").at("override"), "the hold")
    assert stack.service("one").at("override", "kind") == "held"
    assert "held" in daemon.cli("status", stack.name)
    stack.edit("  two:", "  three:")
    stack.running("three")
    assert stack.one("one").state == "exited"
    daemon.cli("start", stack.name, "one")
    after = stack.running("one", "three")
    assert after["one"].id == before["one"].id
    until(lambda: stack.service("one").at("override") is None, "no hold any more")


def test_a_child_of_what_is_stopped_by_hand_stops_with_the_cause_and_comes_back_with_it(
    world: World, daemon: Daemon
) -> None:
    side = forever("side", extra=['network_mode: "service:web"']).removeprefix("services:\n")
    stack = world.stack(daemon, "child", {"compose.yaml": forever("web") + side})
    before = stack.running("web", "side")
    stack.settled()
    world.engine.docker("stop", before["web"].id)
    until(lambda: stack.one("side").state == "exited", "side stopped")
    cause = "web is held: stopped by another hand"
    until(lambda: str(stack.service("side").at("detail")).startswith(cause), "its reason")
    stopped = until(lambda: [e for e in daemon.events(stack.name) if e["type"] == "container.stopped"], "it is told")
    assert "web, whose namespace it shares, is down and held" in str(stopped[-1]["message"])
    daemon.cli("start", stack.name, "web")
    after = stack.running("web", "side")
    assert (after["web"].id, after["side"].id) == (before["web"].id, before["side"].id)


def test_a_paused_container_whose_process_was_killed_says_so_and_runs_again_once_unpaused(
    world: World, daemon: Daemon
) -> None:
    stack = world.stack(daemon, "frozen", {"compose.yaml": forever("one")})
    before = stack.running("one")["one"]
    stack.settled()
    world.engine.docker("pause", before.id)
    until(lambda: stack.service("one").at("state") == "paused", "paused")
    assert "dead" not in str(stack.service("one").at("detail"))
    world.engine.kill(before)
    daemon.restart()  # no event tells of it: the next look does
    until(lambda: "its process is dead: unpause it" in str(stack.service("one").at("detail")), "told to be dead")
    assert stack.one("one").state == "paused"
    world.engine.docker("unpause", before.id)
    assert stack.running("one")["one"].started != before.started


def test_a_restart_by_hand_is_not_fought(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "restart", {"compose.yaml": forever("one")})
    before = stack.running("one")["one"]
    stack.settled()
    world.engine.docker("restart", before.id)
    by_hand = stack.one("one")
    assert (by_hand.id, by_hand.state) == (before.id, "running")
    # An answer to it would come within the three seconds that stackd waits for a stop to be explained.
    other = world.stack(daemon, "other", {"compose.yaml": forever("one", extra=[SLOW])})
    other.running("one")
    stack.settled()
    assert stack.one("one").started == by_hand.started
    assert stack.service("one").at("override") is None


def test_what_docker_compose_brought_up_is_taken_over_without_a_stop(world: World) -> None:
    daemon = world.daemon(start=False)
    daemon.stacks.mkdir()
    stack = world.stack(daemon, "adopted", {"compose.yaml": forever("one", "two")})
    environment = {**os.environ, "DOCKER_HOST": world.engine.host}
    command = [str(COMPOSE), "-p", stack.name, "up", "-d"]
    subprocess.run(command, cwd=stack.folder, env=environment, check=True, capture_output=True, timeout=60)
    before = {one.id: one.started for one in stack.containers()}
    daemon.start()
    stack.settled()
    assert {one.id: one.started for one in stack.containers()} == before
    world.engine.kill(stack.one("one"))
    until(lambda: stack.one("one").started not in before.values(), "one restarted by stackd")
    assert {one.id for one in stack.containers()} == set(before)


def test_an_open_compose_run_is_untouched_by_edits(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "open", {"compose.yaml": forever("one", "web")})
    stack.running("one", "web")
    stack.settled()
    environment = {**os.environ, "DOCKER_HOST": world.engine.host}
    command = [str(COMPOSE), "-p", stack.name, "run", "-d", "--no-deps", "web", "sleep", "1000000"]
    subprocess.run(command, cwd=stack.folder, env=environment, check=True, capture_output=True, timeout=60)
    (open_run,) = [one for one in stack.containers() if "-run-" in one.name]
    stack.write(forever("one", "web", extra=["environment: {EDITED: 'yes'}"]))
    until(lambda: stack.edited("EDITED=yes", "one", "web"), "both replaced")
    stack.settled()
    assert open_run in stack.containers()
    stack.write(forever("one"))
    until(lambda: "web" not in {one.service for one in stack.containers() if one != open_run}, "web removed")
    stack.settled()
    assert open_run in stack.containers()


def compose(world: World, stack: Stack, *words: str) -> None:
    """`docker compose WORDS` beside stackd, on the stack's own folder."""
    environment = {**os.environ, "DOCKER_HOST": world.engine.host}
    command = [str(COMPOSE), "-p", stack.name, *words]
    subprocess.run(command, cwd=stack.folder, env=environment, check=True, capture_output=True, timeout=60)


def overrides(stack: Stack) -> list[Json]:
    found = stack.daemon.get(f"/v1/stacks/{stack.name}").at("overrides")
    assert isinstance(found, list)
    return found


def test_a_stack_taken_down_by_compose_is_one_hold_until_compose_brings_it_up(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "downup", {"compose.yaml": forever("one", "two")})
    stack.running("one", "two")
    stack.settled()
    compose(world, stack, "down")
    until(lambda: [at(one, "service") for one in overrides(stack)] == [None], "one hold of the stack")
    assert stack.containers() == []
    assert "docker compose down" in str(at(overrides(stack)[0], "reason"))
    compose(world, stack, "up", "-d")
    by_hand = {one.id: one.started for one in stack.containers()}
    assert len(by_hand) == 2
    until(lambda: overrides(stack) == [], "no hold any more")
    stack.settled()
    assert {one.id: one.started for one in stack.containers()} == by_hand


CRASHES = """\
  bad:
    image: busybox
    command: sh -c "exit 3"
    restart: always
    x-stackd: {restart: {base_delay: 100ms, factor: 1}}
"""


@pytest.mark.parametrize("others", [("one",), ("one", "two")])
@pytest.mark.parametrize("rule", ["first", "last"])
def test_a_down_is_one_hold_though_a_service_crash_loops(
    world: World, daemon: Daemon, others: tuple[str, ...], rule: str
) -> None:
    text = forever(*others) + CRASHES
    text += "    depends_on: [one]\n" if rule == "first" else ""
    stack = world.stack(daemon, f"loop{len(others)}{rule}", {"compose.yaml": text})
    until(lambda: '"crash_looping"' in stack.service("bad").text, "the crash loop")
    compose(world, stack, "down")
    until(lambda: [at(one, "service") for one in overrides(stack)] == [None], "one hold of the stack")
    other = world.stack(daemon, "other", {"compose.yaml": forever("one", extra=[SLOW])})
    other.running("one")
    assert stack.containers() == []


def test_a_recreation_by_compose_is_not_fought(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "again", {"compose.yaml": forever("one", "two")})
    before = stack.running("one", "two")
    stack.settled()
    compose(world, stack, "up", "-d", "--force-recreate")
    by_hand = {one.id: one.started for one in stack.containers()}
    assert not {one.id for one in before.values()} & set(by_hand)
    other = world.stack(daemon, "other", {"compose.yaml": forever("one", extra=[SLOW])})
    other.running("one")
    stack.settled()
    assert {one.id: one.started for one in stack.containers()} == by_hand
    assert overrides(stack) == []
