"""Which services of a definition run, and which resources they need.

Law: `*` enables every profile.
What this module does NOT do: complain about a dependency on a service left out (`check`).
"""

from __future__ import annotations

from collections.abc import Collection

from stackd.compose.normalise import items, services, text
from stackd.compose.report import Report, nearest
from stackd.compose.tree import Map, Node, Scalar


def inactive(root: Map, enabled: Collection[str]) -> frozenset[str]:
    """The names of the services that the enabled profiles leave out."""
    if "*" in enabled:
        return frozenset()
    left_out = []
    for name, service in services(root):
        own = {text(item) for item in items(service.get("profiles"))}
        if own and "" not in own and own.isdisjoint(enabled):
            left_out.append(name)
    return frozenset(left_out)


def selected(root: Map, wanted: Collection[str], enabled: Collection[str], report: Report) -> frozenset[str]:
    """The names of all services but the `wanted` ones and what they need; naming a service enables its profiles."""
    everyone = dict(services(root))
    for name in wanted:
        if name not in everyone:
            hint = nearest(name, everyone)
            report.error("undefined-service", f'there is no service "{name}"', root.span, ("services",), hint)
    named = [everyone[name] for name in wanted if name in everyone]
    left_out = inactive(root, {*enabled, *(text(item) for one in named for item in items(one.get("profiles")))})
    kept: set[str] = set()
    waiting = [name for name in wanted if name in everyone]
    while waiting:
        name = waiting.pop()
        if name not in kept and name in everyone and name not in left_out:
            kept.add(name)
            table = everyone[name].get("depends_on")
            waiting += list(table.entries) if isinstance(table, Map) else []
    for name in kept:
        table = everyone[name].get("depends_on")
        for other in list(table.entries) if isinstance(table, Map) else ():
            if other not in kept and isinstance(table, Map):
                _needless(table, other, name, report)
                table.drop(other)
    return frozenset(everyone.keys() - kept)


def _needless(table: Map, other: str, name: str, report: Report) -> None:
    """Report that a service which was asked for by its name must have one that no profile enables."""
    item = table.entries[other]
    required = item.get("required") if isinstance(item, Map) else None
    if not isinstance(required, Scalar) or required.value is not False:
        message = f'"{name}" needs the service "{other}", which no enabled profile asks for'
        span, path = table.key_span(other), ("services", name, "depends_on", other)
        report.error("inactive-service", message, span, path, f"enable its profile, or name {other} as well")


def prune(root: Map, left_out: frozenset[str]) -> None:
    """Forget, in place, every top-level resource that no active service uses."""
    used: dict[str, set[str]] = {section: set() for section in ("networks", "volumes", "secrets", "configs", "models")}
    for name, service in services(root):
        if name in left_out:
            continue
        networks, models = service.get("networks"), service.get("models")
        used["models"] |= set(models.entries) if isinstance(models, Map) else set()
        used["networks"] |= set(networks.entries) if isinstance(networks, Map) else set()
        for mount in items(service.get("volumes")):
            if isinstance(mount, Map) and text(mount.get("type")) == "volume":
                used["volumes"].add(text(mount.get("source")))
        build = service.get("build")
        granted = items(build.get("secrets")) if isinstance(build, Map) else []
        used["secrets"] |= _sources([*items(service.get("secrets")), *granted])
        used["configs"] |= _sources(items(service.get("configs")))
    for section, names in used.items():
        table = root.get(section)
        for key in list(table.entries) if isinstance(table, Map) else ():
            if key not in names and isinstance(table, Map):
                table.drop(key)


def _sources(entries: list[Node]) -> set[str]:
    return {text(entry.get("source")) if isinstance(entry, Map) else text(entry) for entry in entries}
