"""Tells into the history what changed between two decisions, each entry with its cause.

Law: an end is told once its cause is known (events may still be on their way), at the latest when the container runs
again or is gone. What this module does not do: find causes (`core.ends`), or tell what our own calls did (`jobs`).
"""

from __future__ import annotations

from collections.abc import Mapping

from stackd.core.ends import End, ended, with_engine
from stackd.core.hands import held_by_hand
from stackd.core.status import file_diagnostics
from stackd.errors import Diagnostic
from stackd.model.evidence import Evidence, Verdict
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import ContainerState, Health, ObservedContainer
from stackd.model.plan import RemoveContainer, StartContainer
from stackd.model.spec import RestartPolicy
from stackd.model.view import EDIT_NOT_TAKEN, Decision, Now, ServiceLedger, ServiceState, ServiceVerdict, View
from stackd.runtime.history import History

_TOLD = (
    ServiceState.HEALTHY, ServiceState.UNHEALTHY, ServiceState.COMPLETED, ServiceState.EXITED, ServiceState.HELD,
    ServiceState.BACKING_OFF, ServiceState.BLOCKED, ServiceState.STOPPED, ServiceState.PAUSED, ServiceState.WAITING,
    ServiceState.RUNNING, ServiceState.STUCK,
)  # fmt: skip
"""States that have a `service.state` entry. A crash loop has one of its own, when it begins, and one for each crash."""
_ALL = 10_000
_UNCLEAR = (ContainerState.REMOVING, ContainerState.UNKNOWN)
"""States that say nothing of how a run fares: what was known before them stays known."""
_COUNTING = (ServiceState.BACKING_OFF, ServiceState.STUCK)
"""States whose detail changes with each try: told once."""
_LASTING = (EDIT_NOT_TAKEN, "feedback-loop")
"""Diagnostics of a file that changes all the time: recorded once while they last, not at each change."""
_TROUBLED = (ServiceState.CRASH_LOOPING, ServiceState.UNHEALTHY, ServiceState.HELD)
_WELL = (ServiceState.RUNNING, ServiceState.HEALTHY)
_WORDS = {"own": " (stopped by stackd)", "foreign": " (by another hand)", "engine": " (with the engine)"}


