"""`up`, `down`, `start`, `stop`, `restart`, `pull`, `hold`, `resume`: ask for something and wait for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import click

from stackd.api import text
from stackd.api.table import clean
from stackd.cli import caret
from stackd.cli.client import Client, stack_path
from stackd.cli.common import (
    as_json,
    checked_services,
    client,
    refusals_end_it,
    seconds,
    service_arguments,
    stack_argument,
)
from stackd.cli.exits import Exit, Stop
from stackd.cli.render import err, out, out_json
from stackd.cli.waiting import carried_out, finished, waits

if TYPE_CHECKING:
    from stackd.api.schemas import ReleasedView, SetOverrideView, StackView


@click.command("up")
@stack_argument
@service_arguments
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Replace containers made by docker compose also where the new ones lose what stackd does not carry out yet.",
)
@waits
@as_json
@refusals_end_it
def up_command(
    stack: str, services: tuple[str, ...], accept_loss: bool, timeout: float, detach: bool, as_json: bool
) -> None:
    """Make STACK (or only the SERVICEs) as its files say, and release stops and holds."""
    daemon = client()
    more = {"accept_loss": True} if accept_loss else {}
    operation = finished(daemon, daemon.ask(stack, "up", services, **more), timeout, detach=detach, as_json=as_json)
    if not detach:
        _check_in_force(daemon.stack(stack))
    if as_json:
        out_json(operation)


def _verb(verb: str, summary: str) -> click.Command:
    @click.command(verb, help=summary)
    @stack_argument
    @service_arguments
    @waits
    @as_json
    @refusals_end_it
    def command(stack: str, services: tuple[str, ...], timeout: float, detach: bool, as_json: bool) -> None:
        daemon = client()
        carried_out(daemon, daemon.ask(stack, verb, services), timeout, detach=detach, as_json=as_json)

    return command


_PLACE = ("file", "line", "column", "pointer", "message")


def _check_in_force(stack: StackView) -> None:
    """`up` means as the files say now: end with 6 when they say what cannot be."""
    errors = [found for found in stack["diagnostics"] if found["severity"] == "error"]
    if errors:
        lines = (line for found in errors for line in caret.shown(found))
        raise Stop(
            Exit.INVALID, f"{stack['name']}: {text.OUT_OF_FORCE}", *lines,
            problem={"errors": [{key: value for key, value in found.items() if key in _PLACE} for found in errors]},
        )  # fmt: skip


start_command = _verb("start", "Start what is stopped or held.")
stop_command = _verb("stop", "Stop. It stays stopped, over reboots too, until started or edited.")
restart_command = _verb("restart", "Stop and start.")
pull_command = _verb("pull", "Fetch newer images and use them.")


@click.command("down")
@stack_argument
@waits
@as_json
@refusals_end_it
def down_command(stack: str, timeout: float, detach: bool, as_json: bool) -> None:
    """Stop and remove all of STACK's containers and networks. Volumes stay; so do the files.

    To stop only a service: stackd stop STACK SERVICE
    """
    daemon = client()
    carried_out(daemon, daemon.ask(stack, "down", ()), timeout, detach=detach, as_json=as_json)


@click.command("hold")
@stack_argument
@service_arguments
@click.option("--reason", default="", help="Why, for those who find it.")
@click.option("--for", "length", callback=seconds, metavar="TIME", help="End by itself after this long (90, 2m, 1h).")
@as_json
@refusals_end_it
def hold_command(stack: str, services: tuple[str, ...], reason: str, length: float | None, as_json: bool) -> None:
    """Leave STACK (or only the SERVICEs) as it is: stackd neither starts nor stops it.

    \b
    Examples:
      stackd hold blog                              all of it, until resumed
      stackd hold blog db --for 2h --reason backup  one service, for two hours
    """
    if length == 0:
        raise click.UsageError("a hold of no length is none: leave --for out to hold until it is resumed")
    daemon = client()
    checked_services(daemon, stack, services)
    until = (datetime.now(UTC) + timedelta(seconds=length)).isoformat() if length else None
    body = {"kind": "held", "reason": reason, "until": until}
    held = [cast("SetOverrideView", daemon.send("PUT", path, body)) for path in _scopes(stack, services)]
    if as_json:
        out_json(held)
        return
    end = f" until {held[0]['until']}" if held[0]["until"] else ""
    out(f"held{end}: {name}; release it: stackd resume {stack} {name}" for name in services)
    if not services:
        out([f"held{end}: {stack}; release it: stackd resume {stack}"])
    err(*(f"warning: {clean(told)}" for told in dict.fromkeys(one["detail"] for one in held) if told))


@click.command("resume")
@stack_argument
@service_arguments
@as_json
@refusals_end_it
def resume_command(stack: str, services: tuple[str, ...], as_json: bool) -> None:
    """Release the hold or stop of STACK as a whole (or of the SERVICEs).

    \b
    Examples:
      stackd resume blog
      stackd resume blog db web
    """
    daemon = client()
    checked_services(daemon, stack, services)
    if not services:
        _check_resumable(daemon.stack(stack))
    released = [cast("ReleasedView", daemon.send("DELETE", path)) for path in _scopes(stack, services)]
    if as_json:
        out_json(released)
        return
    for name, answer in zip(services or (stack,), released, strict=True):
        out([f"{name}: " + ("released" if answer["changed"] else "was neither held nor stopped")])
    if not services and not released[0]["changed"]:
        out(_still_held(daemon, stack))
    err(*(f"warning: {clean(told)}" for told in dict.fromkeys(one["detail"] for one in released) if told))


def _check_resumable(stack: StackView) -> None:
    """A rollback and a release are overrides too, and not what `resume` is for: it would surprise."""
    kinds = {entry["kind"] for entry in stack["overrides"] if entry["service"] is None}
    if "released" in kinds:
        raise Stop(Exit.FAILED, f"{stack['name']} was released; take it back: stackd adopt {stack['name']}")
    if kinds == {"pinned"}:
        name = stack["name"]
        raise Stop(Exit.FAILED, f"{name} is neither held nor stopped; its rollback ends with: stackd up {name}")


def _still_held(daemon: Client, stack: str) -> list[str]:
    """The services that are held or stopped each by itself, which a release of the whole does not touch."""
    overrides = [entry for entry in daemon.stack(stack)["overrides"] if entry["service"]]
    return [f"{entry['service']} is {entry['kind']}: stackd resume {stack} {entry['service']}" for entry in overrides]


def _scopes(stack: str, services: tuple[str, ...]) -> list[str]:
    base = stack_path(stack)
    names = [f"{base}/services/{quote(name, safe='')}" for name in services]
    return [f"{scope}/override" for scope in names or [base]]
