"""The stacks that are measured: sleeping busybox services that end at once when they are told to.

Law: one description, from which the Compose file and the bare engine calls are made, so that all do the same work.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

IMAGE = "busybox:latest"
COMMAND = ("sleep", "1000000")
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class Shape:
    """A stack. `edited` = the services with a changed environment; `chain` = each waits for the one before."""

    project: str
    count: int
    chain: bool = False
    edited: frozenset[str] = frozenset()

    @property
    def services(self) -> tuple[str, ...]:
        """The names of its services, in order."""
        return tuple(f"s{number:02d}" for number in range(self.count))

    @property
    def network(self) -> str:
        """The network that all its services are on."""
        return f"{self.project}_default"

    def edit(self, service: str) -> Shape:
        """The same with the environment of one service changed."""
        return replace(self, edited=self.edited | {service})

    def mark(self, service: str) -> str:
        """What a service's environment says."""
        return "edited" if service in self.edited else "first"

    def text(self) -> str:
        """The Compose file. `restart: always`, so that the engine's own policy is what restarts for docker compose."""
        lines = [f"name: {self.project}", "services:"]
        before = ""
        for service in self.services:
            lines += [
                f"  {service}:",
                f"    image: {IMAGE}",
                f"    command: {json.dumps(COMMAND)}",
                "    stop_signal: SIGKILL",
                "    restart: always",
                f"    environment: {{MARK: {self.mark(service)}}}",
            ]
            lines += [f"    depends_on: [{before}]"] if self.chain and before else []
            before = service
        return "\n".join(lines) + "\n"
