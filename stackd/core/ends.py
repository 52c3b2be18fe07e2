"""How a run ended, and what is remembered of it.

A container that runs no more was stopped by us, by another hand, with the engine, by its own success, or it crashed.
The engine's state and our own record (`condemned`) decide; events may only make us wait or name another hand.
Lacking evidence it is a crash: availability wins.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from stackd.core.backoff import is_crash_looping
from stackd.core.desired import Target, Want
from stackd.core.hands import BY_ENGINE
from stackd.core.sharing import killed_with
from stackd.core.slots import Slots
from stackd.model.evidence import Evidence, Verdict
from stackd.model.ids import ServiceName
from stackd.model.observed import Health, Incarnation, ObservedContainer
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import Why
from stackd.model.spec import RestartCondition, RestartPolicy, ServiceSpec, UnhealthyAction
from stackd.model.view import Death, Ledger, Now, ServiceLedger, View

KILL_WAIT = 3.0
"""After a `kill`, how long a `stop` may still come (behaviour.md 1: 20.10 sends it up to 0.2 s after the death)."""
DEATH_WAIT = 2.0
"""After a `die` that follows a `kill`, how long a `stop` may still come (0.2 s was seen; ten times that
on a machine that is busy: a restart after `docker kill` can wait, a stop taken for a crash cannot be taken back)."""
TOLD_WAIT = 0.5
"""How long the events of an end may come after a list that shows it (seconds)."""
PROOF_WAIT = 6.0
"""How long a stop may stay unattributed before it counts as a crash."""
KILLED_WITHIN = 15.0
"""A death this soon after a signal is that signal's doing (the engine's own grace is 10 s)."""
OUTAGE_SLACK = 30.0
"""How long before the break of contact a run may have been ended by an engine that was shutting down."""
STOPPED_BEFORE = 30.0
"""How long before a hold was made the stop that it was made for may have ended the run (seconds)."""
KEPT_DEATHS = 20
_STILL = (OverrideKind.STOPPED, OverrideKind.HELD, OverrideKind.PAUSED, OverrideKind.RELEASED)


class End(enum.StrEnum):
    """Why a run is over. HELD: another hand had stopped it, and no hold stands any more: no failure, and another run
    is due. WAIT: an event may still tell; ask again at `until`."""

    OWN = "own"
    HELD = "held"
    WAIT = "wait"
    ENGINE = "engine"
    COMPLETED = "completed"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Ended:
    """How one run ended; `until` (monotonic) only for WAIT; `restart` = OWN, and another run was meant to follow."""

    end: End
    detail: str
    until: float | None = None
    restart: bool = False


def pending_stop(evidence: Evidence, now: Now) -> float | None:
    """Until when a stop by another hand may yet be proven (monotonic), None when nothing is pending any more."""
    if evidence.verdict is Verdict.FOREIGN_STOP:
        return now.mono + PROOF_WAIT
    if evidence.verdict is Verdict.RESTARTED:
        until = max(evidence.kill_at or 0.0, evidence.stop_at or 0.0, evidence.died_at or 0.0) + PROOF_WAIT
        until = max(until, (evidence.begun_at or 0.0) + TOLD_WAIT)
        return until if until > now.mono else None
    if evidence.verdict is Verdict.PENDING and evidence.stop_at is not None:
        until = evidence.stop_at + PROOF_WAIT
        return until if until > now.mono else None
    return None


def awaited_stop(evidence: Evidence, now: Now) -> float | None:
    """Until when a stop may still be told of: of a `kill`, or of an end that no event has told of yet (monotonic).
    None when there is nothing to wait for."""
    pending = pending_stop(evidence, now)
    if pending is not None or evidence.stop_at is not None:
        return pending
    if evidence.verdict is Verdict.OWN:
        return None
    if evidence.kill_at is None:
        return _untold(evidence, now) if evidence.died_at is None else None
    dead = evidence.died_at is not None and evidence.died_at >= evidence.kill_at  # however long its grace was
    until = (evidence.died_at or 0.0) + DEATH_WAIT if dead else evidence.kill_at + KILL_WAIT
    return until if until > now.mono else None


def awaited_removal(evidence: Evidence, now: Now) -> float | None:
    """Until when it may still be told who removed a container that no list shows any more (monotonic), else None."""
    return _untold(evidence, now) if evidence.verdict is not Verdict.OWN else None


def _untold(evidence: Evidence, now: Now) -> float | None:
    """Until when the events may still come of an end that a list has shown already (monotonic), else None."""
    if evidence.over_at is None or evidence.over_at + TOLD_WAIT <= now.mono:
        return None
    return evidence.over_at + TOLD_WAIT


def ended(view: View, container: ObservedContainer, policy: RestartPolicy, now: Now) -> Ended:
    """How the last run of a container that runs no more came to its end."""
    condemned = view.condemned.get(container.id)
    if condemned is not None and condemned.started_at == container.started_at:
        return Ended(End.OWN, condemned.reason, restart=condemned.restart)
    parent = killed_with(container, view.observed)
    if parent is not None:
        return Ended(End.OWN, f"it was killed with {parent.service}, whose pid namespace it shares", restart=True)
    known = view.ledger.services.get(container.service, ServiceLedger())
    if container.incarnation in known.completed:
        return Ended(End.COMPLETED, _exit_text(container))
    if any(death.run == container.incarnation for death in known.deaths):
        return Ended(End.CRASHED, _exit_text(container))
    evidence = view.evidence.get(container.id)
    if evidence is not None and evidence.started_at in (0.0, container.started_at) and view.host.on_external_stop_hold:
        until = awaited_stop(evidence, now)
        if until is not None:
            return Ended(End.WAIT, "it was stopped or killed; finding out by whom", until)
        if evidence.verdict is Verdict.RELEASED or (evidence.verdict is Verdict.RESTARTED and evidence.stop_at):
            return Ended(End.HELD, "it was stopped by another hand, and is held no longer")
    if with_engine(view, container, now):
        return Ended(End.ENGINE, "it ended when the engine stopped")
    if evidence is not None and _killed(evidence, container):
        return Ended(End.CRASHED, f"killed by another hand, {_exit_text(container)}")
    if is_success(policy, container.exit_code):
        return Ended(End.COMPLETED, _exit_text(container))
    return Ended(End.CRASHED, _exit_text(container))


def leaves_alone(override: Override) -> bool:
    """Whether what an override covers is neither started nor judged while it stands."""
    return override.kind in _STILL


def stopped_by(container: ObservedContainer, holds: Iterable[Override]) -> bool:
    """Whether a run ended by the stop that one of these holds by another hand was made for, as their instants tell:
    what events told of it is forgotten with the daemon. (An exit 0 is no failure anyway.)"""
    return container.exit_code != 0 and any(
        one.service in (None, container.service) and one.by == BY_ENGINE
        and one.at - STOPPED_BEFORE <= container.finished_at <= one.at
        for one in holds
    )  # fmt: skip


def is_success(policy: RestartPolicy, code: int) -> bool:
    """Whether an exit with this code completes a service, so that no start follows."""
    if code in policy.force_restart_exit_codes or policy.condition is RestartCondition.ALWAYS:
        return code in policy.no_restart_exit_codes and (code == 0 or code in policy.success_exit_codes)
    return code == 0 or code in policy.success_exit_codes


def is_answered(policy: RestartPolicy, how: Ended, code: int) -> bool:
    """Whether the policy answers this end by a start at all, attempts and delays apart.

    The code counts only where the process chose it: what ended with the engine says nothing by its code.
    """
    if how.end is End.CRASHED:
        if code in policy.no_restart_exit_codes:
            return False
        if code in policy.force_restart_exit_codes:
            return True
    return policy.condition is not RestartCondition.NO


def _killed(evidence: Evidence, container: ObservedContainer) -> bool:
    """Whether a stop or a signal from outside ended this run: exit 0 is then no success of its own."""
    if evidence.verdict in (Verdict.OWN, Verdict.RESTARTED) or evidence.started_at not in (0.0, container.started_at):
        return False
    if evidence.stop_at is not None:
        return True
    kill, died = evidence.kill_at, evidence.died_at
    return kill is not None and (died is None or died - kill <= KILLED_WITHIN)


def with_engine(view: View, container: ObservedContainer, now: Now) -> bool:
    """Whether the engine stopped or restarted since this run began, so that the exit code says nothing about it.

    An engine that was only out of touch explains what ended by the time that it was back, and nothing later.
    """
    host = view.host
    if host.engine_started_at > container.started_at > 0:
        return True
    back = now.wall - (now.mono - host.contact_at)
    if host.engine_up and back > host.engine_lost_at and container.finished_at > back:
        return False
    return 0 < container.started_at < host.engine_lost_at <= container.finished_at + OUTAGE_SLACK


def _exit_text(container: ObservedContainer) -> str:
    if container.oom_killed and container.exit_code == 137:
        return "exited 137, out of memory"
    return f"exited {container.exit_code}"


def remember(view: View, targets: Iterable[Target], slots: Slots, now: Now) -> Ledger:
    """The ledger after what this view shows: new deaths, completions, stability, forgiveness. Idempotent."""
    services = dict(view.ledger.services)
    for target in targets:
        if target.spec is None:
            continue
        known = _forgive(view, target.spec, services.get(target.service, ServiceLedger()))
        currents = [slot.current for slot in slots.get(target.service, ()) if slot.current is not None]
        ledger = _steady(currents, target, known, now)
        if _recovered_since(ledger, target.spec, services, slots):
            ledger = _cleared(ledger)
        for container in currents:
            ledger = _note(view, target, container, ledger, now)
        services[target.service] = ledger
    return Ledger({name: ledger for name, ledger in services.items() if ledger != ServiceLedger()})


def _forgive(view: View, spec: ServiceSpec, ledger: ServiceLedger) -> ServiceLedger:
    """Another definition, image or engine, or a request by a person, clears the curve; completed runs stay so."""
    image = view.observed.images.get(spec.image) if view.observed is not None else None
    digest = image.id if image is not None else ledger.image
    if ledger.fingerprint != spec.config_hash:
        ledger = ServiceLedger(fingerprint=spec.config_hash, completed=ledger.completed, forgiven=ledger.forgiven)
    elif ledger.image and ledger.image != digest:
        ledger = _cleared(ledger)
    ledger = replace(ledger, image=digest)
    newest = max((r.id for r in view.requests if not r.services or spec.name in r.services), default="")
    if newest > ledger.forgiven:
        ledger = replace(_cleared(ledger), forgiven=newest)
    return _since_engine_start(ledger, view.host.engine_started_at)


def _since_engine_start(ledger: ServiceLedger, began: float) -> ServiceLedger:
    """Without what happened to runs of an engine before this one (`began`: wall clock, by the engine, like theirs)."""
    deaths = tuple(death for death in ledger.deaths if death.run.started_at >= began)
    restarts = tuple((run, at) for run, at in ledger.health_restarts if run.started_at >= began)
    attempts = ledger.attempts if len(deaths) == len(ledger.deaths) else len(deaths)
    return replace(ledger, deaths=deaths, attempts=attempts, health_restarts=restarts)


def _cleared(ledger: ServiceLedger) -> ServiceLedger:
    return replace(ledger, deaths=(), attempts=0, health_restarts=())


def _recovered_since(
    ledger: ServiceLedger, spec: ServiceSpec, services: Mapping[ServiceName, ServiceLedger], slots: Slots
) -> bool:
    """Whether a dependency has become healthy since the last failure: that failure was perhaps its doing.

    (A service feels a sick database before the database's own check does: when it fell ill is not asked.)
    """
    if not ledger.deaths:
        return False
    for dependency in spec.depends_on:
        currents = [slot.current for slot in slots.get(dependency.service, ()) if slot.current is not None]
        known = services.get(dependency.service, ServiceLedger())
        healthy = bool(currents) and all(c.running and c.health is Health.HEALTHY for c in currents)
        if healthy and known.stable is not None and ledger.deaths[-1].seen_at < known.stable_since:
            return True
    return False


def _steady(currents: list[ObservedContainer], target: Target, ledger: ServiceLedger, now: Now) -> ServiceLedger:
    """Since when all replicas are well, by the one that began last; and since when one of them is ill."""
    assert target.spec is not None
    policy = target.spec.restart
    ill = [c.incarnation for c in currents if c.running and _health(c, policy) is Health.UNHEALTHY]
    sick = ledger.sick if ledger.sick in ill else (ill[0] if ill else None)
    since = (ledger.sick_since if sick == ledger.sick else now.mono) if sick is not None else 0.0
    ledger = replace(ledger, sick=sick, sick_since=since)
    well = [c for c in currents if c.running and _health(c, policy) in (Health.NONE, Health.HEALTHY)]
    if not well or len(well) < len(currents):
        return replace(ledger, stable=None, stable_since=0.0)
    run = max((c.incarnation for c in well), key=lambda one: (one.started_at, one.container))
    ledger = replace(ledger, stable=run, stable_since=ledger.stable_since if ledger.stable == run else now.mono)
    return _cleared(ledger) if now.mono - ledger.stable_since >= policy.reset_after else ledger


def _health(container: ObservedContainer, policy: RestartPolicy) -> Health:
    """The health that counts: none, where the policy says so."""
    return Health.NONE if policy.unhealthy is UnhealthyAction.NONE else container.health


def _note(view: View, target: Target, container: ObservedContainer, ledger: ServiceLedger, now: Now) -> ServiceLedger:
    assert target.spec is not None
    if not container.ended or target.want is not Want.RUN:
        return ledger
    run = container.incarnation
    condemned = view.condemned.get(container.id)
    if condemned is not None and condemned.started_at == run.started_at and condemned.why is Why.UNHEALTHY:
        return _note_health_restart(ledger, run, target.spec.restart, now)
    if run in ledger.completed or any(death.run == run for death in ledger.deaths):
        return ledger
    if not view.host.engine_up:
        return ledger  # whatever ended now may have ended with the engine
    policy = target.spec.restart
    how = ended(replace(view, ledger=Ledger({target.service: ledger})), container, policy, now)
    if how.end is End.COMPLETED:
        others = frozenset(old for old in ledger.completed if old.container != run.container)
        return replace(ledger, completed=others | {run})
    if how.end is not End.CRASHED or not is_answered(policy, how, container.exit_code):
        return ledger
    death = Death(run, now.mono, container.exit_code, container.oom_killed, how.detail)
    ledger = replace(ledger, deaths=(*ledger.deaths, death), attempts=ledger.attempts + 1)
    return _trimmed(ledger, policy)


def _trimmed(ledger: ServiceLedger, policy: RestartPolicy) -> ServiceLedger:
    """Without the oldest death when there are too many; those that prove a crash loop stay, for it is sticky."""
    span, rest = policy.crashloop_after, replace(ledger, deaths=ledger.deaths[1:])
    if len(ledger.deaths) <= max(KEPT_DEATHS, span):
        return ledger
    if is_crash_looping(ledger, policy) and not is_crash_looping(rest, policy):
        return replace(ledger, deaths=(*ledger.deaths[:span], *ledger.deaths[span + 1 :]))
    return rest


def _note_health_restart(ledger: ServiceLedger, run: Incarnation, policy: RestartPolicy, now: Now) -> ServiceLedger:
    if any(known == run for known, _ in ledger.health_restarts):
        return ledger
    kept = max(KEPT_DEATHS, policy.unhealthy_limit)
    return replace(ledger, health_restarts=(*ledger.health_restarts, (run, now.mono))[-kept:])


def stable_wake(ledger: ServiceLedger, policy: RestartPolicy, now: Now) -> float | None:
    """When the past is forgotten, if there is one and the present run lasts; monotonic."""
    if not (ledger.deaths or ledger.health_restarts) or ledger.stable is None:
        return None
    due = ledger.stable_since + policy.reset_after
    return due if due > now.mono else None
