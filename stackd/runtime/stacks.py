"""Exactly one `keep` per stack: begun when a stack is first heard of, begun again after an error, ended with the stack.

This is the named seam: an error in one stack's task is logged, shown as that stack's state, and tried again with
back-off; the daemon and the other stacks live on.
"""

from __future__ import annotations

import asyncio
import logging
from traceback import format_exc

from stackd.compose.redact import scrub
from stackd.model.ids import StackName
from stackd.runtime.log import about
from stackd.runtime.reconciler import Loop, keep

log = logging.getLogger(__name__)

FIRST_RETRY = 1.0
LAST_RETRY = 60.0


class Stacks:
    """The stack tasks. `begin` may be called before `run`; everything happens on the event loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._tasks: dict[StackName, asyncio.Task[None]] = {}
        self._rests: dict[StackName, float] = {}

    def begin(self, stack: StackName) -> None:
        """Make sure that the stack has its task."""
        if stack not in self._tasks:
            self._tasks[stack] = asyncio.create_task(self._supervise(stack), name=f"keep {stack}")

    async def stop(self) -> None:
        """End all tasks; containers are left as they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def late(self, now: float, grace: float) -> list[StackName]:
        """Stacks whose task is more than `grace` seconds past the instant at which it wanted to look again.

        One that ended by an error and rests before the next try is not late: the daemon is not to be killed for it.
        """
        found = []
        for stack in self._tasks:
            decision = self._loop.store.decision(stack)
            if decision is None or decision.wake_at is None:
                continue
            if max(decision.wake_at, self._rests.get(stack, 0.0)) + grace < now:
                found.append(stack)
        return found

    async def _supervise(self, stack: StackName) -> None:
        delay = FIRST_RETRY
        with about(stack):
            while True:
                begun = self._loop.clock().mono
                try:
                    await keep(stack, self._loop)
                except Exception as error:  # the seam
                    hidden = self._loop.store.view(stack).hidden
                    log.error("the task of stack %s ended by an error\n%s", stack, scrub(format_exc(), hidden))
                    self._loop.store.set_trouble(stack, scrub(f"{type(error).__name__}: {error}", hidden))
                else:
                    break
                lasted = self._loop.clock().mono - begun
                delay = FIRST_RETRY if lasted > LAST_RETRY else min(delay * 2, LAST_RETRY)
                self._rests[stack] = self._loop.clock().mono + delay
                await asyncio.sleep(delay)
        for part in self._loop.partings:
            part(stack)
        self._loop.intents.forget(stack)
        self._loop.store.forget(stack)
        self._tasks.pop(stack, None)
        self._rests.pop(stack, None)
