"""What the API is told of the past, and how an earlier revision is put in force again.

Law: reads come from memory (crash evidence apart, which the journal reads); a rollback is an override, on disk before
its answer, and the definition it names is read before the override stands, so that nothing else comes into force
between. What takes time (reading the texts, comparing them) runs beside the event loop. What this module does NOT do:
keep the past (the journal does), or change the engine.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable
from dataclasses import replace

from stackd.compose.explain import changed_fields
from stackd.compose.redact import HIDDEN
from stackd.core.why import Known, explain
from stackd.errors import RequestError, StateError
from stackd.model.ids import ServiceName, StackName
from stackd.model.override import Operation, Override, OverrideKind, Verb
from stackd.model.record import Applied, Crash, CrashBundle, WhyAnswer
from stackd.model.spec import ServiceSpec
from stackd.model.view import LostPin, Pin, View
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.runtime.parts import Parts
from stackd.runtime.store import Store
from stackd.runtime.values import Values
from stackd.values import shortened

TOLD = 2000
"""History entries of a stack that an explanation looks at, the newest."""
Revive = Callable[[Applied], Pin]
"""An applied revision made a definition again; called in a thread. Raises StateError when its texts make none."""


class Past:
    """Explanations, crashes, revisions and rollback. `revive` reads a revision's definition, `values` what it hides."""

    def __init__(self, parts: Parts, revive: Revive, values: Values) -> None:
        self._parts = parts
        self._revive = revive
        self._values = values

    def why(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        """See `Control.why`."""
        view = self._parts.view(stack)
        self._parts.check(view, (service,))
        return self.explained(view, service)

    async def why_with_values(self, stack: StackName, service: ServiceName) -> WhyAnswer:
        """See `Control.why_with_values`."""
        answer, journal = self.why(stack, service), self._parts.journal
        kept = (*journal.applied(stack), journal.revision(stack))
        return await asyncio.to_thread(self._values.with_values, answer, kept)

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

    async def diff(
        self, stack: StackName, number: int, against: int | None, *, values: bool = False
    ) -> tuple[str, ...]:
        """See `Control.diff`."""
        kept = self._parts.journal.applied(stack)
        new = _numbered(stack, kept, number)
        earlier = [one for one in kept if one.number < number]
        old = _numbered(stack, kept, against) if against is not None else earlier[-1] if earlier else None
        lines = await asyncio.to_thread(self._compared, old, new, self._values.pin if values else self._revive)
        return lines if values else tuple(map(shortened, lines))

    def _compared(self, old: Applied | None, new: Applied, revive: Revive) -> tuple[str, ...]:
        before, after = _lines(self._read(old, revive) if old else None, self._read(new, revive))
        names = f"revision {old.number}" if old else "nothing", f"revision {new.number}"
        return tuple(difflib.unified_diff(before, after, *names, lineterm=""))

    def _read(self, applied: Applied, revive: Revive) -> Pin:
        try:
            return revive(applied)
        except StateError as error:
            raise RequestError(409, "revision_unreadable", str(error)) from error

    async def rollback(self, stack: StackName, number: int | None, by: str) -> Operation:
        """See `Control.rollback`."""
        parts, view = self._parts, self._parts.view(stack)
        refuse_released(view)
        if view.desired is None or view.desired.project is None:
            raise RequestError(409, "no_definition", f"stack {stack} has no valid definition: see its diagnostics")
        chosen = _chosen(view, parts.journal.applied(stack), number)
        pin = await asyncio.to_thread(self._read, chosen, self._revive)
        refuse_released(parts.view(stack))
        reason = f"rolled back to revision {chosen.number}"
        override = Override(
            stack, None, OverrideKind.PINNED, reason, by, parts.clock().wall,
            definition=view.desired.project.digest, value=chosen.number,
        )  # fmt: skip
        await parts.intents.put(override, pin=pin, asking=True)
        return await parts.ask(stack, Verb.ROLLBACK, (), by)


def read_pins(
    store: Store, journal: Journal, history: History, overrides: Iterable[Override], revive: Revive
) -> tuple[Override, ...]:
    """At the start, before anything is planned: read the revisions that rollbacks of an earlier life name.

    Returns the overrides as they are to stand: one whose revision cannot be read any more says so, and nothing of its
    stack is changed until it is released.
    """
    found = []
    for override in overrides:
        if override.kind is OverrideKind.PINNED:
            number = override.value or 0
            pin: Pin | LostPin
            try:
                pin = revive(_numbered(override.stack, journal.applied(override.stack), number))
            except (StateError, RequestError) as error:
                pin = LostPin(number, str(error))
                override = replace(override, reason=str(pin))
                history.add(override.stack, None, "override.unreadable", str(pin), kind=override.kind.value)
            store.set_pin(override.stack, pin)
        found.append(override)
    return tuple(found)


def refuse_released(view: View) -> None:
    """RequestError 409 `released` when the stack was given back to the engine: only `adopt` is meant for it."""
    if any(one.kind is OverrideKind.RELEASED for one in view.overrides):
        text = (
            f"stack {view.stack} was released and is the engine's own; to have it kept again: stackd adopt {view.stack}"
        )
        raise RequestError(409, "released", text)


def _numbered(stack: StackName, kept: tuple[Applied, ...], number: int) -> Applied:
    found = next((one for one in kept if one.number == number), None)
    if found is None:
        span = f"kept are {kept[0].number} to {kept[-1].number}" if kept else "none is kept"
        raise RequestError(404, "no_such_revision", f"stack {stack} has no revision {number} (any more): {span}")
    return found


def _lines(old: Pin | None, new: Pin) -> tuple[list[str], list[str]]:
    """Two definitions field by field, as lines to compare; a secret that changed shows that, and nothing else of it."""
    before, after = list[str](), list[str]()
    services = {**(old.project.services if old else {}), **new.project.services}
    for name in services:
        was, now = old.project.services.get(name) if old else None, new.project.services.get(name)
        hidden = {c.field for c in changed_fields(was, now) if c.before == c.after} if was and now else set()
        before += _of_service(was, frozenset())
        after += _of_service(now, frozenset(hidden))
    for pin, lines in ((old, before), (new, after)):
        for kind, found in (("networks", pin.project.networks), ("volumes", pin.project.volumes)) if pin else ():
            lines += [f"{kind}.{one.key}: {one.name}{' (external)' if one.external else ''}" for one in found.values()]
    return before, after


def _of_service(spec: ServiceSpec | None, hidden: frozenset[str]) -> list[str]:
    if spec is None:
        return []
    told = {**spec.values, **{path: f"{HIDDEN})" for path in hidden if path not in spec.values}}
    return [
        f"services.{spec.name}.{path}: {value}{' (changed)' if path in hidden else ''}" for path, value in told.items()
    ]


def _chosen(view: View, kept: tuple[Applied, ...], number: int | None) -> Applied:
    """The revision to go back to: by its number, else the last good one before the one in force.

    A text that was never applied (it crashes, say) counts as the newest; one equal to what is in force is no way back,
    and neither is one that failed.
    """
    if number is not None:
        return _numbered(view.stack, kept, number)
    pin, digest = view.pinned, view.project.digest if view.project else ""
    earlier = [one for one in kept if one.digest != digest and (pin is None or one.number < pin.number)]
    good = [one for one in earlier if not one.failed]
    if not good:
        failed = f", only such as failed: {', '.join(str(one.number) for one in earlier)}" if earlier else ""
        text = f"stack {view.stack} has no earlier revision to go back to{failed}"
        raise RequestError(409, "no_earlier_revision", text)
    return good[-1]
