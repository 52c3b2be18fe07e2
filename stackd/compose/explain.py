"""An edit explained: which fields of a service changed, from what, to what, and where that is written.

Law: a hidden value is a digest or only `changed` (`redact`); the place is in the new file, or in the old one for what
is gone.
What this module does NOT do: decide whether a change matters.
"""

from __future__ import annotations

import dataclasses

from stackd.compose.redact import HIDDEN, is_hidden, name_shown
from stackd.errors import Span
from stackd.model.plan import FieldChange
from stackd.model.spec import ServiceSpec

_UNTOLD = frozenset(("hashes", "canonical", "span", "spans", "values", "name", "content"))
_NAMES = {"mounts": "volumes", "stop_grace_period": "stop_grace_period"}


def changed_fields(old: ServiceSpec, new: ServiceSpec) -> tuple[FieldChange, ...]:
    """Every field that differs, in the order of the new file."""
    found: dict[str, FieldChange] = {}
    for path in (*new.values, *(path for path in old.values if path not in new.values)):
        before, after = old.values.get(path), new.values.get(path)
        if before != after:
            found[path] = FieldChange(path, before, after, _span(path, old, new))
    for path in _hidden(old, new):
        if path not in found:
            shown = new.values.get(path, f"{HIDDEN})")
            found[path] = FieldChange(path, shown, shown, _span(path, old, new))
    return tuple(found.values())


def _span(path: str, old: ServiceSpec, new: ServiceSpec) -> Span | None:
    return new.spans.get(path) or old.spans.get(path) or new.span


def _hidden(old: ServiceSpec, new: ServiceSpec) -> list[str]:
    """Fields whose printed values are the same because both are redacted."""
    paths: list[str] = []
    shared = old.environment.keys() & new.environment.keys()
    changed = (name for name in sorted(shared) if old.environment[name] != new.environment[name])
    paths += [f"environment.{name_shown(name)}" for name in changed]
    for one in dataclasses.fields(ServiceSpec):
        if one.name in _UNTOLD or one.name == "environment" or getattr(old, one.name) == getattr(new, one.name):
            continue
        name = _NAMES.get(one.name, one.name)
        below = [path for path in new.values if path == name or path.startswith(f"{name}.")]
        if any(old.values.get(path) != new.values.get(path) for path in below):
            continue
        paths += [path for path in below if is_hidden(new.values[path]) and old.values.get(path) == new.values[path]]
    return paths
