"""Collects what a run that ended badly leaves behind: its last log lines, its health log, what was changed before.

Law: never in the way of a restart. A crash is kept in short at once; a task of its own asks the engine for the rest,
for at most 5 seconds, and what cannot be had is named as a gap. A log outlives its container's restart, so its lines
are cut to the run by the engine's own instants, halfway between an end and the next start: the engine notes a start
only when the program runs, and a short one has said all by then. At most 4 crashes are looked into at once, one of a
service at a time, and of a crash loop at most 10 a minute. Log lines are kept as they are: `stackd logs` shows them,
too. What this module does NOT do: judge how a run ended (`core.crashes` does).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from stackd.compose.redact import scrub
from stackd.core.crashes import BadEnd, bad_ends
from stackd.engine.base import Engine
from stackd.errors import EngineError
from stackd.model.ids import ServiceName, StackName
from stackd.model.observed import HealthProbe, Incarnation, ObservedContainer
from stackd.model.record import RULE, Applied, Crash, CrashBundle
from stackd.model.spec import Project
from stackd.model.view import Decision, Now, View
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.runtime.stable import Stable, in_force, services_of

log = logging.getLogger(__name__)

LINES = 200
LONGEST_LINE = 2000
MOST_TEXT = 256 * 1024
"""Bytes of log kept of one crash; the newest lines stay."""
DEADLINE = 5.0
AT_ONCE = 4
MOST, SPAN = 10, 60.0
"""Of one service at most so many crashes in so many seconds are looked into."""
SLACK = 1.0
"""Seconds by which a program's first and last words may lie outside the start and the end that the engine notes."""
COLLECTING = "the evidence is still being collected"
TOO_MANY = f"more than {MOST} crashes in {SPAN:.0f} s: no evidence was collected of this one"

Revived = Callable[[Applied], Awaitable[Project | None]]
"""The definition that an applied revision makes today."""


@dataclass(slots=True)
class _Service:
    """What is remembered of one service: when it was looked into last, and whether it is being."""

    taken: deque[float] = field(default_factory=lambda: deque(maxlen=MOST))
    one: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Found:
    """What the engine gave, bit by bit."""

    since: float
    lines: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=2 * LINES))
    probes: tuple[HealthProbe, ...] = ()
    next_run: float | None = None
    until: float | None = None
    gaps: list[str] = field(default_factory=list)


