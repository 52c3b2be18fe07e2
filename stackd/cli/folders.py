"""`add` and `remove`: link a folder into a stacks directory, and take the link away.

Law: nothing but a link is ever made or removed here; a real folder, with what somebody wrote into it, is never touched.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from click.shell_completion import CompletionItem

from stackd.cli.client import Refused
from stackd.cli.common import as_json, client, complete_stack, refusals_end_it
from stackd.cli.exits import Exit, Stop
from stackd.cli.places import stacks_dirs
from stackd.cli.render import out, out_json

if TYPE_CHECKING:
    from stackd.api.schemas import StacksView, StackView

NOT_RUNNING = "stackd is not running; start it: systemctl --user start stackd"


@click.command("add")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", help="The link's name (default: the folder's).")
@click.option("--stacks", "into", metavar="DIR", type=click.Path(path_type=Path), help="Which stacks directory.")
@as_json
@refusals_end_it
def add_command(directory: Path, name: str | None, into: Path | None, as_json: bool) -> None:
    """Have stackd keep the stack in DIR: links DIR into the stacks directory."""
    if not directory.is_dir():
        raise Stop(Exit.FAILED, f"{directory} is not a folder")
    folder = directory.resolve()
    from stackd.cli.definitions import of_path  # late: `remove` reads no definition

    of_path(folder)
    running, directories = _directories()
    link, changed = _link([into.absolute()] if into else directories, name or folder.name, folder)
    if as_json:
        out_json({"link": str(link), "folder": str(folder), "changed": changed})
        return
    out([f"{'linked' if changed else 'linked already'}: {link} -> {folder}"])
    out(_what_comes(folder) if running else [f"its services start once stackd runs; {NOT_RUNNING}"])


def _what_comes(folder: Path) -> list[str]:
    """Have the daemon read it now, so that it knows the stack when this command ends; what it does with it."""
    from stackd.cli.caret import shown

    stacks = cast("StacksView", client().send("POST", "/v1/rescan"))["stacks"]
    mine = next((stack for stack in stacks if stack["folder"] == str(folder)), None)
    if mine is None:
        return ["stackd reads it within a minute and starts its services; watch it: stackd status"]
    found = [line for entry in mine["diagnostics"] for line in shown(entry)]
    return [*found, *_by_overrides(mine)]


def _by_overrides(stack: StackView) -> list[str]:
    """What stackd does with a stack now, given what was asked for it before, and whether its files are right."""
    from stackd.api.text import override_line

    name = stack["name"]
    told = [override_line(entry) for entry in stack["overrides"]]
    kinds = {entry["kind"] for entry in stack["overrides"] if entry["service"] is None}
    if "released" in kinds:
        return [*told, f"the engine keeps {name}; take it back: stackd adopt {name}"]
    if kinds & {"stopped", "held", "paused"}:
        return [*told, f"stackd leaves it so; start it: stackd up {name}"]
    wrong = any(entry["severity"] == "error" for entry in stack["diagnostics"])
    when = "as soon as the file is right" if wrong else "now"
    return [*told, f"stackd starts {name} {when}; watch it: stackd status {name}"]


def _link(directories: Sequence[Path], name: str, folder: Path) -> tuple[Path, bool]:
    """Make the link; which one it is, and whether it was not there already."""
    from stackd.source.linking import LinkError, link_into  # late: `remove` makes none

    try:
        return link_into(directories, name, folder)
    except LinkError as error:
        hint = ("choose another name: stackd add --name NAME DIR",) if error.taken else ()
        raise Stop(Exit.FAILED, str(error), *hint) from error


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The links in the stacks directories, by their names and by those of their stacks."""
    found = {item.value for item in complete_stack(ctx, param, incomplete)}
    with suppress(Stop, OSError):
        for directory in stacks_dirs():
            found |= {entry.name for entry in directory.iterdir() if entry.is_symlink()}
    return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]


@click.command("remove")
@click.argument("name", shell_complete=_complete)
@as_json
@refusals_end_it
def remove_command(name: str, as_json: bool) -> None:
    """Have stackd give up the stack NAME: removes its link, never a folder.

    A stack that was released runs on; of another one, stackd removes the containers that it made.
    """
    running, directories = _directories()
    entry = _entry(name, directories)
    stack = _stack_in(entry.resolve()) if running else None
    if not entry.is_symlink():
        raise Stop(Exit.FAILED, f"{entry} is a folder, not a link, and is not removed", *_instead(entry, name, stack))
    target = os.readlink(entry)
    try:
        entry.unlink()
    except OSError as error:
        raise Stop(Exit.FAILED, f"cannot remove the link {entry}: {error.strerror}") from error
    if as_json:
        out_json({"link": str(entry), "folder": target, "changed": True})
        return
    out([f"unlinked: {entry} -> {target}"])
    if running:
        out(_what_goes(target, stack))
    else:
        out([f"unless it was released, its containers and networks are removed once stackd runs; {NOT_RUNNING}"])


def _instead(entry: Path, name: str, stack: StackView | None) -> list[str]:
    """What to do about a folder that is no link."""
    if _is_released(stack):
        return [f"it was released: move it out of {entry.parent} or leave it; its containers run on"]
    return [
        f"move it out of {entry.parent} and stackd removes its containers and networks",
        f"or only stop it: stackd down {name}",
    ]


def _what_goes(target: str, stack: StackView | None) -> list[str]:
    """What stackd does with a stack whose link is removed."""
    if stack is not None and _is_released(stack):
        name = stack["name"]
        return [f"{name} was released: its containers run on, the engine's own; take it back: stackd adopt {name}"]
    services = stack["services"] if stack else []
    made = {replica["adopted"] for service in services for replica in service["replicas"]}
    lines = []
    if made != {True}:
        lines.append("in about 10 s stackd removes the containers and networks that it made; volumes and files stay")
    if True in made:
        lines.append("its containers made by docker compose run on, and get their file's restart policy back")
    return [*lines, f"take it back: stackd add {target}"]


def _is_released(stack: StackView | None) -> bool:
    return stack is not None and any(entry["kind"] == "released" for entry in stack["overrides"])


def _stack_in(folder: Path) -> StackView | None:
    """The stack in a folder, None when the daemon knows none."""
    try:
        stacks = client().stacks()["stacks"]
    except (Stop, Refused):
        return None
    return next((stack for stack in stacks if stack["folder"] and Path(stack["folder"]).resolve() == folder), None)


def _directories() -> tuple[bool, tuple[Path, ...]]:
    """Whether the daemon answers, and the stacks directories: its own, else the configured ones."""
    try:
        told = client().version()["stacks_dirs"]
    except (Stop, Refused):
        return False, stacks_dirs()
    return True, tuple(Path(entry) for entry in told) or stacks_dirs()


def _entry(name: str, directories: tuple[Path, ...]) -> Path:
    """The entry of a stack: by its own name, else by the folder of the stack that is named so."""
    for directory in directories:
        if name not in ("", ".", "..") and "/" not in name and os.path.lexists(directory / name):
            return directory / name
    try:
        folder = Path(client().stack(name)["folder"])
    except (Stop, Refused):
        folder = None
    for directory in directories:
        for entry in sorted(directory.iterdir()) if directory.is_dir() and folder else ():
            if folder and entry.resolve() == folder.resolve():
                return entry
    places = ", ".join(str(directory) for directory in directories)
    raise Stop(Exit.NOT_FOUND, f'there is no "{name}" in {places}')
