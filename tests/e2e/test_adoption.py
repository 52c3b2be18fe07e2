"""Projects of the real docker compose are taken over, and given back, without a stop, a start or a replacement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stacks import forever
from tests.e2e.world import Daemon, Stack, World, until

pytestmark = pytest.mark.engine

COMPOSE = Path(sys.executable).parent / "docker-compose"
RESTART = "restart: unless-stopped"


def composed(world: World, daemon: Daemon, name: str, text: str) -> Stack:
    """A project in a folder that no stacks directory holds, brought up by the real docker compose."""
    stack = world.stack(daemon, name, {"compose.yaml": text}, where=world.folder / "elsewhere")
    environment = {**os.environ, "DOCKER_HOST": world.engine.host}
    command = [str(COMPOSE), "up", "-d"]
    subprocess.run(command, cwd=stack.folder, env=environment, check=True, capture_output=True, timeout=60)
    return stack


def seen(world: World, stack: Stack) -> dict[str, tuple[str, str]]:
    """By container: when it started, and all its labels."""
    ids = world.engine.ids("ps", "-a", stack.name)
    shown = json.loads(world.engine.docker("inspect", *ids))
    return {one["Id"]: (one["State"]["StartedAt"], json.dumps(one["Config"]["Labels"])) for one in shown}


def calls(world: World, stack: Stack, since: str) -> set[str]:
    """The actions on the project's containers since an instant, as the engine's events tell them."""
    now = world.engine.docker("system", "info", "--format", "{{.SystemTime}}")
    label = f"label=com.docker.compose.project={stack.name}"
    words = ("events", "--since", since, "--until", now, "--filter", label, "--filter", "type=container")
    return set(world.engine.docker(*words, "--format", "{{.Action}}").split())


def test_adopting_a_compose_project_only_takes_its_restarts_over(world: World, daemon: Daemon) -> None:
    stack = composed(world, daemon, "adopt", forever("one", "two", extra=[RESTART]))
    before = seen(world, stack)
    since = world.engine.docker("system", "info", "--format", "{{.SystemTime}}")
    listed = daemon.get("/v1/adoptable")
    assert stack.name in listed.text and listed.status == 200
    answer = daemon.post(f"/v1/stacks/{stack.name}/adopt?wait=60")
    assert answer.status == 200, answer.text
    stack.settled()
    assert (daemon.stacks / stack.name).resolve() == stack.folder
    assert seen(world, stack) == before
    assert calls(world, stack, since) == {"update"}
    assert {one.restart_policy for one in stack.containers()} == {"no"}
    assert stack.status().at("overrides") == []
    one = stack.one("one")
    world.engine.kill(one)
    until(lambda: stack.one("one").started != one.started, "one restarted by stackd")
    assert stack.one("one").id == one.id


def test_a_stopped_service_of_an_adopted_project_stays_stopped_until_it_is_asked_for(
    world: World, daemon: Daemon
) -> None:
    stack = composed(world, daemon, "halted", forever("one", "two", extra=[RESTART]))
    world.engine.docker("stop", stack.one("one").id)
    before = seen(world, stack)
    assert daemon.post(f"/v1/stacks/{stack.name}/adopt?wait=60").status == 200
    assert seen(world, stack) == before
    assert stack.service("one").at("override", "kind") == "held"
    assert daemon.post(f"/v1/stacks/{stack.name}/up?wait=60").status == 200
    stack.running("one", "two")


def test_releasing_gives_the_restarts_back_and_adopting_again_changes_no_run(world: World, daemon: Daemon) -> None:
    stack = composed(world, daemon, "give", forever("one", extra=[RESTART]))
    before = seen(world, stack)
    assert daemon.post(f"/v1/stacks/{stack.name}/adopt?wait=60").status == 200
    assert daemon.post(f"/v1/stacks/{stack.name}/release?wait=60").status == 200
    until(lambda: stack.one("one").restart_policy == "unless-stopped", "the file's policy put back")
    assert daemon.post(f"/v1/stacks/{stack.name}/stop").status == 409
    daemon.restart()
    assert stack.one("one").restart_policy == "unless-stopped"
    assert daemon.post(f"/v1/stacks/{stack.name}/adopt?wait=60").status == 200
    until(lambda: stack.one("one").restart_policy == "no", "taken over again")
    assert seen(world, stack) == before


def running(world: World, stack: Stack) -> dict[str, tuple[str, str]]:
    """By service: the container that runs, and since when."""
    return {one.service: (one.id, one.started) for one in stack.containers() if one.good}


def test_a_released_stack_outlives_its_link_restarts_and_a_lost_database_until_it_is_adopted(world: World) -> None:
    daemon = world.daemon()
    composed(world, daemon, "mixed", forever("one", extra=[RESTART]))
    folder = world.folder / "elsewhere" / f"{world.prefix}-mixed"
    stack = Stack(folder.name, folder, daemon, world.engine)
    daemon.cli("add", str(folder))
    stack.running("one")
    stack.write(forever("one", "two", extra=[RESTART]))
    before = stack.running("one", "two") and running(world, stack)
    stack.settled()
    assert {one.restart_policy for one in stack.containers()} == {"no"}
    daemon.cli("release", stack.name)
    until(lambda: {one.restart_policy for one in stack.containers()} == {"unless-stopped"}, "the file's policies")
    assert "run on" in daemon.cli("remove", stack.name)
    until(lambda: stack.status().at("presence") == "removed", "the removal believed")
    daemon.restart()
    until(lambda: stack.status().at("presence") == "removed", "the removal believed again")
    assert running(world, stack) == before
    assert "it was released" in str(stack.status().at("detail"))
    daemon.stop()
    for file in (daemon.folder / "state").iterdir():
        file.unlink()
    daemon.start()
    until(lambda: stack.name in daemon.get("/v1/adoptable").text, "the project listed as adoptable")
    answer = daemon.post(f"/v1/stacks/{stack.name}/adopt?wait=60")
    assert (answer.status, answer.at("state")) == (200, "succeeded"), answer.text
    assert (daemon.stacks / stack.name).resolve() == folder
    stack.settled()
    assert {one.restart_policy for one in stack.containers()} == {"no"}
    assert running(world, stack) == before


def test_adopt_after_remove_links_the_folder_again_or_says_why_not(world: World, daemon: Daemon) -> None:
    stack = composed(world, daemon, "back", forever("one", extra=[RESTART]))
    daemon.cli("adopt", stack.name)
    before = seen(world, stack)
    daemon.cli("release", stack.name)
    daemon.cli("remove", stack.name)
    aside = stack.folder.rename(world.folder / "aside")
    told = daemon.cli("adopt", stack.name, check=False)
    assert "is not there: put it back" in told and "keeps" not in told
    assert daemon.post(f"/v1/stacks/{stack.name}/adopt").status == 409
    aside.rename(stack.folder)
    assert "stackd keeps" in daemon.cli("adopt", stack.name)
    assert (daemon.stacks / stack.name).resolve() == stack.folder
    stack.settled()
    assert stack.status().at("overrides") == []
    assert seen(world, stack) == before


def test_what_was_made_from_another_file_is_refused_with_what_to_do(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "other", {"prod.yml": forever("one")}, where=world.folder / "elsewhere")
    (stack.folder / "compose.yaml").write_text(forever("two"))
    environment = {**os.environ, "DOCKER_HOST": world.engine.host}
    command = [str(COMPOSE), "-f", "prod.yml", "up", "-d"]
    subprocess.run(command, cwd=stack.folder, env=environment, check=True, capture_output=True, timeout=60)
    answer = daemon.post(f"/v1/stacks/{stack.name}/adopt")
    assert answer.status == 409
    assert "COMPOSE_FILE=prod.yml" in answer.text
    (stack.folder / ".env").write_text("COMPOSE_FILE=prod.yml\n")
    before = seen(world, stack)
    assert daemon.post(f"/v1/stacks/{stack.name}/adopt?wait=60").status == 200
    assert seen(world, stack) == before


def test_an_edit_of_a_hardened_service_that_compose_made_waits_until_the_loss_is_accepted(
    world: World, daemon: Daemon
) -> None:
    keys = ["cap_drop: [ALL]", "mem_limit: 64m", "read_only: true", "environment: {MODE: one}"]
    stack = composed(world, daemon, "hard", forever("one", extra=keys) + forever("two").removeprefix("services:\n"))
    told = daemon.cli("adopt", stack.name)
    assert "warning: stackd does not carry out yet: one: cap_drop, mem_limit, read_only." in told
    stack.settled()
    before = running(world, stack)
    loss = f"would lose cap_drop, mem_limit, read_only; confirm: stackd up {stack.name} --accept-loss"
    stack.edit("MODE: one", "MODE: two")
    until(lambda: stack.service("one").at("detail") == loss, "the edit held")
    assert stack.service("one").at("state") == "held"
    assert loss in daemon.get(f"/v1/stacks/{stack.name}/plan").text and "--accept-loss" in daemon.cli(
        "plan", stack.name
    )
    assert loss in daemon.cli("status", stack.name) and loss in daemon.cli("why", stack.name, "one")
    assert loss in daemon.cli("up", stack.name, check=False)
    world.engine.kill(stack.one("one"))
    until(lambda: stack.one("one").good and stack.one("one").started != before["one"][1], "restarted as it is")
    daemon.restart()
    until(lambda: stack.service("one").at("detail") == loss, "the edit held after a restart")
    assert stack.one("one").id == before["one"][0] and running(world, stack)["two"] == before["two"]
    assert world.engine.docker("inspect", "-f", "{{.HostConfig.CapDrop}}", stack.one("one").id).strip() == "[ALL]"
    answer = daemon.ask("POST", f"/v1/stacks/{stack.name}/up?wait=60", {"accept_loss": True})
    assert (answer.status, answer.at("state")) == (200, "succeeded"), answer.text
    stack.settled()
    assert "MODE=two" in stack.one("one").environment
    stack.edit("MODE: two", "MODE: three")
    until(lambda: stack.edited("MODE=three", "one"), "a later edit is applied at once")
