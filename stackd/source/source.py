"""The task that turns the disk into desired stacks: read, believe, publish, wait for the next change.

Law: level-triggered: every round reads everything and publishes what differs from what was published last. Nothing is
`loaded` before the first full round is over. A definition that cannot be read now is taken from its last good revision.
What this module does NOT do: parse, plan, or talk to the engine (what runs is an argument).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from stackd.compose.inputs import FILE_NAMES
from stackd.config import FreezeConfig, WatchConfig
from stackd.model.ids import StackName
from stackd.model.view import DesiredStack
from stackd.source.force import Held, Stacks, double, doubtful, waiting
from stackd.source.removal import (
    Consent,
    Fate,
    FileId,
    Known,
    Outcome,
    Place,
    Registry,
    RemovalRules,
    Scan,
    believe,
    forget,
)
from stackd.source.revision import Revision, RevisionStore
from stackd.source.scan import Reading, Scanner, SourceSettings, StackReading, defect
from stackd.source.sorting import by_name, without_plain_folders
from stackd.source.thread import in_thread
from stackd.source.watch import Watcher

log = logging.getLogger(__name__)

GONE = (Fate.GOING, Fate.FROZEN)
"""What only somebody who wants the stack removed approves of."""
ELSEWHERE = (Fate.RENAMED, Fate.MOVED)
"""What somebody approves of who wants the stack as its file says now."""
_FIRST_RETRY = 1.0  # seconds until the next round after one that failed, doubled each time
_AFTERMATH = 2.0  # seconds between looks whether a removed stack's containers are gone, or a folder answers again


class Publisher(Protocol):
    """Where the source tells what it has found. No call blocks; all come from the source's own task."""

    def publish(self, desired: DesiredStack) -> None:
        """A stack is new, or its desired side has changed."""

    def withdraw(self, stack: StackName) -> None:
        """A stack is gone, and so are its containers: forget it."""

    def frozen(self, reason: str) -> None:
        """Why no stack may be removed now; "" = removal is allowed again."""

    def loaded(self) -> None:
        """Everything has been read once: from now on, what is not published is not there."""


Running = Callable[[], Mapping[StackName, str] | None]
"""Which stacks have containers or networks of ours, with their working_dir label; None = not seen yet."""


