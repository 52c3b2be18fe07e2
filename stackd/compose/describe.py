"""Where each field of a service was written, and how it may be shown.

Law: every leaf has a path (`environment.MODE`, `ports.80/tcp`, `command`), a span and a printable value.
What this module does NOT do: decide what may be shown (`redact`), compare (`explain`).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from stackd.compose.expand import pairs
from stackd.compose.normalise import IMPLICIT, items, text
from stackd.compose.redact import HIDDEN, REDACTED, TABLES, Redaction, name_shown
from stackd.compose.scalars import go_text
from stackd.compose.tree import Map, Node, Scalar, Seq, any_secret, leaves
from stackd.errors import Span
from stackd.values import shortened

_WORDS = ("command", "entrypoint")
_HIDDEN = ("extends", "env_file")


@dataclass(slots=True)
class Description:
    """Spans and printable values of a service's fields."""

    redaction: Redaction
    spans: dict[str, Span] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, span: Span, shown: str) -> None:
        """Note one field; a second one of the same path stands beside the first."""
        shown = shortened(shown)
        self.values[path] = f"{self.values[path]}, {shown}" if path in self.values else shown
        self.spans.setdefault(path, span)

    def text(self, path: str, span: Span, value: str, *, secret: bool) -> None:
        """Note a field that is no entry of a table."""
        self.add(path, span, self.redaction.text(path, value, secret=secret))


def describe(service: Map, redaction: Redaction) -> Description:
    """Walk a normalised service."""
    out = Description(redaction)
    for key, node in service.entries.items():
        if key.startswith("x-") or key in _HIDDEN:
            continue
        if key in _WORDS:
            _words(out, key, node)
        elif key == "ports":
            _ports(out, node)
        elif key == "volumes":
            _volumes(out, node)
        elif key == "networks" and isinstance(node, Map):
            for name, item in node.entries.items():
                out.add(f"networks.{name}", node.key_span(name), "connected")
                _leaves(out, f"networks.{name}", item)
        else:
            _leaves(out, key, node)
    return out


def _leaves(out: Description, path: str, node: Node) -> None:
    key = path.rpartition(".")[2]
    match node:
        case Map() | Seq() if key in TABLES:
            _pairs(out, path, node)
        case Map() | Seq() | Scalar() if key in ("test", *_WORDS):
            _words(out, path, node)
        case Map():
            for name, item in node.entries.items():
                if name != IMPLICIT and not name.startswith("x-"):
                    _leaves(out, f"{path}.{name}", item)
        case Seq():
            for at, item in enumerate(node.items):
                _leaves(out, f"{path}.{at}", item)
        case Scalar():
            if node.value is not None:
                out.text(path, node.span, go_text(node.value), secret=node.secret)


def _words(out: Description, path: str, node: Node) -> None:
    given = node.items if isinstance(node, Seq) else [node]
    found = [go_text(item.value) for item in given if isinstance(item, Scalar) and item.value is not None]
    shown = out.redaction.words(path, found, secret=any_secret(node))
    out.add(path, node.span, _joined(shown) if isinstance(node, Seq) else " ".join(shown))


def _joined(words: list[str]) -> str:
    """Words as a shell would want them, those that stand for something else apart."""
    return " ".join(word if word == REDACTED or word.startswith(HIDDEN) else shlex.quote(word) for word in words)


def _pairs(out: Description, path: str, node: Node) -> None:
    table, name_of = pairs(node), path.rpartition(".")[2]
    for name, item in table.entries.items():
        where, span = f"{path}.{name_shown(name)}", table.keys.get(name, item.span)
        if not isinstance(item, Scalar):
            for at, (_, leaf) in enumerate(leaves(item)):
                text = "" if leaf.value is None else go_text(leaf.value)
                out.add(where, span, out.redaction.entry(name_of, name, text, path=f"{where}.{at}", secret=leaf.secret))
        elif item.value is None:
            out.add(where, span, "unset" if name_of == "environment" else "")
        else:
            text = go_text(item.value)
            out.add(where, span, out.redaction.entry(name_of, name, text, path=where, secret=item.secret))


_PORT = ("host_ip", "published", "target", "protocol")


def _ports(out: Description, node: Node) -> None:
    for port in items(node):
        if not isinstance(port, Map):
            continue
        address, published, target, protocol = (
            go_text(item.value) if isinstance(item := port.get(key), Scalar) else "" for key in _PORT
        )
        host = ":".join(part for part in (address, published) if part)
        path, host = f"ports.{target}/{protocol or 'tcp'}", host or "any"
        out.add(path, port.span, out.redaction.text(path, host, key="", secret=any_secret(port)))


def _volumes(out: Description, node: Node) -> None:
    for mount in items(node):
        if not isinstance(mount, Map):
            continue
        access = ":ro" if isinstance(flag := mount.get("read_only"), Scalar) and flag.value is True else ""
        source = text(mount.get("source")) or text(mount.get("type"))
        path = f"volumes.{text(mount.get('target'))}"
        out.add(path, mount.span, out.redaction.text(path, f"{source}{access}", key="", secret=any_secret(mount)))
        for key in ("bind", "volume", "tmpfs"):
            options = mount.get(key)
            if isinstance(options, Map):
                _leaves(out, f"{path}.{key}", options)
