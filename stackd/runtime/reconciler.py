"""The loop around one stack: look at what is known, decide, act on the frontier, wait for news.

Law: level-triggered. A lost event, a killed daemon or a repeated turn changes nothing: the next decision is made from
state alone. The loop never waits for a job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stackd.core.decide import decide
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import Health, ObservedContainer
from stackd.model.view import Decision, Now, ServiceState, View
from stackd.runtime.history import History
from stackd.runtime.intents import Intents
from stackd.runtime.jobs import Jobs
from stackd.runtime.journal import Journal
from stackd.runtime.store import Store

_TOLD = (
    ServiceState.HEALTHY, ServiceState.UNHEALTHY, ServiceState.COMPLETED, ServiceState.EXITED, ServiceState.HELD,
    ServiceState.CRASH_LOOPING, ServiceState.BACKING_OFF, ServiceState.BLOCKED, ServiceState.STOPPED,
    ServiceState.PAUSED, ServiceState.WAITING, ServiceState.RUNNING,
)  # fmt: skip


Witness = Callable[[View, Decision], None]
"""Who keeps what a decision shows of the past. Returns at once and never raises."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What the loop works with."""

    store: Store
    jobs: Jobs
    intents: Intents
    journal: Journal
    history: History
    clock: Callable[[], Now]
    witnesses: tuple[Witness, ...] = ()


async def keep(stack: StackName, loop: Loop) -> None:
    """Keep one stack as it is wanted, until nothing of it is left."""
    teller = _Teller(stack, loop.history)
    while (view := loop.store.view(stack)).alive:
        decision = decide(view, loop.clock())
        loop.store.commit(stack, view.version, decision)
        loop.journal.save_ledger(stack, decision.ledger)
        loop.jobs.cancel(stack, view.running - decision.plan.ops)
        loop.jobs.start(stack, decision.plan.frontier())
        teller.tell(view, decision)
        for witness in loop.witnesses:
            witness(view, decision)
        await loop.intents.judge(view, decision)
        await loop.store.changed(stack, view.version, decision.wake_at)


class _Teller:
    """Puts into the history what changed between two decisions: runs that ended, services that fare otherwise."""

    def __init__(self, stack: StackName, history: History) -> None:
        self._stack = stack
        self._history = history
        self._containers: Mapping[ContainerId, ObservedContainer] | None = None
        self._states: dict[ServiceName, tuple[ServiceState, str]] = {}
        self._diagnostics: tuple[object, ...] = ()

    def tell(self, view: View, decision: Decision) -> None:
        """Compare with the last time."""
        if view.observed is None:
            return
        now = {container.id: container for container in view.observed.containers}
        for container in now.values() if self._containers is not None else ():
            before = (self._containers or {}).get(container.id)
            if before is not None:
                self._tell_container(before, container, own=container.id in view.condemned)
        for identity, before in (self._containers or {}).items():
            if identity not in now and before.live:
                self._history.add(self._stack, before.service, "container.gone", f"{before.name} was removed")
        self._containers = now
        self._tell_services(decision)
        self._tell_definition(view)

    def _tell_container(self, before: ObservedContainer, after: ObservedContainer, *, own: bool) -> None:
        if (before.live and after.ended) or (after.ended and before.started_at != after.started_at):
            why = " (stopped by stackd)" if own else ""
            memory = ", out of memory" if after.oom_killed else ""
            self._history.add(
                self._stack, after.service, "container.exited", f"{after.name} exited {after.exit_code}{memory}{why}",
                exit_code=after.exit_code, oom=after.oom_killed, own=own,
            )  # fmt: skip
        if after.running and before.health != after.health and after.health in (Health.HEALTHY, Health.UNHEALTHY):
            text = f"{after.name} is {after.health}"
            self._history.add(self._stack, after.service, "container.health", text, health=after.health.value)

    def _tell_services(self, decision: Decision) -> None:
        for verdict in decision.verdicts:
            now = (verdict.state, verdict.detail if verdict.state is not ServiceState.BACKING_OFF else "")
            quiet = verdict.state is ServiceState.RUNNING and verdict.detail
            if verdict.state in _TOLD and not quiet and self._states.get(verdict.service) != now:
                tail = f": {verdict.detail}" if verdict.detail else ""
                self._history.add(
                    self._stack, verdict.service, "service.state", f"{verdict.service} is {verdict.state}{tail}",
                    state=verdict.state.value,
                )  # fmt: skip
            self._states[verdict.service] = now

    def _tell_definition(self, view: View) -> None:
        diagnostics = view.desired.diagnostics if view.desired else ()
        if diagnostics != self._diagnostics:
            self._diagnostics = diagnostics
            for one in diagnostics:
                self._history.add(self._stack, None, f"definition.{one.severity}", str(one), code=one.code)
