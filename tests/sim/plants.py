"""Bugs to plant into the runtime and the decision, each one that a loop like this invites: simulation must find them.

A plant replaces one function for the time of a `with`; nothing else knows of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest.mock import patch
from weakref import WeakKeyDictionary

from stackd.core import cascade, desired, ends, follow, ownership, slots, steps
from stackd.core.decide import decide
from stackd.engine.base import Engine
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import EngineEvent, Evidence, Verdict
from stackd.model.ids import StackName
from stackd.model.observed import ContainerRow, ContainerState, Incarnation, ObservedContainer, ObservedStack
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import Op, StopContainer
from stackd.model.spec import Project
from stackd.model.view import Decision, Now, ServiceLedger, View
from stackd.runtime import host, observer, stacks
from stackd.runtime.history import History
from stackd.runtime.holds import Holds
from stackd.runtime.intake import Intake
from stackd.runtime.journal import Journal
from stackd.runtime.observer import Observer
from stackd.runtime.past import Revive
from stackd.runtime.reconciler import Loop
from stackd.runtime.store import Store
from tests.sim import daemon
from tests.sim.memory import MemoryJournal


@contextmanager
def round_as_a_barrier() -> Iterator[None]:
    """The loop waits for all jobs of a round before it decides again: a hung call of one service delays all."""

    async def keep(stack: StackName, loop: Loop) -> None:
        while (view := loop.store.view(stack)).alive:
            decision = decide(view, loop.clock())
            loop.store.commit(stack, view.version, decision)
            loop.jobs.start(stack, decision.plan.frontier())
            await loop.intents.judge(view, decision)
            while loop.store.view(stack).running:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await loop.store.changed(stack, view.version, decision.wake_at)

    with patch.object(stacks, "keep", keep):
        yield


@contextmanager
def commit_bumps_the_version() -> Iterator[None]:
    """A decision counts as an input: the loop wakes itself for ever."""
    commit = Store.commit

    def bumping(self: Store, stack: StackName, version: int, decision: Decision) -> None:
        commit(self, stack, version, decision)
        self.wake(stack)

    with patch.object(Store, "commit", bumping):
        yield


@contextmanager
def partial_observations() -> Iterator[None]:
    """A container whose inspect fails is left out, and what is left passes for the whole."""

    async def container(self: Observer, row: ContainerRow, *_: object, **how: object) -> ObservedContainer | None:
        engine: Engine = self._engine
        try:
            return await engine.inspect_container(row.id)
        except EngineError:
            return None

    with patch.object(observer.Observer, "_container", container):
        yield


@contextmanager
def own_stop_taken_for_a_humans() -> Iterator[None]:
    """The intake does not ask whether it was us."""
    stopped = Intake._stopped

    def foreign(self: Intake, event: EngineEvent, evidence: Evidence) -> None:
        cell = self._in.store._cell(event.stack)
        condemned, cell.condemned = cell.condemned, {}
        try:
            stopped(self, event, replace(evidence, verdict=Verdict.UNPROVEN))
        finally:
            cell.condemned = condemned

    with patch.object(Intake, "_stopped", foreign):
        yield


def _seen_empty(view: View) -> View:
    now = asyncio.get_running_loop().time()
    return replace(view, observed=ObservedStack(view.stack, sent_at=now))


@contextmanager
def not_seen_taken_for_empty() -> Iterator[None]:
    """A stack that was not yet looked at passes for one without containers and networks."""
    look = Store.view

    def view(self: Store, stack: StackName) -> View:
        found = look(self, stack)
        return _seen_empty(found) if found.observed is None else found

    with patch.object(Store, "view", view):
        yield


@contextmanager
def dependencies_are_ignored() -> Iterator[None]:
    """A start waits for nothing."""
    with patch.object(steps, "dependency_gate", lambda world, spec, container=None: ()):
        yield


@contextmanager
def everything_is_ours() -> Iterator[None]:
    """Whatever bears the project's name is taken for our own."""
    with patch.object(ownership, "is_ours", lambda container, view: True):
        yield


