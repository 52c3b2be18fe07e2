"""What commands share: options, the client of the context, the conversion of refusals, completion of names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from stackd.cli.client import Client, Refused
from stackd.cli.exits import Exit, Stop
from stackd.cli.places import socket_path
from stackd.cli.render import stop_for

P = ParamSpec("P")
T = TypeVar("T")

as_json = click.option("--json", "as_json", is_flag=True, help="For programs: JSON, one value (or one a line).")


def client(ctx: click.Context | None = None) -> Client:
    """The client for the socket that the command line names."""
    found = (ctx or click.get_current_context()).find_root().obj
    return Client(socket_path(found if isinstance(found, str) else None))


def refusals_end_it(function: Callable[P, T]) -> Callable[P, T]:
    """Turn what the daemon refuses into an end with text and code."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Refused as refused:
            raise stop_for(refused.problem) from None

    return wrapped


def complete_stack(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of stacks; none while the daemon is not there."""
    try:
        names = [stack["name"] for stack in client(ctx).stacks()["stacks"]]
    except (Stop, Refused):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_service(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the services of the stack already typed."""
    try:
        names = [service["name"] for service in client(ctx).stack(str(ctx.params.get("stack")))["services"]]
    except (Stop, Refused):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def completed_from(
    names: Callable[[], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """A completion from names that need no daemon."""
    return lambda _ctx, _param, incomplete: [CompletionItem(name) for name in names() if name.startswith(incomplete)]


stack_argument = click.argument("stack", shell_complete=complete_stack)
optional_stack = click.argument("stack", required=False, shell_complete=complete_stack)
service_arguments = click.argument("services", metavar="[SERVICE]...", nargs=-1, shell_complete=complete_service)


def checked_services(daemon: Client, stack: str, services: tuple[str, ...]) -> None:
    """End with 5, before anything was done, when one of several services is not there."""
    known = [service["name"] for service in daemon.stack(stack)["services"]]
    for service in services:
        if service not in known:
            raise Stop(Exit.NOT_FOUND, f'stack "{stack}" has no service "{service}"{nearest(service, known)}')


def nearest(wanted: str, known: Sequence[str]) -> str:
    """`; did you mean "x"?` with the likeliest of `known`, or "" when none is like it."""
    import difflib

    close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""


def stack_and_service(daemon: Client, stack: str, service: str | None) -> tuple[str, str | None]:
    """STACK and SERVICE as typed; what is typed alone may be a service, if it is no stack and only one stack has it."""
    if service is not None:
        return stack, service
    homes: list[str] = []
    known: list[str] = []
    for entry in daemon.stacks()["stacks"]:
        if entry["name"] == stack:
            return stack, None
        names = [one["name"] for one in entry["services"]]
        homes += [entry["name"]] if stack in names else []
        known += [entry["name"], *names]
    if len(homes) == 1:
        return homes[0], stack
    if homes:
        raise Stop(Exit.USAGE, f'several stacks have a service "{stack}": {", ".join(homes)}; say which: STACK {stack}')
    raise Stop(Exit.NOT_FOUND, f'there is no stack or service "{stack}"{nearest(stack, known)}')


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """A duration of the command line: seconds, or a number with a unit (`90`, `2m`, `1h`)."""
    if value is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, factor = (value[:-1], units[value[-1]]) if value[-1:] in units else (value, 1)
    try:
        found = float(number) * factor
    except ValueError:
        found = -1.0
    if not 0 <= found <= 366 * 86400:
        raise click.BadParameter(f'"{value}" is not a duration such as 90, 2m or 1h')
    return found


def not_in_time(what: str, timeout: float, *lines: str) -> Stop:
    """The end of a wait that took too long."""
    return Stop(Exit.TIMEOUT, f"{what} is not done after {timeout:g} s; it goes on", *lines)
