"""Whether the daemon knows enough to answer: all files read once and, where the engine answers, every stack seen once.

Law: before that, "there is no such stack" and "not decided yet" are wrong answers, for they change a moment later. The
files must have been read; the engine is waited for only once, for a while. What this module does not do: answer.
"""

from __future__ import annotations

import asyncio

from stackd.model.ids import StackName
from stackd.runtime.parts import Parts

_STEP = 0.02
"""Seconds between two looks. Whatever ends the start (a reading, a contact, a decision) happens once per daemon run."""


class Starting:
    """The start of the daemon, as the API waits for it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._over = False

    async def over(self, timeout: float) -> str:
        """Wait for the end of the start, at most `timeout` seconds. What is not read yet, "" = answers are right."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not self._over:
            waits = self._unread() or self._unseen()
            if waits and loop.time() < deadline:
                await asyncio.sleep(_STEP)
                continue
            self._over = not self._unread()
            break
        return "" if self._over else self._unread()

    def _unread(self) -> str:
        if self._parts.store.host.sources_loaded:
            return ""
        return self._parts.source.progress or "the stacks directories are not listed yet"

    def _unseen(self) -> bool:
        """Whether the engine is asked for something that it has not shown yet."""
        store = self._parts.store
        if not self._parts.intake.tried:
            return True
        return store.host.engine_up and not all(self._decided(name) for name in store.names())

    def _decided(self, name: StackName) -> bool:
        store = self._parts.store
        view = store.view(name)
        return bool(store.trouble(name)) or (view.observed is not None and store.decided_version(name) == view.version)
