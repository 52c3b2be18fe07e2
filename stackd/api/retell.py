"""The past as lines for people: causes, crashes, revisions, and what could be adopted.

Law: as `text`: pure and light, and no control character of a container or an engine reaches a terminal.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackd.api.table import Cell, Paint, clean, indented, plain, table
from stackd.api.text import UNDECIDED, age, style_of
from stackd.core.hands import way_out
from stackd.model.override import OverrideKind

if TYPE_CHECKING:
    from stackd.api.past import (
        AdoptablesView,
        BundleView,
        CrashesView,
        CrashView,
        DiffView,
        LinkView,
        ProbeView,
        RevisionsView,
        RevisionView,
        WhyView,
    )
    from stackd.api.schemas import ChangeView, OverrideView, StackView

_NOW = "now"


def _moment(at: str | None) -> str:
    """An instant to the second, or `now`."""
    return f"{at[:19]}Z" if at else _NOW


def _place(file: str, line: int, column: int) -> str:
    """` (file:line:column)`, as much of it as is known."""
    if not file:
        return ""
    return f" ({file}:{line}:{column})" if line else f" ({file})"


def why_lines(view: WhyView, paint: Paint = plain) -> list[str]:
    """The headline, the chain of causes, what comes next."""
    headline = clean(view["headline"])
    named = headline if view["service"] in headline else f"{clean(view['service'])}: {headline}"
    lines = [paint(style_of(view["state"]), named)]
    lines += _indented([_link_row(link) for link in view["chain"]], paint)
    if view["next"]:
        lines.append(f"next: {clean(view['next'])}")
    return lines


def stack_why_lines(stack: StackView, services: Sequence[WhyView], paint: Paint = plain) -> list[str]:
    """Why a stack is as it is: what was asked of the whole and what ends that, else a line for each service."""
    wide = [entry for entry in stack["overrides"] if entry["service"] is None]
    lines = [line for entry in wide for line in _wide_lines(stack["name"], entry, paint)]
    if any(entry["kind"] != "pinned" for entry in wide):
        return lines
    if not services or stack["state"] in UNDECIDED:
        detail = f" ({clean(stack['detail'])})" if stack["detail"] else ""
        lines.append(f"{paint('name', stack['name'])}: {paint(style_of(stack['state']), stack['state'])}{detail}")
    return lines + [why_lines(view, paint)[0] for view in services]


def _wide_lines(stack: str, override: OverrideView, paint: Paint) -> list[str]:
    """What was asked of the whole stack, why, and what ends it."""
    kind = override["kind"]
    number = f" to revision {override['value']}" if kind == "pinned" else ""
    asked = f"{override['reason']} (by {override['by']}) at {_moment(override['at'])}"
    way = way_out(stack, None, OverrideKind(kind), runs=True)
    edit = "" if kind == "released" else ", and so does an edit of its files"
    end = f"it ends at {_moment(override['until'])}; " if override["until"] else ""
    return [paint(style_of(kind), clean(f"{stack} is {kind}{number}: {asked}")), clean(f"next: {end}{way}{edit}")]


def _link_row(link: LinkView) -> list[Cell]:
    place = _place(link["file"], link["line"], link["column"])
    text = link["text"] if place in link["text"] else f"{link['text']}{place}"
    return [(_moment(link["at"]), "dim"), (link["kind"], "busy"), (text, "")]


def _indented(rows: Sequence[Sequence[Cell]], paint: Paint) -> list[str]:
    """A table without a head."""
    return indented([""] * len(rows[0]), rows, paint)[1:] if rows else []


def signal_name(number: int | None) -> str:
    """`SIGKILL`; "" for None."""
    if number is None:
        return ""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _ended(crash: CrashView) -> str:
    """What killed it, if something did."""
    return ", ".join(filter(None, (signal_name(crash["signal"]), "out of memory" if crash["oom"] else "")))


def crashes_lines(view: CrashesView, now: float, paint: Paint = plain) -> list[str]:
    """One line for each crash, newest first."""
    rows: list[list[Cell]] = [
        [
            (str(crash["id"]), "name"),
            (f"{age(crash['at'], now)} ago", ""),
            (crash["service"], "name"),
            (str(crash["exit_code"]), "bad"),
            (_ended(crash), ""),
            (crash["cause"], "dim"),
        ]
        for crash in view["crashes"]
    ]
    return table(("ID", "WHEN", "SERVICE", "EXIT", "KILLED", "CAUSE"), rows, paint) if rows else ["no crashes"]


def bundle_lines(view: BundleView, paint: Paint = plain) -> list[str]:
    """A crash with all that is known of it."""
    killed = _ended(view)
    exit_text = f"exit code {view['exit_code']}" + (f" ({killed})" if killed else "")
    image = view["image"] + (f" ({view['image_id'].removeprefix('sha256:')[:12]})" if view["image_id"] else "")
    revision = f", revision {view['revision']}" if view["revision"] is not None else ""
    lines = [
        f"crash {view['id']} of {paint('name', clean(view['stack']))}/{paint('name', clean(view['service']))}: "
        + paint("bad", clean(view["cause"])),
        f"ended: {_moment(view['at'])}, {exit_text}; it ran since {_moment(view['started_at'])}",
        clean(f"container: {view['name']} ({view['container'][:12]}); image: {image or 'not known'}{revision}"),
    ]
    if view["error"]:
        lines.append(f"the engine says: {clean(view['error'])}")
    lines += _changes(view, paint)
    if view["probes"]:
        lines += ["", "health checks:", *_indented([_probe_row(probe) for probe in view["probes"]], paint)]
    if view["logs"]:
        count = len(view["logs"])
        lines += ["", f"its last {count} lines:" if count > 1 else "its last line:"]
        lines += [f"  {clean(line)}" for line in view["logs"]]
    for gap in view["gaps"]:
        lines.append(f"not known: {clean(gap)}")
    return lines


def _changes(view: BundleView, paint: Paint) -> list[str]:
    """What was edited since it last ran well."""
    if view["stable_at"] is None and not view["changes"]:
        return ["it is not known to have run well before"]
    since = f"since it last ran well ({_moment(view['stable_at'])})" if view["stable_at"] else "before it"
    if not view["changes"]:
        return [f"changed {since}: nothing"]
    return ["", f"changed {since}:", *(f"  {paint('busy', _change(change))}" for change in view["changes"])]


def _change(change: ChangeView) -> str:
    before, after = (value if value is not None else "absent" for value in (change["before"], change["after"]))
    place = _place(change["file"], change["line"], change["column"])
    return clean(f"{change['field']}: {before} -> {after}{place}")


def _probe_row(probe: ProbeView) -> list[Cell]:
    outcome = ("ok", "good") if probe["exit_code"] == 0 else (f"exit {probe['exit_code']}", "bad")
    return [(_moment(probe["at"]), "dim"), outcome, (probe["output"].strip(), "")]


def revisions_lines(view: RevisionsView, now: float, paint: Paint = plain) -> list[str]:
    """One line for each applied revision, newest first."""
    rows: list[list[Cell]] = [
        [
            (str(revision["number"]), "name"),
            (f"{age(revision['at'], now)} ago", ""),
            (_mark(revision), "bad" if revision["failed"] else "good"),
            (", ".join(revision["services"]), ""),
            ("; ".join(revision["changes"]), "dim"),
        ]
        for revision in view["revisions"]
    ]
    head = ("REVISION", "WHEN", "NOW", "SERVICES", "CHANGES")
    return table(head, rows, paint) if rows else ["no revision was applied yet"]


def _mark(revision: RevisionView) -> str:
    word = "pinned" if revision["pinned"] else "current" if revision["current"] else ""
    return " ".join(filter(None, (word, "failed" if revision["failed"] else "")))


def diff_lines(view: DiffView, paint: Paint = plain) -> list[str]:
    """A unified diff."""
    if not view["lines"]:
        return ["no difference"]
    return [_diff_line(clean(line.rstrip("\n")), paint) for line in view["lines"]]


def _diff_line(line: str, paint: Paint) -> str:
    styles = {"+++": "head", "---": "head", "@@": "dim", "+": "good", "-": "bad"}
    style = next((style for mark, style in styles.items() if line.startswith(mark)), "")
    return paint(style, line) if style else line


def adoptables_lines(view: AdoptablesView, paint: Paint = plain) -> list[str]:
    """One line for each project, with what stands against adopting it."""
    rows: list[list[Cell]] = [
        [
            (project["name"], "name"),
            (f"{project['running']}/{project['containers']}", ""),
            (", ".join(project["services"]), ""),
            (project["working_dir"], ""),
            (project["obstacle"], "bad"),
        ]
        for project in view["projects"]
    ]
    head = ("PROJECT", "RUNNING", "SERVICES", "FOLDER", "OBSTACLE")
    return table(head, rows, paint) if rows else ["there is no Compose project that stackd does not keep already"]
