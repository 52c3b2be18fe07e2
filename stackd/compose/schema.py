"""Validation: small rules that check a tree in place, one diagnostic per mistake, and cut out what is wrong.

Law: a rule looks only at its own node; a union is chosen by the kind of node, so a mistake is reported once; a node
that fails is dropped from its parent, so later stages meet only what is well formed. What docker compose's own schema
accepts is accepted.
What this module does NOT do: know the keys (`rules`) or check references between services (`check`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stackd.compose.advice import kind_hint, text_hint
from stackd.compose.confidential import key_shown
from stackd.compose.gonumbers import INT64_MAX
from stackd.compose.report import Report, nearest, quote, visible
from stackd.compose.scalars import Date
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, each_leaf

_OCTAL = re.compile(r"[-+]?[0-7]+")


@dataclass(slots=True)
class Context:
    """One validation. `complete`: the tree is a whole definition: missing keys and duplicates count; `decoded`: it is
    made a project of, so what only that refuses counts.
    """

    report: Report
    complete: bool = True
    decoded: bool = True

    def wrong(self, node: Node, path: Path, wanted: str) -> bool:
        """Report that `node` is not what is wanted; always False."""
        hint = kind_hint(node, path, wanted)
        self.report.error("bad-type", f"{named(path)} wants {wanted}, found {quote(node, path)}", node.span, path, hint)
        return False


def named(path: Path) -> str:
    """How a message calls what stands at a path."""
    name = path[-1] if path else "the file"
    return f'item {int(name) + 1} of "{path[-2]}"' if name.isdigit() and len(path) > 1 else f'"{key_shown(name, path)}"'


class Rule:
    """What a node must look like. `check` is True when it does; otherwise it has reported why."""

    wanted = "a value"

    def check(self, node: Node, path: Path, context: Context) -> bool:
        """Check `node` in place."""
        raise NotImplementedError


@dataclass(frozen=True)
class Anything(Rule):
    """No condition, but that docker compose can carry every number in JSON."""

    def check(self, node: Node, path: Path, context: Context) -> bool:
        for leaf in each_leaf(node):
            if isinstance(leaf.value, float) and not math.isfinite(leaf.value):
                message = f"{named(path)} holds {quote(leaf, path)}, which docker compose takes nowhere"
                context.report.error("bad-value", message, leaf.span, path, "put it in quotes if it is text")
                return False
        return True


_FREE = Anything()


@dataclass(frozen=True)
class Leaf(Rule):
    """A scalar of one of `types` (JSON schema's names; "whole": a number written without a point, of 64 bits with a
    sign; "octal": a text of octal digits), within bounds. `dates`: a date passes for a string.
    """

    types: frozenset[str]
    wanted: str
    minimum: float | None = None
    maximum: float | None = None
    dates: bool = True

    def check(self, node: Node, path: Path, context: Context) -> bool:
        if not isinstance(node, Scalar) or not self.fits(node.value):
            return context.wrong(node, path, self.wanted)
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            return True
        low, high = self.minimum, self.maximum
        if (low is not None and node.value < low) or (high is not None and node.value > high):
            bound = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
            return context.wrong(node, path, f"a number of {bound}" if high is None else f"a number {bound}")
        return True

    def fits(self, value: object) -> bool:
        """True when the value is of one of the types."""
        match value:
            case None:
                return "null" in self.types
            case bool():
                return "boolean" in self.types
            case int():
                whole = "whole" in self.types and value <= INT64_MAX
                return whole or not self.types.isdisjoint(("integer", "number"))
            case float():
                if not math.isfinite(value):
                    return False
                return "number" in self.types or ("integer" in self.types and value.is_integer())
            case Date() if not self.dates:
                return False
            case str() if "octal" in self.types:
                return _OCTAL.fullmatch(value) is not None
            case _:
                return "string" in self.types


@dataclass(frozen=True)
class Text(Rule):
    """A string, from a list of words or of a pattern (found anywhere in it, as JSON schema does). No project is made of
    a date.
    """

    enum: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    shape: str = ""
    wanted: str = "a string"
    code: str = "bad-value"

    def check(self, node: Node, path: Path, context: Context) -> bool:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return context.wrong(node, path, self.wanted)
        if isinstance(node.value, Date) and context.decoded:
            return context.wrong(node, path, self.wanted)
        if self.enum and node.value not in self.enum:
            words = f"one of {', '.join(self.enum)}" if len(self.enum) > 1 else f'"{self.enum[0]}"'
            context.report.error(
                self.code,
                f"{named(path)} is {quote(node, path)}, wants {words}",
                node.span,
                path,
                nearest(node.value, self.enum),
            )
            return False
        if self.pattern is not None and not self.pattern.search(node.value):
            context.report.error(
                self.code, f"{named(path)} is {quote(node, path)}, wants {self.shape}", node.span, path
            )
            return False
        return True


@dataclass(frozen=True)
class Parsed(Rule):
    """A scalar that a parser must understand; the parser raises ValueError with what is wanted."""

    parser: Callable[[str], object]
    code: str
    rule: Leaf

    def check(self, node: Node, path: Path, context: Context) -> bool:
        if not self.rule.check(node, path, context):
            return False
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not context.decoded:
            return True
        try:
            self.parser(node.value)
        except ValueError as wrong:
            hint = "" if node.secret else text_hint(self.code, node.value)
            context.report.error(self.code, f"{named(path)} is {quote(node)}, {wrong}", node.span, path, hint)
            return False
        return True


@dataclass(frozen=True)
class Decoded(Rule):
    """`rule` where a project is made of the tree; before that more may be there, as `written` says."""

    rule: Rule
    written: Rule

    def check(self, node: Node, path: Path, context: Context) -> bool:
        return (self.rule if context.decoded else self.written).check(node, path, context)


@dataclass(frozen=True)
class ListOf(Rule):
    """A list of `item`; `unique`: no two equal items."""

    item: Rule
    unique: bool = False
    wanted: str = "a list"

    def check(self, node: Node, path: Path, context: Context) -> bool:
        if not isinstance(node, Seq):
            return context.wrong(node, path, self.wanted)
        node.items = [item for at, item in enumerate(node.items) if self.item.check(item, (*path, str(at)), context)]
        if self.unique and context.complete:
            self._unique(node, path, context)
        return True

    def _unique(self, node: Seq, path: Path, context: Context) -> None:
        seen: set[object] = set()
        for item in node.items:
            if isinstance(item, Scalar):
                if item.value in seen:
                    context.report.error(
                        "duplicate-item", f'{quote(item, path)} stands twice in "{path[-1]}"', item.span, path
                    )
                seen.add(item.value)


@dataclass(frozen=True)
class Record(Rule):
    """A mapping with known keys. `later`: valid Compose that stackd does not carry out yet (a warning on its line).
    `lenient`: docker compose passes over unknown keys here, so they are a warning.
    """

    fields: Mapping[str, Rule]
    required: tuple[str, ...] = ()
    later: frozenset[str] = frozenset()
    extensions: bool = True
    wanted: str = "a mapping"
    dropped: Mapping[str, str] = field(default_factory=dict)
    lenient: bool = False

    def check(self, node: Node, path: Path, context: Context) -> bool:
        if not isinstance(node, Map):
            return context.wrong(node, path, self.wanted)
        for key, value in list(node.entries.items()):
            rule = self.fields.get(key)
            if rule is None:
                if not (self.extensions and key.startswith("x-")):
                    self._unknown(node, key, path, context)
                elif not _FREE.check(value, (*path, key), context):
                    node.drop(key)
                continue
            if key in self.later:
                message = f'"{key}" is valid Compose that stackd does not carry out yet; it has no effect'
                context.report.warning("unsupported-key", message, node.key_span(key), (*path, key))
            if not rule.check(value, (*path, key), context):
                node.drop(key)
        missing = [key for key in self.required if key not in node.entries] if context.complete else []
        for key in missing:
            if not context.report.told((*path, key)) and not context.report.misspelt(path, key):
                context.report.error("missing-key", f'{named(path)} needs the key "{key}"', node.span, path)
        return not missing

    def _unknown(self, node: Map, key: str, path: Path, context: Context) -> None:
        owner = named(path) if path else "the top level of the file"
        hint = self.dropped.get(key) or nearest(key, self.fields)
        tell = context.report.warning if self.lenient else context.report.error
        tell(
            "unknown-key",
            f'{owner} has no key "{visible(key_shown(key, path))}"',
            node.key_span(key),
            (*path, key),
            hint,
        )
        node.drop(key)


@dataclass(frozen=True)
class Table(Rule):
    """A mapping of names to `item`. A `pattern` restricts the names; `free`: what stands under `x-` may be anything."""

    item: Rule
    pattern: re.Pattern[str] | None = None
    wanted: str = "a mapping"
    free: bool = False

    def check(self, node: Node, path: Path, context: Context) -> bool:
        if not isinstance(node, Map):
            return context.wrong(node, path, self.wanted)
        for key, value in list(node.entries.items()):
            if self.pattern is not None and not self.pattern.search(key):
                message = f'"{key_shown(key, path)}" is not a name; letters, digits, ".", "_" and "-" make one'
                message = message if key else f"a name in {named(path)} is empty"
                context.report.error("bad-name", message, node.key_span(key), (*path, key))
                node.drop(key)
            else:
                rule = _FREE if self.free and key.startswith("x-") else self.item
                if not rule.check(value, (*path, key), context):
                    node.drop(key)
        return True


@dataclass(frozen=True)
class Either(Rule):
    """A value whose rule depends on its kind; None forbids the kind. `wanted` names the choices."""

    wanted: str
    scalar: Rule | None = None
    seq: Rule | None = None
    map: Rule | None = None

    def check(self, node: Node, path: Path, context: Context) -> bool:
        rule = self.scalar if isinstance(node, Scalar) else self.seq if isinstance(node, Seq) else self.map
        if rule is None or (isinstance(rule, Leaf) and isinstance(node, Scalar) and not rule.fits(node.value)):
            return context.wrong(node, path, self.wanted)
        return rule.check(node, path, context)
