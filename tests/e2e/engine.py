"""The engine as a person sees it: `docker` commands, parsed into small values.

Law: only reads, and what a test does by hand (kill, stop, remove); nothing here is shared with stackd's own adapter.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime

PROJECT = "com.docker.compose.project"


@dataclass(frozen=True, slots=True)
class Container:
    """A container at one instant; `health` is "" without a health check."""

    id: str
    name: str
    service: str
    state: str
    health: str
    started: str
    pid: int
    exit_code: int
    restart_policy: str
    environment: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Running, and healthy if it has a health check."""
        return self.state == "running" and self.health in ("", "healthy")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's address."""

    host: str

    def docker(self, *words: str, check: bool = True, seconds: float = 90.0) -> str:
        """Run `docker WORDS` and return its output without the last line's end."""
        environment = {**os.environ, "DOCKER_HOST": self.host}
        done = subprocess.run(
            ["docker", *words], env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert not check or done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def containers(self, project: str) -> list[Container]:
        """Every container of a project, running or not, by name; ones that vanish meanwhile are left out."""
        ids = self.ids("ps", "-a", project)
        if not ids:
            return []
        shown = self.docker("inspect", *ids, check=False)
        return sorted((_parsed(raw) for raw in json.loads(shown or "[]")), key=lambda one: one.name)

    def ids(self, what: str, flag: str, project: str) -> list[str]:
        """The ids (`ps`), or names (`network`, `volume`), that carry the project's label."""
        listing = ("ps", flag) if what == "ps" else (what, "ls")
        names = "{{.ID}}" if what == "ps" else "{{.Name}}"
        return self.docker(*listing, "--filter", f"label={PROJECT}={project}", "--format", names).split()

    def networks(self, project: str) -> list[str]:
        """The names of a project's networks."""
        return self.ids("network", "", project)

    def volumes(self, project: str) -> list[str]:
        """The names of a project's named volumes."""
        return self.ids("volume", "", project)

    def execute(self, container: Container, *words: str) -> str:
        """The output of a command inside a container."""
        return self.docker("exec", container.id, *words)

    def first_healthy(self, container: Container) -> str:
        """When the engine, since it started, first called a container healthy; as StartedAt is written, in UTC."""
        event = ("--filter", f"container={container.id}", "--filter", "event=health_status")
        now = self.docker("system", "info", "--format", "{{.SystemTime}}")
        lines = self.docker("events", "--since", "0", "--until", now, *event, "--format", "{{json .}}").splitlines()
        instants = [
            int(entry["timeNano"]) for line in lines if (entry := json.loads(line))["status"].endswith(" healthy")
        ]
        first = datetime.fromtimestamp(min(instants) / 1e9, UTC)
        return first.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")

    def kill(self, container: Container, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill a container's first process from the host, as the kernel would: the engine is not asked."""
        os.kill(container.pid, how)

    def remove(self, project: str) -> None:
        """Remove everything of a project, images built for it too."""
        if ids := self.ids("ps", "-a", project):
            self.docker("rm", "-f", "-v", *ids, check=False)
        if networks := self.networks(project):
            self.docker("network", "rm", *networks, check=False)
        if volumes := self.volumes(project):
            self.docker("volume", "rm", *volumes, check=False)
        if images := self.docker("images", "-q", "--filter", f"reference={project}-*", check=False).split():
            self.docker("rmi", "-f", *images, check=False)


def _parsed(raw: dict[str, dict[str, object]]) -> Container:
    state, config = raw["State"], raw["Config"]
    labels, health, host = config.get("Labels") or {}, state.get("Health") or {}, raw["HostConfig"]
    policy, environment = host.get("RestartPolicy") or {}, config.get("Env") or []
    assert isinstance(labels, dict) and isinstance(health, dict) and isinstance(policy, dict)
    assert isinstance(environment, list)
    return Container(
        id=str(raw["Id"]),
        name=str(raw["Name"]).removeprefix("/"),
        service=str(labels.get("com.docker.compose.service", "")),
        state=str(state["Status"]),
        health=str(health.get("Status", "")),
        started=str(state["StartedAt"]),
        pid=int(str(state["Pid"])),
        exit_code=int(str(state["ExitCode"])),
        restart_policy=str(policy.get("Name", "")),
        environment=tuple(str(item) for item in environment),
    )
