"""One reading of everything on disk: stacks directories, stack files, and the definitions that they make.

Law: synchronous and meant for a thread; it reads every file anew but loads only the stacks whose files differ from the
last time. Whatever one stack's files hold, the others are read. What this module does NOT do: decide what comes into
force, or remember more than the last reading.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stackd.compose.load import StackInputs, load
from stackd.compose.redact import Redaction
from stackd.errors import Diagnostic, Span
from stackd.model.ids import StackName
from stackd.model.spec import Loaded, RestartPolicy
from stackd.source.discover import Candidate, RootReading, guessed_name, list_root, look
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
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with it."""
        if self.loaded is not None:
            return self.loaded.diagnostics
        return (Diagnostic("definition-missing", self.problem, Span(str(self.place.root / self.place.entry))),)


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything, read once. `target` and `prints` tell a watcher what to watch and what was seen."""

    roots: tuple[RootReading, ...]
    stacks: tuple[StackReading, ...]
    target: Target
    prints: Prints


@dataclass(frozen=True, slots=True)
class _Cached:
    inputs: StackInputs
    prints: Prints
    loaded: Loaded


class Scanner:
    """Reads again and again. Not to be used by two threads at once."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._cache: dict[tuple[Path, str], _Cached] = {}

    def read(self) -> Reading:
        """Read everything. Never raises for what is on disk."""
        files = Files(os.geteuid())
        roots = tuple(list_root(root, files) for root in self._settings.roots)
        stacks: list[StackReading] = []
        watched: set[Path] = set()
        cached = {}
        for root in roots:
            for entry in root.entries:
                candidate = look(root.path, entry)
                key = (root.path, entry)
                kept = self._loaded(candidate, self._cache.get(key), files)
                if kept is not None:
                    cached[key] = kept
                stacks.append(self._stack(candidate, kept, files))
                watched.update(candidate.watched, kept.loaded.files if kept else ())
        self._cache = cached
        target = Target(frozenset(self._settings.roots), frozenset(watched))
        return Reading(roots, tuple(stacks), target, _prints(target.files, files) | _root_prints(roots))

    def fingerprints(self, target: Target) -> Prints:
        """What a reading of this target would see now, in short."""
        files = Files(os.geteuid())
        roots = tuple(list_root(root, files) for root in target.roots)
        return _prints(target.files, files) | _root_prints(roots)

    def consider(self, folder: Path) -> StackReading:
        """A folder read as if it were a stack. Never raises for what is on disk."""
        files, candidate = Files(os.geteuid()), look(folder.parent, folder.name)
        return self._stack(candidate, self._loaded(candidate, None, files), files)

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


def inputs_of(revision: Revision, settings: SourceSettings) -> StackInputs:
    """What a remembered revision is loaded from today."""
    return _configured(StackInputs(revision.folder, revision.files, revision.folder / ".env"), settings)


def _configured(inputs: StackInputs, settings: SourceSettings) -> StackInputs:
    return replace(
        inputs, env_files=settings.env_files, default_restart=settings.default_restart, redaction=settings.redaction
    )


def _load(inputs: StackInputs, read: Callable[[Path], bytes], env: Mapping[str, str]) -> Loaded:
    """Load one stack. A fault of the loader itself is this stack's trouble, not the others'."""
    try:
        return load(inputs, read, env)
    except Exception as fault:
        log.exception("reading the stack in %s failed", inputs.folder)
        main = inputs.config_files[0]
        message = f"stackd itself failed to read this file ({type(fault).__name__}); please report it"
        return Loaded(None, (Diagnostic("internal-error", message, Span(str(main))),), inputs.config_files)


def _prints(paths: frozenset[Path] | tuple[Path, ...], files: Files) -> dict[Path, str]:
    return {path: files.fingerprint(path) for path in paths}


def _root_prints(roots: tuple[RootReading, ...]) -> dict[Path, str]:
    return {root.path: f"{root.identity} {root.problem} {root.entries}" for root in roots}
