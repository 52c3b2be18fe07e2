"""From files to one tree: every document of every file, with what it includes and extends, laid over those before it.

Law: the order is docker compose's: interpolate, include, forget (`!reset`), extend, merge, drop repeated items, check,
bring into long form; paths become absolute as seen from the folder of whoever wrote them. Every node keeps its place.
What this module does NOT do: names, networks and implied dependencies (`normalise`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from stackd.compose import extend, fig, include, merge, rules, yaml
from stackd.compose.environment import Reader
from stackd.compose.expand import Budget, expand
from stackd.compose.interpolate import MUST_BE_SET, interpolate
from stackd.compose.normalise import settle
from stackd.compose.report import Report, file_named, quote
from stackd.compose.schema import Context
from stackd.compose.template import Variables
from stackd.compose.tree import Map, Node, copied, is_null, size
from stackd.compose.unique import unique
from stackd.errors import Span

_LAID, _DOCUMENT = 1_000_000, 50
"""All the values that documents of one load may be laid over, and for how many a document counts by itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are read: the project's folder for them, their variables, and the files that include them. `seen` is
    that folder as whoever includes them names it: their paths begin with it.
    """

    folder: Path
    seen: str
    variables: Variables
    chain: tuple[Path, ...] = ()


@dataclass(slots=True)
class Assembly:
    """One load's files, around the project's `folder`. `home` resolves `~`; `shell`: an unset variable only warns,
    wherever it stands; `interpolate`: false leaves every reference as it is written; `paths_resolved`: false leaves
    every path so; `lenient`: a short text that cannot be taken apart may hold references, so it stays as it is;
    `checked`: false asks no rule what may be there. `included` counts the entries of `include` that were read, `copied`
    the values that `extends` took over, `laid` those that documents were laid over; `ports`: what ranges may still
    have.
    """

    reader: Reader
    report: Report
    folder: Path
    home: str = ""
    shell: bool = False
    interpolate: bool = True
    paths_resolved: bool = True
    lenient: bool = False
    checked: bool = True
    included: int = 0
    copied: int = 0
    laid: int = 0
    ports: Budget = field(default_factory=Budget)
    _parsed: dict[Path, list[yaml.Document]] = field(default_factory=dict)

    def documents(self, path: Path, asked: Node | None = None, pointer: tuple[str, ...] = ()) -> list[yaml.Document]:
        """The documents of a file; one that is not there is reported where, and by which key, it was `asked` for."""
        if path not in self._parsed:
            data = self.reader.get(path)
            if data is None:
                named = "the file" if asked is None else f"the file {file_named(asked, path)}"
                span = Span(str(path)) if asked is None else asked.span
                self.report.error("missing-file", f"{named} does not exist", span, pointer)
                return []
            self._parsed[path] = yaml.parse(data, str(path), self.report)
        return self._parsed[path]

    def model(self, files: tuple[Path, ...], place: Place) -> Map | None:
        """The tree of all files, checked, in long form, its paths absolute; None when they define nothing."""
        root: Map | None = None
        for path in files:
            for document in self.documents(path):
                tree = self.tree(document, place.variables)
                if tree is None:
                    continue
                self.laid += 0 if root is None else _DOCUMENT + size(root)
                if self.laid > _LAID:
                    message = "too many documents are laid over too large a definition"
                    self.report.error("too-big", message, document.root.span)
                    return root
                if path.name.startswith("fig."):
                    tree = fig.translate(tree, self.report)
                here = replace(place, chain=(*place.chain, path))
                root = self._laid(root, tree, [*document.resets, *document.overrides], here)
        if root is not None:
            settle(root, place.seen, self.home, resolved=self.paths_resolved or bool(place.chain))
        return root

    def tree(self, document: yaml.Document, variables: Variables) -> Map | None:
        """A document's own copy of its tree, references resolved; None, reported, when it is no mapping."""
        tree: Node = copied(document.root)
        if self.interpolate:
            tree = interpolate(document.root, variables, self.report, () if self.shell else MUST_BE_SET)
        if isinstance(tree, Map):
            return tree
        message = f"the file wants a mapping at its top level, found {quote(tree)}"
        hint = "remove the --- that begins an empty document, or write a mapping below it" if is_null(tree) else ""
        self.report.error("bad-type", message, tree.span, hint=hint)
        return None

    def _laid(self, root: Map | None, tree: Map, forgotten: list[tuple[str, ...]], place: Place) -> Map:
        """One document laid over those before it."""
        report = self.report
        include.apply(self, tree, forgotten, place)
        if root is not None:
            merge.reset(root, forgotten)
        extend.apply(self, tree, forgotten, place)
        if root is None:
            unique(tree)
            self._check(tree)
            root = tree
        else:
            merge.prepare(root, tree)
            self._check(tree, complete=False)
            root = merge.merge(root, tree, report)
            unique(root)
            self._check(root)
        if self.checked and "version" in root.entries:
            message = '"version" has no meaning any more; remove it'
            report.warning("obsolete-key", message, root.key_span("version"), ("version",))
            root.drop("version")
        expand(root, report, self.ports, lenient=self.lenient)
        unique(root)
        return root

    def _check(self, tree: Map, *, complete: bool = True) -> None:
        if self.checked:
            rules.TOP.check(tree, (), Context(self.report, complete, decoded=not self.lenient))
