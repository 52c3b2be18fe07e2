"""What a resolved definition has, as lists: its services, images, hashes and other names.

Law: as docker compose lists them; where it keeps no order, names are sorted.
What this module does NOT do: print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from stackd.compose.hash import dialects, digest
from stackd.compose.load import Resolved, values
from stackd.compose.normalise import items, services, text
from stackd.compose.tree import Json, Map


def _active(found: Resolved) -> dict[str, Map]:
    root = found.root
    return {} if root is None else {name: one for name, one in services(root) if name not in found.left_out}


def services_in_order(found: Resolved) -> list[str]:
    """The services, each after those that it depends on."""
    active = _active(found)
    out: dict[str, None] = {}
    waiting: list[tuple[str, bool]] = [(name, False) for name in sorted(active, reverse=True)]
    begun: set[str] = set()
    while waiting:
        name, ready = waiting.pop()
        if ready:
            out[name] = None
        elif name in active and name not in begun:
            begun.add(name)
            table = active[name].get("depends_on")
            waiting.append((name, True))
            waiting += [
                (other, False) for other in sorted(table.entries if isinstance(table, Map) else (), reverse=True)
            ]
    return list(out)


def images(found: Resolved) -> list[str]:
    """The image of every service, made ones by the name that they get, and those of what runs before it."""
    out: list[str] = []
    for name, service in sorted(_active(found).items()):
        own = text(service.get("image")) or f"{found.name}-{name}"
        hooks = [text(hook.get("image")) for hook in items(service.get("pre_start")) if isinstance(hook, Map)]
        out += [own, *(image for image in hooks if image and image != own)]
    return out


def hashes(found: Resolved) -> dict[str, str]:
    """The config hash of every service."""
    table = values(found)["services"]
    return {
        name: digest(dialects(fields)[0])
        for name, fields in (table.items() if isinstance(table, dict) else ())
        if isinstance(fields, dict)
    }


def unwritable(found: Resolved, only: Iterable[str] | None = None) -> str:
    """The place of a number that is infinite or none, which JSON has no word for: `services.web.cpus`; "" = none.

    `only`: of these services, else of all that is printed.
    """
    shown = values(found)
    table = shown["services"]
    if only is not None and isinstance(table, dict):
        shown = {"services": {name: table[name] for name in only if name in table}}
    return next((path for path, number in _numbers(shown, "") if not math.isfinite(number)), "")


def _numbers(value: Json, path: str) -> Iterator[tuple[str, float]]:
    match value:
        case float():
            yield path, value
        case dict():
            for key, item in value.items():
                yield from _numbers(item, f"{path}.{key}" if path else key)
        case list():
            for at, item in enumerate(value):
                yield from _numbers(item, f"{path}.{at}")
        case _:
            return


def names(found: Resolved, section: str) -> list[str]:
    """The keys of a section; of models, what they are."""
    table = found.root.get(section) if found.root is not None else None
    entries = table.entries if isinstance(table, Map) else {}
    if section != "models":
        return sorted(entries)
    return sorted(word for item in entries.values() if isinstance(item, Map) and (word := text(item.get("model"))))
