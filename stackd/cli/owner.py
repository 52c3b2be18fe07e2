"""`adopt`, `release`: who keeps a stack, stackd or the engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from click.shell_completion import CompletionItem

from stackd.api import retell
from stackd.cli.client import Client, Refused
from stackd.cli.common import as_json, client, refusals_end_it, stack_argument
from stackd.cli.exits import Exit, Stop
from stackd.cli.render import out, out_json, paint_for
from stackd.cli.waiting import asked_for, carried_out, waits

if TYPE_CHECKING:
    from stackd.api.past import AdoptablesView


def _complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of what can be adopted; none while the daemon is not there."""
    try:
        daemon = client(ctx)
        names = dict.fromkeys([*(project["name"] for project in _adoptable(daemon)["projects"]), *_released(daemon)])
    except (Stop, Refused):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _adoptable(daemon: Client) -> AdoptablesView:
    return cast("AdoptablesView", daemon.get("/v1/adoptable"))


def _released(daemon: Client) -> list[str]:
    """The stacks that were given back to the engine."""
    stacks = daemon.stacks()["stacks"]
    return [stack["name"] for stack in stacks if any(entry["kind"] == "released" for entry in stack["overrides"])]


@click.command("adopt")
@click.argument("name", metavar="[NAME|DIR]", required=False, shell_complete=_complete)
@waits
@as_json
@refusals_end_it
def adopt_command(name: str | None, timeout: float, detach: bool, as_json: bool) -> None:
    """Have stackd keep a Compose project that runs beside it, or a stack that was released; nothing is restarted.

    A project's folder is linked into the stacks directory, as `stackd add DIR` does. Without an argument: list what can
    be adopted, and what stands against it.

    \b
    Examples:
      stackd adopt
      stackd adopt shop
      stackd adopt /srv/shop
    """
    daemon = client()
    if name is None:
        _list(daemon, as_json=as_json)
        return
    stack = _named(daemon, name)
    operation = asked_for(daemon, stack, "adopt")
    if carried_out(daemon, operation, timeout, detach=detach, as_json=as_json) and not as_json:
        out([f"stackd keeps {stack} from now on: stackd status {stack}", *_held(daemon, stack)])


def _held(daemon: Client, stack: str) -> list[str]:
    """What is left as it is, because to keep it would change it. (Of the stack as a whole the operation tells.)"""
    return [
        f"{entry['service']} is held: {entry['reason']}; make it as its file says: stackd up {stack} {entry['service']}"
        for entry in daemon.stack(stack)["overrides"]
        if entry["service"] and entry["kind"] == "held"
    ]


def _list(daemon: Client, *, as_json: bool) -> None:
    view = _adoptable(daemon)
    if as_json:
        out_json(view)
        return
    out(retell.adoptables_lines(view, paint_for(sys.stdout)))
    listed = {project["name"] for project in view["projects"]}
    names = (name for name in _released(daemon) if name not in listed)
    out(f"{name} was released; take it back: stackd adopt {name}" for name in names)


def _named(daemon: Client, name: str) -> str:
    """The project of that name, or the one whose folder that is."""
    if "/" not in name and not name.startswith("."):
        return name
    folder = str(Path(name).resolve())
    for project in _adoptable(daemon)["projects"]:
        if str(Path(project["working_dir"]).resolve()) == folder:
            return project["name"]
    for stack in daemon.stacks()["stacks"]:
        if stack["folder"] and str(Path(stack["folder"]).resolve()) == folder:
            return stack["name"]
    raise Stop(Exit.NOT_FOUND, f"no Compose project runs from {folder}", f"to have stackd start it: stackd add {name}")


@click.command("release")
@stack_argument
@waits
@as_json
@refusals_end_it
def release_command(stack: str, timeout: float, detach: bool, as_json: bool) -> None:
    """Give STACK back to the engine, running: from then on the engine restarts it, as its file's `restart:` says.

    stackd looks on, and applies no edit, until it is adopted again.

    \b
    Examples:
      stackd release blog
      stackd adopt blog
    """
    daemon = client()
    operation = asked_for(daemon, stack, "release")
    if carried_out(daemon, operation, timeout, detach=detach, as_json=as_json) and not as_json:
        out(
            [
                "its containers run on; from now on the engine restarts them, as the file's `restart:` says",
                f"edits of its files are not applied until you take it back: stackd adopt {stack}",
            ]
        )
