"""Which keys of a service its container would not get from stackd: those that are read and not carried out yet.

Law: found in the merged definition by the tables of `rules`, so that a key is carried out or named here, never neither.
What has no part in the container (how its image is built, what only a swarm looks at) is left out.
What this module does NOT do: warn (the rules do, on each key's line).
"""

from __future__ import annotations

from collections.abc import Iterator

from stackd.compose.normalise import items, text
from stackd.compose.rules import SERVICE
from stackd.compose.schema import Either, ListOf, Record, Rule, Table
from stackd.compose.tree import Map, Node, Scalar, Seq
from stackd.model.spec import MountKind

_APART = frozenset(
    (
        "develop", "provider", "pull_refresh_after", "volumes.consistency", "deploy.mode", "deploy.endpoint_mode",
        "deploy.labels", "deploy.placement", "deploy.rollback_config", "deploy.update_config", "secrets.uid",
        "secrets.gid", "secrets.mode", "configs.uid", "configs.gid", "configs.mode",
    )
)  # fmt: skip
"""Docker compose v5.6.1 does nothing with these to a container of a single engine."""
_NOTHING = (None, False, 0, "", "0", "false")


def not_carried_out(root: Map, service: Map) -> tuple[str, ...]:
    """The service's keys, sorted: `cap_drop`, `deploy.resources`, `secrets` (one that is not a file)."""
    found = {key for key in _later(SERVICE, service, "") if key not in _APART and not key.startswith("build.")}
    found.update(section for section in ("secrets", "configs") if _not_of_files(root, service, section))
    kinds = (text(mount.get("type")) for mount in items(service.get("volumes")) if isinstance(mount, Map))
    if any(kind not in MountKind.__members__.values() for kind in kinds):
        found.add("volumes")
    return tuple(sorted(found))


_NAMES_LATER: dict[int, bool] = {}
"""By identity of a rule (they live as long as the program): whether it, or one below it, names a key of `later`."""


def _names_later(rule: Rule | None) -> bool:
    """Whether anything below a rule can be read and not carried out: most long lists (ports, environment) hold none."""
    known = _NAMES_LATER.get(id(rule))
    if known is None:
        match rule:
            case Either():
                known = any(map(_names_later, (rule.scalar, rule.seq, rule.map)))
            case Record():
                known = bool(rule.later) or any(map(_names_later, rule.fields.values()))
            case Table() | ListOf():
                known = _names_later(rule.item)
            case _:
                known = False
        _NAMES_LATER[id(rule)] = known
    return known


def _later(rule: Rule, node: Node, path: str) -> Iterator[str]:
    if not _names_later(rule):
        return
    match rule, node:
        case Either(), _:
            chosen = rule.scalar if isinstance(node, Scalar) else rule.seq if isinstance(node, Seq) else rule.map
            if chosen is not None:
                yield from _later(chosen, node, path)
        case Record(), Map():
            for key, value in node.entries.items():
                below = f"{path}.{key}" if path else key
                if key in rule.later and _says(value):
                    yield below
                elif key in rule.fields and key not in rule.later:
                    yield from _later(rule.fields[key], value, below)
        case Table(), Map():
            for value in node.entries.values():
                yield from _later(rule.item, value, path)
        case ListOf(), Seq():
            for value in node.items:
                yield from _later(rule.item, value, path)
        case _:
            return


def _says(node: Node) -> bool:
    """Whether a value asks for anything."""
    match node:
        case Map():
            return bool(node.entries)
        case Seq():
            return bool(node.items)
        case Scalar():
            return node.value not in _NOTHING


def _not_of_files(root: Map, service: Map, section: str) -> bool:
    """Whether the service has a secret or config that comes from elsewhere than a file."""
    table = root.get(section)
    for entry in items(service.get(section)):
        source = text(entry.get("source")) if isinstance(entry, Map) else text(entry)
        definition = table.get(source) if isinstance(table, Map) else None
        file = definition.get("file") if isinstance(definition, Map) else None
        if file is None or not text(file):
            return True
    return False
