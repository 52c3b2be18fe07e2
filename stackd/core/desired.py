"""Files plus overrides: what each service is to be, right now.

An override stands until it is released: by an edit of what it covers, by its end, or by a person. This module finds the
ones that are over; it does not delete them (the store does, after the decision). A released stack is left alone,
whatever became of its folder.
"""

from __future__ import annotations

import enum
import graphlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from stackd.core.ownership import ours
from stackd.core.sharing import made_from
from stackd.model.ids import ServiceName
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import Reason, Why
from stackd.model.spec import Project, ServiceSpec
from stackd.model.view import LostPin, Now, Presence, View


class Want(enum.StrEnum):
    """What a service is to be. LEAVE: neither started nor stopped, whatever it is."""

    RUN = "run"
    STOP = "stop"
    ABSENT = "absent"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Target:
    """One service and what it is to be; `spec` None = no definition covers it. `reason` explains STOP and ABSENT."""

    service: ServiceName
    spec: ServiceSpec | None
    want: Want
    scale: int
    reason: Reason
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """All targets in dependency order (a service after what it depends on), which overrides stand, which are over."""

    targets: tuple[Target, ...]
    released: tuple[Override, ...]
    standing: tuple[Override, ...] = ()
    teardown: Reason | None = None
    """Set when the whole stack, networks included, is to go."""


def wanted(view: View, now: Now) -> Wanted:
    """What the stack is to be. Without a definition, and no proof that it was removed, everything is left alone."""
    project = view.project
    standing, released = _standing(view, now)
    stack_wide = _stack_wide(standing)
    if view.desired is not None and view.desired.presence is Presence.REMOVED and not view.released:
        why = Reason(Why.STACK_REMOVED, "the stack's folder was removed")
        return Wanted(_all_absent(view), released, standing, why)
    if project is None or view.desired is None:
        return Wanted(tuple(_leave(name) for name in _observed_services(view)), released, standing)
    unread = _unread_pin(view, standing)
    if unread is not None:
        return Wanted(tuple(_held_by(unread, view, project)), released, standing)
    targets = [_target(project.services[name], standing, stack_wide) for name in start_order(project)]
    targets.extend(_undefined(view, project, stack_wide))
    down = stack_wide is not None and stack_wide.kind is OverrideKind.STOPPED
    return Wanted(tuple(targets), released, standing, _override_reason(stack_wide) if stack_wide and down else None)


def _stack_wide(standing: Iterable[Override]) -> Override | None:
    """The override of the whole stack that counts: a release before every other one."""
    found = [one for one in standing if one.service is None and one.kind is not OverrideKind.PINNED]
    return next((one for one in found if one.kind is OverrideKind.RELEASED), found[0] if found else None)


def _unread_pin(view: View, standing: Iterable[Override]) -> Override | None:
    """A rollback whose revision is not at hand (yet): the newest text is not in force, and nothing else is either."""
    pin = next((one for one in standing if one.kind is OverrideKind.PINNED and one.service is None), None)
    return pin if view.pinned is None else None


def _held_by(pin: Override, view: View, project: Project) -> Iterator[Target]:
    lost = isinstance(view.pin, LostPin) and view.pin.number == pin.value
    told = str(view.pin) if lost else f"revision {pin.value}, to which it is pinned, is not read yet"
    reason = Reason(Why.ROLLED_BACK, told)
    for name in dict.fromkeys((*start_order(project), *_observed_services(view))):
        yield Target(name, project.services.get(name), Want.LEAVE, 0, reason, pin)


def start_order(project: Project) -> tuple[ServiceName, ...]:
    """Service names, each after those it depends on; file order where that leaves a choice (cycles: file order)."""
    graph = {
        name: [one for one in (*(d.service for d in spec.depends_on), *made_from(spec)) if one in project.services]
        for name, spec in project.services.items()
    }
    try:
        return tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError:  # the loader has said so already; order cannot matter then
        return tuple(project.services)


def _standing(view: View, now: Now) -> tuple[tuple[Override, ...], tuple[Override, ...]]:
    standing: list[Override] = []
    released: list[Override] = []
    for override in view.overrides:
        over = override.until is not None and override.until <= now.wall
        (released if over or _edited(override, view) else standing).append(override)
    return tuple(standing), tuple(released)


def _edited(override: Override, view: View) -> bool:
    """Whether what the override covers has another definition than when it was made; of a stack: the newest text."""
    newest, project = view.desired.project if view.desired else None, view.project
    if override.kind is OverrideKind.RELEASED or newest is None or project is None or not override.definition:
        return False
    if override.service is None:
        return override.definition != newest.digest
    spec = project.services.get(override.service)
    return spec is not None and override.definition not in spec.hashes


def _target(spec: ServiceSpec, standing: Iterable[Override], stack_wide: Override | None) -> Target:
    scale, override = spec.scale, stack_wide
    for candidate in standing:
        if candidate.service == spec.name:
            if candidate.kind is OverrideKind.SCALED:
                scale = candidate.value if candidate.value is not None else scale
            elif override is None and candidate.kind is not OverrideKind.PINNED:
                override = candidate
    if override is None:
        return Target(spec.name, spec, Want.RUN, scale, Reason(Why.NEEDED))
    match override.kind:
        case OverrideKind.STOPPED:
            want = Want.ABSENT if override.service is None else Want.STOP
        case OverrideKind.HELD | OverrideKind.PAUSED:
            want = Want.LEAVE
        case OverrideKind.RELEASED:
            want = Want.LEAVE
        case OverrideKind.SCALED | OverrideKind.PINNED:
            want = Want.RUN
        case _:
            assert_never(override.kind)
    return Target(spec.name, spec, want, scale, _override_reason(override), override)


def _override_reason(override: Override) -> Reason:
    return Reason(Why.STOPPED_BY_OVERRIDE, f"{override.reason} (by {override.by})")


def _undefined(view: View, project: Project, stack_wide: Override | None) -> list[Target]:
    """Services that run and that the definition does not name: removed once their absence was read twice."""
    targets = []
    settled = view.desired is not None and view.desired.services_settled
    for name in _observed_services(view):
        if name in project.services or name in project.inactive:
            continue
        if stack_wide is not None and stack_wide.kind is OverrideKind.STOPPED:
            targets.append(Target(name, None, Want.ABSENT, 0, _override_reason(stack_wide)))
        elif stack_wide is None and view.pinned is not None:
            why = Reason(Why.ROLLED_BACK, f"service {name} is not in revision {view.pinned.number}")
            targets.append(Target(name, None, Want.ABSENT, 0, why))
        elif settled and stack_wide is None:
            why = Reason(Why.ORPHANED, f"service {name} is no longer in {project.config_files[0].name}")
            targets.append(Target(name, None, Want.ABSENT, 0, why))
        else:
            targets.append(_leave(name))
    return targets


def _all_absent(view: View) -> tuple[Target, ...]:
    why = Reason(Why.STACK_REMOVED, "the stack's folder was removed")
    return tuple(Target(name, None, Want.ABSENT, 0, why) for name in _observed_services(view))


def _leave(name: ServiceName) -> Target:
    return Target(name, None, Want.LEAVE, 0, Reason(Why.NEEDED))


def _observed_services(view: View) -> tuple[ServiceName, ...]:
    return tuple(dict.fromkeys(c.service for c in ours(view)))
