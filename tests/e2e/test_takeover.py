"""Projects of the real docker compose are taken over as they run, and docker compose finds nothing to do on ours.

Law: the cases are brought up by the real binary, and what is compared is the engine's own record (ids, StartedAt, every
call that a proxy saw); a service that stackd holds because its file differs is no takeover. What this module does not
do: judge the rewritten files beyond takeover. On demand it runs over the Compose files below `STACKD_TAKEOVER_CORPUS`,
with `STACKD_TAKEOVER_COMPOSE` as the binary that brings them up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.world import Daemon, Stack, World, until
from tests.proxy.calls import Call
from tests.proxy.proxy import proxy

pytestmark = pytest.mark.engine

COMPOSE = str(Path(sys.executable).parent / "docker-compose")
FIRST = os.environ.get("STACKD_TAKEOVER_COMPOSE", COMPOSE)
FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
CORPUS = os.environ.get("STACKD_TAKEOVER_CORPUS", "")
STAYS = '    image: busybox\n    command: ["sleep", "infinity"]\n    init: true\n    restart: unless-stopped\n'
CASES = {
    "binds": f"services:\n  one:\n{STAYS}    volumes: ['./data:/data', 'kept:/kept', {{type: tmpfs, target: /t}}]\n"
    "volumes:\n  kept:\n",
    "longbinds": f"services:\n  one:\n{STAYS}    volumes:\n      - {{type: bind, source: ./data, target: /data}}\n"
    "      - {type: bind, source: ., target: /all, bind: {propagation: rprivate}, read_only: true}\n"
    "      - {type: bind, source: ./data, target: /there, bind: {create_host_path: true}}\n",
    "files": f"services:\n  one:\n{STAYS}    env_file: one.env\n    environment: {{LATER: '$$x<&>'}}\n",
    "shared": f"services:\n  one:\n{STAYS}  two:\n{STAYS}    network_mode: service:one\n    depends_on: [one]\n",
    "nets": f"services:\n  one:\n{STAYS}    networks: {{front: {{aliases: [web]}}, back: }}\n    labels: {{a: b}}\n"
    "networks:\n  front:\n  back: {internal: true}\n",
    "oneshot": f"services:\n  job: {{image: busybox, command: 'true'}}\n  one:\n{STAYS}"
    "    depends_on: {job: {condition: service_completed_successfully}}\n",
    "scaled": f"services:\n  one:\n{STAYS}    scale: 2\n    cpus: 0.5\n    ports: ['80']\n    volumes: ['/unnamed']\n",
    "built": f"services:\n  one:\n{STAYS}    build: {{context: ./data}}\n",
}


def found() -> list[Path]:
    """The Compose files of the corpus."""
    named = Path(CORPUS).rglob("*compose.y*ml") if CORPUS else ()
    return sorted(path for path in named if path.name in FILE_NAMES)


def staying(file: Path) -> str:
    """A file's text with busybox for every image, nothing to build, and containers that stay up."""
    model = yaml.safe_load(file.read_text(encoding="utf-8"))
    model.pop("name", None)
    for service in model["services"].values():
        for key in ("build", "platform", "runtime"):
            service.pop(key, None)
        stays = {"entrypoint": ["sleep"], "command": "infinity"}
        service |= stays if "entrypoint" in service else {"command": ["sleep", "infinity"]}
        service |= {"image": "busybox", "init": True} | ({"user": "0"} if "user" in service else {})
        if "healthcheck" in service:
            service["healthcheck"] |= {"test": ["CMD", "true"], "interval": "1s"}
    return yaml.safe_dump(model, sort_keys=False)


def files(case: str | Path) -> dict[str, str]:
    """What a case's folder holds."""
    if isinstance(case, str):
        return {"compose.yaml": CASES[case], "one.env": "FROM_FILE=a b\n", "data/Dockerfile": "FROM busybox\n"}
    dotenv = case.parent / ".env"
    kept = yaml.safe_load(case.read_text(encoding="utf-8")).get("secrets") or {}
    secrets = {one["file"]: "secret" for one in kept.values() if "file" in one}
    return {"compose.yaml": staying(case), **secrets} | ({".env": dotenv.read_text()} if dotenv.exists() else {})


def compose(binary: str, host: str, stack: Stack) -> None:
    """`docker compose up -d` in the stack's folder."""
    environment = {**os.environ, "DOCKER_HOST": host}
    command = [binary, "up", "-d"]
    done = subprocess.run(command, cwd=stack.folder, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"compose up: {done.stderr[-600:]}"


def changes(world: World, binary: str, stack: Stack) -> list[Call]:
    """What `docker compose up -d` asks the engine to change, but for starting one-shots that have completed."""
    finished = {one.id for one in stack.containers() if one.state == "exited" and one.exit_code == 0}
    with proxy(world.folder / "p", Path(world.engine.host.removeprefix("unix://"))) as between:
        compose(binary, between.host, stack)
        calls = between.calls()
    assert calls
    start, wait = "POST /containers/{id}/start", "POST /containers/{id}/wait"
    asked = [call for call in calls if call.changes and call.name != wait]
    return [call for call in asked if not (call.name == start and call.target in finished)]


def seen(world: World, stack: Stack) -> dict[str, str]:
    """By container: when it started."""
    return {one.id: one.started for one in stack.containers()}


def name(case: str | Path) -> str:
    """A case's name."""
    return case if isinstance(case, str) else case.parent.name.lower()


@pytest.mark.parametrize("case", [*CASES, *found()], ids=name)
def test_a_project_of_docker_compose_is_adopted_by_updates_of_restart_policies_only(
    world: World, daemon: Daemon, case: str | Path
) -> None:
    stack = world.stack(daemon, name(case), files(case), where=world.folder / "elsewhere")
    compose(FIRST, world.engine.host, stack)
    before = seen(world, stack)
    since = world.engine.docker("system", "info", "--format", "{{.SystemTime}}")
    answer = daemon.post(f"/v1/stacks/{stack.name}/adopt?wait=60")
    assert answer.status == 200, answer.text
    until(lambda: daemon.get(f"/v1/stacks/{stack.name}/plan").at("steps") == [], "an empty plan", 20)
    assert stack.status().at("overrides") == [], stack.status().text
    assert before and seen(world, stack) == before
    assert {one.restart_policy for one in stack.containers()} <= {"", "no"}
    now = world.engine.docker("system", "info", "--format", "{{.SystemTime}}")
    label = f"label=com.docker.compose.project={stack.name}"
    words = ("events", "--since", since, "--until", now, "--filter", label, "--format", "{{.Action}}")
    done = {line for line in world.engine.docker(*words).splitlines() if not line.startswith(("exec_", "health_"))}
    assert done <= {"update"}
    assert changes(world, FIRST, stack) == []


@pytest.mark.parametrize("case", [*CASES, *found()], ids=name)
def test_docker_compose_finds_nothing_to_do_on_our_stack_but_completed_one_shots(
    world: World, daemon: Daemon, case: str | Path
) -> None:
    stack = world.stack(daemon, name(case), files(case))
    stack.settled()
    assert changes(world, COMPOSE, stack) == []