@dataclass(frozen=True, slots=True)
class _Round:
    """One reading sorted and believed. `asked`: a person waits for it; `at` is its monotonic instant."""

    stacks: Stacks
    outcome: Outcome
    roots: Mapping[Path, FileId | None]
    at: float
    asked: bool


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The configuration of a source."""

    settings: SourceSettings
    watch: WatchConfig = field(default_factory=WatchConfig)
    freeze: FreezeConfig = field(default_factory=FreezeConfig)


class Source:
    """The disk side of the daemon. `run` is its task; everything else may be called from the same event loop."""

    def __init__(
        self,
        options: SourceOptions,
        publisher: Publisher,
        running: Running,
        store: RevisionStore,
        revisions: Mapping[StackName, Revision],
    ) -> None:
        """`revisions` are those that the store had at the start."""
        self._options = options
        self._publisher = publisher
        self._running = running
        self._store = store
        self._scanner = Scanner(options.settings)
        watch = options.watch
        self._watcher = Watcher(self._scanner.fingerprints, step=watch.step, degraded_rescan=watch.degraded_rescan)
        freeze = options.freeze
        self._rules = RemovalRules(freeze.stack_grace, freeze.share, freeze.min_stacks)
        self._revisions = {name: one for name, one in revisions.items() if one.root in options.settings.roots}
        self._registry = _registry(self._revisions)
        self._held: dict[StackName, Held] = {}
        self._published: dict[StackName, DesiredStack] = {}
        self._fates: Mapping[StackName, Fate] = {}
        self._renamed: Mapping[StackName, StackName] = {}
        self._frozen = ""
        self._confirmed: set[StackName] = set()
        self._poke = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._problem = "not read yet"
        self._fault = ""
        self._loaded = False
        self._plain: frozenset[Path] = frozenset()
        self._last: _Round | None = None
        self._reads: dict[StackName, asyncio.Future[StackReading]] = {}
        self._read_alone: set[StackName] = set()

    @property
    def problem(self) -> str:
        """What keeps stacks directories from being read, "" = nothing."""
        return self._problem

    @property
    def progress(self) -> str:
        """What is being read of the stacks directories, "" = nothing: a folder that does not answer stays here."""
        return self._scanner.progress

    @property
    def watch_problem(self) -> str:
        """Why changes are noticed late, "" = they are not."""
        return self._watcher.problem

    @property
    def settings(self) -> SourceSettings:
        """What the configuration says about reading."""
        return self._options.settings

    def is_here(self, stack: StackName) -> bool:
        """Whether the last reading found the stack's entry in a stacks directory (its folder may be unreadable)."""
        return self._fates.get(stack) in (Fate.HERE, Fate.MOVED)

    def entry(self, stack: StackName) -> Path | None:
        """Where the stack's entry is, or was when it was there last; None = it is not known."""
        known = self._registry.known.get(stack)
        return known.place.root / known.place.entry if known is not None else None

    def poke(self) -> None:
        """Read everything again soon."""
        self._poke.set()

    async def rescan(self) -> None:
        """Read everything again now, no damper; returns when what has been found is published.

        It takes as long as the slowest folder; `progress` names the one that is being read. When stackd itself fails at
        it, `problem` says so.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._poke.set()
        await done

    async def read(self, stack: StackName) -> None:
        """Read one stack now, no damper; returns when what its files say is published.

        Other stacks are not read for it, so one whose folder hangs delays nobody else's question. What is not plainly
        the stack as it was (new, gone, renamed, moved) takes a reading of everything.
        """
        round_ = self._last
        known = round_.stacks.chosen.get(stack) if round_ is not None else None
        if round_ is None or known is None or self._fates.get(stack) is not Fate.HERE:
            return await self.rescan()
        reading = await self._alone(stack, known.place)
        if self._last is None or not self._is_as_it_was(reading, stack):
            return await self.rescan()
        before, stacks = self._published.get(stack), self._last.stacks
        self._read_alone.add(stack)
        now = replace(stacks, chosen={**stacks.chosen, stack: reading})
        wake_at = self._here_or_stuck(stack, replace(self._last, stacks=now, at=time.monotonic(), asked=True))
        if wake_at is not None or self._published.get(stack) != before:
            self._poke.set()  # a round finds out what to watch, and when to read again
        return None

    async def _alone(self, stack: StackName, place: Place) -> StackReading:
        """One stack, read by a thread of its own; never two at once, so that a folder that hangs costs one thread."""
        while (before := self._reads.get(stack)) is not None and not before.done():
            await asyncio.wait({before})  # it may have begun before what it is asked about
        reading = self._reads[stack] = in_thread(partial(self._scanner.read_one, place.root, place.entry))
        return await asyncio.shield(reading)

    def _is_as_it_was(self, reading: StackReading, stack: StackName) -> bool:
        """Whether a reading of one stack alone is all there is to know of it: same name, same folder, still here."""
        known = self._registry.known.get(stack)
        here = known is not None and self._fates.get(stack) is Fate.HERE
        where = (known.place.root, known.place.entry, known.place.folder) if known is not None else None
        place = reading.place
        same = where == (place.root, place.entry, place.folder) and place.folder is not None
        return here and same and (reading.name == stack or not reading.good)

    def confirm(self, stack: StackName | None, fates: Collection[Fate] = (*GONE, *ELSEWHERE)) -> tuple[StackName, ...]:
        """A person approves what waits for one: removals in doubt, a new name, another folder; None = all there are.

        A stack is meant by its old or its new name. Returns the names that were in doubt, in one of `fates`.
        """
        names = {name for name, fate in self._fates.items() if fate in fates}
        if stack is not None:
            names = {name for name in names if stack in (name, self._renamed.get(name))}
        if names:
            self._confirmed |= names
            self._poke.set()
        return tuple(sorted(names))

    async def run(self) -> None:
        """Read and watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watcher.run(), name="source-watch")
            tasks.create_task(self._rounds(), name="source-rounds")

    async def _rounds(self) -> None:
        delay = _FIRST_RETRY
        while True:
            self._poke.clear()
            self._read_alone.clear()
            asked, self._waiting = self._waiting, []
            try:
                wake_at = await self._round(asked=bool(asked))
            except Exception as fault:  # the seam: a fault of ours costs this round, not the task
                self._failed(fault)
                wake_at, delay = time.monotonic() + delay, min(delay * 2, self._options.watch.rescan)
            else:
                self._fault, delay = "", _FIRST_RETRY
            for one in asked:
                if not one.done():
                    one.set_result(None)
            await self._pause(wake_at)

    async def _round(self, *, asked: bool) -> float | None:
        """Read and publish everything once; when to do it again at the latest (monotonic, None = no need)."""
        reading = await asyncio.to_thread(self._scanner.read)
        if not self._loaded:
            await asyncio.to_thread(self._revive, reading)
        wake_at = self._take(reading, time.monotonic(), asked=asked)
        self._watcher.aim(reading.target, reading.prints)
        if not self._loaded:
            self._loaded = True
            self._publisher.loaded()
        return wake_at

    def _failed(self, fault: Exception) -> None:
        """Say, and log once, that a whole round failed; nothing that is published changes."""
        text = f"stackd itself failed to read the stacks directories ({type(fault).__name__}); its log says more"
        if text != self._fault:
            log.error("%s", text, exc_info=fault)
        self._fault = self._problem = text

    async def _pause(self, wake_at: float | None) -> None:
        rest = self._options.watch.rescan
        if wake_at is not None:
            rest = min(rest, max(0.0, wake_at - time.monotonic()))
        reasons = {asyncio.create_task(self._watcher.changed()), asyncio.create_task(self._poke.wait())}
        try:
            await asyncio.wait(reasons, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in reasons:
                task.cancel()
            await asyncio.gather(*reasons, return_exceptions=True)

    def _revive(self, reading: Reading) -> None:
        """Bring back, from the store, the definitions that the disk does not give now."""
        there = {(one.name, one.place.folder) for one in reading.stacks if one.good}
        for name, revision in self._revisions.items():
            held = _held()
            held.digest, held.generation = revision.digest, revision.generation
            held.place = self._registry.known[name].place
            if (name, revision.folder) not in there:
                held.project = self._scanner.revive(revision).project
            self._held[name] = held

    def _take(self, reading: Reading, at: float, *, asked: bool) -> float | None:
        """Publish what a reading says; when to read again at the latest (monotonic, None = no need)."""
        running = self._running()
        stacks = self._stacks(reading, running or {})
        roots = {root.path: root.identity for root in reading.roots}
        places = {name: one.place for name, one in stacks.chosen.items()}
        outcome = believe(self._registry, Scan(at, roots, places), self._rules, Consent(running, self._confirmed))
        self._confirmed.clear()
        self._registry, self._fates, self._renamed = outcome.registry, outcome.fates, outcome.renamed
        self._problem = "; ".join(f"{root.path}: {root.problem}" for root in reading.roots if root.problem)
        if outcome.frozen != self._frozen:
            self._frozen = outcome.frozen
            self._publisher.frozen(outcome.frozen)
        now = self._last = _Round(stacks, outcome, roots, at, asked)
        wakes = [outcome.wake_at, at + _AFTERMATH if reading.hanging else None]
        for name, fate in outcome.fates.items():
            if fate is Fate.REMOVED and running is not None and name not in running:
                self._forget(name)
            elif fate is Fate.HERE:
                # A stack that was read alone meanwhile was read later: this reading may be older than its files.
                wakes.append(at if name in self._read_alone else self._here_or_stuck(name, now))
            else:
                place = self._registry.known[name].place
                self._publish(doubtful(name, fate, self._held.setdefault(name, _held()), outcome, place))
                wakes.append(at + _AFTERMATH if fate is Fate.REMOVED else None)
        return min((wake for wake in wakes if wake is not None), default=None)

    def _here_or_stuck(self, name: StackName, now: _Round) -> float | None:
        """As `_here`, whatever goes wrong in it."""
        try:
            return self._here(name, now)
        except Exception as fault:  # the seam: a fault of ours at one stack is that stack's state
            self._stuck(name, now.stacks.chosen[name].place, fault)
            return None

    def _here(self, name: StackName, now: _Round) -> float | None:
        """Take and publish a stack that is where it should be."""
        reading, at = now.stacks.chosen[name], now.at
        held = self._held.setdefault(name, _held())
        old = next((old for old, new in now.outcome.renamed.items() if new == name), None)
        if old is not None and held.project is None:
            before = self._held[old].project if old in self._held else None
            self._publish(waiting(name, old, before, reading))
            return None
        was = (held.digest, held.place)
        again = held.take_now(reading, at) if now.asked else held.take(reading, at, self._options.watch.quiet)
        settles = held.settle(at, self._options.freeze.service_grace) if reading.good else None
        root_id = now.roots[reading.place.root]
        if reading.good and was != (held.digest, held.place) and root_id is not None:
            revision = held.revision(name, reading, root_id)
            if revision is not None:
                self._store.save_revision(revision)
        desired = held.desired(name)
        if doubles := now.stacks.doubles.get(name, ()):
            # Whose the running services are is not certain, so none of them is surplus.
            told = (*desired.diagnostics, *(double(other, name) for other in doubles))
            desired = replace(desired, diagnostics=told, services_settled=False)
        self._publish(desired)
        return min((wake for wake in (again, settles) if wake is not None), default=None)

    def _stuck(self, name: StackName, place: Place, fault: Exception) -> None:
        """Publish what is in force of a stack whose reading stackd failed to take."""
        found = defect(fault, place.root / place.entry)
        desired = self._held.setdefault(name, _held()).desired(name)
        before = self._published.get(name)
        if before is None or found not in before.diagnostics:
            log.error("taking the definition of stack %s failed by a fault of stackd", name, exc_info=fault)
        self._publish(replace(desired, diagnostics=(found,), services_settled=False))

    def _stacks(self, reading: Reading, running: Mapping[StackName, str]) -> Stacks:
        """The stacks of a reading, by name; each folder that is none is named once."""
        reading, plain = without_plain_folders(reading, self._registry, running)
        for path in sorted(plain - self._plain):
            log.info("%s is no stack: it holds no Compose file (%s)", path, ", ".join(FILE_NAMES))
        self._plain = plain
        return by_name(reading, self._registry, running)

    def _publish(self, desired: DesiredStack) -> None:
        if self._published.get(desired.name) != desired:
            self._publisher.publish(desired)
            self._published[desired.name] = desired

    def _forget(self, name: StackName) -> None:
        self._registry = forget(self._registry, name)
        self._held.pop(name, None)
        self._reads.pop(name, None)
        self._store.forget_revision(name)
        if self._published.pop(name, None) is not None:
            self._publisher.withdraw(name)


def _held() -> Held:
    return Held(spelled=_time_of_day)


def _time_of_day(at: float) -> str:
    """A monotonic instant as the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(time.time() + at - time.monotonic()))


def _registry(revisions: Mapping[StackName, Revision]) -> Registry:
    """What was known when the daemon last ran."""
    places = {
        name: Known(Place(one.root, one.entry, one.folder, one.folder_id, one.mark)) for name, one in revisions.items()
    }
    return Registry(places, {one.root: one.root_id for one in revisions.values()})
