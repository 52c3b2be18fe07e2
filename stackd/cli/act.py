"""`up`, `down`, `start`, `stop`, `restart`, `pull`, `hold`, `resume`: ask for something and wait for it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from stackd.api import text
from stackd.cli.client import Client, Refused, stack_path
from stackd.cli.common import (
    as_json,
    client,
    not_in_time,
    refusals_end_it,
    seconds,
    service_arguments,
    stack_argument,
)
from stackd.cli.exits import Exit, Stop
from stackd.cli.progress import Progress
from stackd.cli.render import out, out_json

if TYPE_CHECKING:
    from stackd.api.schemas import OperationView, StackView

LOOK = 0.5
"""Seconds between two looks while waiting."""


FRUITLESS = ("failed", "cancelled", "superseded")
"""The states of an operation that came to nothing."""


def _verb(verb: str, summary: str) -> click.Command:
    @click.command(verb, help=summary)
    @stack_argument
    @service_arguments
    @click.option(
        "--timeout", default="10m", callback=seconds, metavar="TIME", help="Wait this long (90, 2m; default 10m)."
    )
    @click.option("-d", "--detach", is_flag=True, help="Do not wait.")
    @as_json
    @refusals_end_it
    def command(stack: str, services: tuple[str, ...], timeout: float, detach: bool, as_json: bool) -> None:
        daemon = client()
        operation = daemon.ask(stack, verb, services)
        if not detach:
            operation = _wait(daemon, operation, timeout, quiet=as_json)
        if as_json:
            out_json(operation)
        elif operation["state"] not in FRUITLESS:
            out([text.operation_line(operation)])
        _judge(operation, timeout, detach)
        if verb == "up" and not detach:
            _check_in_force(daemon.stack(stack))

    return command


def _check_in_force(stack: StackView) -> None:
    """`up` means as the files say now: end with 6 when they say what cannot be."""
    errors = [found for found in stack["diagnostics"] if found["severity"] == "error"]
    if errors:
        lines = (line for found in errors for line in text.diagnostic_lines(found))
        raise Stop(Exit.INVALID, f"{stack['name']}: {text.OUT_OF_FORCE}", *lines)


def _wait(daemon: Client, operation: OperationView, timeout: float, *, quiet: bool) -> OperationView:
    """Wait until it is over or time is up, showing what the services do."""
    deadline = time.monotonic() + timeout
    progress = Progress(operation["services"])
    while operation["state"] in ("queued", "running"):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        if not quiet:
            _show(daemon, operation, progress)
        operation = daemon.operation(operation["id"], min(LOOK, left))
    else:
        if not quiet:
            _show(daemon, operation, progress)
    progress.done()
    return operation


def _show(daemon: Client, operation: OperationView, progress: Progress) -> None:
    try:
        progress.show(daemon.stack(operation["stack"]), daemon.plan(operation["stack"]))
    except Refused:
        return  # a removed stack has no status any more; the operation tells the rest


def _judge(operation: OperationView, timeout: float, detach: bool) -> None:
    match operation["state"]:
        case "succeeded":
            return
        case "queued" | "running":
            if not detach:
                why = [operation["detail"]] if operation["detail"] else []
                raise not_in_time(f"{operation['verb']} {operation['stack']}", timeout, *why)
        case "failed" | "cancelled" | "superseded":
            detail = operation["detail"] or "no reason given"
            raise Stop(Exit.FAILED, f"{operation['verb']} {operation['stack']} {operation['state']}: {detail}")


up_command = _verb("up", "Make STACK (or only the SERVICEs) as its files say, and release stops and holds.")
down_command = _verb("down", "Stop and remove all of STACK's containers and networks. Volumes stay; so do the files.")
start_command = _verb("start", "Start what is stopped or held.")
stop_command = _verb("stop", "Stop. It stays stopped, over reboots too, until started or edited.")
restart_command = _verb("restart", "Stop and start.")
pull_command = _verb("pull", "Fetch newer images and use them.")


@click.command("hold")
@stack_argument
@service_arguments
@click.option("--reason", default="", help="Why, for those who find it.")
@click.option("--for", "length", callback=seconds, metavar="TIME", help="End by itself after this long (90, 2m, 1h).")
@as_json
@refusals_end_it
def hold_command(stack: str, services: tuple[str, ...], reason: str, length: float | None, as_json: bool) -> None:
    """Leave STACK (or only the SERVICEs) as it is: stackd neither starts nor stops it."""
    until = (datetime.now(UTC) + timedelta(seconds=length)).isoformat() if length else None
    body = {"kind": "held", "reason": reason, "until": until}
    held = [client().send("PUT", path, body) for path in _scopes(stack, services)]
    if as_json:
        out_json(held)
    else:
        release = " ".join(("stackd resume", stack, *services))
        out(f"held: {name}; release it: {release}" for name in services or (stack,))


@click.command("resume")
@stack_argument
@service_arguments
@as_json
@refusals_end_it
def resume_command(stack: str, services: tuple[str, ...], as_json: bool) -> None:
    """Release the hold or stop of STACK as a whole (or of the SERVICEs)."""
    released = [client().send("DELETE", path) for path in _scopes(stack, services)]
    if as_json:
        out_json(released)
        return
    for name, answer in zip(services or (stack,), released, strict=True):
        out([f"{name}: " + ("released" if answer == {"changed": True} else "was neither held nor stopped")])


def _scopes(stack: str, services: tuple[str, ...]) -> list[str]:
    base = stack_path(stack)
    names = [f"{base}/services/{quote(name, safe='')}" for name in services]
    return [f"{scope}/override" for scope in names or [base]]
