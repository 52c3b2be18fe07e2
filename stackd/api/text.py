"""Views as lines for people: what `Accept: text/plain` answers and what the CLI prints.

Law: pure and light (the CLI imports it); every text that comes from elsewhere loses its control characters. Colour is
the caller's: `paint(style, text)` sees the words after they were aligned.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from stackd.api.table import WIDE, Cell, Paint, clean, indented, plain, table

if TYPE_CHECKING:
    from stackd.api.schemas import (
        DiagnosticView,
        EventView,
        LogView,
        OperationsView,
        OperationView,
        OverrideView,
        PlanView,
        ServiceView,
        SetOverrideView,
        StacksView,
        StackView,
        StepView,
    )

_GOOD = {"running", "healthy", "completed", "succeeded"}
_BAD = {
    "degraded",
    "invalid",
    "failed",
    "unhealthy",
    "crash_looping",
    "stuck",
    "blocked",
    "frozen",
    "unknown",
    "exited",
}
_QUIET = {"stopped", "held", "paused", "absent", "orphaned", "cancelled", "superseded"}


def style_of(state: str) -> str:
    """The style of a state word."""
    if state in _GOOD:
        return "good"
    if state in _BAD:
        return "bad"
    return "dim" if state in _QUIET else "busy"


def age(since: str | None, now: float) -> str:
    """How long ago an instant was, in its largest unit: `12s`, `5m`, `3h`, `9d`."""
    if since is None:
        return ""
    seconds = max(0, int(now - datetime.fromisoformat(since).timestamp()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def diagnostic_lines(found: DiagnosticView, paint: Paint = plain, line: str = "") -> list[str]:
    """`file:line:col: error[code]: found and wanted`, the `line` of the file with a caret below, and the hint."""
    place = found["file"] if found["line"] == 0 else f"{found['file']}:{found['line']}:{found['column']}"
    style = "bad" if found["severity"] == "error" else "busy"
    word = paint(style, f"{found['severity']}[{found['code']}]")
    lines = [f"{paint('name', clean(place))}: {word}: {clean(found['message'])}"]
    if line.strip():
        lines += _pointed(line, found["column"], lambda caret: paint(style, caret))
    if found["hint"]:
        lines.append(f"  hint: {clean(found['hint'])}")
    return lines


def _pointed(line: str, column: int, paint: Callable[[str], str]) -> list[str]:
    """A line with `^` below its 1-based column; of a long one, the part around that column."""
    start = max(0, column - 1 - WIDE)
    before = clean(line)[start : column - 1]
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in before)
    wide -= sum(unicodedata.combining(letter) > 0 for letter in before)
    indent = "  | " + ("..." if start else "")
    text = f"{indent}{clean(line)[start : start + 2 * WIDE]}".rstrip()
    return [text, f"  | {' ' * (len(indent) - 4 + len(before) + wide)}{paint('^')}"]


def override_line(override: OverrideView) -> str:
    """An override in words."""
    scope = override["service"] or "the stack"
    what = override["kind"]
    if override["value"] is not None:
        what += f" to {'revision ' if what == 'pinned' else ''}{override['value']}"
    until = f" until {override['until']}" if override["until"] else ""
    reason = f": {override['reason']}" if override["reason"] else ""
    return clean(f"{scope} is {what}{until} by {override['by']} since {override['at']}{reason}")


def set_override_lines(answer: SetOverrideView) -> list[str]:
    """An override that was set, and why it is not on disk, if so."""
    return [override_line(answer), *([f"warning: {clean(answer['detail'])}"] if answer["detail"] else [])]


def running_of(service: ServiceView) -> int:
    """How many of its containers run."""
    return sum(replica["state"] == "running" for replica in service["replicas"])


def stacks_lines(view: StacksView, paint: Paint = plain) -> list[str]:
    """One line for each stack, then what was found in their files."""
    rows = [
        [
            (stack["name"], "name"),
            (stack["state"], style_of(stack["state"])),
            (_tally(stack), ""),
            (_row_detail(stack), "dim"),
        ]
        for stack in view["stacks"]
    ]
    if not rows:
        return ["no stacks yet"]
    lines = table(("STACK", "STATE", "SERVICES", "DETAIL"), rows, paint)
    diagnostics = [found for stack in view["stacks"] for found in stack["diagnostics"]]
    found = [line for entry in diagnostics for line in diagnostic_lines(entry, paint)]
    return [*lines, "", *found] if found else lines


def _tally(stack: StackView) -> str:
    up = sum(
        service["state"] == "completed" or running_of(service) >= service["wanted"] > 0 for service in stack["services"]
    )
    return f"{up}/{len(stack['services'])}"


OUT_OF_FORCE = "the newest text has errors: the last good definition stays in force"
NEVER_GOOD = "its files have errors: nothing is in force yet"


SET_ASIDE = ("held", "paused", "stopped")
"""States of a service that somebody left or put so: nothing happens to it by itself."""
NAMED = 3
"""So many names are told in a row of the list; the rest are counted."""


def _stack_detail(stack: StackView) -> str:
    """One line; the errors of a file are listed below it, so they are not repeated here."""
    if any(found["severity"] == "error" for found in stack["diagnostics"]):
        return OUT_OF_FORCE if stack["generation"] else NEVER_GOOD
    return stack["detail"] or "; ".join(stack["waiting_for"])


def _row_detail(stack: StackView) -> str:
    """The same for the list, where services have no rows of their own: which are set aside, each by itself."""
    whole = any(entry["service"] is None and entry["kind"] != "pinned" for entry in stack["overrides"])
    aside = [] if whole or stack["state"] == "stopped" else _aside(stack)
    return "; ".join(part for part in (_stack_detail(stack), *aside) if part)


def _aside(stack: StackView) -> list[str]:
    """`1 held: web`, one entry for each state."""
    told = []
    for state in SET_ASIDE:
        names = [service["name"] for service in stack["services"] if service["state"] == state]
        if names:
            more = ", ..." if len(names) > NAMED else ""
            told.append(f"{len(names)} {state}: {', '.join(names[:NAMED])}{more}")
    return told


def service_rows(stack: StackView, now: float) -> list[list[Cell]]:
    """The services of a stack: name, state, containers, since when, ports, detail."""
    rows: list[list[Cell]] = []
    for service in stack["services"]:
        started = [r["started_at"] for r in service["replicas"] if r["state"] == "running" and r["started_at"]]
        rows.append(
            [
                (service["name"], "name"),
                (service["state"], style_of(service["state"])),
                (f"{running_of(service)}/{service['wanted']}", ""),
                (age(min(started), now) if started else "", ""),
                (_ports(port for replica in service["replicas"] for port in replica["ports"]), ""),
                (_service_detail(service, now), "dim"),
            ]
        )
    return rows


def _ports(ports: Iterable[str]) -> str:
    """Published ports; what is open on all addresses of both families is said once."""
    known = dict.fromkeys(ports)
    twins = {port.replace("0.0.0.0:", "[::]:", 1) for port in known if port.startswith("0.0.0.0:")}
    return ", ".join(port for port in known if port not in twins)


SERVICE_HEAD = ("SERVICE", "STATE", "UP", "SINCE", "PORTS", "DETAIL")


def _service_detail(service: ServiceView, now: float) -> str:
    words = [service["detail"]] if service["detail"] else []
    next_at = service["restart"]["next_at"]
    left = datetime.fromisoformat(next_at).timestamp() - now if next_at else 0.0
    if left > 0:
        words.append(f"failure {service['restart']['attempt']}, next try in {math.ceil(left)}s")
    override = service["override"]
    if override is not None and override["kind"] != "pinned" and not words:
        words.append(override_line(override))
    if service["image_outdated"]:
        words.append("a newer image is here: `stackd up` takes it")
    return "; ".join(words)


def stack_lines(stack: StackView, now: float, paint: Paint = plain) -> list[str]:
    """All of one stack."""
    state = paint(style_of(stack["state"]), stack["state"])
    detail = _stack_detail(stack)
    lines = [f"{paint('name', stack['name'])}: {state}" + (f" ({clean(detail)})" if detail else "")]
    lines.append(f"folder: {clean(stack['folder'])}" if stack["folder"] else "folder: none")
    if stack["files"]:
        lines.append(f"files: {clean(', '.join(stack['files']))}")
    lines.append(f"generation: {stack['generation']}, applied: {stack['observed_generation']}")
    if stack["services"]:
        lines += ["", *table(SERVICE_HEAD, service_rows(stack, now), paint)]
    for title, entries in (
        ("overrides", [override_line(override) for override in stack["overrides"]]),
        ("waiting", stack["waiting_for"]),
        ("not ours, never touched", stack["foreign"]),
    ):
        if entries:
            lines += ["", f"{title}:", *(f"  {clean(entry)}" for entry in entries)]
    if stack["diagnostics"]:
        lines += ["", *(line for found in stack["diagnostics"] for line in diagnostic_lines(found, paint))]
    return lines


def service_lines(service: ServiceView, now: float, paint: Paint = plain) -> list[str]:
    """All of one service."""
    detail = _service_detail(service, now)
    restart = service["restart"]
    lines = [
        f"{paint('name', service['name'])}: {paint(style_of(service['state']), service['state'])}"
        + (f" ({clean(detail)})" if detail else ""),
        f"image: {clean(service['image'])}",
        f"restart: {clean(restart['policy'])}" + (f", {restart['attempt']} failures" if restart["attempt"] else ""),
    ]
    if restart["reason"]:
        lines.append(f"last end: {clean(restart['reason'])}")
    if restart["next_at"]:
        lines.append(f"next try: {restart['next_at']}")
    if restart["reset_at"]:
        lines.append(f"failures are forgotten: {restart['reset_at']}, if it runs well until then")
    if service["override"] is not None:
        lines.append(f"override: {override_line(service['override'])}")
    rows = [
        [
            (replica["name"], "name"),
            (replica["state"], style_of(replica["state"])),
            (replica["health"] if replica["health"] != "none" else "", ""),
            (age(replica["started_at"], now) if replica["state"] == "running" else "", ""),
            (_ports(replica["ports"]), ""),
            (replica["container"][:12], "dim"),
        ]
        for replica in service["replicas"]
    ]
    head = ("CONTAINER", "STATE", "HEALTH", "SINCE", "PORTS", "ID")
    return [*lines, "", *table(head, rows, paint)] if rows else lines


UNDECIDED = {"loading", "invalid", "failed", "frozen"}
"""The states of a stack in which an empty plan does not mean that all is as wanted."""


def plan_lines(plan: PlanView, paint: Paint = plain) -> list[str]:
    """What is to be done, why, and what it waits for."""
    if not plan["steps"]:
        known = plan["state"] not in UNDECIDED
        detail = f" ({clean(plan['detail'])})" if plan["detail"] else ""
        told = "nothing to do" if known else f"not known yet: the stack is {plan['state']}{detail}"
        if plan["state"] == "frozen" and plan["detail"]:
            told = f"nothing until you say so: {clean(plan['detail'])}"
        return [f"{paint('name', plan['stack'])}: {told}"]
    count = len(plan["steps"])
    head = f"{paint('name', plan['stack'])}: {count} step{'s' if count > 1 else ''}"
    head += f", {clean(plan['disruption'])}" if plan["disruption"] else ""
    rows = [
        [
            (step["action"], "busy"),
            (step["target"] or step["service"] or "", "name"),
            (_step_state(step), "dim"),
            (_step_reason(step), ""),
        ]
        for step in plan["steps"]
    ]
    return [head, *indented(("ACTION", "WHAT", "NOW", "WHY"), rows, paint)]


def _step_state(step: StepView) -> str:
    if step["in_flight"]:
        return step["progress"] or "under way"
    return "; ".join(step["waits_for"]) if step["waits_for"] else "next"


def _step_reason(step: StepView) -> str:
    changes = []
    for change in step["changes"]:
        before, after = (value if value is not None else "absent" for value in (change["before"], change["after"]))
        place = f" ({change['file']}:{change['line']}:{change['column']})" if change["file"] else ""
        changes.append(f"{change['field']}: {before} -> {after}{place}")
    reason = step["reason"] or step["why"].replace("_", " ")
    return f"{reason}: {'; '.join(changes)}" if changes and changes[0] not in reason else reason


def operation_line(operation: OperationView) -> str:
    """An operation in words."""
    what = " ".join((operation["verb"], operation["stack"], *operation["services"]))
    outcome: str = operation["state"]
    if operation["state"] == "succeeded":
        done = operation["changed"] or operation["verb"] in ("adopt", "release")
        outcome = "done" if done else "nothing to do"
    return clean(f"{what}: {outcome}" + (f" ({operation['detail']})" if operation["detail"] else ""))


def operations_lines(view: OperationsView, paint: Paint = plain) -> list[str]:
    """The newest operations."""
    rows = [
        [
            (operation["id"], "dim"),
            (" ".join((operation["verb"], operation["stack"], *operation["services"])), "name"),
            (operation["state"], style_of(operation["state"])),
            (operation["at"], ""),
            (operation["by"], ""),
            (operation["detail"], "dim"),
        ]
        for operation in view["operations"]
    ]
    return table(("ID", "WHAT", "STATE", "AT", "BY", "DETAIL"), rows, paint) if rows else ["no operations yet"]


def event_line(event: EventView, paint: Paint = plain) -> str:
    """A line of the history."""
    scope = f"{event['stack']}/{event['service']}" if event["service"] else event["stack"]
    where, kind = clean(scope), clean(event["type"])
    gaps = " " * max(2, 18 - len(where)), " " * max(2, 22 - len(kind))
    return f"{paint('dim', event['at'])}  {paint('name', where)}{gaps[0]}{kind}{gaps[1]}{clean(event['message'])}"


def log_line(entry: LogView, width: int = 0, *, timestamps: bool = False, paint: Paint = plain) -> str:
    """A container's line with where it comes from; its text stays as it is."""
    source = f"{entry['service']}-{entry['number']}"
    return f"{paint('name', source.ljust(width))} | " + (f"{entry['at']} " if timestamps else "") + entry["text"]
