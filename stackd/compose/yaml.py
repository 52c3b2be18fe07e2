"""YAML text to trees: libyaml's events, our own resolver, positions everywhere.

Law: the dialect is go-yaml v4's as docker compose uses it (compose.md 4.6): scalars by `scalars.resolve`, duplicate
keys are an error, an anchor may be given again (the later one counts) and holds to the end of the file, `<<` takes a
mapping or a list of mappings, and a document that unfolds to more than 100 000 nodes is refused; extension fields at
the top level stay folded, and may stand for a million. `!reset` and `!override` are noted by path, for the merge.
What this module does NOT do: interpolate, or know any key of Compose.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]

from stackd.compose.report import Report
from stackd.compose.scalars import Date, resolve
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, kind
from stackd.errors import Span

NODE_BUDGET = 100_000
SHARED_BUDGET = 1_000_000
DEPTH = 100
DOCUMENTS = 10_000
_NOTED = ("!reset", "!override")
_CORE = "tag:yaml.org,2002:"
_MERGE = f"{_CORE}merge"
_LEFT_OUT = ("!reset", _MERGE)
"""What go-yaml drops: also a value that is tagged as the key of a merge, as a plain `<<` is."""
_ENDS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n|\.\.\.[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z))+")
"""Before the first document nothing can end, and go-yaml passes over that."""
_BARE = re.compile(r"!(?=[\s,}\]]|\Z)")
_BARE_FIRST = re.compile(r"(?:&[^\s,}\]]+\s+)?!(?=[\s,}\]]|\Z)")
_SLASH = re.compile(r"(?:[^\\]|\\[^/])*\\/", re.DOTALL)


@dataclass(slots=True)
class Document:
    """One YAML document: its tree, and the paths of `!reset` and of `!override` in it."""

    root: Node
    resets: list[Path] = field(default_factory=list)
    overrides: list[Path] = field(default_factory=list)


class _Refused(Exception):
    """Parsing cannot go on; carries what the diagnostic says. Never leaves this module."""

    def __init__(self, code: str, message: str, span: Span, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.hint = code, message, span, hint


@dataclass(slots=True)
class _Raw:
    """A node with its tag and, below `!reset`/`!override`, what must be noted when its path is known."""

    node: Node
    tag: str
    pairs: list[tuple[str, Span, _Raw]] | None = None
    items: list[_Raw] | None = None
    size: int = 1
    depth: int = 0
    noted: bool = False


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip


def parse(data: bytes, file: str, report: Report) -> list[Document]:
    """All documents of a file; [] after a diagnostic when the text is not YAML, or nothing but comments."""
    text = ""
    try:
        text = _text(data, file)
        ended = _ENDS.match(text) if "..." in text else None
        if ended is not None:  # blanks instead, so that all else keeps its place
            text = ended.group().replace("...", "   ") + text[ended.end() :]
        return _Builder(text, file).documents()
    except _Refused as refused:
        report.error(refused.code, refused.message, refused.span, hint=refused.hint)
    except yaml.MarkedYAMLError as broken:
        message, span, hint = _words(broken, text, file)
        report.error("bad-yaml", message, span, hint=hint)
    except yaml.YAMLError as broken:
        place = getattr(broken, "position", None)
        line = text.count("\n", 0, place) + 1 if isinstance(place, int) else 0
        report.error("bad-yaml", f"this is not YAML: {str(broken).splitlines()[0]}", Span(file, line, 1 if line else 0))
    return []


def _words(broken: yaml.MarkedYAMLError, text: str, file: str) -> tuple[str, Span, str]:
    """libyaml's complaint in words that say what to do where that is known, the place that helps most, and a hint."""
    mark, opened = broken.problem_mark or broken.context_mark, broken.context_mark
    span = Span(file, mark.line + 1, mark.column + 1) if mark else Span(file)
    start = Span(file, opened.line + 1, opened.column + 1) if opened else span
    problem, context = str(broken.problem or broken.context or "broken text"), str(broken.context or "")
    line = _line(text, span.line)
    if "\t" in line[: len(line) - len(line.lstrip())] or "tab" in problem or "'\\t'" in problem:
        return "a tab indents this line; YAML wants spaces", span, "set your editor to write spaces for the Tab key"
    for words, found in _SCALARS.items():
        if words in problem:
            letters = line[span.column - 1 : span.column + ("escape" in words)]
            return found[0].format(letters or line.strip()[-1:]), span, found[1]
    if "while scanning a quoted scalar" in context:
        return "the quotes opened here are never closed", start, ""
    if "while parsing a flow" in context:
        message = f"the bracket opened here is not closed, or a comma is missing (noticed in line {span.line})"
        return message, start, ""
    if "mapping values are not allowed" in problem:
        if ": " in line[: span.column - 1]:
            return 'a second ": " stands in this line', span, "quote the value, or put the key on a line of its own"
        message = 'the line above has no ": " or a value of its own, so this key cannot stand under it'
        return message, span, 'end the line above with ":", or give this one the same indentation'
    if "could not find expected ':'" in problem:
        return 'this line is a key without ": "', start, 'write NAME: VALUE, with a blank after the ":"'
    if any(words in problem for words in ("expected key", "expected <block end>", "expected '-'")):
        if _AFTER_QUOTE.search(line[: span.column - 1]):
            return "text stands after the closing quote", span, "put the whole value into one pair of quotes"
        hint = "keys that belong together begin in the same column"
        return "the indentation of this line fits none of the lines above", span, hint
    return f"this is not YAML: {problem}{f' {context}' if context else ''}", span, ""


