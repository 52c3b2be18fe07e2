"""`ps`, `status`, `plan`: how things are."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from stackd.api import text
from stackd.api.table import clean, table
from stackd.cli import behind
from stackd.cli.common import as_json, client, optional_stack, refusals_end_it, stack_argument
from stackd.cli.lingering import warning
from stackd.cli.render import err, out, out_json, paint_for

if TYPE_CHECKING:
    from stackd.api.schemas import StackView

_CODE = "edit-not-taken"


@click.command("ps")
@optional_stack
@as_json
@refusals_end_it
def ps_command(stack: str | None, as_json: bool) -> None:
    """List services, of one STACK or of all."""
    daemon = client()
    stacks = [daemon.stack(stack)] if stack else daemon.stacks()["stacks"]
    _warn(*behind.warnings(daemon), *_edits_not_taken(stacks))
    if as_json:
        out_json([{"stack": entry["name"], **service} for entry in stacks for service in entry["services"]])
        return
    now = time.time()
    rows = [[(entry["name"], "name"), *row] for entry in stacks for row in text.service_rows(entry, now)]
    if not rows:
        err(
            f"{stack} has no services yet: stackd status {stack}"
            if stack
            else "no services yet; add a stack: stackd add DIR"
        )
        return
    out(table(("STACK", *text.SERVICE_HEAD), rows, paint_for(sys.stdout)))


@click.command("status")
@optional_stack
@as_json
@refusals_end_it
def status_command(stack: str | None, as_json: bool) -> None:
    """Show how stacks fare; with STACK everything about that one."""
    daemon = client()
    if stack:
        one = daemon.stack(stack)
        if as_json:
            out_json(one)
        else:
            out(text.stack_lines(one, time.time(), paint_for(sys.stdout)))
    else:
        view = daemon.stacks()
        if as_json:
            out_json(view)
        elif view["stacks"]:
            out(text.stacks_lines(view, paint_for(sys.stdout)))
        else:
            err("no stacks yet; add one: stackd add DIR")
    _warn(*behind.warnings(daemon), warning(lambda: daemon.version()["pid"]))


def _edits_not_taken(stacks: list[StackView]) -> list[str]:
    """What each stack says of an edit that is not taken: not yet, or because of an error in its files."""
    found = [(one["name"], note["message"]) for one in stacks for note in one["diagnostics"] if note["code"] == _CODE]
    wrong = (one["name"] for one in stacks if any(note["severity"] == "error" for note in one["diagnostics"]))
    found += [(name, f"its files have errors, and the edit is not taken: stackd status {name}") for name in wrong]
    return [clean(f"warning: {name}: {message}") for name, message in found]


def _warn(*advice: str) -> None:
    err(*(line for line in advice if line))


@click.command("plan")
@stack_argument
@as_json
@refusals_end_it
def plan_command(stack: str, as_json: bool) -> None:
    """Show what is to be done for STACK now, why, and what each step waits for."""
    daemon = client()
    view = daemon.plan(stack)
    _warn(*_edits_not_taken([daemon.stack(stack)]))
    if as_json:
        out_json(view)
    else:
        out(text.plan_lines(view, paint_for(sys.stdout)))
