"""Lists in which a later item replaces an earlier one of the same key.

Law: the list of paths and their keys is docker compose's; the replaced item keeps the earlier one's place in the list
and the later one's span.
What this module does NOT do: merge files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from stackd.compose.scalars import go_text
from stackd.compose.short import parse_volume
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, matches

_Key: TypeAlias = "Callable[[Node], str]"


def unique(root: Map) -> None:
    """Drop every replaced list item below `root`, in place."""
    for section, rules in _RULES.items():
        table = root.get(section)
        for resource in table.entries.values() if isinstance(table, Map) else ():
            if isinstance(resource, Map):
                for path, key in rules:
                    _apply(resource, path, key)


def has_keys(path: Path) -> bool:
    """Whether the items of the list at `path` replace each other by a key. A nameless service's never do."""
    rules = _RULES.get(path[0], ()) if len(path) > 2 and path[1] else ()
    return any(matches(path[2:], pattern) for pattern, _ in rules)


def _apply(node: Node | None, path: Path, key: _Key) -> None:
    if node is None:
        return
    if path:
        if isinstance(node, Map):
            below = list(node.entries.values()) if path[0] == "*" else [node.get(path[0])]
            for item in below:
                _apply(item, path[1:], key)
        return
    if isinstance(node, Seq) and len(node.items) > 1:
        kept: dict[str, Node] = {}
        for item in node.items:
            kept[key(item)] = item
        if len(kept) != len(node.items):
            node.items = list(kept.values())


def _text(node: Node | None, default: str = "") -> str:
    return go_text(node.value) if isinstance(node, Scalar) else default


def _name(node: Node) -> str:
    return _text(node).partition("=")[0]


def _target(node: Node) -> str:
    if isinstance(node, Map):
        return _text(node.get("target"))
    try:
        return parse_volume(_text(node)).target
    except ValueError:
        return _text(node)


def _device(node: Node) -> str:
    if isinstance(node, Map):
        return _text(node.get("target"))
    parts = _text(node).split(":")
    return parts[1] if len(parts) > 1 else parts[0]


def _port(node: Node) -> str:
    if isinstance(node, Map):
        host = _text(node.get("host_ip"), "0.0.0.0")
        protocol = _text(node.get("protocol"), "tcp")
        published = node.get("published")
        shown = repr(published.value) if isinstance(published, Scalar) else "-"  # 80 is not "80" to docker compose
        return f"{host}:{shown}:{_text(node.get('target'))}/{protocol}"
    return _text(node)


def _path(node: Node) -> str:
    return _text(node.get("path")) if isinstance(node, Map) else _text(node)


def _mounted(folder: str) -> _Key:
    def key(node: Node) -> str:
        if isinstance(node, Map):
            return _text(node.get("target")) or f"{folder}/{_text(node.get('source'))}"
        return f"{folder}/{_text(node)}"

    return key


def _rules(**keys: _Key) -> tuple[tuple[Path, _Key], ...]:
    return tuple((tuple(name.replace("__", ".").replace("ALL", "*").split(".")), key) for name, key in keys.items())


_RULES: dict[str, tuple[tuple[Path, _Key], ...]] = {
    "networks": _rules(labels=_name, ipam__options=_name),
    "services": _rules(
        annotations=_name, build__args=_name, build__additional_contexts=_name, build__tags=_name, build__labels=_name,
        cap_add=_name, cap_drop=_name, configs=_mounted(""), deploy__labels=_name, dns=_name, dns_opt=_name,
        dns_search=_name, environment=_name, env_file=_path, expose=_text, labels=_name, links=_name,
        networks__ALL__aliases=_name, networks__ALL__link_local_ips=_name, ports=_port, profiles=_name,
        secrets=_mounted("/run/secrets"), sysctls=_name, tmpfs=_name, volumes=_target, devices=_device,
    ),
}  # fmt: skip
