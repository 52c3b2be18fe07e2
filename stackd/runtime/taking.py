"""Taking Compose projects over from the engine, and giving stacks back to it.

Law: adoption stops, starts and replaces nothing. While a stack is being taken over it is held as a whole; what its file
would change at once is then held service by service, visibly, until a person says `up` or edits it. A release stands
until the stack is adopted. A stack whose folder is no longer in a stacks directory gets its link again, or the adoption
is refused with what to do. What this module does NOT do: touch a container (engine restart policies are a matter of the
plan), or remove a link.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from stackd.core.decide import decide
from stackd.errors import EngineError, RequestError, Severity
from stackd.model.ids import ServiceName, StackName
from stackd.model.observed import ContainerRow
from stackd.model.override import Operation, Override, OverrideKind, Request, Verb
from stackd.model.plan import UpdateRestartPolicy, service_of
from stackd.model.record import Adoptable
from stackd.model.view import View
from stackd.runtime.parts import Parts
from stackd.source.adopting import obstacle
from stackd.source.linking import LinkError, link_into

SEEN_WITHIN = 30.0
"""Seconds that an adoption waits for its stack to be read and looked at; until then it stays held as a whole."""
TAKING = "being adopted"
DIFFERS = "its container differs from its file since it was adopted"


class Taking:
    """Adoption and release."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def adoptable(self) -> tuple[Adoptable, ...]:
        """See `Control.adoptable`."""
        parts, host = self._parts, self._parts.store.host
        try:
            if not host.engine_up:
                raise RequestError(
                    503, "engine_unavailable", "the engine does not answer, and projects are the engine's"
                )
            rows = await parts.engine.list_containers(None, host.instance)
        except EngineError as error:
            raise RequestError(503, "engine_unavailable", f"the engine does not tell its projects: {error}") from error
        projects: dict[StackName, list[ContainerRow]] = {}
        for row in rows:
            if row.service and not row.oneoff:
                projects.setdefault(row.stack, []).append(row)
        found = [
            await self._described(name, projects[name]) for name in sorted(projects) if not self._kept(projects[name])
        ]
        return tuple(found)

    def _kept(self, rows: list[ContainerRow]) -> bool:
        """Whether a stack of ours has these containers: made by this daemon, or in the folder of the stack."""
        desired = self._desired_folder(rows[0].stack)
        if desired is None:
            return False
        return any(row.instance == self._parts.store.host.instance or row.working_dir == str(desired) for row in rows)

    def _desired_folder(self, name: StackName) -> Path | None:
        store = self._parts.store
        desired = store.view(name).desired if name in store.names() else None
        here = desired is not None and self._parts.source.is_here(name)
        return desired.folder if desired is not None and here else None

    async def _described(self, name: StackName, rows: list[ContainerRow]) -> Adoptable:
        folder = max((row.working_dir for row in rows), key=[row.working_dir for row in rows].count)
        files = next((row.config_files for row in rows if row.working_dir == folder and row.config_files), "")
        return Adoptable(
            name=name,
            working_dir=folder,
            config_files=tuple(file for file in files.split(",") if file),
            services=tuple(dict.fromkeys(row.service for row in sorted(rows, key=lambda row: row.name))),
            containers=len(rows),
            running=sum(row.running for row in rows),
            obstacle=await self._obstacle(name, folder, files, rows),
        )

    async def _obstacle(self, name: StackName, folder: str, files: str, rows: list[ContainerRow]) -> str:
        parts, mine = self._parts, self._parts.store.host.instance
        others = sorted({row.instance for row in rows} - {"", str(mine)})
        if others:
            return f"it is kept by another stackd (instance {others[0]})"
        kept = self._desired_folder(name)
        if kept is not None:
            return f"the stack {name} in {kept} has its name"
        if len({row.working_dir for row in rows}) > 1:
            return "its containers were made in different folders"
        if not parts.source.settings.roots:
            return "there is no stacks directory"
        directories, entry = self._places(name)
        link = directories[0] / entry
        if os.path.lexists(link) and os.path.realpath(link) != folder:
            return f"{link} is there already: move it away, then adopt it again"
        made_from = tuple(file for file in files.split(",") if file)
        return await asyncio.to_thread(obstacle, parts.source.settings, name, folder, made_from)

    def _places(self, name: StackName) -> tuple[tuple[Path, ...], str]:
        """Where its link is to be, best first: the directories and its name there. Where it was, else as `stackd add`
        does it, in the first stacks directory that can be written to."""
        source = self._parts.source
        before = source.entry(name)
        return (source.settings.roots, name) if before is None else ((before.parent,), before.name)

    async def adopt(self, stack: StackName, by: str) -> Operation:
        """See `Control.adopt`."""
        parts = self._parts
        known = stack in parts.store.names()
        if known:
            await parts.source.rescan()  # its link may have gone a moment ago
        if known and parts.source.is_here(stack) and _is_given_away(view := parts.store.view(stack)):
            _check_can_be_kept(view)
            await self._hold(stack, by)
        else:
            await self._link_project(stack, by)
        detail = await self._settle(stack, by)
        now = parts.clock().wall
        return await parts.intents.ask(Request(parts.intents.new_id(), stack, Verb.ADOPT, (), by, now), detail)

    async def _link_project(self, stack: StackName, by: str) -> None:
        found = next((one for one in await self.adoptable() if one.name == stack), None)
        if found is None and self._desired_folder(stack) is not None:
            raise RequestError(409, "not_adoptable", f"stack {stack} is kept by stackd already")
        if found is None:
            raise RequestError(404, "not_adoptable", f'there is no project "{stack}" on the engine to adopt')
        if found.obstacle:
            raise _refusal(stack, found.obstacle)
        released = self._parts.store.view(stack).released  # that protects it until it is read
        if not released:
            await self._hold(stack, by)
        try:
            link, _ = await asyncio.to_thread(link_into, *self._places(stack), Path(found.working_dir))
        except LinkError as error:
            await self._free(stack, "it could not be adopted")
            raise _refusal(stack, str(error)) from error
        await self._parts.source.rescan()
        if released and not self._parts.source.is_here(stack):
            problem = self._parts.source.problem or "it is not read yet"
            raise _refusal(stack, f"{link} was made, but {problem}; then adopt it again")
        if released:
            await self._hold(stack, by)

    async def _hold(self, stack: StackName, by: str) -> None:
        now = self._parts.clock().wall
        await self._parts.intents.put(Override(stack, None, OverrideKind.HELD, TAKING, by, now))

    async def _free(self, stack: StackName, why: str) -> None:
        whole = [one for one in self._parts.store.view(stack).overrides if _taking(one)]
        await self._parts.intents.release(stack, whole, why)

    async def _settle(self, stack: StackName, by: str) -> str:
        """Hold what the file would change at once, and let go of the rest. What is not known stays held.

        Returns what the one who adopts should know, "" = nothing.
        """
        view = await self._looked_at(stack)
        parts = self._parts
        if view is None:
            return f"all of it is held, because it could not be looked at yet; try again: stackd adopt {stack}"
        touched, whole = _touched(view, parts)
        if whole:
            text = f"{whole} since it was adopted"
            await parts.intents.put(parts.override(view, None, OverrideKind.HELD, text, by))
            return f"all of it is held: {text}; make it as its file says: stackd up {stack}"
        known = {one.service for one in view.standing}
        holds = (parts.override(view, one, OverrideKind.HELD, DIFFERS, by) for one in touched if one not in known)
        await parts.intents.put(*holds)
        await self._free(stack, f"adopted by {by}")
        return _not_carried_out(view)

    async def _looked_at(self, stack: StackName) -> View | None:
        """The view once the stack is read and observed, None when that takes too long."""
        store = self._parts.store
        try:
            async with asyncio.timeout(SEEN_WITHIN):
                while not _is_known(view := store.view(stack)):
                    await store.changed(stack, view.version, None)
        except TimeoutError:
            return None
        return view

    async def release(self, stack: StackName, by: str) -> Operation:
        """See `Control.release`."""
        parts, view = self._parts, self._parts.view(stack)
        if view.desired is None or view.desired.project is None:
            raise RequestError(409, "no_definition", f"stack {stack} has no valid definition: see its diagnostics")
        if not view.released:
            override = replace(parts.override(view, None, OverrideKind.RELEASED, "released", by), definition="")
            await parts.intents.put(override, asking=True)
        return await parts.ask(stack, Verb.RELEASE, (), by)


