"""Noticing that stack files have changed: one watch on directories, never on files, and digests as the only proof.

Law: a note from the kernel only means "look again"; `changed` returns only when a fingerprint differs from what the
last reading saw. A watch that is lost is made anew; while none can be had, `problem` says so and time makes us look.
(What watchfiles does and does not report: a watched file goes deaf at the first rename over it, a directory deleted and
made again stays silent, a foreign byte in a name ends the watch with an exception group.)
What this module does NOT do: know what the files are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import awatch

from stackd.source.removal import FileId

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Set

    from watchfiles.main import FileChange

log = logging.getLogger(__name__)

_LONGEST_BATCH = 400  # milliseconds; a service that writes without pause beside its definition must not hide an edit
_FIRST_RETRY = 0.1
_MOST_HOPS = 40  # the kernel's own limit for symbolic links

Prints = Mapping[Path, str]


@dataclass(frozen=True, slots=True)
class Target:
    """What to watch: directories whose listing matters (`roots`) and files, absent ones included."""

    roots: frozenset[Path] = frozenset()
    files: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a target can change: directories by identity, names in them that matter, those that matter whole."""

    directories: Mapping[Path, FileId] = field(default_factory=dict)
    names: frozenset[Path] = frozenset()
    listed: frozenset[Path] = frozenset()

    def matters(self, path: Path) -> bool:
        """Whether a change there may be a change of the target."""
        return path in self.names or path in self.directories or path.parent in self.listed


def trail(target: Target) -> Trail:
    """Follow every path, link by link. The nearest existing directory stands for what is absent."""
    links: dict[Path, str | None] = {}
    names: set[Path] = set()
    for path in (*target.roots, *target.files):
        names.update(_hops(path, links))
    listed = {_hops(root, links)[-1] for root in target.roots}
    directories: dict[Path, FileId] = {}
    for one in {name.parent for name in names} | listed:
        _note(one, directories)
    return Trail(directories, frozenset(names), frozenset(listed))


def _hops(path: Path, links: dict[Path, str | None]) -> list[Path]:
    """Every link on the way, and last the real path, or as much of it as exists with the first missing name."""
    done = Path("/")
    todo = list(reversed(path.parts[1:]))
    touched: list[Path] = []
    while todo and len(touched) < _MOST_HOPS:
        part = todo.pop()
        if part == "..":
            done = done.parent
            continue
        here = done / part
        try:
            link = _link(here, links)
        except (OSError, ValueError):  # also what no file can be called
            return [*touched, here]
        if link is None:
            done = here
            continue
        touched.append(here)
        done = Path("/") if link.startswith("/") else done
        todo.extend(reversed([piece for piece in link.split("/") if piece not in ("", ".")]))
    return [*touched, done]


def _link(path: Path, links: dict[Path, str | None]) -> str | None:
    """Where a link points to, None for what is no link. Raises OSError for what is not there or cannot be seen."""
    if path not in links:
        links[path] = os.readlink(path) if path.is_symlink() else None
        if links[path] is None:
            path.lstat()
    return links[path]


def _note(directory: Path, found: dict[Path, FileId]) -> None:
    try:
        seen = directory.stat()
    except OSError:  # Gone since, or not to be looked at: its own change will be noticed above it, or by time.
        return
    if stat.S_ISDIR(seen.st_mode):
        found[directory] = (seen.st_dev, seen.st_ino)


class Watcher:
    """Tells when a target has changed. `run` is the task that watches; `aim` and `changed` are for its one user."""

    def __init__(self, fingerprints: Callable[[Target], Prints], *, step: float, degraded_rescan: float) -> None:
        """`fingerprints` is called in a thread. `step`, `degraded_rescan` in seconds (see WatchConfig)."""
        self._fingerprints = fingerprints
        self._step = round(step * 1000)
        self._slowest = degraded_rescan
        self._target = Target()
        self._known: Prints = {}
        self._aimed = asyncio.Event()
        self._changed = asyncio.Event()
        self.problem = ""
        """Why changes are noticed late, "" = they are not."""

    def aim(self, target: Target, known: Prints) -> None:
        """Watch `target` from now on; `known` are the fingerprints that the last reading saw."""
        self._target, self._known = target, known
        self._aimed.set()  # Compared once more: what changed during the reading was compared with older prints.

    async def changed(self) -> None:
        """Wait until the target is not as it is known (any more)."""
        await self._changed.wait()
        self._changed.clear()

    async def run(self) -> None:
        """Watch until cancelled."""
        clock = asyncio.get_running_loop().time
        delay = _FIRST_RETRY
        while True:
            began = clock()
            try:
                await self._watch()
            except Exception as error:  # the seam: whatever ends the watch, it is made anew
                delay = _FIRST_RETRY if clock() - began > self._slowest else delay
                # A directory that went while the watch was laid is no fault yet.
                if not (isinstance(error, FileNotFoundError) and delay == _FIRST_RETRY):
                    self._degraded(error)
                with contextlib.suppress(Exception):  # what fails here has been said, and a reading says where
                    await self._compare()
                await asyncio.sleep(delay)
                delay = min(delay * 2, self._slowest)

    async def _watch(self) -> None:
        """Watch the directories as they are now; returns when others are to be watched."""
        self._aimed.clear()
        laid = await asyncio.to_thread(trail, self._target)
        stop = asyncio.Event()
        batches = awatch(
            *laid.directories,
            watch_filter=None,
            debounce=_LONGEST_BATCH,
            step=self._step,
            rust_timeout=0,
            stop_event=stop,
            recursive=False,
            ignore_permission_denied=True,
        )
        async with contextlib.aclosing(batches):
            await self._follow_up(batches, laid)

    async def _follow_up(self, batches: AsyncGenerator[set[FileChange], None], laid: Trail) -> None:
        aimed = asyncio.create_task(self._aimed.wait())
        batch = asyncio.create_task(_next(batches))
        try:
            await asyncio.sleep(0)  # The watch stands once the generator has run up to its first wait.
            if batch.done():
                batch.result()
            self._recovered()
            await self._compare()  # What happened while no watch stood.
            while await self._same(laid):
                matters = False
                while not matters:
                    await asyncio.wait({aimed, batch}, return_when=asyncio.FIRST_COMPLETED)
                    if aimed.done():
                        self._aimed.clear()
                        aimed = asyncio.create_task(self._aimed.wait())
                        matters = True
                    if batch.done():
                        changes, batch = batch.result(), asyncio.create_task(_next(batches))
                        matters = matters or any(laid.matters(Path(path)) for _, path in changes)
                await self._compare()
        finally:
            for task in (aimed, batch):
                task.cancel()
            await asyncio.gather(aimed, batch, return_exceptions=True)

    async def _same(self, laid: Trail) -> bool:
        """Whether the directories to watch are still those that are watched."""
        return await asyncio.to_thread(trail, self._target) == laid

    async def _compare(self) -> None:
        while True:
            target, known = self._target, self._known
            found = await asyncio.to_thread(self._fingerprints, target)
            if target is self._target and known is self._known:
                break
        if found != known:
            self._changed.set()

    def _degraded(self, error: BaseException) -> None:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
        text = f"stack files cannot be watched ({inner}); they are read every {self._slowest:.0f} s"
        if text != self.problem:
            log.warning("%s", text)
        self.problem = text

    def _recovered(self) -> None:
        if self.problem:
            log.info("stack files are watched again")
        self.problem = ""


async def _next(batches: AsyncGenerator[set[FileChange], None]) -> Set[FileChange]:
    try:
        return await anext(batches)
    except StopAsyncIteration:
        raise RuntimeError("the watch has ended") from None
