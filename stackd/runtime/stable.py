"""What each service ran as when it last ran well, so that a crash can tell what was changed since.

Law: a run is stable once it has run, and been healthy, for its policy's `reset_after`. The definition itself is held in
memory; after a restart of the daemon it comes from the applied revision that was in force then. Of a service that is
gone, from the definition and from the engine, nothing is remembered. What this module does NOT do: judge whether a
change has to do with the crash.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from stackd.compose.explain import changed_fields
from stackd.core.ownership import ours
from stackd.model.ids import ServiceName, StackName
from stackd.model.observed import ObservedContainer
from stackd.model.plan import FieldChange
from stackd.model.record import Applied
from stackd.model.spec import Project, ServiceSpec
from stackd.model.view import Now, ServiceLedger, View
from stackd.runtime.journal import Journal

NOT_KEPT = "the definition of its last stable run is not kept any more"
_SHORT = 19  # sha256: and twelve digits
_ANEW = 3600.0  # seconds after which the instant of a stable run is written again


@dataclass(frozen=True, slots=True)
class _Run:
    """A stable run: until when it is known to have been, its config-hash, its image, the revision applied then, when
    this was written last (wall clock)."""

    at: float
    config_hash: str
    image_id: str
    number: int
    spec: ServiceSpec | None = None
    written_at: float = field(default=0.0, compare=False)


class Stable:
    """The last stable run of every service."""

    def __init__(self, journal: Journal, revived: Callable[[Applied], Awaitable[Project | None]]) -> None:
        self._journal = journal
        self._revived = revived
        self._runs: dict[tuple[StackName, ServiceName], _Run] = {}
        self._specs: dict[tuple[StackName, ServiceName], ServiceSpec] = {}
        self._there: dict[StackName, frozenset[ServiceName]] = {}

    def note(self, view: View, now: Now) -> None:
        """Take what a view shows, before the decision about it changes the ledger."""
        there = services_of(view)
        if there is not None and self._there.get(view.stack) != there:
            self.forget(view.stack, but=there)
            self._there[view.stack] = there
        for box in ours(view):
            self._learn(view, box)
            spec = self._specs.get((box.stack, box.service))
            known = view.ledger.services.get(box.service, ServiceLedger())
            if spec is None or known.stable != box.incarnation or box.config_hash not in spec.hashes:
                continue
            if now.mono - known.stable_since >= spec.restart.reset_after:
                self._put(box, spec, now.wall)

    def forget(self, stack: StackName, but: frozenset[ServiceName] = frozenset()) -> None:
        """The stack, or all of its services `but` these, are gone."""
        for key in [key for key in {*self._runs, *self._specs} if key[0] == stack and key[1] not in but]:
            self._runs.pop(key, None)
            self._specs.pop(key, None)
        self._there.pop(stack, None)
        self._journal.forget_meta(_key(stack, ""), {_key(stack, service) for service in but})

    def _learn(self, view: View, box: ObservedContainer) -> None:
        """The definition that a container was made from, while it is at hand: an edit replaces it."""
        spec = view.project.services.get(box.service) if view.project is not None else None
        if spec is not None and box.config_hash in spec.hashes:
            self._specs[box.stack, box.service] = spec

    def _put(self, box: ObservedContainer, spec: ServiceSpec, wall: float) -> None:
        key = (box.stack, box.service)
        before = self._last(*key)
        applied = self._journal.applied(box.stack)
        number = applied[-1].number if applied else 0
        run = self._runs[key] = _Run(wall, box.config_hash, box.image_id, number, spec)
        if before is None or replace(before, at=wall, spec=spec) != run or wall - before.written_at > _ANEW:
            self._runs[key] = replace(run, written_at=wall)
            text = json.dumps([run.at, run.config_hash, run.image_id, run.number])
            self._journal.set_meta(_key(*key), text)
        else:
            self._runs[key] = replace(run, written_at=before.written_at)

    def _last(self, stack: StackName, service: ServiceName) -> _Run | None:
        run = self._runs.get((stack, service))
        if run is not None:
            return run
        text = self._journal.meta(_key(stack, service))
        if not text:
            return None
        at, config_hash, image_id, number = json.loads(text)
        return _Run(float(at), str(config_hash), str(image_id), int(number), written_at=float(at))

    async def changes(self, box: ObservedContainer) -> tuple[tuple[FieldChange, ...], float | None, str]:
        """What was changed between a service's last stable run and this one, when that was (None = never), a gap."""
        run = self._last(box.stack, box.service)
        if run is None:
            return (), None, ""
        changes: tuple[FieldChange, ...] = ()
        gap = ""
        now = self._specs.get((box.stack, box.service))
        if box.config_hash != run.config_hash:
            before = run.spec or await self._revive(box, run)
            if before is None or now is None or box.config_hash not in now.hashes:
                gap = NOT_KEPT
            else:
                changes = changed_fields(before, now)
        if box.image_id != run.image_id:
            changes = (*changes, FieldChange("image id", run.image_id[:_SHORT], box.image_id[:_SHORT]))
        return changes, run.at, gap

    async def _revive(self, box: ObservedContainer, run: _Run) -> ServiceSpec | None:
        for applied in self._journal.applied(box.stack):
            if applied.number == run.number:
                project = await self._revived(applied)
                spec = project.services.get(box.service) if project is not None else None
                return spec if spec is not None and run.config_hash in spec.hashes else None
        return None


def services_of(view: View) -> frozenset[ServiceName] | None:
    """The services that there are, in a definition or on the engine; None = not known (yet)."""
    desired = view.desired
    if view.observed is None or not view.host.sources_loaded or (desired is not None and desired.project is None):
        return None
    projects = [one for one in (view.project, desired.project if desired is not None else None) if one is not None]
    defined = {name for one in projects for name in (*one.services, *one.inactive)}
    return frozenset(defined | {box.service for box in ours(view)})


def in_force(view: View, journal: Journal) -> int | None:
    """The number of the revision in force, None when it is not (yet) an applied one."""
    if view.pinned is not None:
        return view.pinned.number
    digest = view.project.digest if view.project is not None else ""
    return next((one.number for one in reversed(journal.applied(view.stack)) if one.digest == digest), None)


def _key(stack: StackName, service: str) -> str:
    return f"stable/{stack}/{service}"
