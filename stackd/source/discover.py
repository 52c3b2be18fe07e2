"""Which stacks there are, and which files make up each: folders directly in a stacks directory, or links to folders.

Law: only stacks directories are listed. In a stack's folder a few names are looked for and nothing else is touched, so
data folders in it may be as large, foreign or unreadable as they like. Hidden entries are nobody's stack.
What this module does NOT do: parse definitions, remember anything, or decide what becomes of a stack.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stackd.compose import dotenv
from stackd.compose.inputs import FILE_NAMES, OVERRIDE_NAMES, StackInputs, stack_inputs
from stackd.compose.load import normal_name
from stackd.compose.report import Report
from stackd.compose.template import Variables
from stackd.model.ids import StackName
from stackd.source.patience import Patience
from stackd.source.reading import Files
from stackd.source.removal import FileId, Place
from stackd.values import shortened

LOOKED_FOR = (*FILE_NAMES, *OVERRIDE_NAMES, ".env")
_NAME = re.compile(rb"^name:[ \t]*[\"']?([A-Za-z0-9_-]+)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RootReading:
    """A stacks directory as listed: its identity (None = not readable, `problem` says why) and its entries."""

    path: Path
    identity: FileId | None
    entries: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One entry of a stacks directory that may be a stack. `inputs` None = no definition can be read: see `problem`."""

    root: Path
    entry: str
    folder: Path | None
    folder_id: FileId | None
    inputs: StackInputs | None
    problem: str = ""

    @property
    def path(self) -> Path:
        """Where it was found (a link is not followed)."""
        return self.root / self.entry

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files whose appearing or disappearing changes what it is made of."""
        return (*((self.folder or self.path) / name for name in LOOKED_FOR), self.path)


def list_root(root: Path, files: Files, patience: Patience | None = None) -> RootReading:
    """List a stacks directory. Never raises: what cannot be read has no identity."""
    patience = patience or Patience()
    try:
        identity, found = patience.call(root, lambda: _listing(root, files))
    except OSError as error:
        return RootReading(root, None, problem=error.strerror or str(error))
    return RootReading(root, identity, tuple(sorted(one.name for one in found if _may_be_stack(one, patience))))


def _listing(root: Path, files: Files) -> tuple[FileId, list[os.DirEntry[str]]]:
    """The identity of a stacks directory and what is in it; no link in it is followed. Raises OSError."""
    real = Path(os.path.realpath(root, strict=True))
    if reason := files.refusal(root):
        raise PermissionError(errno.EACCES, f"refused: {reason}")
    found = real.stat()
    with os.scandir(real) as entries:
        return (found.st_dev, found.st_ino), list(entries)


def _may_be_stack(entry: os.DirEntry[str], patience: Patience) -> bool:
    """A folder, a link to one, or a link that points to nothing; a name that is not text cannot be a stack's."""
    if entry.name.startswith(".") or not entry.name.isprintable():
        return False
    try:
        if not entry.is_symlink():
            return entry.is_dir()
        return patience.call(Path(entry.path), lambda: entry.is_dir() or not os.path.exists(entry.path))
    except OSError:  # A link to a place that cannot be looked at: a stack all the same.
        return True


NO_TEXT = "the path of its folder is not UTF-8, so neither a label nor a message can hold it; rename the folder"


def is_text(path: Path) -> bool:
    """Whether a path can be written in UTF-8: a name in another encoding holds lone surrogates here."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def look(root: Path, entry: str, files: Files) -> Candidate:
    """One entry of a stacks directory. Never raises."""
    path = root / entry
    try:
        folder = Path(os.path.realpath(path, strict=True))
        if not is_text(folder):
            return Candidate(root, entry, None, None, None, f"{NO_TEXT}: {shortened(str(folder))}")
        found = folder.stat()
        # A folder that is refused itself is reported with its files; here it is the way to it.
        if not files.refusal(folder) and (reason := files.refusal(path)):
            return Candidate(root, entry, None, None, None, f"refused: {reason}")
        present = [name for name in LOOKED_FOR if _there(folder / name)]
    except FileNotFoundError:
        return Candidate(root, entry, None, None, None, "it is a link that points to nothing")
    except OSError as error:
        return Candidate(root, entry, None, None, None, f"its folder cannot be read: {error.strerror}")
    inputs = stack_inputs(folder, present)
    wanted = "" if inputs else f"there is no Compose file in its folder ({', '.join(FILE_NAMES)})"
    return Candidate(root, entry, folder, (found.st_dev, found.st_ino), inputs, wanted)


def _there(path: Path) -> bool:
    """Whether there is such a name, be it a dangling link. Raises OSError when the folder cannot be looked at."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def guessed_name(candidate: Candidate, files: Files, env: Mapping[str, str]) -> StackName:
    """The most likely project name of a stack whose definition cannot be loaded, and so cannot tell."""
    if candidate.inputs is not None:
        if given := _name_in_env(candidate.inputs, files, env):
            return StackName(given)
        for path in reversed(candidate.inputs.config_files):
            try:
                found = _NAME.search(files.read(path))
            except OSError:
                continue
            if found:
                return StackName(normal_name(found[1].decode()))
    folder = candidate.folder.name if candidate.folder else candidate.entry
    return StackName(normal_name(folder) or normal_name(candidate.entry) or "stack")


def _name_in_env(inputs: StackInputs, files: Files, env: Mapping[str, str]) -> str:
    if inputs.env_file is None:
        return ""
    try:
        text = files.read(inputs.env_file)
    except OSError:
        return ""
    found = dotenv.parse(text, str(inputs.env_file), Variables(env), Report()).get("COMPOSE_PROJECT_NAME")
    return normal_name(found.value) if found else ""


def winner(places: Iterable[Place], known: Path | None, label: str) -> Place:
    """Which of several folders with one project name is the stack.

    The one that it was before (`known`), else the one that the running containers' working_dir `label` names, else the
    first by path: whoever runs, runs on.
    """
    ordered = sorted(places, key=lambda place: (str(place.folder or ""), str(place.root), place.entry))
    for wanted in (known, Path(label) if label else None):
        for place in ordered:
            if wanted is not None and place.folder == wanted:
                return place
    return ordered[0]
