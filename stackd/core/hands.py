"""What another hand did with the engine, as overrides tell it: pure rules for holds that nobody asked stackd for.

A hold made for another hand is neither fought nor forgotten: it stands until the service is started again by any hand,
edited, asked for, or its time is over. What this module does not do: read events (`runtime.intake`), prove that the
engine itself stays, or put anything into force (`runtime.holds`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from stackd.core.ownership import ours
from stackd.model.evidence import Evidence, Verdict
from stackd.model.ids import ServiceName
from stackd.model.observed import ContainerState, ObservedContainer
from stackd.model.override import Override, OverrideKind
from stackd.model.spec import RestartCondition
from stackd.model.view import Now, ServiceVerdict, View

BY_ENGINE = "docker"
"""The `by` of a hold that was read from the engine's events."""
TOGETHER = 20.0
"""Services stopped by another hand this close after one another (seconds) were stopped as one: a grace of 10 s lies
between two of them when `docker compose down` meets a program that ignores its signal."""
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 9: "SIGKILL", 10: "SIGUSR1", 12: "SIGUSR2", 15: "SIGTERM"}


def held_by_hand(override: Override) -> bool:
    """Whether an override came from what somebody did with the engine, so that starting it there releases it."""
    return override.kind is OverrideKind.HELD and override.by == BY_ENGINE


def way_out(stack: str, service: str | None, kind: OverrideKind, *, runs: bool) -> str:
    """The command that ends an override, and what it does; `runs` = something that it covers is alive."""
    scope = f"{stack} {service}" if service is not None else stack
    match kind:
        case OverrideKind.RELEASED:
            return f"`stackd adopt {stack}` has stackd keep it again"
        case OverrideKind.PINNED:
            return f"`stackd up {stack}` puts its files in force"
        case OverrideKind.HELD if runs:
            return f"`stackd resume {scope}` ends that"
        case _:
            return f"`stackd {'up' if service is None else 'start'} {scope}` starts it"


def definition_of(view: View, service: ServiceName | None) -> str:
    """The digest or hash of what an override covers, by which an edit is recognised later."""
    project = view.project
    if project is None:
        return ""
    if service is None:
        return view.desired.project.digest if view.desired and view.desired.project else ""
    spec = project.services.get(service)
    return spec.config_hash if spec is not None else ""


def narrowed(view: View, wide: Override, free: Collection[ServiceName]) -> tuple[Override, ...]:
    """What remains of an override of the whole stack when the services in `free` are released from it."""
    project = view.project
    if project is None:
        return ()
    own = {override.service for override in view.standing}
    left = [name for name in project.services if name not in free and name not in own]
    return tuple(replace(wide, service=name, definition=definition_of(view, name)) for name in left)


def started_since(view: View, override: Override) -> frozenset[ServiceName]:
    """The services of a hold by another hand that run by now though they were started after it: another hand again."""
    if not held_by_hand(override):
        return frozenset()
    return frozenset(
        container.service
        for container in ours(view)
        if override.service in (None, container.service) and container.running and container.started_at > override.at
    )


def taken_down(view: View, now: Now) -> Override | None:
    """The one hold of the whole stack that takes the place of single ones, if all that ran was stopped as one.

    That is: nothing of the stack lives, no stop is being explained, and the newest of the single holds were made
    together: two services or more, or one of which nothing is left (`docker compose down`).
    """
    project, single = view.project, sorted(filter(held_by_hand, view.overrides), key=lambda one: one.at)
    if project is None or not single or any(one.service is None for one in view.standing):
        return None
    if any(one.verdict is Verdict.PENDING and not one.removal for one in view.evidence.values()):
        return None
    mine = ours(view)
    if any(container.live for container in mine) or now.wall - single[-1].at > TOGETHER:
        return None
    cluster = [single[-1]]
    for one in reversed(single[:-1]):
        if cluster[-1].at - one.at <= TOGETHER:
            cluster.append(one)
    if len(cluster) < 2 and mine:
        return None
    what = "stopped and removed by another hand, as `docker compose down` does"
    what = what if not mine else "stopped by another hand, as `docker compose stop` does"
    last, definition = single[-1], definition_of(view, None)
    return Override(
        view.stack, None, OverrideKind.HELD, f"all of it was {what}", BY_ENGINE, last.at, last.until, definition
    )


def how_it_was_stopped(evidence: Evidence, now: Now, *, removed: bool) -> str:
    """What was seen of another hand's stop or removal: the command that does such, the signal, the instant."""
    at = instant(now.wall - (now.mono - (evidence.stop_at or now.mono)))
    sent = _SIGNALS.get(evidence.signal or 0, f"signal {evidence.signal}") if evidence.signal is not None else ""
    told = f" ({sent}, {at})" if sent else f" ({at})"
    if evidence.removal:
        command = "docker rm -f" if evidence.kill_at is not None else "docker rm"
        return f"removed by another hand, as `{command}` does{told}"
    text = "stopped and removed" if removed else "stopped"
    return f"{text} by another hand, as `docker stop` does{told}"


def how_it_was_paused(view: View, container: ObservedContainer) -> str:
    """Who paused a container and when, as far as that is known: stackd itself never does."""
    evidence = view.evidence.get(container.id)
    known = evidence is not None and evidence.paused_at is not None
    when = f" ({instant(evidence.paused_at or 0.0)})" if evidence is not None and known else ""
    if container.lost:
        return (
            f"paused by another hand{when}, and its process is dead: unpause it, and {_after_its_end(view, container)}"
        )
    return f"paused by another hand{when}; held until it is unpaused"


def _after_its_end(view: View, container: ObservedContainer) -> str:
    """What follows when the end of a process that was killed comes to light (its exit code is 137)."""
    spec = view.project.services.get(container.service) if view.project is not None else None
    again = spec is not None and spec.restart.condition is not RestartCondition.NO
    return "it is started again" if again else "its end is seen"


def why_it_stays_paused(view: View, verdict: ServiceVerdict) -> str:
    """What a request for a paused service is told: another hand's pause is not stackd's to end, and who ends it how."""
    paused = (one for one in ours(view) if one.service == verdict.service and one.state is ContainerState.PAUSED)
    names = " ".join(one.name for one in paused)
    return f"{verdict.service}: {verdict.detail}; to go on: docker unpause {names}"


def instant(wall: float) -> str:
    """A wall-clock instant as RFC 3339 in UTC, to the second."""
    made: Any = datetime.fromtimestamp(wall, UTC)
    return f"{made:%Y-%m-%dT%H:%M:%SZ}"