@contextmanager
def holds_are_forgotten() -> Iterator[None]:
    """No override stands."""
    with patch.object(desired, "_standing", lambda view, now: ((), ())):
        yield


@contextmanager
def the_new_one_does_not_wait_for_the_old() -> Iterator[None]:
    """A replacement starts while the container that it replaces still stops."""
    with patch.object(steps, "_others_live", lambda slot: False):
        yield


@contextmanager
def only_events_are_believed() -> Iterator[None]:
    """No resync: what an event was lost about is never seen."""

    async def never(self: Intake) -> None:
        await asyncio.Event().wait()

    with patch.object(Intake, "_resync_often", never):
        yield


@contextmanager
def sick_ones_are_left_alone() -> Iterator[None]:
    """Nothing is restarted for its health."""
    with patch.object(steps, "_heal", lambda world, spec, container: None):
        yield


@contextmanager
def no_back_off() -> Iterator[None]:
    """What died is started again at once, however often."""
    with patch.object(steps, "_due", lambda world, spec: 0.0):
        yield


@contextmanager
def finished_jobs_run_again() -> Iterator[None]:
    """A job that has done its work counts as one that does not run."""
    with patch.object(steps, "_is_at_rest", lambda world, spec, container: False):
        yield


@contextmanager
def intent_of_a_stop_is_not_kept() -> Iterator[None]:
    """Which container is being stopped stands in memory alone: a life later it was a crash, or a person."""
    with patch.object(MemoryJournal, "save_condemned", lambda self, stack, condemned: None):
        yield


@contextmanager
def half_a_file_removes_services() -> Iterator[None]:
    """What is missing from a file is removed when that was read for the first time."""
    undefined = desired._undefined

    def settled(view: View, project: Project, wide: Override | None) -> list[desired.Target]:
        assert view.desired is not None
        return undefined(replace(view, desired=replace(view.desired, services_settled=True)), project, wide)

    with patch.object(desired, "_undefined", settled):
        yield


@contextmanager
def oneoff_runs_are_ours() -> Iterator[None]:
    """`docker compose run` makes containers of the service too: they pass for a superfluous number."""
    ours = ownership.is_ours

    def all_ours(container: ObservedContainer, view: View) -> bool:
        return ours(replace(container, oneoff=False, hook=False), view)

    with patch.object(ownership, "is_ours", all_ours):
        yield


@contextmanager
def a_look_counts_from_its_end() -> Iterator[None]:
    """What was asked before a call was answered passes for what is there after it."""
    take = Store.set_observed

    def late(self: Store, observed: ObservedStack) -> None:
        take(self, replace(observed, sent_at=self._mono()))

    with patch.object(Store, "set_observed", late):
        yield


@contextmanager
def writes_are_lost_in_silence() -> Iterator[None]:
    """The journal says that an override is kept, and it is not."""

    async def lost(self: MemoryJournal, override: Override) -> bool:
        return True

    with patch.object(MemoryJournal, "put_override", lost):
        yield


@contextmanager
def children_stay_in_a_dead_namespace() -> Iterator[None]:
    """Whoever shares a container's network is not restarted with it."""
    with (
        patch.object(follow, "restarted_parent", lambda container, seen: None),
        patch.object(cascade, "_children", lambda world, parent: []),
    ):
        yield


@contextmanager
def a_shutdown_passes_for_a_person() -> Iterator[None]:
    """A stop that was not ours is held without asking whether the engine itself goes down."""

    async def believe(self: Holds, stack: StackName, pending: Evidence) -> None:
        self._hold(stack, pending)

    with patch.object(Holds, "_prove", believe):
        yield


@contextmanager
def any_start_ends_all_holds() -> Iterator[None]:
    """One service that starts releases every other."""

    def started(self: Holds, event: EngineEvent) -> None:
        self._in.intents.let_go(event.stack, self._in.store.view(event.stack).overrides, "something started")

    with patch.object(Holds, "started", started):
        yield


