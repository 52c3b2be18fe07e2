"""`logs`, `events`, `wait`: what was, what comes, and until when."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, cast

import click

from stackd.api import text
from stackd.cli.client import Query, stack_path
from stackd.cli.common import (
    as_json,
    client,
    completed_from,
    nearest,
    optional_stack,
    refusals_end_it,
    seconds,
    service_arguments,
    stack_argument,
)
from stackd.cli.exits import Exit, Stop
from stackd.cli.render import err, out, out_json, paint_for

if TYPE_CHECKING:
    from stackd.api.schemas import EventView, LogView, StackView


@click.command("logs")
@stack_argument
@service_arguments
@click.option("-f", "--follow", is_flag=True, help="Go on, over restarts and recreation.")
@click.option("-n", "--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines of each container.")
@click.option("--since", metavar="TIME", help="Only newer lines: 10m, 2h, or an RFC 3339 instant.")
@click.option("-t", "--timestamps", is_flag=True, help="Begin each line with its instant.")
@as_json
@refusals_end_it
def logs_command(
    stack: str,
    services: tuple[str, ...],
    follow: bool,
    tail: int | None,
    since: str | None,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Show the log lines of STACK (or only of the SERVICEs)."""
    query: dict[str, str | int | float | tuple[str, ...]] = {"follow": int(follow)}
    if services:
        query["service"] = services
    if tail is not None:
        query["tail"] = tail
    if since is not None:
        query["since"] = _instant(since)
    known = services or tuple(service["name"] for service in client().stack(stack)["services"])
    width = max((len(name) + 2 for name in known), default=0)
    paint = paint_for(sys.stdout)
    with client().lines(f"{stack_path(stack)}/logs", query) as lines:
        for line in lines:
            entry = cast("LogView", json.loads(line))
            if _ours(entry, "log"):
                out(
                    [
                        line.decode().rstrip("\n")
                        if as_json
                        else text.log_line(entry, width, timestamps=timestamps, paint=paint)
                    ]
                )


def _instant(since: str) -> str:
    from datetime import UTC, datetime, timedelta

    try:
        found = datetime.fromisoformat(since)
        return (found if found.tzinfo else found.astimezone()).isoformat()
    except ValueError:
        length = seconds(click.get_current_context(), click.Option(["--since"]), since) or 0.0
        return (datetime.now(UTC) - timedelta(seconds=length)).isoformat()


def _ours(entry: object, kind: str) -> bool:
    """Whether a line of a stream is content; `lagged` ends the command, a heartbeat is nothing."""
    found = entry.get("type") if isinstance(entry, dict) else None
    if found == "lagged":
        raise Stop(Exit.FAILED, "this terminal took the lines too slowly, so stackd closed the stream")
    return found not in ("heartbeat", "snapshot") and (kind != "log" or found == "log")


def _types() -> tuple[str, ...]:
    from stackd.model.happenings import EVENT_TYPES, families

    return (*families(), *EVENT_TYPES)


@click.command("events")
@optional_stack
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens next.")
@click.option(
    "--from",
    "start",
    metavar="CURSOR",
    shell_complete=completed_from(lambda: ("now", "oldest")),
    help="oldest, now, or the seq of the last entry already seen.",
)
@click.option(
    "--type",
    "kind",
    metavar="TYPE",
    shell_complete=completed_from(_types),
    help="Only this type or family (container, service.state).",
)
@as_json
@refusals_end_it
def events_command(stack: str | None, follow: bool, start: str | None, kind: str | None, as_json: bool) -> None:
    """Show what happened, of one STACK or of all, and why."""
    query: dict[str, str | int | float | tuple[str, ...]] = {"follow": int(follow)}
    query |= {key: value for key, value in (("from", start), ("stack", stack), ("type", kind)) if value}
    paint = paint_for(sys.stdout)
    with client().lines("/v1/events", query) as lines:
        for line in lines:
            entry = cast("EventView", json.loads(line))
            if _ours(entry, "event"):
                out([line.decode().rstrip("\n") if as_json else text.event_line(entry, paint)])


CONDITIONS = ("healthy", "running", "stopped", "generation:")
"""What `wait` waits for; a number follows the last one."""


def _condition(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """A condition as the API takes it."""
    word, colon, number = value.partition(":")
    if word + colon not in CONDITIONS or (colon and not (number.isascii() and number.isdecimal())):
        raise click.BadParameter(
            f'"{value}" is no condition{nearest(value, CONDITIONS)}; wanted: healthy, running, stopped or generation:N'
        )
    return value


@click.command("wait")
@stack_argument
@click.option(
    "--for",
    "condition",
    default="healthy",
    show_default=True,
    callback=_condition,
    shell_complete=completed_from(lambda: CONDITIONS),
    help="running, healthy, stopped or generation:N.",
)
@click.option("--timeout", default="2m", callback=seconds, metavar="TIME", help="Wait this long (default 2m).")
@as_json
@refusals_end_it
def wait_command(stack: str, condition: str, timeout: float, as_json: bool) -> None:
    """Wait until STACK is running, healthy, stopped or has applied a generation."""
    query: Query = {"for": condition, "wait": min(timeout, 3600.0)}
    view = cast("StackView", client().get(f"{stack_path(stack)}/wait", query, timeout))
    if as_json:
        out_json(view)
    else:
        err(f"{stack} is {condition}")
