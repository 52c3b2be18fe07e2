"""What docker compose's `config` takes although the engine refuses it when a container is made of it.

Law: for the daemon such a value is an error at once, with its place, instead of a failed create much later; for a
shell it is a warning, so that the verdict is docker compose's. Works on the normalised tree.
What this module does NOT do: check what docker compose refuses as well (`check`).
"""

from __future__ import annotations

import re

from stackd.compose.expand import PORTS
from stackd.compose.gonumbers import int64
from stackd.compose.normalise import items, services, text
from stackd.compose.report import Report, quote
from stackd.compose.scalars import go_text
from stackd.compose.tree import Map, Path, Scalar

_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_EXPOSED = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(?:tcp|udp|sctp))?", re.IGNORECASE)


def refusals(root: Map, left_out: frozenset[str], report: Report, replicas: int) -> None:
    """Report every value of an active service that the engine will not take, and counts that it would choke on.

    `replicas` is the number of containers that all services with more than one may have together.
    """
    _replicas(root, left_out, report, replicas)
    exposed = 0
    for name, service in services(root):
        if name not in left_out:
            _service(service, ("services", name), report)
            exposed = _exposed(service, ("services", name), report, exposed)


def _service(service: Map, path: Path, report: Report) -> None:
    own = service.get("container_name")
    if own is not None and text(own) and not _CONTAINER_NAME.fullmatch(text(own)):
        message = f'"container_name" is {quote(own)}, wants letters, digits, _ . - (two or more)'
        report.refused("bad-name", message, own.span, (*path, "container_name"))
    for at, mount in enumerate(items(service.get("volumes"))):
        target = mount.get("target") if isinstance(mount, Map) else None
        if target is not None and text(target)[:1] not in ("/", "\\") and text(target)[1:2] != ":":
            message = f"{quote(target)} is no place in a container, wants a path that begins with /"
            report.refused("bad-volume", message, target.span, (*path, "volumes", str(at)))


def _exposed(service: Map, path: Path, report: Report, before: int) -> int:
    """Judge `expose`, whose ranges are taken apart port by port; the ports of ranges up to here (`before`) and here."""
    total = before
    for at, port in enumerate(items(service.get("expose"))):
        if not isinstance(port, Scalar):
            continue
        place = (*path, "expose", str(at))
        found = _EXPOSED.fullmatch(go_text(port.value))
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not 0 <= low <= high <= 65535:
            message = f"{quote(port)} is no port, wants a number like 80, 53/udp or 8000-8010, up to 65535"
            report.refused("bad-port", message, port.span, place)
            continue
        total += high - low
        if before <= PORTS < total:
            message = f"all ranges of exposed ports together have more than {PORTS} ports"
            report.refused("too-big", message, port.span, place)
            break
    return total


def _replicas(root: Map, left_out: frozenset[str], report: Report, most: int) -> None:
    """A container is planned for each replica, so a slip of the finger must not ask for a billion."""
    total = 0
    for name, service in services(root):
        deploy = service.get("deploy")
        node = service.get("scale") or (deploy.get("replicas") if isinstance(deploy, Map) else None)
        if name in left_out or not isinstance(node, Scalar) or not isinstance(node.value, int | float):
            continue
        wanted = int64(node.value)
        total += wanted if wanted > 1 else 0
        if wanted > 1 and total > most:
            scaled = f"{wanted} containers" if total == wanted else f"{wanted} containers, {total} with those before it"
            message = f'"{name}" is scaled to {scaled}; wanted are at most {most} in a stack'
            hint = 'correct the number, or raise "replicas" below [limits] in config.toml'
            key = ("scale",) if "scale" in service.entries else ("deploy", "replicas")
            report.refused("too-many", message, node.span, ("services", name, *key), hint)
            return
