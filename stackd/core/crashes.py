"""Which of the runs that are over ended badly: by a crash, for want of memory, or by a restart for bad health.

Law: a level: the same view tells the same runs for as long as their containers are seen ended; who keeps them knows
which ones are new. The ledger and the condemned decide, as for restarts. What this module does NOT do: collect.
"""

from __future__ import annotations

from dataclasses import dataclass

from stackd.core.ends import End, ended, leaves_alone
from stackd.core.ownership import ours
from stackd.model.observed import ObservedContainer
from stackd.model.plan import Why
from stackd.model.spec import RestartPolicy
from stackd.model.view import Ledger, Now, ServiceLedger, View

_OOM_EXIT = 137
_SIGNALS = range(129, 129 + 64)


@dataclass(frozen=True, slots=True)
class BadEnd:
    """A run that ended badly, as its container was seen, and how its end was judged, in one line."""

    container: ObservedContainer
    cause: str
    signal: int | None
    oom: bool


def bad_ends(view: View, ledger: Ledger, now: Now) -> tuple[BadEnd, ...]:
    """All that are seen now. `ledger` is the one that the decision about this view has made."""
    found = []
    for container in ours(view):
        if container.ended and container.started_at > 0:
            cause = _cause(view, ledger, container, now)
            if cause:
                found.append(BadEnd(container, cause, _signal(view, container), _oom(view, container)))
    return tuple(found)


def _cause(view: View, ledger: Ledger, container: ObservedContainer, now: Now) -> str:
    """Why it ended badly, "" = it did not, or that is not known yet."""
    run = container.incarnation
    condemned = view.condemned.get(container.id)
    if condemned is not None and condemned.started_at == run.started_at:
        return condemned.reason if condemned.why is Why.UNHEALTHY else ""
    known = ledger.services.get(container.service, ServiceLedger())
    death = next((death for death in known.deaths if death.run == run), None)
    if death is not None:
        return death.detail
    if not view.host.engine_up or _left_alone(view, container):
        return ""  # Whatever ended now may have ended with the engine, or by the hand that the override tells of.
    spec = view.project.services.get(container.service) if view.project is not None else None
    how = ended(view, container, spec.restart if spec is not None else RestartPolicy(), now)
    return how.detail if how.end is End.CRASHED else ""


def _left_alone(view: View, container: ObservedContainer) -> bool:
    return any(one.service in (None, container.service) and leaves_alone(one) for one in view.overrides)


def _signal(view: View, container: ObservedContainer) -> int | None:
    """The signal that ended it, as an event or the exit code tells it."""
    evidence = view.evidence.get(container.id)
    if evidence is not None and evidence.signal and evidence.started_at in (0.0, container.started_at):
        return evidence.signal
    return container.exit_code - 128 if container.exit_code in _SIGNALS else None


def _oom(view: View, container: ObservedContainer) -> bool:
    """Only the main process's end counts: a child may run out of memory and its parent live on (behaviour.md)."""
    evidence = view.evidence.get(container.id)
    told = container.oom_killed or (evidence is not None and evidence.oom)
    return told and container.exit_code == _OOM_EXIT
