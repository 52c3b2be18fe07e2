"""Handing containers back to the engine's own restart policy: for a release, a removed stack, a daemon that ends.

Law: the engine restarts afterwards what the file wants restarted, and never what somebody stopped (behaviour.md 5, 11).
What this module does not do: take anything over (`steps`), or decide when to hand over.
"""

from __future__ import annotations

from collections.abc import Iterable

from stackd.core.ownership import is_ours, is_wholly_ours
from stackd.model.observed import ContainerState, ObservedContainer
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import Reason, UpdateRestartPolicy, Why
from stackd.model.spec import RestartCondition, RestartPolicy, ServiceSpec
from stackd.model.view import Presence, View

_GONE = (ContainerState.REMOVING, ContainerState.DEAD, ContainerState.UNKNOWN)


def handover(view: View) -> tuple[UpdateRestartPolicy, ...]:
    """For a daemon that ends: who the engine is to restart meanwhile; only what differs from what it does now.

    `unless-stopped` becomes `always`: after a crash of the engine its survivors would stay down (behaviour.md 1). What
    somebody stopped, or holds, stays as it is. Taken back by the normal adoption at the next start.
    """
    if view.released:
        return ()  # it is the engine's already
    why = Reason(Why.RELEASED, "stackd ends, and the engine restarts it meanwhile")
    found = []
    for container in _mine(view):
        spec = _spec(view, container)
        stopped = any(_stands(one, container) for one in view.overrides)
        name, retries = ("no", 0) if stopped or spec is None else _kept(spec.restart)
        found += _update(container, name, retries, why)
    return tuple(found)


def released(view: View) -> tuple[UpdateRestartPolicy, ...]:
    """For a stack that is the engine's own again: the file's own policies, in the engine's words."""
    why = Reason(Why.RELEASED, "the stack was released: the engine restarts it now, as its file says")
    found = []
    for container in _mine(view):
        spec = _spec(view, container)
        if spec is None:
            continue
        stopped = any(o.service == container.service and o.kind is OverrideKind.STOPPED for o in view.overrides)
        name, retries = ("no", 0) if stopped else (spec.restart.engine_name, spec.restart.engine_retries)
        found += _update(container, name, retries, why)
    return tuple(found)


def left_behind(view: View) -> tuple[UpdateRestartPolicy, ...]:
    """For a removed stack: what was adopted runs on, so the engine must restart it, as its file said."""
    if view.desired is None or view.desired.presence is not Presence.REMOVED:
        return ()
    why = Reason(Why.RELEASED, "its stack was removed; it was not made by stackd and runs on, restarted by the engine")
    found = []
    for container in _mine(view):
        spec = _spec(view, container)
        if spec is not None and not is_wholly_ours(container, view) and container.live:
            found += _update(container, spec.restart.engine_name, spec.restart.engine_retries, why)
    return tuple(found)


def _mine(view: View) -> Iterable[ObservedContainer]:
    seen = view.observed.containers if view.observed is not None else ()
    return (one for one in seen if is_ours(one, view) and one.state not in _GONE)


def _spec(view: View, container: ObservedContainer) -> ServiceSpec | None:
    return view.project.services.get(container.service) if view.project is not None else None


def _stands(override: Override, container: ObservedContainer) -> bool:
    kinds = (OverrideKind.STOPPED, OverrideKind.HELD, OverrideKind.PAUSED)
    return override.kind in kinds and override.service in (None, container.service)


def _kept(policy: RestartPolicy) -> tuple[str, int]:
    match policy.condition:
        case RestartCondition.ALWAYS:
            return "always", 0
        case RestartCondition.ON_FAILURE:
            return "on-failure", policy.max_attempts or 0
        case RestartCondition.NO:
            return "no", 0


def _update(container: ObservedContainer, name: str, retries: int, why: Reason) -> list[UpdateRestartPolicy]:
    if (container.engine_policy or "no") == name:
        return []
    return [UpdateRestartPolicy(container.service, container.id, name, retries, why)]
