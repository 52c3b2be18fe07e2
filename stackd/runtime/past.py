"""What the API is told of the past, and how an earlier revision is put in force again.

Law: reads come from memory (crash evidence apart, which the journal reads); a rollback is an override, on disk before
its answer, and the definition it names is read before the override stands, so that nothing else comes into force
between. What this module does NOT do: keep the past (the journal does), or change the engine.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import replace

from stackd.core.why import Known, explain
from stackd.errors import RequestError, StateError
from stackd.model.ids import ServiceName, StackName
from stackd.model.override import Operation, Override, OverrideKind, Verb
from stackd.model.record import Applied, Crash, CrashBundle, WhyAnswer
from stackd.model.view import Pin, View
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.runtime.parts import Parts
from stackd.runtime.store import Store

TOLD = 2000
"""History entries of a stack that an explanation looks at, the newest."""
Revive = Callable[[Applied], Pin]
"""An applied revision made a definition again. Raises StateError when its texts make none."""


class Past:
    """Explanations, crashes, revisions and rollback. `revive` reads a revision's definition."""

    def __init__(self, parts: Parts, revive: Revive) -> None:
        self._parts = parts
        self._revive = revive

    def why(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        """See `Control.why`."""
        view = self._parts.view(stack)
        self._parts.check(view, (service,))
        return self.explained(view, service)

    def explained(self, view: View, service: ServiceName) -> WhyAnswer:
        """Why a service of a view is as it is."""
        entries = self._parts.history.newest(view.stack, TOLD)
        crashes = tuple(one for one in self._parts.journal.crashes(view.stack) if one.service == service)
        decision = self._parts.store.decision(view.stack)
        return explain(service, Known(view, decision, entries, crashes, self._parts.clock()))

    def crashes(self, stack: StackName, service: ServiceName | None) -> tuple[Crash, ...]:
        """See `Control.crashes`; a service that is gone from the file may still have some."""
        found = self._parts.journal.crashes(stack)
        mine = tuple(one for one in found if service in (None, one.service))
        if not mine:
            view = self._parts.view(stack)
            self._parts.check(view, (service,) if service is not None else ())
        return mine

    async def crash(self, stack: StackName, crash: int) -> CrashBundle:
        """See `Control.crash`."""
        try:
            found = await self._parts.journal.crash(crash)
        except StateError as error:
            raise RequestError(503, "journal_unavailable", str(error)) from error
        if found is None or found.crash.stack != stack:
            raise RequestError(404, "no_such_crash", f"stack {stack} has no crash {crash} (any more)")
        return found

    def revisions(self, stack: StackName) -> tuple[Applied, ...]:
        """See `Control.revisions`."""
        found = self._parts.journal.applied(stack)
        if not found:
            self._parts.view(stack)
        return tuple(reversed(found))

    def diff(self, stack: StackName, number: int, against: int | None) -> tuple[str, ...]:
        """See `Control.diff`."""
        kept = self._parts.journal.applied(stack)
        new = _numbered(stack, kept, number)
        earlier = [one for one in kept if one.number < number]
        old = _numbered(stack, kept, against) if against is not None else earlier[-1] if earlier else None
        lines = difflib.unified_diff(
            old.resolved.splitlines() if old else [], new.resolved.splitlines(),
            f"revision {old.number}" if old else "nothing", f"revision {new.number}", lineterm="",
        )  # fmt: skip
        return tuple(lines)

    async def rollback(self, stack: StackName, number: int | None, by: str) -> Operation:
        """See `Control.rollback`."""
        parts, view = self._parts, self._parts.view(stack)
        refuse_released(view)
        if view.desired is None or view.desired.project is None:
            raise RequestError(409, "no_definition", f"stack {stack} has no valid definition: see its diagnostics")
        chosen = _chosen(view, parts.journal.applied(stack), number)
        try:
            pin = self._revive(chosen)
        except StateError as error:
            raise RequestError(409, "revision_unreadable", f"revision {chosen.number} of {stack}: {error}") from error
        reason = f"rolled back to revision {chosen.number}"
        override = Override(
            stack, None, OverrideKind.PINNED, reason, by, parts.clock().wall,
            definition=view.desired.project.digest, value=chosen.number,
        )  # fmt: skip
        await parts.intents.put(override, pin=pin)
        return await parts.ask(stack, Verb.ROLLBACK, (), by)


def read_pins(
    store: Store, journal: Journal, history: History, overrides: Iterable[Override], revive: Revive
) -> dict[Override, Override]:
    """At the start: read the revisions that rollbacks of an earlier life name, before anything is planned.

    One that cannot be read is told, and its override says so: nothing of its stack is changed until it is released.
    Returns the overrides that are to stand in the place of others.
    """
    changed = {}
    for override in overrides:
        if override.kind is not OverrideKind.PINNED:
            continue
        try:
            kept = journal.applied(override.stack)
            pin = revive(_numbered(override.stack, kept, override.value or 0))
        except (StateError, RequestError) as error:
            text = f"revision {override.value} cannot be read any more, so nothing is changed: {error}"
            changed[override] = replace(override, reason=text)
            history.add(override.stack, None, "override.unreadable", text, kind=override.kind.value)
        else:
            store.set_pin(override.stack, pin)
    return changed


def refuse_released(view: View) -> None:
    """RequestError 409 `released` when the stack was given back to the engine: only `adopt` is meant for it."""
    if any(one.kind is OverrideKind.RELEASED for one in view.overrides):
        text = f"stack {view.stack} was released and is the engine's own; to have it kept again: adopt"
        raise RequestError(409, "released", text)


def _numbered(stack: StackName, kept: tuple[Applied, ...], number: int) -> Applied:
    found = next((one for one in kept if one.number == number), None)
    if found is None:
        span = f"kept are {kept[0].number} to {kept[-1].number}" if kept else "none is kept"
        raise RequestError(404, "no_such_revision", f"stack {stack} has no revision {number} (any more): {span}")
    return found


def _chosen(view: View, kept: tuple[Applied, ...], number: int | None) -> Applied:
    """The revision to go back to: by its number, else the one before the one in force.

    A text that was never applied (it crashes, say) counts as the newest; one equal to what is in force is no way back.
    """
    if number is not None:
        return _numbered(view.stack, kept, number)
    pin, digest = view.pinned, view.project.digest if view.project else ""
    earlier = [one for one in kept if one.digest != digest and (pin is None or one.number < pin.number)]
    if not earlier:
        raise RequestError(409, "no_earlier_revision", f"stack {view.stack} has no earlier revision to go back to")
    return earlier[-1]
