"""Bugs to plant into the runtime and the decision, each one that a loop like this invites: simulation must find them.

A plant replaces one function for the time of a `with`; nothing else knows of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from stackd.core import desired, ownership, steps
from stackd.core.decide import decide
from stackd.engine.base import Engine
from stackd.errors import EngineError
from stackd.model.evidence import EngineEvent, Evidence, Verdict
from stackd.model.ids import StackName
from stackd.model.observed import ContainerRow, ObservedContainer, ObservedStack
from stackd.model.view import Decision, View
from stackd.runtime import observer, stacks
from stackd.runtime.intake import Intake
from stackd.runtime.observer import Observer
from stackd.runtime.reconciler import Loop
from stackd.runtime.store import Store


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


@contextmanager
def not_seen_taken_for_empty() -> Iterator[None]:
    """A stack that was not yet looked at passes for one without containers and networks."""
    look = Store.view

    def view(self: Store, stack: StackName) -> View:
        found = look(self, stack)
        return found if found.observed is not None else replace(found, observed=ObservedStack(stack))

    with patch.object(Store, "view", view):
        yield


@contextmanager
def dependencies_are_ignored() -> Iterator[None]:
    """A start waits for nothing."""
    with patch.object(steps, "dependency_gate", lambda world, spec: ()):
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


PLANTS: tuple[Callable[[], object], ...] = (
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
)