def _is_given_away(view: View) -> bool:
    """Whether the stack is the engine's own, or an adoption of it was begun and not finished."""
    return view.released or any(map(_taking, view.overrides))


def _check_can_be_kept(view: View) -> None:
    """RequestError while it cannot be known what to keep."""
    if not view.host.engine_up:
        raise RequestError(503, "engine_unavailable", "the engine does not answer, and the containers are the engine's")
    if view.project is None:
        found = view.desired.diagnostics if view.desired is not None else ()
        first = next((str(one) for one in found if one.severity is Severity.ERROR), "it has no valid definition")
        raise _refusal(view.stack, first)


def _refusal(stack: StackName, why: str) -> RequestError:
    return RequestError(409, "not_adoptable", f"{stack} cannot be adopted: {why}")


def _taking(override: Override) -> bool:
    return override.service is None and override.kind is OverrideKind.HELD and override.reason == TAKING


def _is_known(view: View) -> bool:
    """Whether enough is known to tell what adopting the stack would do: its file, its containers, its images."""
    project = view.project
    if project is None or view.observed is None or not view.host.engine_up or not view.host.sources_loaded:
        return False
    return all(spec.image in view.observed.images for spec in project.services.values())


def _touched(view: View, parts: Parts) -> tuple[list[ServiceName], str]:
    """The services that would be touched at once if the stack were kept now; and why all of it must not be, if so."""
    assert view.desired is not None
    rest = tuple(one for one in view.overrides if not _taking(one) and one.kind is not OverrideKind.RELEASED)
    free = replace(view, overrides=rest, desired=replace(view.desired, services_settled=True))
    ops = [step.op for step in decide(free, parts.clock()).plan.steps if not isinstance(step.op, UpdateRestartPolicy)]
    touched = list(dict.fromkeys(name for op in ops if (name := service_of(op)) is not None))
    project = view.project
    gone = [name for name in touched if project is None or name not in project.services]
    return touched, f"{_listed(gone)} not in its file" if gone else ""


def _not_carried_out(view: View) -> str:
    """The warning about what the services' next containers would not have, "" = nothing."""
    specs = view.project.services.values() if view.project is not None else ()
    found = [f"{spec.name}: {', '.join(spec.unsupported)}" for spec in specs if spec.unsupported]
    if not found:
        return ""
    listed = "; ".join(found)
    return (
        f"warning: stackd does not carry out yet: {listed}. Containers that have it keep it, and are not replaced"
        f" before you accept the loss: stackd up {view.stack} --accept-loss"
    )


def _listed(names: Iterable[ServiceName]) -> str:
    found = list(names)
    return f"service {found[0]} is" if len(found) == 1 else f"services {', '.join(found)} are"
