"""Where each field of a service was written, and how it may be shown.

Law: every leaf has a path (`environment.MODE`, `ports.80/tcp`, `command`), a span and a printable value; what a secret
key or flag holds, what `.env` contributed to and the user part of URLs never appear.
What this module does NOT do: compare (`explain`).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from stackd.compose.expand import pairs
from stackd.compose.normalise import IMPLICIT, items, text
from stackd.compose.report import REDACTED, printable, printable_words, secret_key
from stackd.compose.scalars import go_text
from stackd.compose.tree import Map, Node, Scalar, Seq, any_secret
from stackd.errors import Span
from stackd.values import shortened

_WORDS = ("command", "entrypoint")
_PAIRS = ("environment", "labels", "annotations", "sysctls")
_HIDDEN = ("extends", "env_file")


@dataclass(slots=True)
class Description:
    """Spans and printable values of a service's fields, and the names of its environment that are secret."""

    spans: dict[str, Span] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def add(self, path: str, span: Span, value: str, *, secret: bool) -> None:
        """Note one field; a second one of the same path stands beside the first."""
        shown = REDACTED if secret else shortened(printable(value))
        self.values[path] = f"{self.values[path]}, {shown}" if path in self.values else shown
        self.spans.setdefault(path, span)


def describe(service: Map) -> Description:
    """Walk a normalised service."""
    out = Description()
    for key, node in service.entries.items():
        if key.startswith("x-") or key in _HIDDEN:
            continue
        if key in _WORDS:
            _words(out, key, node)
        elif key in _PAIRS:
            _pairs(out, key, node)
        elif key == "ports":
            _ports(out, node)
        elif key == "volumes":
            _volumes(out, node)
        elif key == "build" and isinstance(node, Map):
            _build(out, node)
        elif key == "networks" and isinstance(node, Map):
            for name, item in node.entries.items():
                out.add(f"networks.{name}", node.key_span(name), "connected", secret=False)
                _leaves(out, f"networks.{name}", item)
        else:
            _leaves(out, key, node)
    return out


def _leaves(out: Description, path: str, node: Node) -> None:
    match node:
        case Map():
            for key, item in node.entries.items():
                if key == "test":
                    _words(out, f"{path}.test", item)
                elif key != IMPLICIT and not key.startswith("x-"):
                    _leaves(out, f"{path}.{key}", item)
        case Seq():
            for at, item in enumerate(node.items):
                _leaves(out, f"{path}.{at}", item)
        case Scalar():
            if node.value is not None:
                hidden = node.secret or secret_key(path.rpartition(".")[2])
                out.add(path, node.span, go_text(node.value), secret=hidden)


def _words(out: Description, path: str, node: Node) -> None:
    if isinstance(node, Seq):
        found = [go_text(item.value) for item in node.items if isinstance(item, Scalar)]
        value = shlex.join(printable_words(found)).replace(f"'{REDACTED}'", REDACTED)
    else:
        given = "" if not isinstance(node, Scalar) or node.value is None else go_text(node.value)
        value = " ".join(printable_words([given]))
    out.add(path, node.span, value, secret=any_secret(node))


def _pairs(out: Description, path: str, node: Node) -> None:
    table = pairs(node)
    for name, item in table.entries.items():
        if not isinstance(item, Scalar):
            continue
        hidden = item.secret or secret_key(name)
        if path == "environment" and hidden:
            out.secrets.add(name)
        value = (
            "unset"
            if item.value is None and path == "environment"
            else go_text(item.value)
            if item.value is not None
            else ""
        )
        out.add(f"{path}.{name}", table.keys.get(name, item.span), value, secret=hidden)


_PORT = ("host_ip", "published", "target", "protocol")


def _ports(out: Description, node: Node) -> None:
    for port in items(node):
        if not isinstance(port, Map):
            continue
        address, published, target, protocol = (
            go_text(item.value) if isinstance(item := port.get(key), Scalar) else "" for key in _PORT
        )
        host = ":".join(part for part in (address, published) if part)
        out.add(f"ports.{target}/{protocol or 'tcp'}", port.span, host or "any", secret=any_secret(port))


def _volumes(out: Description, node: Node) -> None:
    for mount in items(node):
        if not isinstance(mount, Map):
            continue
        access = ":ro" if isinstance(flag := mount.get("read_only"), Scalar) and flag.value is True else ""
        source = text(mount.get("source")) or text(mount.get("type"))
        out.add(f"volumes.{text(mount.get('target'))}", mount.span, f"{source}{access}", secret=any_secret(mount))
        for key in ("bind", "volume", "tmpfs"):
            options = mount.get(key)
            if isinstance(options, Map):
                _leaves(out, f"volumes.{text(mount.get('target'))}.{key}", options)


def _build(out: Description, node: Map) -> None:
    for key, item in node.entries.items():
        if key in ("args", "labels"):
            _pairs(out, f"build.{key}", item)
        else:
            _leaves(out, f"build.{key}", item)
