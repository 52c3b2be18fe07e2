"""Keeps every definition that was fully applied, and brings an earlier one back: what `rollback` goes back to.

Law: level-triggered: a definition is kept once nothing is left to do for it and no service of it crash loops, if the
last one kept is another. One whose service begins to crash loop within its `reset_after` is marked as failed, until all
of it has run well for so long. While an earlier one is pinned, or the stack is down or released, nothing of this is
done. What takes time (reading the texts) runs beside the event loop. What this module does NOT do: put anything in
force (a PINNED override and `Store.set_pin` do).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from stackd.compose.canonical import as_yaml
from stackd.compose.explain import changed_fields
from stackd.compose.load import canonical
from stackd.compose.shown import redacted
from stackd.core.backoff import is_crash_looping, next_health_restart
from stackd.core.ownership import ours
from stackd.errors import StateError
from stackd.model.ids import ServiceName, StackName
from stackd.model.override import OverrideKind
from stackd.model.record import RULE, Applied, AppliedImage
from stackd.model.spec import Project, RestartPolicy
from stackd.model.view import Decision, Ledger, Now, Pin, Presence, ServiceLedger, ServiceState, View
from stackd.runtime import rows
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.source.scan import Scanner, SourceSettings, inputs_of

log = logging.getLogger(__name__)

MOST_TEXT = 1024 * 1024
"""Characters of texts kept of one revision."""
_AWAY = (OverrideKind.PINNED, OverrideKind.RELEASED)
_DOWN = OverrideKind.STOPPED
_WELL = (ServiceState.RUNNING, ServiceState.HEALTHY)


def revive(applied: Applied, settings: SourceSettings) -> Project:
    """The definition that a kept revision makes today. Raises StateError when it makes none."""
    if not applied.revision:
        raise StateError(f"the files of revision {applied.number} of {applied.stack} were too large to be kept")
    loaded = Scanner(settings).revive(rows.REVISION.validate_json(applied.revision))
    if loaded.project is None:
        first = next((str(one) for one in loaded.diagnostics), "no definition")
        raise StateError(f"revision {applied.number} of {applied.stack} cannot be read any more: {first}")
    return loaded.project


def pin(applied: Applied, settings: SourceSettings) -> Pin:
    """What `Store.set_pin` takes, with the images that the revision ran. Raises StateError as `revive`."""
    return Pin(applied.number, revive(applied, settings), {name: one.id for name, one in applied.images.items()})


@dataclass(frozen=True, slots=True)
class _Texts:
    """What reading a revision's texts gives."""

    resolved: str
    changes: tuple[str, ...]