_SCALARS = {
    "found unknown escape character": (
        '"{}" means nothing inside double quotes; \\n, \\t, \\\\ and \\" do',
        "use single quotes: nothing is special in them",
    ),
    "cannot start any token": ('a value cannot begin with "{}"', "put the value in quotes"),
    "did not find expected alphabetic or numeric character": (
        "* and & begin the name of an anchor, and no name follows",
        "put the value in quotes if it is plain text",
    ),
}
"""What libyaml says of a single value: our words for it ({} is the character found), and the hint."""
_AFTER_QUOTE = re.compile(r"""[:-]\s+("[^"]*"|'[^']*')\s*$""")


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _text(data: bytes, file: str) -> str:
    """UTF-8, or UTF-16 behind its byte order mark."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    body = data.removeprefix(mark)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as broken:
        before = body[: broken.start].decode(encoding)
        message = f"the byte 0x{body[broken.start]:02X} is not {encoding[:6].rstrip('-').upper()} text"
        span = Span(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise _Refused("bad-encoding", message, span, "save the file with the encoding UTF-8") from None


class _Builder:
    """Turns the events of one text into documents; built for one use."""

    def __init__(self, text: str, file: str) -> None:
        self._next: Callable[[], yaml.Event] = CParser(text).get_event  # type: ignore[assignment]
        self._file = file
        self._anchors: dict[str, _Raw | None] = {}
        self._total = self._shared = self._unfolded = 0
        self._level = 0
        self._extension = False
        self._text = text if "\\/" in text or _BARE.search(text) else ""

    def documents(self) -> list[Document]:
        found: list[Document] = []
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version not in (None, (1, 1)):
                    number = ".".join(map(str, event.version))
                    message = f"the file says that it is YAML {number}, and only 1.1 may be said"
                    raise _Refused("bad-yaml", message, self._span(event), "leave the line with %YAML out")
                if len(found) == DOCUMENTS:
                    raise _Refused("too-big", f"the file has more than {DOCUMENTS} documents", self._span(event))
                self._total = self._shared = 0
                raw = self._node(self._next())
                empty = raw.tag == "!reset" or (isinstance(raw.node, Scalar) and raw.node.value is None)
                document = Document(Scalar(None, self._span(event)) if empty else raw.node)
                _note(raw, (), document)
                found.append(document)
        return found

    def _span(self, event: yaml.Event) -> Span:
        mark = event.start_mark
        return Span(self._file) if mark is None else Span(self._file, mark.line + 1, mark.column + 1)

    def _deep(self, depth: int, span: Span) -> None:
        if depth > DEPTH:
            raise _Refused("too-big", f"lists and mappings stand in each other more than {DEPTH} deep", span)

    def _spend(self, amount: int, span: Span) -> None:
        self._total += amount
        if self._total > NODE_BUDGET:
            raise _Refused("too-big", f"the document unfolds to more than {NODE_BUDGET} nodes", span)

    def _node(self, event: yaml.Event) -> _Raw:
        span = self._span(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), span)
        self._spend(1, span)
        if isinstance(event, yaml.CollectionStartEvent):
            self._level += 1
            self._deep(self._level, span)
        anchor: str | None = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            raw = self._scalar(event, span)
        elif isinstance(event, yaml.SequenceStartEvent):
            raw = self._sequence(span, event.tag or "")
        else:
            raw = self._mapping(span, getattr(event, "tag", None) or "")
        if isinstance(event, yaml.CollectionStartEvent):
            self._level -= 1
        if anchor is not None:
            self._anchors[anchor] = raw
        return raw

    def _alias(self, anchor: str, span: Span) -> _Raw:
        if anchor not in self._anchors:
            hint = f"define it above with &{anchor}; if this is plain text, put it in quotes"
            raise _Refused("bad-yaml", f"*{anchor} names no anchor defined above", span, hint)
        raw = self._anchors[anchor]
        if raw is None:
            raise _Refused("bad-yaml", f"the anchor &{anchor} contains itself", span)
        if self._extension:  # nothing there is unfolded until somebody wants to see it
            self._shared += raw.size
            self._spend(1 if self._shared <= SHARED_BUDGET else NODE_BUDGET, span)
        else:
            self._spend(raw.size, span)
            self._unfolded += raw.size  # in all documents together: one may name what another made
            self._spend(0 if self._unfolded <= NODE_BUDGET else NODE_BUDGET, span)
        self._deep(self._level + raw.depth, span)
        return raw

    def _scalar(self, event: yaml.ScalarEvent, span: Span) -> _Raw:
        tag = event.tag or ""
        if event.style == '"' and self._text and event.start_mark and event.end_mark:
            odd = _SLASH.match(self._text[event.start_mark.index : event.end_mark.index])
            if odd:  # libyaml knows this escape, go-yaml does not
                message, hint = _SCALARS["found unknown escape character"]
                raise _Refused("bad-yaml", message.format("\\/"), span, hint)
        if event.value == "<<" and not event.style and not tag:
            tag = _MERGE
        elif not event.style and event.implicit[0] and not self._bare(event):
            return _Raw(Scalar(resolve(event.value), span), tag)
        return _Raw(Scalar(_tagged(event.value, tag, span), span), tag)

    def _bare(self, event: yaml.ScalarEvent) -> bool:
        """Whether a `!` alone stands before a plain value: libyaml drops it, to go-yaml it makes text."""
        if not self._text or event.start_mark is None:
            return False
        return _BARE_FIRST.match(self._text, event.start_mark.index) is not None

    def _sequence(self, span: Span, tag: str) -> _Raw:
        items: list[_Raw] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event))
        size = 1 + sum(item.size for item in items)
        kept = [item.node for item in items if item.tag not in _LEFT_OUT]
        depth = 1 + max((item.depth for item in items), default=0)
        noted = any(item.noted or item.tag in _NOTED for item in items)
        return _Raw(Seq(kept, span), tag, items=items, size=size, depth=depth, noted=noted)

    def _mapping(self, span: Span, tag: str) -> _Raw:
        pairs: list[tuple[str, Span, _Raw]] = []
        node = Map({}, span)
        merged: _Raw | None = None
        seen: dict[str | None, Span] = {}  # None: the merge key
        size = 1
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, place = self._key(event)
            self._extension = self._extension or (self._level == 1 and key.startswith("x-"))
            value = self._node(self._next())
            self._extension = self._extension and self._level > 1
            size += value.size + 1
            merges = _merges(event)
            first = seen.setdefault(None if merges else key, place)
            if first is not place:
                message = f'"{key}" stands here a second time (first in line {first.line})'
                raise _Refused("duplicate-key", message, place)
            if merges:
                merged = value
                continue
            pairs.append((key, place, value))
            if value.tag not in _LEFT_OUT:
                node.put(key, value.node, place)
        if merged is not None:
            self._merge(node, merged, pairs)
        depth = 1 + max((value.depth for _, _, value in pairs), default=0)
        noted = any(value.noted or value.tag in _NOTED for _, _, value in pairs)
        return _Raw(node, tag, pairs=pairs, size=size, depth=depth, noted=noted)

    def _key(self, event: yaml.Event) -> tuple[str, Span]:
        span = self._span(event)
        if _merges(event):
            return "<<", span
        raw = self._node(event)
        if not isinstance(raw.node, Scalar):
            raise _Refused("bad-key", f"a key must be text, found {kind(raw.node)}", span)
        if not isinstance(raw.node.value, str) or isinstance(raw.node.value, Date):
            hint = 'put the key in quotes; in a list write "- " in front'
            found = "a date" if isinstance(raw.node.value, Date) else kind(raw.node)
            raise _Refused("bad-key", f"a key must be text, found {found}", span, hint)
        written = isinstance(event, yaml.ScalarEvent) and raw.tag != f"{_CORE}binary"
        return (event.value if written else raw.node.value), span  # type: ignore[attr-defined]

    def _merge(self, node: Map, value: _Raw, pairs: list[tuple[str, Span, _Raw]]) -> None:
        """`<<`: what the mapping does not say itself comes from the merged ones, the first of a list first.

        `!reset` and `!override` in a merged mapping count as if they stood here, even beside a key of the mapping's
        own; in a list of them they mean nothing.
        """
        direct = value.items is None
        sources = value.items if value.items is not None else [value]
        for source in sources:
            if not isinstance(source.node, Map) or source.pairs is None:
                raise _Refused(
                    "bad-merge",
                    f"<< wants a mapping or a list of mappings, found {kind(source.node)}",
                    source.node.span,
                    "write <<: *NAME, with &NAME at the mapping to take over",
                )
            for key, place, item in source.pairs:
                if key not in node.entries and item.tag not in _LEFT_OUT:
                    node.put(key, item.node, place)
                    pairs.append((key, place, item if direct else replace(item, tag="", noted=False)))
                elif direct and (item.noted or item.tag in _NOTED):
                    pairs.append((key, place, item))


def _merges(event: yaml.Event) -> bool:
    """Whether a key asks for a merge: a plain `<<`, or any that is tagged so."""
    if not isinstance(event, yaml.ScalarEvent):
        return False
    return event.tag == _MERGE or (event.value == "<<" and not event.style and not event.tag)


def _tagged(text: str, tag: str, span: Span) -> bool | int | float | str | None:
    name = tag.removeprefix(_CORE)
    if name == "binary":
        try:
            return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode("utf-8", "replace")
        except ValueError:
            raise _Refused("bad-yaml", "!!binary wants base64", span) from None
    if tag == _MERGE:
        return None
    fits = {"int": int, "float": (int, float), "bool": bool, "null": type(None), "timestamp": str}.get(name)
    if fits is None or not tag.startswith(_CORE):
        return text
    value = resolve(text)
    if not isinstance(value, fits):  # type: ignore[arg-type]
        raise _Refused("bad-yaml", f"!!{name} does not fit this value", span)
    return value


def _note(raw: _Raw, path: Path, document: Document) -> None:
    """Write down the paths of `!reset` and `!override`."""
    if raw.tag == "!reset":
        document.resets.append(path)
        return
    if raw.tag == "!override":
        document.overrides.append(path)
    if not raw.noted:
        return
    for key, _, value in raw.pairs or ():
        _note(value, (*path, key), document)
    for index, item in enumerate(raw.items or ()):
        _note(item, (*path, str(index)), document)
