"""What the commands behind the API work with: the daemon's parts, and the questions that all of them begin with.

Law: a stack or service that is not known is answered with 404 and the nearest name. Nothing here changes anything.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable
from dataclasses import dataclass

from stackd.core.ownership import ours
from stackd.engine.base import Engine
from stackd.errors import RequestError
from stackd.model.ids import ServiceName, StackName
from stackd.model.observed import Incarnation
from stackd.model.override import Operation, Override, OverrideKind, Request, Verb
from stackd.model.view import Now, View
from stackd.runtime.history import History
from stackd.runtime.intake import Intake
from stackd.runtime.intents import Intents, definition_of
from stackd.runtime.jobs import Jobs
from stackd.runtime.journal import Journal
from stackd.runtime.store import Store
from stackd.source.source import Source

READ_WITHIN = 10.0
"""Seconds within which a person's question has its files read; then it is answered that they cannot be."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the daemon that commands talk to."""

    engine: Engine
    store: Store
    intents: Intents
    jobs: Jobs
    history: History
    journal: Journal
    intake: Intake
    source: Source
    clock: Callable[[], Now]

    def view(self, name: StackName) -> View:
        """A stack's view. RequestError 404 `no_such_stack`."""
        names = self.store.names()
        if name not in names:
            raise RequestError(404, "no_such_stack", f'there is no stack "{name}"' + nearest(name, names))
        return self.store.view(name)

    async def read(self, name: StackName) -> None:
        """Have a stack's files read as they are now, or everything while its name is not known.

        Raises RequestError 503 `not_read` when they cannot be read in time: no old state is given for a new one.
        """
        source = self.source
        try:
            async with asyncio.timeout(READ_WITHIN):
                await (source.read(name) if name in self.store.names() else source.rescan())
        except TimeoutError:
            raise RequestError(503, "not_read", _not_read(f"the files of {name}", source.progress)) from None

    async def read_all(self) -> None:
        """Have all files read as they are now. Raises RequestError 503 `not_read` as `read` does."""
        try:
            async with asyncio.timeout(READ_WITHIN):
                await self.source.rescan()
        except TimeoutError:
            raise RequestError(503, "not_read", _not_read("the stack files", self.source.progress)) from None

    def check(self, view: View, services: tuple[ServiceName, ...]) -> None:
        """RequestError 404 `no_such_service` unless the stack has these services."""
        project = view.project
        known = [*(project.services if project else ()), *(container.service for container in ours(view))]
        for service in services:
            if service not in known:
                text = f'stack "{view.stack}" has no service "{service}"' + nearest(service, known)
                raise RequestError(404, "no_such_service", text)

    def override(self, view: View, service: ServiceName | None, kind: OverrideKind, reason: str, by: str) -> Override:
        """An override that stands until an edit of what it covers."""
        now = self.clock().wall
        return Override(view.stack, service, kind, reason, by, now, definition=definition_of(view, service))

    async def ask(
        self, stack: StackName, verb: Verb, services: tuple[ServiceName, ...], by: str,
        targets: frozenset[Incarnation] = frozenset(),
    ) -> Operation:  # fmt: skip
        """Put a request into force."""
        return await self.intents.ask(
            Request(self.intents.new_id(), stack, verb, services, by, self.clock().wall, targets)
        )


def _not_read(what: str, progress: str) -> str:
    where = f" (still {progress})" if progress else ""
    text = f"{what} could not be read within {READ_WITHIN:.0f} s{where}"
    return f"{text}; what runs, runs on. Is a network mount away?"


def nearest(name: str, known: list[ServiceName] | tuple[StackName, ...]) -> str:
    """A hint that names what was probably meant, "" = nothing is near."""
    close = difflib.get_close_matches(name, [str(one) for one in known], n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
