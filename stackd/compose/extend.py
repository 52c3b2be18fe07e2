"""`extends`: a service that begins as another one, of this file or of another file.

Law: what the service says itself is laid over what it extends, by the rules of merging files; paths of another file are
seen from that file's folder; variables are this project's. A chain that comes back to its beginning is an error.
What this module does NOT do: check the result (`assemble` does, once it is whole).
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as File
from typing import TYPE_CHECKING

from stackd.compose import fig, merge
from stackd.compose.expand import expand
from stackd.compose.normalise import paths, text
from stackd.compose.remote import is_remote, refuse
from stackd.compose.report import nearest, quote
from stackd.compose.tree import Map, Node, Path, Scalar, copied, is_null, kind, size
from stackd.compose.unique import unique

if TYPE_CHECKING:
    from stackd.compose.assemble import Assembly, Place


_CHAIN = 200
_COPIED = 300_000


@dataclass(frozen=True, slots=True)
class _Table:
    """The services of one file, and what its own `!reset` and `!override` forget."""

    file: File
    services: Map
    forgotten: tuple[Path, ...]


def apply(assembly: Assembly, tree: Map, forgotten: Iterable[Path], place: Place) -> None:
    """Resolve every `extends` of a document in place. What cannot be resolved is reported, and its key dropped."""
    services = tree.get("services")
    if isinstance(services, Map):
        work = _Extending(assembly, place)
        table = _Table(place.chain[-1], services, tuple(forgotten))
        for name in list(services.entries):
            services.entries[name] = work.resolved(table, name, ())


class _Extending:
    """The resolution for one document; other files are read once."""

    def __init__(self, assembly: Assembly, place: Place) -> None:
        self._assembly, self._place, self._report = assembly, place, assembly.report
        self._tables: dict[File, _Table | None] = {}
        self._broken: set[tuple[File, str]] = set()

    def resolved(self, table: _Table, name: str, chain: tuple[tuple[File, str], ...]) -> Node:
        """The service `name` of `table`, with all that it extends beneath it."""
        service = table.services.entries[name]
        asked = service.get("extends") if isinstance(service, Map) else None
        if not isinstance(service, Map) or asked is None:
            return service
        base_table = self._source(table, asked, name)
        ref = asked.get("service") if isinstance(asked, Map) else asked
        if base_table is None or not isinstance(ref, Scalar):
            return self._given_up(table, name, service)
        if text(ref) not in base_table.services.entries:
            self._unknown(ref, base_table, name)
            return self._given_up(table, name, service)
        step = (table.file, name)
        if step in chain:
            names = " -> ".join(one for _, one in (*chain, step))
            self._report.error("extends-cycle", f"services extend each other: {names}", ref.span, _path(name))
            return self._given_up(table, name, service)
        if len(chain) > _CHAIN:
            message = f"more than {_CHAIN} services extend each other in a row"
            self._report.error("too-big", message, ref.span, _path(name))
            return self._given_up(table, name, service)
        base = self.resolved(base_table, text(ref), (*chain, step))
        if (base_table.file, text(ref)) in self._broken:
            self._break(table, name)
        if isinstance(base, Map):
            return self._laid(table, name, base, ref)
        if not is_null(base):
            service.drop("extends")
        return service

    def _laid(self, table: _Table, name: str, base: Map, ref: Scalar) -> Node:
        """The service `name` laid over its own copy of `base`."""
        service = table.services.entries[name]
        assert isinstance(service, Map)
        self._assembly.copied += size(base)
        if self._assembly.copied > _COPIED:
            message = f"services take over more than {_COPIED} values by extends"
            self._report.error("too-big", message, ref.span, _path(name))
            return self._given_up(table, name, service)
        source = copied(base)
        merge.reset(_wrapped(name, source), list(table.forgotten))
        own = copied(service)
        assert isinstance(own, Map)
        own.drop("extends")
        merged = merge.lay(source, own, ("services", name), self._report)
        if isinstance(merged, Map):
            merged.drop("extends")
            merged.span = service.span
        table.services.entries[name] = merged
        return merged

    def _given_up(self, table: _Table, name: str, service: Map) -> Map:
        """The service without what it extends: that has been reported, and is the cause of what it lacks."""
        self._break(table, name)
        service.drop("extends")
        return service

    def _break(self, table: _Table, name: str) -> None:
        self._broken.add((table.file, name))
        if table.file == self._place.chain[-1]:
            self._report.follows(_path(name))

    def _source(self, table: _Table, asked: Node, name: str) -> _Table | None:
        """The services that `extends` names one of."""
        if isinstance(asked, Scalar):
            if isinstance(asked.value, str):
                return table
            message = f'"extends" wants a service name or a mapping, found {quote(asked)}'
            self._report.error("bad-type", message, asked.span, _path(name))
            return None
        file = asked.get("file") if isinstance(asked, Map) else None
        if not isinstance(asked, Map) or not isinstance(asked.get("service"), Scalar) or not text(asked.get("service")):
            found = '"extends" needs the key "service"' if isinstance(asked, Map) else f"found {kind(asked)}"
            code = "missing-key" if isinstance(asked, Map) else "bad-type"
            self._report.error(code, found, asked.span, _path(name))
            return None
        if is_null(file):
            return table
        if not isinstance(file, Scalar) or not isinstance(file.value, str):
            self._report.error("bad-type", '"file" wants a string', (file or asked).span, (*_path(name), "file"))
            return None
        if is_remote(file.value):
            refuse(file, (*_path(name), "file"), self._report)
            return None
        return self._file(file, _path(name))

    def _file(self, asked: Scalar, pointer: Path) -> _Table | None:
        """The services of another file: in long form, its paths absolute, not yet extended."""
        file = File(os.path.normpath(self._place.folder / str(asked.value)))
        if file not in self._tables:
            self._tables[file] = self._read(file, asked, pointer)
        return self._tables[file]

    def _read(self, file: File, asked: Scalar, pointer: Path) -> _Table | None:
        root: Map | None = None
        forgotten: list[Path] = []
        before = self._report.errors
        for document in self._assembly.documents(file, asked, pointer):
            tree = self._assembly.tree(document, self._place.variables)
            if tree is None:
                return None
            if self._place.chain[-1].name.startswith("fig."):
                tree = fig.translate(tree, self._report)
            forgotten = [*document.resets, *document.overrides]
            if root is None:
                root = tree
            else:
                merge.reset(root, forgotten)
                root = merge.merge(root, tree, self._report)
            unique(root)
            expand(root, self._report, self._assembly.ports, lenient=self._assembly.lenient)
        services = root.get("services") if root is not None else None
        if root is None or not isinstance(services, Map):
            if self._report.errors == before:  # else the error says what is wrong with the file
                self._report.error("missing-key", f'{quote(asked)} has no "services"', asked.span, pointer)
            return None
        paths(root, os.path.relpath(file.parent, self._place.folder), self._assembly.home)
        return _Table(file, services, tuple(forgotten))

    def _unknown(self, ref: Scalar, table: _Table, name: str) -> None:
        where = "" if table.file == self._place.chain[-1] else f" in {table.file.name}"
        message = f'"{name}" extends the service {quote(ref)}, which is not defined{where}'
        hint = nearest(text(ref), table.services.entries)
        self._report.error("undefined-service", message, ref.span, _path(name), hint)


def _path(name: str) -> Path:
    return ("services", name, "extends")


def _wrapped(name: str, service: Node) -> Map:
    return Map({"services": Map({name: service}, service.span)}, service.span)
