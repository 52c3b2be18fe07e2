"""`why`, `crashes`, `history`, `rollback`: what was, what came of it, and the way back."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import click

from stackd.api import retell
from stackd.cli.client import Client, stack_path
from stackd.cli.common import (
    as_json,
    client,
    complete_service,
    refusals_end_it,
    stack_and_service,
    stack_argument,
)
from stackd.cli.exits import Exit, Stop
from stackd.cli.render import out, out_json, paint_for
from stackd.cli.waiting import asked_for, carried_out, waits

if TYPE_CHECKING:
    from stackd.api.past import BundleView, CrashesView, DiffView, RevisionsView, WhyView
    from stackd.api.schemas import StackView

service_argument = click.argument("service", required=False, shell_complete=complete_service)


values_option = click.option(
    "--values", is_flag=True, help="Show values that are hidden otherwise, from the revisions that are kept."
)


@click.command("why")
@stack_argument
@service_argument
@values_option
@as_json
@refusals_end_it
def why_command(stack: str, service: str | None, values: bool, as_json: bool) -> None:
    """Say why SERVICE of STACK is as it is: what led to it, with times and places in files, and what comes next.

    Without SERVICE: what was asked of the stack as a whole and what ends that, else a line for each service. STACK may
    be left out when only one has such a service.

    \b
    Examples:
      stackd why blog web
      stackd why web
      stackd why blog
      stackd why blog web --values
    """
    daemon = client()
    stack, service = stack_and_service(daemon, stack, service)
    if service is None:
        whole = daemon.stack(stack)
        names = [entry["name"] for entry in whole["services"]]
        if len(names) != 1 or any(entry["service"] is None for entry in whole["overrides"]):
            _why_stack(whole, [_why(daemon, stack, name, values) for name in names], as_json=as_json)
            return
        service = names[0]
    view = _why(daemon, stack, service, values)
    if as_json:
        out_json(view)
    else:
        out(retell.why_lines(view, paint_for(sys.stdout)))


def _why(daemon: Client, stack: str, service: str, values: bool) -> WhyView:
    query = {"values": 1} if values else None
    return cast("WhyView", daemon.get(f"{_service_path(stack, service)}/why", query))


def _why_stack(stack: StackView, services: list[WhyView], *, as_json: bool) -> None:
    if as_json:
        wide = [entry for entry in stack["overrides"] if entry["service"] is None]
        whole = {"stack": stack["name"], "state": stack["state"], "detail": stack["detail"]}
        out_json({**whole, "overrides": wide, "services": services})
    else:
        out(retell.stack_why_lines(stack, services, paint_for(sys.stdout)))


def _service_path(stack: str, service: str) -> str:
    return f"{stack_path(stack)}/services/{quote(service, safe='')}"


@click.command("crashes")
@stack_argument
@service_argument
@click.argument("crash", metavar="[ID]", required=False)
@click.option("--last", is_flag=True, help="All of the newest crash, as with its ID.")
@as_json
@refusals_end_it
def crashes_command(stack: str, service: str | None, crash: str | None, last: bool, as_json: bool) -> None:
    """List the crashes of STACK (or of one SERVICE); with ID or --last all that is known of one.

    That is how it ended, what was edited since it last ran well, its health checks and its last log lines. STACK may be
    left out when only one has such a service.

    \b
    Examples:
      stackd crashes blog
      stackd crashes blog web --last
      stackd crashes blog 12
    """
    daemon = client()
    if service is not None and crash is None and service.isdecimal():
        service, crash = None, service
    stack, service = stack_and_service(daemon, stack, service)
    path = _service_path(stack, service) if service else stack_path(stack)
    listed = cast("CrashesView", daemon.get(f"{path}/crashes"))
    if crash or last:
        bundle = _bundle(daemon, stack, listed, crash)
        if as_json:
            out_json(bundle)
        else:
            out(retell.bundle_lines(bundle, paint_for(sys.stdout)))
    elif as_json:
        out_json(listed)
    else:
        out(retell.crashes_lines(listed, time.time(), paint_for(sys.stdout)))
        if listed["crashes"]:
            out([f"all of one: stackd crashes {stack} ID"])


def _bundle(daemon: Client, stack: str, listed: CrashesView, crash: str | None) -> BundleView:
    """The crash of that number, else the newest one, with its evidence."""
    for entry in listed["crashes"]:
        if crash is None or str(entry["id"]) == crash:
            path = f"{_service_path(stack, entry['service'])}/crashes/{entry['id']}"
            return cast("BundleView", daemon.get(path))
    if crash is None:
        raise Stop(Exit.NOT_FOUND, "no crash is kept")
    kept = ", ".join(str(entry["id"]) for entry in listed["crashes"][:5]) or "none"
    raise Stop(Exit.NOT_FOUND, f'no crash "{crash}" is kept; the newest: {kept}')


@click.command("history")
@stack_argument
@click.option(
    "--diff", "number", type=click.IntRange(1), metavar="N", help="What revision N changed in the definition."
)
@click.option("--against", type=click.IntRange(1), metavar="M", help="With --diff: compare with M, not the one before.")
@values_option
@as_json
@refusals_end_it
def history_command(stack: str, number: int | None, against: int | None, values: bool, as_json: bool) -> None:
    """List the revisions of STACK that were wholly applied, and what each changed. What happened: stackd events.

    \b
    Examples:
      stackd history blog
      stackd history blog --diff 12
      stackd history blog --diff 12 --against 9
      stackd history blog --diff 12 --values
    """
    if number is None and (against is not None or values):
        raise click.UsageError("--against needs --diff" if against is not None else "--values needs --diff")
    daemon = client()
    path = f"{stack_path(stack)}/revisions"
    if number is not None:
        query = {**({"against": against} if against is not None else {}), **({"values": 1} if values else {})}
        diff = cast("DiffView", daemon.get(f"{path}/{number}/diff", query or None))
        if as_json:
            out_json(diff)
        else:
            out(retell.diff_lines(diff, paint_for(sys.stdout)))
        return
    view = cast("RevisionsView", daemon.get(path))
    if as_json:
        out_json(view)
    else:
        out(retell.revisions_lines(view, time.time(), paint_for(sys.stdout)))


@click.command("rollback")
@stack_argument
@click.argument("number", metavar="[N]", type=click.IntRange(1), required=False)
@waits
@as_json
@refusals_end_it
def rollback_command(stack: str, number: int | None, timeout: float, detach: bool, as_json: bool) -> None:
    """Put revision N of STACK (default: the one before) in force again. Its files are not touched.

    It stays in force until the next edit of the files, or `stackd up STACK`. The numbers: stackd history STACK

    \b
    Examples:
      stackd rollback blog
      stackd rollback blog 12
    """
    daemon = client()
    operation = asked_for(daemon, stack, "rollback", {"revision": number})
    if carried_out(daemon, operation, timeout, detach=detach, as_json=as_json) and not as_json:
        out(_pinned(daemon, stack))


def _pinned(daemon: Client, stack: str) -> list[str]:
    pins = [entry["value"] for entry in daemon.stack(stack)["overrides"] if entry["kind"] == "pinned"]
    return [
        f"revision {value} is in force until its files are edited; or go back to the files now: stackd up {stack}"
        for value in pins
    ]