class Teller:
    """The memory of one stack's last decision, and of the ends whose cause is not known yet."""

    def __init__(self, stack: StackName, history: History) -> None:
        self._stack = stack
        self._history = history
        self._containers: Mapping[ContainerId, ObservedContainer] | None = None
        self._evidence: Mapping[ContainerId, Evidence] = {}
        self._over: dict[ContainerId, ObservedContainer] = {}
        self._states: dict[ServiceName, tuple[ServiceState, str]] = {}
        self._troubles: dict[ServiceName, ServiceState] = {}
        self._removing: set[ContainerId] = set()
        self._starting: set[ContainerId] = set()
        self._diagnostics: tuple[object, ...] = ()

    def tell(self, view: View, decision: Decision, now: Now) -> None:
        """Compare with the last time."""
        self._tell_definition(view)  # what is found in a file needs no engine
        if view.observed is None:
            return
        if self._containers is None:
            self._recall(view)
        there = {container.id: container for container in view.observed.containers}
        for container in there.values() if self._containers is not None else ():
            before = (self._containers or {}).get(container.id)
            if before is not None:
                self._tell_container(view, before, container)
        self._tell_ends(view, there, now)
        for identity, before in (self._containers or {}).items():
            if identity not in there and identity not in self._removing:
                self._history.add(
                    self._stack, before.service, "container.gone", f"{before.name} was removed by another hand",
                    cause="foreign", container=identity, started_at=before.started_at,
                )  # fmt: skip
        ops = [step.op for step in decision.plan.steps]
        self._removing &= there.keys()
        self._removing |= {op.container for op in ops if isinstance(op, RemoveContainer)}
        known = self._containers or {}
        self._containers = {one: known.get(one, box) if box.state in _UNCLEAR else box for one, box in there.items()}
        self._evidence = view.evidence
        self._starting -= {one for one, box in there.items() if box.live}
        self._starting |= {op.container for op in decision.plan.frontier() if isinstance(op, StartContainer)}
        for verdict in decision.verdicts:
            self._tell_service(view, decision, verdict)

    def _recall(self, view: View) -> None:
        """The crash loops that last still and that an earlier life has told: neither is one told again, nor its end
        forgotten."""
        known = {name for name, one in view.ledger.services.items() if one.deaths or one.health_restarts}
        for entry in self._history.newest(self._stack, _ALL) if known else ():
            if entry.service is not None and entry.service in known:
                if entry.type == "service.crash_looping":
                    self._troubles[entry.service] = ServiceState.CRASH_LOOPING
                elif entry.type == "service.recovered":
                    self._troubles.pop(entry.service, None)

    def _tell_container(self, view: View, before: ObservedContainer, after: ObservedContainer) -> None:
        if (before.live and after.ended) or (after.ended and before.started_at != after.started_at):
            self._over[after.id] = after
        evidence = view.evidence.get(after.id)
        restarted = evidence is not None and evidence.verdict is Verdict.RESTARTED and evidence.stop_at is not None
        if before.live and after.live and before.started_at != after.started_at and restarted:
            self._tell_restart(after, "was restarted by another hand, as `docker restart` does")
        paused = (before.state is ContainerState.PAUSED, after.state is ContainerState.PAUSED)
        if paused[0] != paused[1]:
            word = "paused" if paused[1] else "unpaused"
            self._history.add(
                self._stack, after.service, f"container.{word}", f"{after.name} was {word} by another hand",
                cause="foreign", container=after.id,
            )  # fmt: skip
        if after.running and before.health != after.health and after.health in (Health.HEALTHY, Health.UNHEALTHY):
            text = f"{after.name} is {after.health}"
            self._history.add(
                self._stack, after.service, "container.health", text, health=after.health.value, container=after.id
            )

    def _tell_ends(self, view: View, there: Mapping[ContainerId, ObservedContainer], now: Now) -> None:
        for identity, container in list(self._over.items()):
            last = there.get(identity)
            evidence = view.evidence.get(identity, self._evidence.get(identity))
            cause, detail = _cause(view, container, evidence, now)
            if cause == "" and last is not None and last.started_at == container.started_at:
                continue  # an event may still tell
            del self._over[identity]
            overtaken = not cause and evidence is not None and _signalled(evidence)
            if overtaken:
                cause, detail = "engine" if with_engine(view, container, now) else "foreign", ""
            memory = ", out of memory" if container.oom_killed else ""
            text = f"{container.name} exited {container.exit_code}{memory}{_WORDS.get(cause, '')}"
            self._history.add(
                self._stack, container.service, "container.exited", text,
                exit_code=container.exit_code, oom=container.oom_killed, own=cause == "own", cause=cause or "foreign",
                detail=detail, container=identity, started_at=container.started_at,
            )  # fmt: skip
            theirs = overtaken and cause == "foreign" and identity not in self._starting
            if theirs and evidence is not None and last is not None and last.live:
                stopped = evidence.stop_at is not None
                words = "restarted by another hand, as `docker restart` does" if stopped else "started by another hand"
                self._tell_restart(last, f"was {words}")

    def _tell_restart(self, container: ObservedContainer, words: str) -> None:
        self._history.add(
            self._stack, container.service, "container.restarted", f"{container.name} {words}",
            cause="foreign", container=container.id, started_at=container.started_at,
        )  # fmt: skip

    def _tell_service(self, view: View, decision: Decision, verdict: ServiceVerdict) -> None:
        now = (verdict.state, verdict.detail if verdict.state not in _COUNTING else "")
        quiet = verdict.state is ServiceState.RUNNING and verdict.detail
        if verdict.state in _TOLD and not quiet and self._states.get(verdict.service) != now:
            tail = f": {verdict.detail}" if verdict.detail else ""
            self._add(verdict, "service.state", f"{verdict.service} is {verdict.state}{tail}", attempt=verdict.attempt)
        self._states[verdict.service] = now
        trouble = self._troubles.get(verdict.service)
        if verdict.state in _TROUBLED:
            self._troubles[verdict.service] = verdict.state
            if verdict.state is ServiceState.CRASH_LOOPING and trouble is not ServiceState.CRASH_LOOPING:
                count = decision.ledger.services.get(verdict.service, ServiceLedger()).attempts
                text = f"{verdict.service} is crash looping: {count} failures, the last: {verdict.detail}"
                self._add(verdict, "service.crash_looping", text, attempt=count)
        elif trouble is not None and verdict.state in _WELL and _is_well(decision, verdict, trouble):
            del self._troubles[verdict.service]
            text = f"{verdict.service} has recovered: it was {trouble} and is {verdict.state}"
            self._add(verdict, "service.recovered", text, was=trouble.value)

    def _add(self, verdict: ServiceVerdict, type: str, text: str, **data: str | int) -> None:
        self._history.add(
            self._stack, verdict.service, type, text, state=verdict.state.value, detail=verdict.detail, **data
        )

    def _tell_definition(self, view: View) -> None:
        diagnostics = file_diagnostics(view)
        known = tuple(map(_known_by, diagnostics))
        if known != self._diagnostics:
            before, self._diagnostics = self._diagnostics, known
            for one in diagnostics:
                if one.code in _LASTING and _known_by(one) in before:
                    continue
                text, kind = str(one), f"definition.{one.severity}"
                self._history.add(self._stack, None, kind, text, code=one.code, span=str(one.span))


def _known_by(one: Diagnostic) -> object:
    """By what a diagnostic is known as the one recorded before: one whose text changes while it lasts by its code."""
    return one.code if one.code in _LASTING else one


def _is_well(decision: Decision, verdict: ServiceVerdict, trouble: ServiceState) -> bool:
    """A crash loop is over when its failures are forgotten: running for a while between two crashes is none."""
    ledger = decision.ledger.services.get(verdict.service, ServiceLedger())
    return trouble is not ServiceState.CRASH_LOOPING or not ledger.deaths


def _cause(view: View, container: ObservedContainer, evidence: Evidence | None, now: Now) -> tuple[str, str]:
    """Who or what ended a run, in one word and in words; "" = not known yet."""
    held = next((o for o in view.overrides if o.service in (container.service, None) and held_by_hand(o)), None)
    if held is not None:
        return "foreign", held.reason
    spec = view.project.services.get(container.service) if view.project else None
    how = ended(view, container, spec.restart if spec is not None else RestartPolicy(), now)
    match how.end:
        case End.WAIT:
            return "", how.detail
        case End.CRASHED if evidence is not None and evidence.verdict is not Verdict.OWN and _signalled(evidence):
            return "foreign", how.detail
        case End.CRASHED:
            return "crash", how.detail
        case End.HELD:
            return "foreign", how.detail
        case End.OWN | End.ENGINE | End.COMPLETED:
            return how.end.value, how.detail


def _signalled(evidence: Evidence) -> bool:
    return evidence.stop_at is not None or (
        evidence.kill_at is not None and evidence.died_at is not None and evidence.died_at - evidence.kill_at < 15
    )
