"""`validate`: what is wrong with a definition. It needs no daemon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackd.cli import caret
from stackd.cli.common import as_json
from stackd.cli.definitions import Definitions, of_path
from stackd.cli.exits import Exit, Stop
from stackd.cli.render import out, out_json, paint_for

if TYPE_CHECKING:
    from stackd.api.schemas import DiagnosticView
    from stackd.api.table import Paint
    from stackd.model.spec import Loaded


@click.command("validate")
@click.argument("paths", metavar="[FILE|DIR]...", nargs=-1, type=click.Path(path_type=Path))
@as_json
def validate_command(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check definitions (default: the one in this folder): `file:line:column: error[code]: found, wanted`."""
    definitions = Definitions()
    loaded = {path: definitions.load(of_path(path)) for path in paths or (Path(),)}
    found = {path: _views(one) for path, one in loaded.items()}
    if as_json:
        out_json(
            [
                {"path": str(path), "valid": loaded[path].project is not None, "diagnostics": found[path]}
                for path in found
            ]
        )
    paint = paint_for(sys.stdout)
    for path, one in loaded.items():
        if as_json:
            continue
        out(line for entry in found[path] for line in caret.shown(entry, paint))
        if one.project is not None:
            count = len(one.project.services)
            out([f"{one.project.name}: valid, {count} service{'s' if count != 1 else ''}"])
    if any(one.project is None for one in loaded.values()):
        raise Stop(Exit.INVALID, _tally([entry for entries in found.values() for entry in entries]), answered=True)


def shown_findings(loaded: Loaded, paint: Paint) -> list[str]:
    """All findings of a load in words, each with its line where that may be shown."""
    return [line for entry in _views(loaded) for line in caret.shown(entry, paint)]


def tally(loaded: Loaded) -> str:
    """How many errors and warnings a load has."""
    return _tally(_views(loaded))


def _views(loaded: Loaded) -> list[DiagnosticView]:
    from stackd.api.convert import diagnostic_view

    return [diagnostic_view(entry) for entry in loaded.diagnostics]


def _tally(found: list[DiagnosticView]) -> str:
    errors = sum(entry["severity"] == "error" for entry in found)
    warnings = len(found) - errors
    return f"{errors} error{'s' if errors != 1 else ''}, {warnings} warning{'s' if warnings != 1 else ''}"