class AppliedRevisions:
    """The recorder. `look` is called after each decision; `stop` gives up what is under way."""

    def __init__(self, journal: Journal, history: History, settings: SourceSettings, clock: Callable[[], Now]) -> None:
        self._journal = journal
        self._history = history
        self._settings = settings
        self._clock = clock
        self._newest: dict[StackName, Applied] = {}
        self._tasks: dict[StackName, asyncio.Task[None]] = {}

    def look(self, view: View, decision: Decision) -> None:
        """Keep the definition in force, if it is fully applied and another than the last one kept; judge that one."""
        project = _in_force(view)
        if project is None or self._journal.unread:
            return
        before, now = self._journal.applied(view.stack), self._clock()
        loops = tuple(_loops(project, decision.ledger, now))
        if before and before[-1].digest == project.digest:
            self._judge(before[-1], loops, well=_runs_well(project, decision, now))
            if not decision.plan.steps:
                self._newest.pop(view.stack, None)
            return
        if decision.plan.steps or loops:
            return
        number = before[-1].number + 1 if before else 1
        self._newest[view.stack] = self._noted(view, project, number)
        if view.stack not in self._tasks:
            name = f"applied revision of {view.stack}"
            task = self._tasks[view.stack] = asyncio.create_task(self._keep(view.stack), name=name)
            task.add_done_callback(lambda done: self._done(view.stack, done))

    def _judge(self, last: Applied, loops: tuple[_Loop, ...], *, well: bool) -> None:
        """Mark the revision in force as failed, or as not failed any more."""
        soon = any(one.since - last.at <= one.policy.reset_after for one in loops)
        failed = soon or (last.failed and not well)
        if failed == last.failed:
            return
        self._journal.save_applied(replace(last, failed=failed))
        told = "has failed: a service of it crash loops" if failed else "runs well after all"
        self._history.add(
            last.stack, None, "revision.failed" if failed else "revision.recovered",
            f"revision {last.number} of the definition {told}", number=last.number,
        )  # fmt: skip

    async def revived(self, applied: Applied) -> Project | None:
        """`revive` beside the event loop, None when it makes no definition."""
        try:
            return await asyncio.to_thread(revive, applied, self._settings)
        except StateError:
            return None

    async def stop(self) -> None:
        """Give up what is under way: the next life of the daemon keeps it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, stack: StackName, task: asyncio.Task[None]) -> None:
        self._tasks.pop(stack, None)
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("a revision of %s could not be kept", stack, exc_info=fault)

    def _noted(self, view: View, project: Project, number: int) -> Applied:
        """What is known at once."""
        assert view.desired is not None
        revision = self._journal.revision(view.stack)
        text = rows.REVISION.dump_json(revision).decode() if revision and revision.digest == project.digest else ""
        return Applied(
            stack=view.stack, number=number, at=self._clock().wall, digest=project.digest,
            generation=view.desired.generation, revision=text if len(text) <= MOST_TEXT else "", resolved="",
            services=tuple(project.services), images=_images(view, project), rule=RULE,
        )  # fmt: skip

    async def _keep(self, stack: StackName) -> None:
        """Complete and keep the newest one noted; one that came meanwhile comes next."""
        while (applied := self._newest.pop(stack, None)) is not None:
            kept = self._journal.applied(stack)
            before = kept[-1] if kept else None
            if before is not None and before.digest == applied.digest:
                continue
            applied = replace(applied, number=before.number + 1 if before else 1)
            if applied.revision:
                texts = await asyncio.to_thread(_read, applied, before, self._settings)
                applied = replace(applied, resolved=texts.resolved, changes=texts.changes)
            self._journal.save_applied(applied)
            count = len(applied.changes)
            what = f": {count} change{'s' if count != 1 else ''}" if before is not None else ""
            text = f"revision {applied.number} of the definition is applied{what}"
            self._history.add(stack, None, "revision.applied", text, number=applied.number)


def _in_force(view: View) -> Project | None:
    """The definition of the files, if it is in force."""
    desired = view.desired
    if desired is None or desired.project is None or view.observed is None:
        return None
    if desired.presence is not Presence.PRESENT or not view.host.engine_up:
        return None
    away = (one for one in view.overrides if one.kind in _AWAY or (one.service is None and one.kind is _DOWN))
    return None if any(away) else desired.project


@dataclass(frozen=True, slots=True)
class _Loop:
    """A service that crash loops: since when (wall clock), by which policy."""

    since: float
    policy: RestartPolicy


def _loops(project: Project, ledger: Ledger, now: Now) -> Iterator[_Loop]:
    """The services that crash loop, be it between two tries, while one runs."""
    for name, spec in project.services.items():
        known, policy = ledger.services.get(name, ServiceLedger()), spec.restart
        if is_crash_looping(known, policy):
            yield _Loop(known.deaths[0].seen_at + now.wall - now.mono, policy)
        elif next_health_restart(known, policy, now.mono) is not None:
            yield _Loop(known.health_restarts[0][1] + now.wall - now.mono, policy)


def _runs_well(project: Project, decision: Decision, now: Now) -> bool:
    """Whether everything has run well for its `reset_after`, or is completed."""
    for verdict in decision.verdicts:
        spec, known = project.services.get(verdict.service), decision.ledger.services.get(verdict.service)
        if verdict.state is ServiceState.COMPLETED and verdict.good:
            continue
        if spec is None or known is None or known.deaths or known.stable is None or verdict.state not in _WELL:
            return False
        if now.mono - known.stable_since < spec.restart.reset_after:
            return False
    return bool(decision.verdicts) and not decision.plan.steps


def _images(view: View, project: Project) -> dict[ServiceName, AppliedImage]:
    """The image that each service runs, by the names that registries know it by."""
    assert view.observed is not None
    found: dict[ServiceName, AppliedImage] = {}
    for box in ours(view):
        if box.service in project.services and box.service not in found:
            seen = view.observed.images.get(box.image)
            digests = seen.digests if seen is not None and seen.id == box.image_id else ()
            found[box.service] = AppliedImage(box.image, box.image_id, digests)
    return found


def _read(applied: Applied, before: Applied | None, settings: SourceSettings) -> _Texts:
    """The definition in canonical form without its secrets, and what was edited since the one before."""
    revision = rows.REVISION.validate_json(applied.revision)
    values, loaded = canonical(inputs_of(revision, settings), revision.read, settings.env)
    if values is None or loaded.project is None:
        return _Texts("", ())
    return _Texts(
        as_yaml(redacted(values, loaded.project, settings.redaction)), _edits(before, loaded.project, settings)
    )


def _edits(before: Applied | None, now: Project, settings: SourceSettings) -> tuple[str, ...]:
    """One line for each edited field, service by service."""
    if before is None:
        return ()
    try:
        old = revive(before, settings).services
    except StateError as error:
        return (f"what was edited is not known: {error}",)
    lines = [f"{name}: removed" for name in old if name not in now.services]
    for name, spec in now.services.items():
        if name not in old:
            lines.append(f"{name}: added")
        else:
            lines.extend(f"{name}: {change}" for change in changed_fields(old[name], spec))
    return tuple(lines)
