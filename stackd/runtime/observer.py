"""Looking at the engine: the whole stack at once, again and again.

Law: one observation per stack in flight, and a dirty flag: whoever wants one while it runs gets another round, never a
skip. A container whose inspect hangs or fails becomes `unknown`; it never fails the observation. An observation that
cannot be completed is dropped: not seen is not empty.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from stackd.engine.base import Engine
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, StackName
from stackd.model.observed import (
    ContainerRow,
    ContainerState,
    ObservedContainer,
    ObservedImage,
    ObservedNetwork,
    ObservedStack,
    ObservedVolume,
)
from stackd.model.plan import StartContainer
from stackd.model.spec import Project
from stackd.model.view import Decision, View
from stackd.runtime.store import Store

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until an observation that failed is tried again."""
CALLS = 8
"""Inspects under way at once, over all stacks."""


@dataclass(slots=True)
class _Seen:
    """What is kept between two looks: the rows' signatures, so that only what changed is inspected again."""

    task: asyncio.Task[None] | None = None
    dirty: bool = False
    fresh: set[ContainerId] = field(default_factory=set)
    known: dict[ContainerId, tuple[str, ObservedContainer]] = field(default_factory=dict)
    images: dict[str, ObservedImage | None] = field(default_factory=dict)
    stale_images: bool = True


