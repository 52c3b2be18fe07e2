"""The tree that every stage of the loader works on: YAML values that know where they were written.

Law: a node keeps the span of the text that gave its value, through interpolation, merge and expansion; stages build
new nodes or edit the tree they own, and never lose a span. `secret` marks a value that `.env` contributed to: it may
be used, never shown.
What this module does NOT do: parse text or know Compose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from stackd.errors import Span

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A canonical value, as it would stand in a JSON document."""

Plain: TypeAlias = "bool | int | float | str | None"


@dataclass(slots=True)
class Scalar:
    """A leaf. `secret`: its text may not be shown. `written`: of a path that was made absolute, what the file says."""

    value: Plain
    span: Span
    secret: bool = False
    written: str = ""


@dataclass(slots=True)
class Seq:
    """A list."""

    items: list[Node]
    span: Span


@dataclass(slots=True)
class Map:
    """A mapping with text keys in file order; `keys` holds the place of each key."""

    entries: dict[str, Node]
    span: Span
    keys: dict[str, Span] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """The value of `key`, None when absent."""
        return self.entries.get(key)

    def key_span(self, key: str) -> Span:
        """Where `key` was written, or its value when the key was implied."""
        found = self.keys.get(key)
        if found is not None:
            return found
        node = self.entries.get(key)
        return node.span if node is not None else self.span

    def put(self, key: str, node: Node, at: Span | None = None) -> None:
        """Set `key`; `at` is the place of the key where one was written."""
        self.entries[key] = node
        if at is not None:
            self.keys[key] = at

    def drop(self, key: str) -> None:
        """Forget `key`, if it is there."""
        self.entries.pop(key, None)
        self.keys.pop(key, None)


Node: TypeAlias = "Scalar | Seq | Map"

EXTENSIONS = "#extensions"
"""The name under which docker compose keeps what it takes for extension fields."""

Path: TypeAlias = "tuple[str, ...]"
"""Where a node stands in the document; an item of a list is its index as text."""


def kind(node: Node) -> str:
    """What a person calls this kind of value."""
    match node:
        case Map():
            return "a mapping"
        case Seq():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(value=bool()):
            return "a boolean"
        case Scalar(value=int()) | Scalar(value=float()):
            return "a number"
        case Scalar():
            return "a string"


def is_null(node: Node | None) -> bool:
    """True for an absent node or an empty value."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def matches(path: Path, pattern: Path) -> bool:
    """True when `path` fits `pattern`, in which `*` stands for any one part."""
    return len(path) == len(pattern) and all(want in ("*", part) for part, want in zip(path, pattern, strict=True))


def any_secret(node: Node) -> bool:
    """True when any leaf below holds a value that may not be shown."""
    if isinstance(node, Scalar):
        return node.secret
    for item in node.items if isinstance(node, Seq) else node.entries.values():
        if item.secret if isinstance(item, Scalar) else any_secret(item):
            return True
    return False


def each_leaf(node: Node) -> Iterator[Scalar]:
    """Every leaf below `node`, what stands there several times by an alias but once."""
    waiting, seen = [node], {id(node)}
    while waiting:
        here = waiting.pop()
        if isinstance(here, Scalar):
            yield here
            continue
        for item in here.items if isinstance(here, Seq) else here.entries.values():
            if id(item) not in seen:
                seen.add(id(item))
                waiting.append(item)


def size(node: Node) -> int:
    """The number of nodes of a tree."""
    match node:
        case Scalar():
            return 1
        case Seq():
            return 1 + sum(map(size, node.items))
        case Map():
            return 1 + sum(map(size, node.entries.values()))


def copied(node: Node) -> Node:
    """A copy that shares no node with the original."""
    match node:
        case Scalar():
            return Scalar(node.value, node.span, node.secret, node.written)
        case Seq():
            return Seq([copied(item) for item in node.items], node.span)
        case Map():
            return Map({key: copied(item) for key, item in node.entries.items()}, node.span, dict(node.keys))


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Every leaf below `node` with its path, in order."""
    match node:
        case Scalar():
            yield path, node
        case Seq():
            for index, item in enumerate(node.items):
                yield from leaves(item, (*path, str(index)))
        case Map():
            for key, item in node.entries.items():
                yield from leaves(item, (*path, key))