@contextmanager
def health_is_believed_right_after_a_suspend() -> Iterator[None]:
    """That the machine slept is not noticed."""
    with patch.object(host, "JUMP", 1e9):
        yield


@contextmanager
def a_storm_is_not_noticed() -> Iterator[None]:
    """However many fail at once, each is to blame itself."""
    with patch.object(host, "storm", lambda *_: None):
        yield


@contextmanager
def dependents_outlive_a_restart() -> Iterator[None]:
    """`restart: true` means nothing."""
    with patch.object(follow, "_renewed", lambda world, dependency, slot, dependent: False):
        yield


@contextmanager
def the_past_is_never_forgotten() -> Iterator[None]:
    """However long a service has run well, its next crash is one more of many."""
    steady = ends._steady

    def unforgiving(
        currents: list[ObservedContainer], target: desired.Target, ledger: ServiceLedger, now: Now
    ) -> ServiceLedger:
        assert target.spec is not None
        policy = replace(target.spec.restart, reset_after=1e9)
        return steady(currents, replace(target, spec=replace(target.spec, restart=policy)), ledger, now)

    with patch.object(ends, "_steady", unforgiving):
        yield


@contextmanager
def a_stop_without_an_answer_counts_as_done() -> Iterator[None]:
    """What a stop was sent to passes for ended, though the call ran into its deadline and the process lives on."""
    failed, take = Store.failed, Store.set_observed
    believed: WeakKeyDictionary[Store, set[Incarnation]] = WeakKeyDictionary()

    def note(self: Store, stack: StackName, op: Op, key: str, fingerprint: str, error: EngineError) -> None:
        if isinstance(op, StopContainer) and error.kind is EngineErrorKind.TIMEOUT:
            believed.setdefault(self, set()).add(Incarnation(op.container, op.started_at))
        failed(self, stack, op, key, fingerprint, error)

    def trust(self: Store, observed: ObservedStack) -> None:
        over = believed.get(self, set())
        seen = (replace(c, state=ContainerState.EXITED) if c.incarnation in over else c for c in observed.containers)
        take(self, replace(observed, containers=tuple(seen)))

    with patch.object(Store, "failed", note), patch.object(Store, "set_observed", trust):
        yield


@contextmanager
def a_rollback_ends_with_the_daemon() -> Iterator[None]:
    """The next life does not ask which revision was pinned: the newest text is in force again."""

    def unpinned(
        store: Store, journal: Journal, history: History, overrides: Iterable[Override], revive: Revive
    ) -> tuple[Override, ...]:
        return tuple(one for one in overrides if one.kind is not OverrideKind.PINNED)

    with patch.object(daemon, "read_pins", unpinned):
        yield


@contextmanager
def a_start_refused_for_ever_is_only_repeated() -> Iterator[None]:
    """A container that the engine can never start again is no cause for another one."""
    with patch.object(slots, "_unstartable", lambda *_: None):
        yield


PLANTS: tuple[Callable[[], AbstractContextManager[None]], ...] = (
    round_as_a_barrier,
    commit_bumps_the_version,
    partial_observations,
    own_stop_taken_for_a_humans,
    not_seen_taken_for_empty,
    dependencies_are_ignored,
    everything_is_ours,
    holds_are_forgotten,
    the_new_one_does_not_wait_for_the_old,
    only_events_are_believed,
    sick_ones_are_left_alone,
    no_back_off,
    finished_jobs_run_again,
    intent_of_a_stop_is_not_kept,
    half_a_file_removes_services,
    oneoff_runs_are_ours,
    a_look_counts_from_its_end,
    writes_are_lost_in_silence,
    children_stay_in_a_dead_namespace,
    a_shutdown_passes_for_a_person,
    any_start_ends_all_holds,
    health_is_believed_right_after_a_suspend,
    a_storm_is_not_noticed,
    dependents_outlive_a_restart,
    the_past_is_never_forgotten,
    a_stop_without_an_answer_counts_as_done,
    a_rollback_ends_with_the_daemon,
    a_start_refused_for_ever_is_only_repeated,
)