class Crashes:
    """The collector. `look` is called after each decision; `stop` ends what is under way."""

    def __init__(
        self, engine: Engine, journal: Journal, history: History, clock: Callable[[], Now], revived: Revived
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._history = history
        self._clock = clock
        self._stable = Stable(journal, revived)
        self._seen: dict[StackName, set[Incarnation]] = {}
        self._services: dict[tuple[StackName, ServiceName], _Service] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, view: View, decision: Decision) -> None:
        """Take what a decision's view shows: runs that are stable, runs that ended badly and are not known yet."""
        now = self._clock()
        self._stable.note(view, now)
        there = services_of(view)
        if there is not None:
            self._drop(view.stack, there)
        ends = bad_ends(view, decision.ledger, now)
        seen = self._seen.get(view.stack, set())
        for end in ends:
            if end.container.incarnation not in seen and not self._is_kept(end.container):
                self._crashed(view, end, now)
        self._seen[view.stack] = {end.container.incarnation for end in ends}

    def forget(self, stack: StackName) -> None:
        """The stack is gone, and what is remembered of it goes; what is kept of its crashes stays."""
        self._stable.forget(stack)
        self._seen.pop(stack, None)
        self._drop(stack, frozenset())

    def _drop(self, stack: StackName, there: frozenset[ServiceName]) -> None:
        for key in [key for key in self._services if key[0] == stack and key[1] not in there]:
            del self._services[key]

    async def stop(self) -> None:
        """Give up what is under way: its gap tells it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_kept(self, container: ObservedContainer) -> bool:
        """Whether an earlier life of the daemon has kept this run."""
        kept = self._journal.crashes(container.stack)
        return any(one.container == container.id and one.started_at == container.started_at for one in kept)

    def _crashed(self, view: View, end: BadEnd, now: Now) -> None:
        box = end.container
        crash = Crash(
            id=self._journal.next_crash(), at=box.finished_at or now.wall, stack=box.stack, service=box.service,
            container=box.id, name=box.name, started_at=box.started_at, exit_code=box.exit_code, signal=end.signal,
            oom=end.oom, cause=scrub(end.cause, view.hidden), error=scrub(box.error, view.hidden),
        )  # fmt: skip
        bundle = CrashBundle(crash, box.image, box.image_id, box.config_hash, in_force(view, self._journal), rule=RULE)
        service = self._services.setdefault((box.stack, box.service), _Service())
        full = len(service.taken) == MOST and now.mono - service.taken[0] < SPAN
        self._journal.save_crash(replace(bundle, gaps=(TOO_MANY if full else COLLECTING,)))
        self._history.add(
            box.stack, box.service, "service.crashed", f"{box.name} ended badly: {end.cause} (crash {crash.id})",
            crash=crash.id, exit_code=crash.exit_code, oom=crash.oom,
        )  # fmt: skip
        if full:
            return
        service.taken.append(now.mono)
        task = asyncio.create_task(self._collect(bundle, box, service), name=f"crash {crash.id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("%s could not be looked into", task.get_name(), exc_info=fault)

    async def _collect(self, bundle: CrashBundle, box: ObservedContainer, service: _Service) -> None:
        async with service.one, self._slots:
            found = _Found(self._earliest(box))
            try:
                async with asyncio.timeout(DEADLINE):
                    await self._ask(box, found)
            except TimeoutError:
                found.gaps.append(f"the engine did not give everything within {DEADLINE:.0f} s")
            changes, stable_at, gap = await self._stable.changes(box)
        end = found.next_run
        self._journal.save_crash(
            replace(
                bundle, logs=_cut(found), changes=changes, stable_at=stable_at,
                probes=tuple(p for p in found.probes if p.at >= box.started_at and (end is None or p.at < end)),
                gaps=(*found.gaps, *([gap] if gap else [])),
            )
        )  # fmt: skip

    def _earliest(self, box: ObservedContainer) -> float:
        """From when on a line may be of this run."""
        runs = self._journal.crashes(box.stack)
        ends = (one.at for one in runs if one.container == box.id and one.started_at < box.started_at)
        before = max(ends, default=0.0)
        return max((before + box.started_at) / 2, box.started_at - SLACK)

    async def _ask(self, box: ObservedContainer, found: _Found) -> None:
        """The log first: it goes when the container goes. Which run is the present one is asked last."""
        try:
            async with self._engine.logs(box.id, tail=2 * LINES, since=int(found.since * 1e9), follow=False) as lines:
                async for line in lines:
                    found.lines.append((line.at, line.text[:LONGEST_LINE]))
        except EngineError as error:
            found.gaps.append(f"the engine did not give the log: {error.message}")
        try:
            found.probes = await self._engine.health_log(box.id)
            present = await self._engine.inspect_container(box.id)
        except EngineError as error:
            found.gaps.append(f"the engine did not give the health log: {error.message}")
            return
        if present is not None and present.started_at != box.started_at:
            found.next_run = present.started_at
            end = box.finished_at or box.started_at
            found.until = min((end + present.started_at) / 2, end + SLACK)


def _cut(found: _Found) -> tuple[str, ...]:
    """The last lines of the run itself, as many as fit."""
    end = None if found.until is None else int(found.until * 1e9)
    own = [text for at, text in found.lines if end is None or at < end]
    if found.lines and not own:
        found.gaps.append("the next run has written so much that this one's lines are out of reach")
    kept: deque[str] = deque()
    room = MOST_TEXT
    for text in reversed(own[-LINES:]):
        room -= len(text.encode("utf-8", "replace"))
        if room < 0:
            found.gaps.append(f"of the log only the last {MOST_TEXT // 1024} KiB are kept")
            break
        kept.appendleft(text)
    return tuple(kept)
