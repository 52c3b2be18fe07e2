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
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.reader import ReaderError

from stackd.compose.confidential import key_shown
from stackd.compose.report import Report
from stackd.compose.scalars import Date, resolve
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, kind
from stackd.compose.yaml_errors import SCALARS, complaint, control
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
_PLAIN_TO_GO = re.compile("[\x7f-\x84\x86-\x9f\ufeff]")
"""What go-yaml reads as any other character: libyaml refuses it, or passes over a byte order mark."""


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
    except ReaderError:
        found = control(text, file)
        report.error("bad-yaml", found.message, found.span, hint=found.hint)
    except _Refused as refused:
        report.error(refused.code, refused.message, refused.span, hint=refused.hint)
    except yaml.MarkedYAMLError as broken:
        found = complaint(broken, text, file)
        report.error("bad-yaml", found.message, found.span, hint=found.hint)
    return []


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


def _events(text: str) -> Callable[[], yaml.Event]:
    """The events of a text, one a call; what only libyaml refuses is a letter of no meaning while it reads."""
    odd = sorted(set(_PLAIN_TO_GO.findall(text)))
    if not odd:
        return _reader(text)
    letters = _unused(text, len(odd))
    read = _reader(text.translate(str.maketrans(dict(zip(odd, letters, strict=True)))))
    back = str.maketrans(dict(zip(letters, odd, strict=True)))

    def event() -> yaml.Event:
        found = read()
        if isinstance(found, yaml.ScalarEvent):
            found.value = found.value.translate(back)
        return found

    return event


def _reader(text: str) -> Callable[[], yaml.Event]:
    return CParser(text).get_event  # type: ignore[return-value]


def _unused(text: str, count: int) -> list[str]:
    """Letters of private use that do not stand in `text`."""
    used = set(text)
    free = (letter for letter in map(chr, range(0xF0000, 0xFFFFE)) if letter not in used)
    return list(itertools.islice(free, count))


class _Builder:
    """Turns the events of one text into documents; built for one use."""

    def __init__(self, text: str, file: str) -> None:
        self._next = _events(text)
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
            hint = "define it above with &NAME; if this is plain text, put it in quotes"
            raise _Refused("bad-yaml", "this * names no anchor that is defined above", span, hint)
        raw = self._anchors[anchor]
        if raw is None:
            raise _Refused("bad-yaml", "the anchor that is named here contains itself", span)
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
                message, hint = SCALARS["found unknown escape character"]
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
                message = f'"{key_shown(key)}" stands here a second time (first in line {first.line})'
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