class Observer:
    """Observes stacks on demand. `mono` is the monotonic clock; tasks live in the group given to `run`."""

    def __init__(self, engine: Engine, store: Store, mono: Callable[[], float]) -> None:
        self._engine = engine
        self._store = store
        self._mono = mono
        self._seen: dict[StackName, _Seen] = {}
        self._calls = asyncio.Semaphore(CALLS)

    def look(self, stack: StackName, container: ContainerId | None = None, *, images: bool = False) -> None:
        """Look at a stack soon; at `container` even if its row looks the same, at its images if `images`."""
        seen = self._seen.setdefault(stack, _Seen())
        if container is not None:
            seen.fresh.add(container)
        seen.stale_images |= images
        seen.dirty = True
        if seen.task is None:
            seen.task = asyncio.create_task(self._rounds(stack, seen), name=f"observe {stack}")

    def attend(self, view: View, _decision: Decision) -> None:
        """A witness of decisions: look for the images of a definition that came into force without a file being read.

        A rollback and its end are such; without this they would wait for the next resync. Look also for a request: it
        counts only what was seen after it was made.
        """
        seen = view.observed
        if seen is None:
            return
        asked = bool(view.requests) and any(at > seen.sent_at for at in view.answered.values())
        if asked or _images_of(view) - seen.images.keys():
            self.look(view.stack)

    def look_everywhere(self) -> None:
        """Look at every stack, trusting nothing seen before: after a reconnect, and at every resync."""
        for stack in self._store.names():
            self._seen.setdefault(stack, _Seen()).known.clear()
            self.look(stack, images=True)

    async def stop(self) -> None:
        """End all observations."""
        tasks = [seen.task for seen in self._seen.values() if seen.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _rounds(self, stack: StackName, seen: _Seen) -> None:
        try:
            while seen.dirty:
                seen.dirty = False
                if await self._looked(stack, seen):
                    continue
                if not self._store.host.engine_up or stack not in self._store.names():
                    break  # the next contact looks everywhere
                seen.dirty = True
                await asyncio.sleep(RETRY)
        finally:
            seen.task = None
        if stack not in self._store.names():
            self._seen.pop(stack, None)

    async def _looked(self, stack: StackName, seen: _Seen) -> bool:
        """One round; whether it could be completed."""
        try:
            await self._round(stack, seen)
        except* EngineError as failed:
            log.debug("observing %s failed: %s", stack, failed.exceptions[0])
            complete = False
        else:
            complete = True
        return complete

    async def _round(self, stack: StackName, seen: _Seen) -> None:
        sent_at = self._mono()
        fresh, seen.fresh = seen.fresh, set()
        stale, seen.stale_images = seen.stale_images, False
        try:
            async with asyncio.TaskGroup() as calls:
                listing = calls.create_task(self._engine.list_containers(stack, self._store.host.instance))
                networks = calls.create_task(self._networks(stack))
                volumes = calls.create_task(self._volumes(stack))
                images = calls.create_task(self._images(stack, seen, stale))
            rows = listing.result()
            containers = await self._containers(stack, rows, seen, fresh)
        except BaseException:
            seen.fresh |= fresh
            seen.stale_images |= stale
            raise
        if stack in self._store.names():
            self._store.set_observed(
                ObservedStack(stack, containers, networks.result(), volumes.result(), images.result(), sent_at)
            )

    async def _containers(
        self, stack: StackName, rows: tuple[ContainerRow, ...], seen: _Seen, fresh: set[ContainerId]
    ) -> tuple[ObservedContainer, ...]:
        starting = self._starting(stack)
        found = await asyncio.gather(
            *(self._container(row, seen, fresh=row.id in fresh, starting=row.id in starting) for row in rows)
        )
        seen.known = {one.id: seen.known[one.id] for one in found if one is not None and one.id in seen.known}
        return tuple(sorted((one for one in found if one is not None), key=lambda one: (one.name, one.id)))

    def _starting(self, stack: StackName) -> set[ContainerId]:
        """Containers that we are starting now. The engine holds their inspect back until they run, and with it the
        whole observation and every other service; what it would tell counts only after the start's answer anyway, when
        the container is looked at again."""
        running = self._store.view(stack).running if stack in self._store.names() else ()
        return {op.container for op in running if isinstance(op, StartContainer)}

    async def _container(
        self, row: ContainerRow, seen: _Seen, *, fresh: bool, starting: bool
    ) -> ObservedContainer | None:
        known = seen.known.get(row.id)
        same = known is not None and bool(row.signature) and known[0] == row.signature
        if known is not None and (starting or (same and not fresh)):
            return known[1]
        try:
            async with self._calls:
                found = await self._engine.inspect_container(row.id)
        except EngineError as error:
            if error.kind is EngineErrorKind.UNAVAILABLE:
                raise
            seen.dirty = True
            seen.fresh.add(row.id)
            await asyncio.sleep(RETRY)
            return _unknown(row, known[1] if known else None)
        if found is not None:
            seen.known[row.id] = (row.signature, found)
        return found

    async def _networks(self, stack: StackName) -> tuple[ObservedNetwork, ...]:
        found = {network.id: network for network in await self._engine.list_networks(stack)}
        project = self._project(stack)
        names = {network.name for network in found.values()}
        for spec in project.networks.values() if project else ():
            if spec.name not in names:
                network = await self._engine.find_network(spec.name)
                if network is not None:
                    found[network.id] = network
        return tuple(sorted(found.values(), key=lambda network: (network.name, network.id)))

    async def _volumes(self, stack: StackName) -> tuple[ObservedVolume, ...]:
        found = {volume.name: volume for volume in await self._engine.list_volumes(stack)}
        project = self._project(stack)
        for spec in project.volumes.values() if project else ():
            if spec.name not in found:
                volume = await self._engine.find_volume(spec.name)
                if volume is not None:
                    found[volume.name] = volume
        return tuple(sorted(found.values(), key=lambda volume: volume.name))

    async def _images(self, stack: StackName, seen: _Seen, stale: bool) -> dict[str, ObservedImage | None]:
        wanted = _images_of(self._store.view(stack)) if stack in self._store.names() else set()
        if stale:
            seen.images = {}
        missing = sorted(ref for ref in wanted if seen.images.get(ref) is None)
        found = await asyncio.gather(*(self._image(ref) for ref in missing))
        seen.images.update(zip(missing, found, strict=True))
        return {ref: seen.images[ref] for ref in sorted(wanted)}

    async def _image(self, ref: str) -> ObservedImage | None:
        async with self._calls:
            return await self._engine.inspect_image(ref)

    def _project(self, stack: StackName) -> Project | None:
        return self._store.view(stack).project if stack in self._store.names() else None


def _images_of(view: View) -> set[str]:
    """Every image that the definition in force needs, by what it is looked for."""
    project, pinned = view.project, view.pinned
    wanted = {spec.image for spec in project.services.values()} if project else set[str]()
    return wanted | set(pinned.images.values()) if pinned is not None else wanted


def _unknown(row: ContainerRow, before: ObservedContainer | None) -> ObservedContainer:
    """A container that could not be inspected: there, and nothing may be done to it."""
    if before is not None:
        return replace(before, state=ContainerState.UNKNOWN)
    return ObservedContainer(
        row.id, row.name, row.stack, row.service, row.number, ContainerState.UNKNOWN, instance=row.instance
    )
