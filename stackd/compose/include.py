"""`include`: other definitions taken into this one, each seen from its own folder and with its own `.env`.

Law: what is included is complete by itself before it is taken in; what this file says of the same name is laid over it
(docker compose merges, though the specification says that it refuses). The including side's variables win.
What this module does NOT do: read an included definition (`assemble` does, by the same route as any other).
"""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as File
from typing import TYPE_CHECKING

from stackd.compose import dotenv, merge, rules
from stackd.compose.normalise import items, resolve_listed
from stackd.compose.remote import is_remote, refuse
from stackd.compose.report import Report, file_named, quote
from stackd.compose.scalars import go_text
from stackd.compose.schema import Context
from stackd.compose.template import Variables
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, is_null

if TYPE_CHECKING:
    from stackd.compose.assemble import Assembly, Place

_CHAIN = 40
_INCLUDES = 1000
_SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of `include`."""

    paths: tuple[Scalar, ...]
    env_files: tuple[Scalar, ...]
    directory: str


def apply(assembly: Assembly, tree: Map, forgotten: Iterable[Path], place: Place) -> None:
    """Take in everything that `tree` includes, and forget the key. Mistakes are reported and leave the rest."""
    node = tree.get("include")
    if node is None or is_null(node):
        tree.drop("include")
        return
    _drop_empty(node)
    good = rules.TOP.fields["include"].check(node, ("include",), Context(assembly.report))
    for entry in map(_entry, items(node)) if good else ():
        imported = _model(assembly, entry, place)
        if imported is not None:
            _take(assembly, imported, tree, forgotten)
    tree.drop("include")


def _drop_empty(node: Node) -> None:
    """An entry, or a part of one, that has no value says nothing."""
    if not isinstance(node, Seq):
        return
    node.items = [item for item in node.items if not is_null(item)]
    for item in node.items:
        if isinstance(item, Map):
            for key in [key for key, value in item.entries.items() if is_null(value)]:
                item.drop(key)


def _entry(node: Node) -> _Entry:
    if isinstance(node, Map):
        return _Entry(_texts(node.get("path")), _texts(node.get("env_file")), _folder(node.get("project_directory")))
    return _Entry(_texts(node), (), "")


def _folder(node: Node | None) -> str:
    return go_text(node.value) if isinstance(node, Scalar) else ""


def _texts(node: Node | None) -> tuple[Scalar, ...]:
    listed = node.items if isinstance(node, Seq) else [node]
    return tuple(item for item in listed if isinstance(item, Scalar) and isinstance(item.value, str))


def _model(assembly: Assembly, entry: _Entry, place: Place) -> Map | None:
    """The included definition; None when it defines nothing or cannot be read."""
    report = assembly.report
    for path in entry.paths:
        if is_remote(str(path.value)):
            refuse(path, ("include",), report)
            return None
    files = tuple(_under(place.folder, str(path.value)) for path in entry.paths)
    if not files:
        _variables(assembly, entry, place.folder, place)
        return None
    if len(place.chain) > _CHAIN:
        message = f"more than {_CHAIN} files include each other in a row"
        report.error("too-big", message, entry.paths[0].span, ("include",))
        return None
    assembly.included += 1
    if assembly.included > _INCLUDES:
        report.error("too-big", f"more than {_INCLUDES} files are included", entry.paths[0].span, ("include",))
        return None
    if files[0] in place.chain:
        message = f"{quote(entry.paths[0])} includes this file, directly or through others"
        report.error("include-cycle", message, entry.paths[0].span, ("include",))
        return None
    asked = zip(files, entry.paths, strict=True)
    if any(not assembly.documents(file, path, ("include",)) for file, path in asked):
        return None
    folder, seen = files[0].parent, os.path.relpath(files[0].parent, place.folder)
    if entry.directory:
        folder, seen = _directory(assembly, entry.directory, place)
    variables = _variables(assembly, entry, folder, place)
    model = assembly.model(files, type(place)(folder, seen, variables, place.chain))
    if model is not None:
        resolve_listed(model, variables, (("secrets", "x-#value"),) if assembly.lenient else ())
        _configs(model, variables, report)
    return model


def _directory(assembly: Assembly, asked: str, place: Place) -> tuple[File, str]:
    """The folder of `project_directory`, and how paths in what is included begin: where there is no such folder, docker
    compose sees them from the one above.
    """
    if asked.startswith("/"):
        return File(asked), asked
    there = assembly.reader.is_folder(_under(place.folder, asked))
    begins = os.path.normpath(asked if there else os.path.dirname(asked))
    return _named(assembly, asked, place), begins


def _named(assembly: Assembly, path: str, place: Place) -> File:
    """What a key of `include` names beside its files: docker compose looks from the project's folder, not from that of
    the file which is included itself.
    """
    return _under(assembly.folder, os.path.join(place.seen, path))


def _under(folder: File, path: str) -> File:
    return File(os.path.normpath(folder / path))


def _variables(assembly: Assembly, entry: _Entry, folder: File, place: Place) -> Variables:
    """The including side's variables, and beneath them those of the included one's env files."""
    listed: list[tuple[File, Scalar | None]] = [
        (_named(assembly, str(one.value), place), one) for one in entry.env_files if one.value != "/dev/null"
    ]
    if not entry.env_files:
        listed.append((folder / ".env", None))
    found: dict[str, str] = {}
    for file, asked in listed:
        data = assembly.reader.get(file)
        if data is None:
            if asked is not None:
                message = f"the env file {file_named(asked, file)} does not exist"
                beside = file == _under(place.folder, str(asked.value))
                hint = "" if beside else "docker compose looks from the project's folder: give the absolute path"
                assembly.report.error("missing-file", message, asked.span, ("include",), hint)
            continue
        known = Variables(place.variables.shown, {**found, **place.variables.hidden})
        held = dotenv.parse(data, str(file), known, assembly.report)
        found.update({name: one.value for name, one in held.items()})
    return Variables(place.variables.shown, {**found, **place.variables.hidden})


def _configs(model: Map, variables: Variables, report: Report) -> None:
    """The real one looks such a variable up in the included file, and then finds the config to be given twice."""
    table = model.get("configs")
    for name, config in table.entries.items() if isinstance(table, Map) else ():
        node = config.get("environment") if isinstance(config, Map) else None
        if isinstance(node, Scalar) and isinstance(node.value, str) and variables.find(node.value) is not None:
            message = f'docker compose takes the config "{name}" from no variable in an included file'
            report.error("bad-value", message, node.span, ("configs", name, "environment"), 'use "file" or "content"')


def _take(assembly: Assembly, imported: Map, tree: Map, forgotten: Iterable[Path]) -> None:
    """Every resource of `imported` put into `tree`; what `tree` says of the same name is laid over it."""
    for section in _SECTIONS:
        source = imported.get(section)
        if not isinstance(source, Map):
            continue
        target = tree.get(section)
        if not isinstance(target, Map):
            target = Map({}, source.span)
            tree.put(section, target)
        for name, item in source.entries.items():
            own = target.get(name)
            if own is None:
                target.put(name, item, source.keys.get(name))
                continue
            merge.reset(Map({section: Map({name: item}, item.span)}, item.span), list(forgotten))
            target.put(name, merge.lay(item, own, (section, name), assembly.report), target.keys.get(name))
