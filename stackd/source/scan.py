"""One reading of everything on disk: stacks directories, stack files, and the definitions that they make.

Law: synchronous and meant for a thread; it reads every file anew but loads only the stacks whose files differ from the
last time. Whatever one stack's files hold, the others are read. What this module does NOT do: decide what comes into
force, or remember more than the last reading.
"""

from __future__ import annotations

import hashlib
import logging
import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from stackd.compose.inputs import REPLICAS
from stackd.compose.load import StackInputs, load, normal_name
from stackd.compose.redact import Redaction
from stackd.errors import Diagnostic, Span
from stackd.model.ids import StackName
from stackd.model.spec import Loaded, RestartPolicy
from stackd.source.discover import Candidate, RootReading, guessed_name, list_root, look
from stackd.source.patience import SECONDS, Patience
from stackd.source.reading import Files
from stackd.source.removal import Place
from stackd.source.revision import Revision
from stackd.source.watch import Prints, Target

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What the configuration says about reading. `env` holds the variables that the daemon passes on;
    `redaction` decides what of a definition is shown."""

    roots: tuple[Path, ...]
    env: Mapping[str, str]
    env_files: tuple[Path, ...] = ()
    default_restart: RestartPolicy = RestartPolicy()
    replicas: int = REPLICAS
    redaction: Redaction = Redaction()


@dataclass(frozen=True, slots=True)
class StackReading:
    """One stack as read. `loaded` None = there is no definition to load, `problem` says why.

    `name` is certain when `loaded` holds a project, else the most likely one. `prints` tell one reading's files from
    another's; `texts` are the contents that were read.
    """

    name: StackName
    place: Place
    loaded: Loaded | None
    problem: str
    prints: Prints
    texts: Mapping[Path, bytes]

    @property
    def good(self) -> bool:
        """Whether there is a definition that can come into force."""
        return self.loaded is not None and self.loaded.project is not None

    @property
    def empty(self) -> bool:
        """Whether there is a folder that holds no definition file at all. (A dangling link is no such folder.)"""
        return self.loaded is None and self.place.folder is not None

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with it."""
        if self.loaded is not None:
            return self.loaded.diagnostics
        return (Diagnostic("definition-missing", self.problem, Span(str(self.place.root / self.place.entry))),)


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything, read once. `target` and `prints` tell a watcher what to watch and what was seen; `hanging` are the
    folders that did not answer."""

    roots: tuple[RootReading, ...]
    stacks: tuple[StackReading, ...]
    target: Target
    prints: Prints
    hanging: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Cached:
    inputs: StackInputs
    prints: Prints
    loaded: Loaded


_Key = tuple[Path, str]
"""A stack by its place: the stacks directory and the entry in it."""


class Scanner:
    """Reads again and again. Not to be used by two threads at once."""

    def __init__(self, settings: SourceSettings, patience: float = SECONDS) -> None:
        """`patience`: seconds that one folder may take."""
        self._settings = settings
        self._cache: dict[_Key, _Cached] = {}
        self._faults: dict[_Key, str] = {}
        self._patience, self._watching = Patience(patience), Patience(patience)
        self.progress = ""
        """What is being read, for people, "" = nothing; any thread may look."""

    def read(self) -> Reading:
        """Read everything. Never raises for what is on disk."""
        files = Files(os.geteuid())
        self.progress = f"listing {', '.join(map(str, self._settings.roots))}"
        roots = tuple(list_root(root, files, self._patience) for root in self._settings.roots)
        entries = [(root.path, entry) for root in roots for entry in root.entries]
        stacks: list[StackReading] = []
        watched: set[Path] = set()
        hanging: list[Path] = []
        cached: dict[_Key, _Cached] = {}
        faults: dict[_Key, str] = {}
        for key in entries:
            path, before = key[0] / key[1], self._cache.get(key)
            self.progress = f"reading {path}, {len(stacks)} of {len(entries)} folders are read"
            candidate, kept = Candidate(*key, None, None, None), None
            try:
                candidate, kept, stack = self._patience.call(path, partial(self._entry, key, before, files))
            except TimeoutError as hangs:
                hanging.append(path)
                stack, kept = _unanswered(key, str(hangs)), before
            except Exception as fault:  # the seam: a fault of ours at one stack is that stack's state
                stack = self._failed(candidate, fault, faults)
                watched.update(candidate.watched)
            else:
                watched.update(candidate.watched, kept.loaded.files if kept else ())
            if kept is not None:
                cached[key] = kept
            stacks.append(stack)
        self._faults, self._cache, self.progress = faults, cached, ""
        target = Target(frozenset(self._settings.roots), frozenset(watched))
        prints = _prints(target.files, files) | _root_prints(roots)
        return Reading(roots, tuple(stacks), target, prints, tuple(hanging))

    def _entry(
        self, key: tuple[Path, str], before: _Cached | None, files: Files
    ) -> tuple[Candidate, _Cached | None, StackReading]:
        candidate = look(*key, files)
        kept = self._loaded(candidate, before, files)
        return candidate, kept, self._stack(candidate, kept, files)

    def _failed(self, candidate: Candidate, fault: Exception, faults: dict[_Key, str]) -> StackReading:
        """A stack that could not be read by a fault of stackd; its traceback is logged when it is new."""
        key = (candidate.root, candidate.entry)
        found = defect(fault, candidate.path)
        faults[key] = found.message
        if self._faults.get(key) != found.message:
            log.error("reading the stack %s failed by a fault of stackd", candidate.path, exc_info=fault)
        place = Place(*key, candidate.folder, candidate.folder_id, "")
        name = StackName(normal_name((candidate.folder or candidate.path).name) or "stack")
        return StackReading(name, place, Loaded(None, (found,), ()), "", {candidate.path: found.message}, {})

    def fingerprints(self, target: Target) -> Prints:
        """What a reading of this target would see now, in short."""
        files = Files(os.geteuid())
        roots = tuple(list_root(root, files, self._watching) for root in target.roots)
        return _prints(target.files, files) | _root_prints(roots)

    def consider(self, folder: Path) -> StackReading:
        """A folder read as if it were a stack. Never raises for what is on disk."""
        return self.read_one(folder.parent, folder.name)

    def read_one(self, root: Path, entry: str) -> StackReading:
        """One entry of a stacks directory, read anew. Never raises for what is on disk; safe beside `read`."""
        files, candidate = Files(os.geteuid()), Candidate(root, entry, None, None, None)
        try:
            candidate = look(root, entry, files)
            return self._stack(candidate, self._loaded(candidate, None, files), files)
        except Exception as fault:  # the seam: a fault of ours at one stack is that stack's state
            return self._failed(candidate, fault, {})

    def revive(self, revision: Revision) -> Loaded:
        """The definition that a remembered revision makes today."""
        return _load(inputs_of(revision, self._settings), revision.read, self._settings.env)

    def _loaded(self, candidate: Candidate, before: _Cached | None, files: Files) -> _Cached | None:
        if candidate.inputs is None:
            return None
        inputs = _configured(candidate.inputs, self._settings)
        if before is not None and before.inputs == inputs:
            prints = _prints((*candidate.watched, *before.loaded.files), files)
            if prints == before.prints:
                return before
        loaded = _load(inputs, files.read, self._settings.env)
        return _Cached(inputs, _prints((*candidate.watched, *loaded.files), files), loaded)

    def _stack(self, candidate: Candidate, kept: _Cached | None, files: Files) -> StackReading:
        project = kept.loaded.project if kept else None
        name = project.name if project else guessed_name(candidate, files, self._settings.env)
        compose = files.contents(kept.inputs.config_files) if kept else {}
        mark = hashlib.blake2b(b"\0".join(compose.values()), digest_size=8).hexdigest() if compose else ""
        place = Place(candidate.root, candidate.entry, candidate.folder, candidate.folder_id, mark)
        prints = kept.prints if kept else _prints(candidate.watched, files)
        texts = files.contents(kept.loaded.files) if kept else {}
        return StackReading(name, place, kept.loaded if kept else None, candidate.problem, prints, texts)


def _unanswered(key: tuple[Path, str], problem: str) -> StackReading:
    """A stack whose folder hangs: what is in force of it stays in force."""
    name = StackName(normal_name(key[1]) or "stack")
    return StackReading(name, Place(*key), None, problem, {}, {})


def inputs_of(revision: Revision, settings: SourceSettings) -> StackInputs:
    """What a remembered revision is loaded from today."""
    return _configured(StackInputs(revision.folder, revision.files, revision.folder / ".env"), settings)


def _configured(inputs: StackInputs, settings: SourceSettings) -> StackInputs:
    return replace(
        inputs,
        env_files=settings.env_files,
        default_restart=settings.default_restart,
        replicas=settings.replicas,
        redaction=settings.redaction,
    )


def _load(inputs: StackInputs, read: Callable[[Path], bytes], env: Mapping[str, str]) -> Loaded:
    """Load one stack. A fault of the loader itself is this stack's trouble, not the others'."""
    try:
        return load(inputs, read, env)
    except Exception as fault:
        log.exception("reading the stack in %s failed", inputs.folder)
        return Loaded(None, (defect(fault, inputs.config_files[0]),), inputs.config_files)


def defect(fault: Exception, where: Path) -> Diagnostic:
    """The finding about a stack at which stackd itself failed: what happened and in which line of stackd.

    The text of the fault is left to the log, for it may hold a value of the files.
    """
    at = traceback.extract_tb(fault.__traceback__)[-1:]
    line = f" in {Path(at[0].filename).name}:{at[0].lineno}" if at else ""
    message = f"stackd itself failed at this stack ({type(fault).__name__}{line}); please report it"
    return Diagnostic("internal-error", message, Span(str(where)))


def _prints(paths: frozenset[Path] | tuple[Path, ...], files: Files) -> dict[Path, str]:
    return {path: files.fingerprint(path) for path in paths}


def _root_prints(roots: tuple[RootReading, ...]) -> dict[Path, str]:
    return {root.path: f"{root.identity} {root.problem} {root.entries}" for root in roots}
