"""The extension `x-stackd` of a service or file: its knobs, what each may be, and the JSON schema of it all.

Law: one table. What the loader takes and what `docs/x-stackd.schema.json` says come from it, so they cannot differ.
A mistake is reported with its place and leaves the value that stood before. What this module does NOT do: say what
the knobs do (`model.spec.RestartPolicy` holds them, `core` follows them).
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackd.compose.redact import Redaction
from stackd.compose.report import Report, nearest, quote
from stackd.compose.scalars import go_text
from stackd.compose.tree import Map, Node, Path, Scalar, Seq
from stackd.compose.units import parse_duration
from stackd.model.spec import RestartPolicy, UnhealthyAction

Json = dict[str, Any]


class Kind(enum.StrEnum):
    """What a knob takes, in the words of a message."""

    DURATION = "duration"
    NUMBER = "number"
    COUNT = "whole number"
    CODES = "list of exit codes, 0 to 255"
    ACTION = "restart, alert or none"


@dataclass(frozen=True, slots=True)
class Knob:
    """One knob. `field`: of RestartPolicy; `least` is itself allowed unless `above`; `most` None = no bound."""

    field: str
    kind: Kind
    about: str
    least: float = 0.0
    above: bool = False
    most: float | None = None

    def takes(self, value: float) -> bool:
        """Whether a number (durations in seconds) is within bounds."""
        low = value > self.least if self.above else value >= self.least
        whole = self.kind is not Kind.COUNT or value.is_integer()
        return math.isfinite(value) and low and whole and (self.most is None or value <= self.most)

    @property
    def wanted(self) -> str:
        """What to write, for a message."""
        if self.kind is Kind.ACTION:
            return self.kind.value
        low = f" above {self.least:g}" if self.above else f" of at least {self.least:g}" if self.least else ""
        high = f" of at most {self.most:g}" if self.most is not None else ""
        return f"a {self.kind}{low}{high}" + (", like 10s" if self.kind is Kind.DURATION else "")


def _duration(field: str, about: str, *, above: bool = True) -> Knob:
    return Knob(field, Kind.DURATION, about, above=above)


RESTART: Mapping[str, Knob] = {
    "first_delay": _duration("first_delay", "The wait after the first failure.", above=False),
    "base_delay": _duration("base_delay", "The wait after the second failure; each further one is longer."),
    "factor": Knob("factor", Kind.NUMBER, "How many times longer each further wait is.", least=1),
    "max_delay": _duration("max_delay", "No wait is longer than this, a crash loop's apart."),
    "jitter": Knob("jitter", Kind.NUMBER, "The part of a wait that varies.", most=1),
    "reset_after": _duration("reset_after", "Running (and healthy) for this long forgets earlier failures."),
    "crashloop_after": Knob("crashloop_after", Kind.COUNT, "So many failures within the window are a loop.", least=1),
    "crashloop_window": _duration("crashloop_window", "The window that `crashloop_after` counts in."),
    "slow_delay": _duration("slow_delay", "The wait in a crash loop, and for what no try mends by itself."),
    "success_exit_codes": Knob("success_exit_codes", Kind.CODES, "Exit codes that are a success, beside 0."),
    "no_restart_exit_codes": Knob("no_restart_exit_codes", Kind.CODES, "Exit codes after which nothing is started."),
    "force_restart_exit_codes": Knob("force_restart_exit_codes", Kind.CODES, "Exit codes after which it always is."),
}  # fmt: skip
UNHEALTHY: Mapping[str, Knob] = {
    "action": Knob("unhealthy", Kind.ACTION, "Restart the container, only report it, or ignore the check."),
    "grace": _duration("unhealthy_grace", "How long it must stay unhealthy before it is restarted.", above=False),
    "limit": Knob("unhealthy_limit", Kind.COUNT, "At most so many restarts for bad health within the window.", least=1),
    "window": _duration("unhealthy_window", "The window that `limit` counts in."),
}


KEYS = ("restart", "show")
"""What stands under `x-stackd` of a service; of a file as a whole only `show`."""
SHOW = "Names of variables, labels, build args and options whose values may be shown in the log, events and history."


def extension(owner: Map, path: Path, report: Report) -> Map | None:
    """What stands under `x-stackd` of a service, or of a file (`path` is empty); what is none is reported."""
    node, where = owner.get("x-stackd"), (*path, "x-stackd")
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return None
    if not isinstance(node, Map):
        report.refused("bad-type", f'"x-stackd" wants a mapping, found {quote(node)}', node.span, where)
        return None
    keys = KEYS if path else ("show",)
    for key in node.entries:
        if key not in keys:
            hint = nearest(key, keys) or ("it stands under x-stackd of a service" if key in KEYS else "")
            tell = report.refused if path else report.warning  # of a file it may hold what anchors are made of
            tell("unknown-key", f'"x-stackd" has no key "{key}"', node.key_span(key), (*where, key), hint)
    return node


def showing(owner: Map, path: Path, redaction: Redaction, report: Report) -> Redaction:
    """`redaction` with the keys that `x-stackd: show:` of a service or file names."""
    node = owner.get("x-stackd")
    if not path:
        node = extension(owner, path, report)
    show = node.get("show") if isinstance(node, Map) else None
    if show is None:
        return redaction
    names = [one.value for one in show.items if isinstance(one, Scalar)] if isinstance(show, Seq) else []
    texts = [name for name in names if isinstance(name, str) and name]
    if not isinstance(show, Seq) or len(texts) != len(show.items):
        message = '"show" wants a list of names, like [POSTGRES_DB, APP_MODE]'
        report.refused("bad-value", message, show.span, (*path, "x-stackd", "show"))
    return redaction.showing(texts)


def with_knobs(policy: RestartPolicy, knobs: Map, path: Path, report: Report) -> RestartPolicy:
    """`policy` with the knobs of `x-stackd: restart:` put over it."""
    for key, node in knobs.entries.items():
        where = (*path, key)
        if key in RESTART:
            policy = _put(policy, RESTART[key], node, where, report)
        elif key == "unhealthy" and isinstance(node, Map):
            policy = _unhealthy(policy, node, where, report)
        elif key == "unhealthy":
            policy = _put(policy, UNHEALTHY["action"], node, where, report)
        else:
            hint = nearest(key, (*RESTART, "unhealthy"))
            report.refused("unknown-key", f'"restart" has no knob "{key}"', knobs.key_span(key), where, hint)
    return policy


def _unhealthy(policy: RestartPolicy, knobs: Map, path: Path, report: Report) -> RestartPolicy:
    for key, node in knobs.entries.items():
        where = (*path, key)
        if key in UNHEALTHY:
            policy = _put(policy, UNHEALTHY[key], node, where, report)
        else:
            hint = nearest(key, UNHEALTHY)
            report.refused("unknown-key", f'"unhealthy" has no knob "{key}"', knobs.key_span(key), where, hint)
    return policy


def _put(policy: RestartPolicy, knob: Knob, node: Node, path: Path, report: Report) -> RestartPolicy:
    value = _value(knob, node)
    if value is None:
        report.refused("bad-value", f'"{path[-1]}" is {quote(node)}, wants {knob.wanted}', node.span, path)
        return policy
    changes: Json = {knob.field: value}
    return dataclasses.replace(policy, **changes)


def _value(knob: Knob, node: Node) -> float | int | frozenset[int] | UnhealthyAction | None:
    """What is written, as the policy holds it; None = it is not what the knob takes."""
    if knob.kind is Kind.CODES:
        return _codes(node)
    if not isinstance(node, Scalar) or isinstance(node.value, bool):
        return None
    if knob.kind is Kind.ACTION:
        return next((action for action in UnhealthyAction if action == node.value), None)
    if isinstance(node.value, int | float):
        found: float | None = float(node.value)
    else:
        found = seconds(node) if knob.kind is Kind.DURATION else None
    if found is None or not knob.takes(found):
        return None
    return int(found) if knob.kind is Kind.COUNT else found


def _codes(node: Node) -> frozenset[int] | None:
    if not isinstance(node, Seq):
        return None
    codes: set[int] = set()
    for item in node.items:
        code = item.value if isinstance(item, Scalar) else None
        if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 255:
            return None
        codes.add(code)
    return frozenset(codes)


def seconds(node: Node | None) -> float | None:
    """A duration as Compose writes it, in seconds; None = it is none."""
    if not isinstance(node, Scalar) or node.value is None:
        return None
    try:
        return parse_duration(go_text(node.value)) / 1e9
    except ValueError:
        return None


def schema() -> Json:
    """The JSON schema (draft 2020-12) of what stands under `x-stackd` of a service."""
    health = {"description": UNHEALTHY["action"].about, **_schema_of(UNHEALTHY["action"])}
    restart: Json = {name: {"description": knob.about, **_schema_of(knob)} for name, knob in RESTART.items()}
    inner = {name: {"description": knob.about, **_schema_of(knob)} for name, knob in UNHEALTHY.items()}
    restart["unhealthy"] = {
        "description": "What a failing health check leads to.",
        "oneOf": [health, {"type": "object", "properties": inner, "additionalProperties": False}],
    }
    show: Json = {"description": SHOW, "type": "array", "items": {"type": "string", "minLength": 1}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "x-stackd",
        "description": "The extension x-stackd of a service in a Compose file, as stackd reads it. What stands under "
        "x-stackd at the top level of a file is below $defs: file.",
        "type": ["object", "null"],
        "properties": {
            "restart": {
                "description": "How the service is restarted; what is not said is as the daemon is configured.",
                "type": "object",
                "properties": restart,
                "additionalProperties": False,
            },
            "show": show,
        },
        "additionalProperties": False,
        "$defs": {"file": {"type": ["object", "null"], "properties": {"show": show}, "additionalProperties": False}},
    }


_TEXT = r"^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w))+)$"
_ZERO = r"^[^1-9]*$"


def _schema_of(knob: Knob) -> Json:
    match knob.kind:
        case Kind.ACTION:
            return {"enum": [action.value for action in UnhealthyAction]}
        case Kind.CODES:
            return {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}
        case Kind.COUNT:
            return {"type": "integer", "minimum": int(knob.least)}
        case Kind.NUMBER | Kind.DURATION:
            bounds: Json = {"exclusiveMinimum" if knob.above else "minimum": knob.least}
            bounds |= {"maximum": knob.most} if knob.most is not None else {}
            number = {"type": "number", **bounds}
            if knob.kind is Kind.NUMBER:
                return number
            text: Json = {"type": "string", "pattern": _TEXT}
            text |= {"not": {"pattern": _ZERO}} if knob.above else {}
            return {"anyOf": [number, text]}
