"""The loop around one stack: look at what is known, decide, act on the frontier, wait for news.

Law: level-triggered. A lost event, a killed daemon or a repeated turn changes nothing: the next decision is made from
state alone. The loop never waits for a job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stackd.core.decide import decide
from stackd.model.ids import StackName
from stackd.model.view import Decision, Now, View
from stackd.runtime.history import History
from stackd.runtime.intents import Intents
from stackd.runtime.jobs import Jobs
from stackd.runtime.journal import Journal
from stackd.runtime.store import Store
from stackd.runtime.teller import Teller

Witness = Callable[[View, Decision], None]
"""Who keeps what a decision shows of the past. Returns at once and never raises."""


@dataclass(frozen=True, slots=True)
class Loop:
    """What the loop works with. `woken` is called at each waking, before anything is looked at; `partings` when nothing
    of a stack is left: who remembers something of it forgets it."""

    store: Store
    jobs: Jobs
    intents: Intents
    journal: Journal
    history: History
    clock: Callable[[], Now]
    witnesses: tuple[Witness, ...] = ()
    woken: Callable[[], None] = lambda: None
    partings: tuple[Callable[[StackName], None], ...] = ()


async def keep(stack: StackName, loop: Loop) -> None:
    """Keep one stack as it is wanted, until nothing of it is left."""
    teller = Teller(stack, loop.history)
    while (view := _awake(stack, loop)).alive:
        now = loop.clock()
        decision = decide(view, now)
        loop.store.commit(stack, view.version, decision)
        loop.journal.save_ledger(stack, decision.ledger)
        loop.jobs.cancel(stack, view.running - decision.plan.ops)
        teller.tell(view, decision, now)
        for witness in loop.witnesses:
            witness(view, decision)
        if loop.store.host == view.host:  # else it just showed that the host is to blame, and is made anew
            loop.jobs.start(stack, decision.plan.frontier())
        await loop.intents.judge(view, decision)
        await loop.store.changed(stack, view.version, decision.wake_at)


def _awake(stack: StackName, loop: Loop) -> View:
    loop.woken()
    return loop.store.view(stack)
