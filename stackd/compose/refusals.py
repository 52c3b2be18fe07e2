"""What docker compose's `config` takes although the engine refuses it when a container is made of it.

Law: for the daemon such a value is an error at once, with its place, instead of a failed create much later; for a
shell it is a warning, so that the verdict is docker compose's. Works on the normalised tree.
What this module does NOT do: check what docker compose refuses as well (`check`).
"""

from __future__ import annotations

import re

from stackd.compose.normalise import items, services, text
from stackd.compose.report import Report, quote
from stackd.compose.scalars import go_text
from stackd.compose.tree import Map, Path, Scalar

_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_EXPOSED = re.compile(r"[0-9]+(-[0-9]+)?(/[a-zA-Z]+)?")


def refusals(root: Map, left_out: frozenset[str], report: Report) -> None:
    """Report every value of an active service that the engine will not take."""
    for name, service in services(root):
        if name not in left_out:
            _service(service, ("services", name), report)


def _service(service: Map, path: Path, report: Report) -> None:
    own = service.get("container_name")
    if own is not None and text(own) and not _CONTAINER_NAME.fullmatch(text(own)):
        message = f'"container_name" is {quote(own)}, wants letters, digits, _ . - (two or more)'
        report.refused("bad-name", message, own.span, (*path, "container_name"))
    for at, port in enumerate(items(service.get("expose"))):
        if isinstance(port, Scalar) and not _EXPOSED.fullmatch(go_text(port.value)):
            message = f"{quote(port)} is no port, wants a number like 80 or 53/udp"
            report.refused("bad-port", message, port.span, (*path, "expose", str(at)))
    for at, mount in enumerate(items(service.get("volumes"))):
        target = mount.get("target") if isinstance(mount, Map) else None
        if target is not None and text(target)[:1] not in ("/", "\\") and text(target)[1:2] != ":":
            message = f"{quote(target)} is no place in a container, wants a path that begins with /"
            report.refused("bad-volume", message, target.span, (*path, "volumes", str(at)))
