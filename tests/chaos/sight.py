"""What is: the containers as the engine tells by itself, and the stacks as stackd tells.

Law: only reads, each with a short limit; what does not answer now is None, never an error. The engine is asked past the
proxy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.bed import unixhttp
from tests.chaos.town import Key

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
LIMIT = 1.0
"""Seconds for one question."""
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Run:
    """A container at one instant; `started` in UTC, "" when it never was."""

    key: Key
    id: str
    name: str
    state: str
    health: str
    started: str
    exit_code: int
    pid: int
    edit: int
    networks: tuple[str, ...]

    @property
    def run(self) -> tuple[str, str]:
        """What a restart changes."""
        return self.id, self.started

    @property
    def good(self) -> bool:
        """Running, and healthy if it has a health check, on its network."""
        there = f"{self.key[0]}_default" in self.networks
        return there and self.state == "running" and self.health in ("", "healthy")


Sight = dict[Key, list[Run]]


def ask(socket: Path, target: str, method: str = "GET") -> tuple[int, Json] | None:
    """Status and JSON, None when nobody answers in time."""
    try:
        status, body = unixhttp.request(socket, method, target, timeout=LIMIT)
        return status, json.loads(body) if body.strip() else None
    except (OSError, ValueError):
        return None


def look(engine: Path, stacks: Iterable[str]) -> Sight | None:
    """Every container of the stacks' services, None when the engine does not answer all of it."""
    wanted = set(stacks)
    filters = quote(json.dumps({"label": [PROJECT, SERVICE]}))
    rows = ask(engine, f"/containers/json?all=1&filters={filters}")
    if rows is None or rows[0] != 200:
        return None
    found: Sight = {}
    for row in _list(rows[1]):
        if _text(row, "Labels", PROJECT) not in wanted:
            continue
        told = ask(engine, f"/containers/{_text(row, 'Id')}/json")
        if told is None or told[0] not in (200, 404):
            return None
        if told[0] == 200:
            run = _run(told[1])
            found.setdefault(run.key, []).append(run)
    return found


def told(socket: Path, stack: str) -> Json:
    """A stack by REST, None when there is no answer."""
    answer = ask(socket, f"/v1/stacks/{stack}")
    return answer[1] if answer is not None and answer[0] == 200 else None


def calm(socket: Path, stack: str) -> bool:
    """Whether stackd says that the newest definition is applied and nothing is left to be done."""
    view, plan = told(socket, stack), ask(socket, f"/v1/stacks/{stack}/plan")
    if not isinstance(view, dict) or plan is None or plan[0] != 200:
        return False
    return view["generation"] == view["observed_generation"] != 0 and _list(plan[1], "steps") == []


def faulty(socket: Path, stack: str) -> bool:
    """Whether stackd shows an error in a stack's files."""
    return any(_text(one, "severity") == "error" for one in _list(told(socket, stack), "diagnostics"))


def override(socket: Path, key: Key) -> str | None:
    """The kind of a service's override, "" without one; None when there is no answer."""
    return _service(socket, key, "override", "kind")


def state(socket: Path, key: Key) -> str | None:
    """A service's state; None when there is no answer."""
    return _service(socket, key, "state")


def _service(socket: Path, key: Key, *path: str) -> str | None:
    for service in _list(told(socket, key[0]), "services"):
        if _text(service, "name") == key[1]:
            return _text(service, *path)
    return None


def _run(raw: Json) -> Run:
    labels = ("Config", "Labels")
    environment = _list(raw, "Config", "Env")
    edits = [str(item).removeprefix("EDIT=") for item in environment if str(item).startswith("EDIT=")]
    networks = _at(raw, "NetworkSettings", "Networks")
    return Run(
        key=(_text(raw, *labels, PROJECT), _text(raw, *labels, SERVICE)),
        id=_text(raw, "Id"),
        name=_text(raw, "Name").removeprefix("/"),
        state=_text(raw, "State", "Status"),
        health=_text(raw, "State", "Health", "Status"),
        started=_instant(_text(raw, "State", "StartedAt")),
        exit_code=int(_text(raw, "State", "ExitCode") or 0),
        pid=int(_text(raw, "State", "Pid") or 0),
        edit=int(edits[0]) if edits else 0,
        networks=tuple(networks) if isinstance(networks, dict) else (),
    )


def _instant(text: str) -> str:
    """An instant of the engine with all its nine digits, so that instants compare as text; "" for its zero."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return "" if text.startswith("0001") else f"{whole}.{fraction:0<9}Z"


def _at(value: Json, *path: str) -> Json:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _text(value: Json, *path: str) -> str:
    found = _at(value, *path)
    return "" if found is None else str(found)


def _list(value: Json, *path: str) -> list[Json]:
    found = _at(value, *path)
    return found if isinstance(found, list) else []
