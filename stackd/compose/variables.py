"""The variables that a definition refers to, and what it says of each: `stackd config --variables`.

Law: as docker compose lists them: nested defaults and alternatives count, an escaped `$` does not; of two references to
one name a single one is told.
What this module does NOT do: resolve anything (`template`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stackd.compose.template import DEPTH, TemplateError, closing_brace
from stackd.compose.tree import Map, Node, Scalar, Seq

_BEGUN = re.compile(r"\$(?:(\$)|([_a-zA-Z][_a-zA-Z0-9]*)|\{[_a-zA-Z][_a-zA-Z0-9]*(?:(\})|:?[-+?]))")
_PARTS = re.compile(r"([_a-zA-Z][_a-zA-Z0-9]*)(:?[-+?])?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """A variable by name: `default` for when it is not set, `alternate` for when it is, `required`: it must be."""

    name: str
    required: bool = False
    default: str = ""
    alternate: str = ""


def references(node: Node) -> dict[str, Reference]:
    """Every variable below `node`, by name in alphabetical order."""
    found = {one.name: one for one in _below(node)}
    return {name: found[name] for name in sorted(found)}


def _below(node: Node) -> Iterator[Reference]:
    match node:
        case Map():
            for item in node.entries.values():
                yield from _below(item)
        case Seq():
            for item in node.items:
                yield from _below(item)
        case Scalar(value=str()):
            yield from _inside(str(node.value))
        case Scalar():
            pass


def _inside(text: str, depth: int = 0) -> Iterator[Reference]:
    """Every line is looked through for its last brace once, however many references begin in it."""
    at, line_end, last = 0, -1, -1
    while depth <= DEPTH and (found := _BEGUN.search(text, at)):
        escaped, named, closed = found.groups()
        at = found.end()
        if named:
            yield Reference(named)
        elif closed:
            yield from _referred(found.group()[2:-1], depth)
        elif not escaped:
            if at > line_end:  # a reference ends in the line that it begins in
                line_end = text.find("\n", at)
                line_end = len(text) if line_end < 0 else line_end
                last = text.rfind("}", 0, line_end)
            if last < at:  # it never ends
                at = found.start() + 1
                continue
            end = _end(text, found.start() + 1, last + 1)
            at = (end if end >= 0 else last) + 1
            yield from _referred(text[found.start() + 2 : at - 1], depth)


def _end(text: str, start: int, end: int) -> int:
    try:
        return closing_brace(text, start, end)
    except TemplateError:
        return -1


def _referred(body: str, depth: int) -> Iterator[Reference]:
    """The variable that stands between two braces, and those in its default or alternative."""
    parts = _PARTS.match(body)
    if parts is None:
        return
    name, operator, word = parts.group(1), (parts.group(2) or "")[-1:], parts.group(3)
    yield Reference(name, operator == "?", word if operator == "-" else "", word if operator == "+" else "")
    if operator in ("-", "+"):
        yield from _inside(word, depth + 1)
