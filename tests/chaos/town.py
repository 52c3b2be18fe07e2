"""The stacks that chaos rages in: their files, and what each service is to be like.

Law: what is wanted is written down here when it is asked for, and nowhere read from stackd. Pure but for files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.stacks import FOREVER

Key = tuple[str, str]
"""A service: its stack and its name."""

KINDS = ("setup", "db", "web", "work", "solo")
"""The services of every stack; the first is a one-shot, or, in every second stack, stopped by request."""
FOLLOWERS = {"db": ("web",)}
"""Whom `restart: true` takes along."""


@dataclass(slots=True)
class Wish:
    """What a service is to be like. `edit` stands in its environment; `rest` = it does not run for now, or may not:
    "stopped" by request, "held" by another hand, "paused" by another hand, "" = it runs."""

    edit: int = 1
    rest: str = ""
    job: bool = False


@dataclass(slots=True)
class Stack:
    """A stack's folder and wishes; `broken` = the text on the disk is invalid, the wishes are those before."""

    name: str
    folder: Path
    wishes: dict[str, Wish]
    broken: bool = False

    def text(self) -> str:
        """The file as wished."""
        lines = ["services:"]
        for service, wish in self.wishes.items():
            command = "'true'" if wish.job else FOREVER
            lines += [f"  {service}:", "    image: busybox", f"    command: {command}", "    stop_grace_period: 2s"]
            lines += [f"    environment: {{EDIT: '{wish.edit}'}}", *self._more(service)]
        return "\n".join([*lines, "volumes: {rows: }", ""])

    def _more(self, service: str) -> list[str]:
        match service:
            case "setup" if not self.wishes["setup"].job:
                return ["    restart: always"]
            case "db":
                after = ["    depends_on: {setup: {condition: service_completed_successfully}}"]
                probe = '    healthcheck: {test: ["CMD", "true"], interval: 1s, timeout: 30s, retries: 5}'
                return ["    volumes: ['rows:/rows']", probe, *(after if self.wishes["setup"].job else ())]
            case "web":
                return ["    depends_on: {db: {condition: service_healthy, restart: true}}"]
            case "work":
                return ["    depends_on: [web]", "    restart: always"]
            case _:
                return []

    def save(self, text: str) -> None:
        """Save as an editor does."""
        beside = self.folder / ".compose.yaml.swp"
        beside.write_text(text, encoding="utf-8")
        beside.rename(self.folder / "compose.yaml")


@dataclass(slots=True)
class Town:
    """All stacks."""

    stacks: dict[str, Stack] = field(default_factory=dict)

    @classmethod
    def made(cls, prefix: str, services: int, where: Path) -> Town:
        """Folders below `where` with so many services, rounded up to whole stacks."""
        town = cls()
        for number in range((services + len(KINDS) - 1) // len(KINDS)):
            name = f"{prefix}-{number}"
            wishes = {kind: Wish() for kind in KINDS}
            wishes["setup"].job = number % 2 == 0
            stack = town.stacks[name] = Stack(name, where / name, wishes)
            stack.folder.mkdir(parents=True)
            stack.save(stack.text())
        return town

    def wish(self, key: Key) -> Wish:
        """A service's."""
        return self.stacks[key[0]].wishes[key[1]]

    def services(self) -> list[Key]:
        """Every service."""
        return [(name, service) for name, stack in self.stacks.items() for service in stack.wishes]

    def closure(self, key: Key) -> tuple[Key, ...]:
        """A service and whom its restart takes along."""
        return (key, *((key[0], follower) for follower in FOLLOWERS.get(key[1], ())))
