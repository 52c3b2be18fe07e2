"""The engine's calls by name: method and path with the variable parts left open.

Law: two requests have one name exactly when they ask the same thing of different objects. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

_VERSION = re.compile(r"^/v\d+\.\d+(?=/)")
_FIXED = {
    "containers": {"create", "json", "prune"},
    "networks": {"create", "prune"},
    "volumes": {"create", "prune"},
    "images": {"create", "json", "load", "prune", "search", "get"},
}
_ENDINGS = {"json", "history", "push", "tag", "get"}
"""What may follow an image's name, which itself may contain slashes."""

STREAMS = {
    "GET /events",
    "GET /containers/{id}/logs",
    "GET /containers/{id}/stats",
    "POST /containers/{id}/attach",
    "POST /containers/{id}/wait",
    "POST /build",
    "POST /images/create",
}
"""Calls whose answer goes on for as long as something happens: it is passed on piece by piece."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `number` counts from 1; `target` is the object, "" if none is named; `status` is the engine's
    answer, 0 as long as there is none."""

    number: int
    name: str
    target: str
    status: int = 0

    @property
    def changes(self) -> bool:
        """Whether it changes something on the engine."""
        return not self.name.startswith(("GET ", "HEAD "))

    @property
    def streams(self) -> bool:
        """Whether the answer is passed on piece by piece."""
        return self.name in STREAMS

    def answered(self, status: int) -> Call:
        """The same call with the engine's answer."""
        return replace(self, status=status)


def named(number: int, method: str, path: str, query: dict[str, str]) -> Call:
    """The call that a request is. `path` may carry a version; the target of a creation is its `name=`."""
    parts = _VERSION.sub("", path).strip("/").split("/")
    noun, rest = parts[0], parts[1:]
    if noun not in _FIXED or not rest or (len(rest) == 1 and rest[0] in _FIXED[noun]):
        target = query.get("name") or query.get("t") or query.get("fromImage") or ""
        return Call(number, f"{method} /{'/'.join(parts)}", target)
    if noun == "images":
        ending = rest[-1:] if len(rest) > 1 and rest[-1] in _ENDINGS else []
        target = "/".join(rest[: len(rest) - len(ending)])
    else:
        target, ending = rest[0], rest[1:]
    variable = "{id}" if noun in ("containers", "networks") else "{name}"
    return Call(number, f"{method} /{'/'.join([noun, variable, *ending])}", unquote(target))
