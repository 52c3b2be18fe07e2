"""Holds for another hand: proving that it was one, putting the hold into force, and taking it back.

Law: a stop that stackd did not send becomes a hold only when two fresh connections, two seconds apart, prove that the
engine itself stays (behaviour.md, "Rule for a foreign stop"); a service that runs again by then is not held. What all
goes down together is one hold of the stack. Lacking evidence it is a crash: availability wins. A hold is in force
before it is on disk: nobody waits for a reply, and a stalled disk must not let the service be started meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from stackd.core.hands import BY_ENGINE, definition_of, held_by_hand, how_it_was_stopped, narrowed, taken_down
from stackd.core.ownership import ours
from stackd.engine.base import Engine
from stackd.model.evidence import EngineEvent, Evidence, Verdict
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import RemoveContainer
from stackd.model.view import Now
from stackd.runtime.intents import Intents
from stackd.runtime.store import Store

PROOF_TIMEOUT = 1.0
PROOF_AGAIN = 2.0
"""Seconds: the patience of a fresh connection, and until the second one."""
LONGEST_GRACE = 20.0
"""Seconds for which a signal by another hand counts as a stop under way."""


@dataclass(frozen=True, slots=True)
class Proving:
    """What holds are made with. `hold_for`: seconds until such a hold ends by itself, 0 = when it is released."""

    engine: Engine
    store: Store
    intents: Intents
    clock: Callable[[], Now]
    hold_for: float = 0.0


class Holds:
    """The stops and removals being explained. `suspect` is set when the engine itself seems to be shutting down."""

    def __init__(self, tools: Proving) -> None:
        self._in = tools
        self._proofs: set[asyncio.Task[None]] = set()
        self.suspect = asyncio.Event()

    def stopped(self, event: EngineEvent, evidence: Evidence) -> None:
        """Somebody asked the engine to stop it. We did, or the engine shuts down, or a person: find out."""
        store, now = self._in.store, self._in.clock().mono
        if store.is_condemned(event.stack, event.container):
            store.put_evidence(event.stack, replace(evidence, stop_at=now, verdict=Verdict.OWN))
        elif evidence.kill_at is None:  # it was begun before we listened, perhaps by an earlier life of ours
            store.put_evidence(event.stack, replace(evidence, stop_at=now))
        else:
            self._explain(event.stack, replace(evidence, stop_at=now, verdict=Verdict.PENDING))

    def removed(self, event: EngineEvent, evidence: Evidence) -> None:
        """It was removed, and no stop of it is being explained: a removal of ours, or by another hand."""
        store, stack = self._in.store, event.stack
        if evidence.verdict is Verdict.OWN or event.container in store.view(stack).condemned or self._is_ours(event):
            store.drop_evidence(stack, event.container)
            return
        told = replace(evidence, stop_at=self._in.clock().mono, verdict=Verdict.PENDING, removal=True)
        if store.host.on_external_remove_hold:
            self._explain(stack, told)
        elif evidence.kill_at is None or self._under_way(stack):
            store.put_evidence(stack, told)
            self._task(self._linger(stack, told))
        else:
            store.drop_evidence(stack, event.container)

    def _is_ours(self, event: EngineEvent) -> bool:
        """Whether the removal is ours, be it an earlier life's: then the plan of this one wanted it as well."""
        store = self._in.store
        decision = store.decision(event.stack)
        wanted = decision.plan.ops if decision is not None else ()
        planned = any(isinstance(op, RemoveContainer) and op.container == event.container for op in wanted)
        return planned or store.is_removing(event.stack, event.container)

    def started(self, event: EngineEvent) -> None:
        """Somebody started it: what was held because another hand had stopped it is held no longer."""
        store = self._in.store
        for evidence in store.evidence(event.stack).values():
            other = evidence.container != event.container and evidence.service == event.service
            if other and evidence.verdict is Verdict.PENDING and self._is_gone(event.stack, evidence.container):
                store.put_evidence(event.stack, replace(evidence, verdict=Verdict.RESTARTED))
        self.free(event.stack, event.service)

    def _is_gone(self, stack: StackName, container: ContainerId) -> bool:
        """Whether it is there no more, or another one of its number is: `docker compose up` replaces in this order."""
        mine = ours(self._in.store.view(stack))
        old = next((one for one in mine if one.id == container), None)
        if old is None:
            return True
        return any((one.service, one.number) == (old.service, old.number) and one is not old for one in mine)

    def free(self, stack: StackName, service: ServiceName) -> None:
        """Release a service from the holds by another hand; of one of the whole stack the rest stays held."""
        view = self._in.store.view(stack)
        gone = [o for o in view.overrides if o.service in (service, None) and held_by_hand(o)]
        wide = next((o for o in gone if o.service is None), None)
        if wide is not None:
            self._in.intents.impose(*narrowed(view, wide, {service}))
        if gone:
            self._in.intents.let_go(stack, gone, f"{service} was started by another hand")

    # Proofs

    def _explain(self, stack: StackName, pending: Evidence) -> None:
        self._in.store.put_evidence(stack, pending)
        self._task(self._prove(stack, pending))

    def _task(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name="prove a stop")  # type: ignore[arg-type]
        self._proofs.add(task)
        task.add_done_callback(self._proofs.discard)

    async def _prove(self, stack: StackName, pending: Evidence) -> None:
        store = self._in.store
        proven = await self._in.engine.ping_fresh(PROOF_TIMEOUT)
        if proven:
            await asyncio.sleep(PROOF_AGAIN)
            proven = await self._in.engine.ping_fresh(PROOF_TIMEOUT)
        now = store.evidence(stack).get(pending.container)
        if now is None or now.verdict is not Verdict.PENDING or now.kill_at != pending.kill_at:
            return  # it runs again, or contact broke
        if not proven or not (now.removal or store.host.on_external_stop_hold):
            store.put_evidence(stack, replace(now, verdict=Verdict.UNPROVEN))
            if not proven:
                self.suspect.set()
            return
        self._hold(stack, now)
        store.put_evidence(stack, replace(now, verdict=Verdict.FOREIGN_STOP))
        self._merge(stack)

    def _hold(self, stack: StackName, evidence: Evidence) -> None:
        view, now = self._in.store.view(stack), self._in.clock()
        definition = definition_of(view, evidence.service)
        if not definition or any(o.service in (evidence.service, None) for o in view.standing):
            return
        removed = evidence.container not in {container.id for container in ours(view)}
        reason = how_it_was_stopped(evidence, now, removed=removed)
        until = now.wall + self._in.hold_for if self._in.hold_for else None
        self._in.intents.impose(
            Override(stack, evidence.service, OverrideKind.HELD, reason, BY_ENGINE, now.wall, until, definition)
        )

    def _merge(self, stack: StackName) -> None:
        """Make one hold of the single ones when all of the stack was taken down together."""
        view = self._in.store.view(stack)
        whole = taken_down(view, self._in.clock())
        if whole is not None:
            single = [one for one in view.overrides if held_by_hand(one)]
            self._in.intents.impose(whole)
            self._in.intents.let_go(stack, single, "the whole stack is held")

    # What a `down` removes that did not run

    def _under_way(self, stack: StackName) -> bool:
        """Whether another hand is just stopping something of the stack, or did so a moment ago."""
        store, now = self._in.store, self._in.clock()
        condemned = store.view(stack).condemned
        for one in store.evidence(stack).values():
            theirs = one.container not in condemned and one.verdict not in (Verdict.OWN, Verdict.RESTARTED)
            if not theirs or one.removal or one.kill_at is None:
                continue
            if one.verdict is Verdict.PENDING or (one.died_at is None and now.mono - one.kill_at < LONGEST_GRACE):
                return True
        return any(held_by_hand(o) and now.wall - o.at < PROOF_AGAIN for o in store.view(stack).overrides)

    async def _linger(self, stack: StackName, told: Evidence) -> None:
        """What did not run tells of its removal alone, and a `down` may begin with it: its stops may only follow.

        It is not made again before it is known whether they do, and before they are explained.
        """
        store = self._in.store
        await asyncio.sleep(PROOF_AGAIN / 2)
        while told.container in store.evidence(stack) and self._under_way(stack):
            store.put_evidence(stack, replace(told, stop_at=self._in.clock().mono))
            await asyncio.sleep(PROOF_AGAIN / 2)
        store.drop_evidence(stack, told.container)

    def lost(self) -> None:
        """Contact broke: no stop that is not proven yet will ever be, and no signal before it explains a later stop."""
        for task in self._proofs:
            task.cancel()
        for stack in self._in.store.names():
            for evidence in self._in.store.evidence(stack).values():
                unproven = evidence.verdict in (Verdict.PENDING, Verdict.FOREIGN_STOP)
                if unproven or (evidence.verdict is Verdict.UNPROVEN and evidence.died_at is None):
                    self._in.store.drop_evidence(stack, evidence.container)

    async def stop(self) -> None:
        """End what is being proven."""
        for task in list(self._proofs):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._proofs, return_exceptions=True)
