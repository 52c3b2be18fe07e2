"""Values that must agree with each other within a service, and what a service names beside services.

Law: what docker compose refuses is refused, each at its place. Works on the normalised tree, like `check`.
What this module does NOT do: services that need each other (`check`).
"""

from __future__ import annotations

from collections.abc import Callable

from stackd.compose.gonumbers import parse_float
from stackd.compose.normalise import items, text
from stackd.compose.report import Report, nearest, quote
from stackd.compose.scalars import go_text
from stackd.compose.tree import Map, Node, Path, Scalar, any_secret, is_null
from stackd.compose.units import parse_bytes

_LIMITS: tuple[tuple[str, str, str, Callable[[str], float]], ...] = (
    ("cpus", "limits", "cpus", parse_float),
    ("mem_limit", "limits", "memory", parse_bytes),
    ("mem_reservation", "reservations", "memory", parse_bytes),
    ("pids_limit", "limits", "pids", parse_float),
)
_NEEDS_NO_TARGET = ("rebuild", "restart")


def agree(root: Map, name: str, service: Map, report: Report) -> None:
    """Report every disagreement within a service."""
    path = ("services", name)
    _limits(service, path, report)
    _models(root, service, path, report)
    _build(root, service, path, report)
    _watch(service, path, report)


def _below(node: Node | None, *keys: str) -> Map | None:
    for key in keys:
        node = node.get(key) if isinstance(node, Map) else None
    return node if isinstance(node, Map) else None


def _limits(service: Map, path: Path, report: Report) -> None:
    """What the old keys say, the same keys under `deploy` must not say otherwise."""
    for old, group, new, parse in _LIMITS:
        table = _below(service.get("deploy"), "resources", group)
        if table is None:
            continue
        mine, theirs = _number(service.get(old), parse), _number(table.get(new), parse)
        if mine and mine != theirs:
            shown = quote(table.entries[new]) if new in table.entries else "nothing"
            message = f'"{old}" is {quote(service.entries[old])} and "deploy.resources.{group}.{new}" is {shown}'
            report.error("bad-value", f"{message}; they must agree", service.key_span(old), (*path, old))


def _number(node: Node | None, parse: Callable[[str], float]) -> float:
    if not isinstance(node, Scalar) or node.value is None:
        return 0.0
    try:
        return float(parse(go_text(node.value)))
    except ValueError:
        return 0.0  # reported where it is read


def _models(root: Map, service: Map, path: Path, report: Report) -> None:
    wanted, table = service.get("models"), root.get("models")
    known = table.entries if isinstance(table, Map) else {}
    for name in wanted.entries if isinstance(wanted, Map) else ():
        if name not in known and isinstance(wanted, Map):
            span = wanted.key_span(name)
            shown = quote(Scalar(name, span, any_secret(wanted.entries[name])))
            message = f'{shown} is not defined under the top-level "models"'
            report.error("undefined-model", message, span, (*path, "models"), nearest(name, known))


def _build(root: Map, service: Map, path: Path, report: Report) -> None:
    build, secrets, everyone = service.get("build"), root.get("secrets"), root.get("services")
    if not isinstance(build, Map):
        return
    known = secrets.entries if isinstance(secrets, Map) else {}
    for item in items(build.get("secrets")):
        source = item.get("source") if isinstance(item, Map) else None
        if not isinstance(item, Map):
            continue
        if source is None or not text(source):
            message = 'an entry of "build.secrets" needs "source"'
            report.error("missing-key", message, item.span, (*path, "build", "secrets"))
        elif text(source) not in known:
            message = f'{quote(source)} is not defined under the top-level "secrets"'
            hint = nearest(text(source), known)
            report.error("undefined-secret", message, source.span, (*path, "build", "secrets"), hint)
    contexts = build.get("additional_contexts")
    for node in contexts.entries.values() if isinstance(contexts, Map) else ():
        if not text(node).startswith("service:"):
            continue
        other = text(node).removeprefix("service:")
        found = everyone.get(other) if isinstance(everyone, Map) else None
        if not isinstance(found, Map) or is_null(found.get("build")):
            problem = "is not defined" if found is None else "is not built"
            message = f'the service "{other}", which the build needs, {problem}'
            report.error("undefined-service", message, node.span, (*path, "build", "additional_contexts"))


def _watch(service: Map, path: Path, report: Report) -> None:
    develop = service.get("develop")
    for trigger in items(develop.get("watch")) if isinstance(develop, Map) else ():
        if not isinstance(trigger, Map):
            continue
        action = trigger.get("action")
        if action is not None and not text(trigger.get("target")) and text(action) not in _NEEDS_NO_TARGET:
            message = f'"action" is {quote(action)}, which needs "target"'
            report.error("missing-key", message, action.span, (*path, "develop", "watch"))
