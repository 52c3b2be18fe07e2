"""Asking for something and waiting for it: the options, the progress, the outcome, the exit code.

Law: what was asked for goes on whatever happens here; this only watches it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

import click

from stackd.api import text
from stackd.cli.client import Client, Refused, stack_path
from stackd.cli.common import not_in_time, seconds
from stackd.cli.exits import Exit, Stop
from stackd.cli.progress import Progress
from stackd.cli.render import err, out, out_json

if TYPE_CHECKING:
    from stackd.api.schemas import OperationView

F = TypeVar("F", bound=Callable[..., object])

LOOK = 0.5
"""Seconds between two looks while waiting."""

FRUITLESS = ("failed", "cancelled", "superseded")
"""The states of an operation that came to nothing."""


def waits(function: F) -> F:
    """The options --timeout and --detach."""
    timeout = click.option(
        "--timeout", default="10m", callback=seconds, metavar="TIME", help="Wait this long (90, 2m; default 10m)."
    )
    detach = click.option("-d", "--detach", is_flag=True, help="Do not wait.")
    return timeout(detach(function))


def asked_for(daemon: Client, stack: str, verb: str, body: dict[str, object] | None = None) -> OperationView:
    """Ask for a verb that takes no names of services; returns at once."""
    return cast("OperationView", daemon.send("POST", f"{stack_path(stack)}/{verb}", body))


def carried_out(daemon: Client, operation: OperationView, timeout: float, *, detach: bool, as_json: bool) -> bool:
    """Wait for what was asked for, print the outcome; whether it is done. Raises `Stop` when it came to nothing."""
    operation = finished(daemon, operation, timeout, detach=detach, as_json=as_json)
    if as_json:
        out_json(operation)
    return operation["state"] == "succeeded"


def finished(daemon: Client, operation: OperationView, timeout: float, *, detach: bool, as_json: bool) -> OperationView:
    """The same, with the JSON left to print: only one value may go to standard output."""
    if not detach:
        operation = _watched(daemon, operation, timeout, quiet=as_json)
    if not as_json and operation["state"] not in FRUITLESS:
        out([text.operation_line(operation)])
    try:
        _judge(operation, timeout, detach)
    except Stop as stop:
        over = {"code": f"operation_{operation['state']}"} if stop.code is Exit.FAILED else {}
        raise Stop(stop.code, *stop.lines, problem={"operation": operation, **over}) from None
    return operation


def _watched(daemon: Client, operation: OperationView, timeout: float, *, quiet: bool) -> OperationView:
    """Wait until it is over or time is up, showing what the services do."""
    progress = Progress(operation["services"])
    try:
        return _followed(daemon, operation, timeout, None if quiet else progress)
    except KeyboardInterrupt:
        stack = operation["stack"]
        err(f"{operation['verb']} {stack} goes on in stackd; watch it: stackd status {stack}")
        raise
    finally:
        progress.done()


def _followed(daemon: Client, operation: OperationView, timeout: float, progress: Progress | None) -> OperationView:
    deadline = time.monotonic() + timeout
    while operation["state"] in ("queued", "running"):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        if progress is not None:
            _show(daemon, operation, progress)
        operation = daemon.operation(operation["id"], min(LOOK, left))
    else:
        if progress is not None:
            _show(daemon, operation, progress)
    return operation


def _show(daemon: Client, operation: OperationView, progress: Progress) -> None:
    try:
        progress.show(daemon.stack(operation["stack"]), daemon.plan(operation["stack"], read=False))
    except Refused:
        return  # a removed stack has no status any more, one to be adopted none yet; the operation tells the rest


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
