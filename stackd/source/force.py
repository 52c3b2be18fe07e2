"""What is in force of each stack: the last good definition, its generation, and what is wrong with the newest text.

Law: only a good definition comes into force; a bad one is reported once it has stayed bad for a moment (it may be half
written) and takes nothing down. What waits for a person (another name, another folder) does not come into force.
Synchronous, no IO, instants are arguments. What this module does NOT do: read, or decide who is gone (`removal` does).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from stackd.errors import Diagnostic, Severity, Span
from stackd.model.ids import StackName
from stackd.model.spec import Project
from stackd.model.view import EDIT_NOT_TAKEN, DesiredStack, Presence
from stackd.source.pace import TOO_MANY, WINDOW, Pace
from stackd.source.removal import Fate, FileId, Outcome, Place, Services, settle
from stackd.source.revision import Revision, encoded
from stackd.source.scan import StackReading
from stackd.source.watch import Prints

_MOST_TEXT = 4 * 1024 * 1024  # bytes of files remembered for one stack


def _changed(before: Prints | None, now: Prints) -> str:
    """The first file that reads otherwise than before, "" = none."""
    if before is None:
        return ""
    return next((str(path) for path in sorted(now) if now[path] != before.get(path)), "")


@dataclass(frozen=True, slots=True)
class Stacks:
    """One reading, sorted by name: the reading that counts for each, and those that lost their name to it."""

    chosen: Mapping[StackName, StackReading]
    doubles: Mapping[StackName, tuple[StackReading, ...]]


@dataclass(slots=True)
class Held:
    """The memory of one stack. `suspect`: the bad text last seen and since when (monotonic). `prints`: the last
    reading's; `restless`: the file that keeps changing; `edited_at`: when the oldest edit was seen that is not taken
    yet (monotonic, None = all are). `spelled` writes a monotonic instant as a time of day."""

    project: Project | None = None
    digest: str = ""
    generation: int = 0
    place: Place | None = None
    services: Services | None = None
    reported: tuple[Diagnostic, ...] = ()
    presence: Presence = Presence.PRESENT
    suspect: tuple[Prints, float] | None = None
    pace: Pace = Pace()
    prints: Prints | None = None
    restless: str = ""
    edited_at: float | None = None
    spelled: Callable[[float], str] = "{:.0f}".format

    def take(self, reading: StackReading, at: float, quiet: float) -> float | None:
        """Take a reading of a stack that is here; the instant at which to read again, None = no need."""
        project = self._noticed(reading, at)
        if project is None:
            return self._doubt(reading, at, quiet)
        due = self.pace.due(at)
        if project.digest != self.digest and due is not None:
            self.edited_at = at if self.edited_at is None else self.edited_at
            self.reported = (*reading.diagnostics, self._not_taken(reading, due), *self._restless(reading))
            return due
        return self._put_in_force(project, reading, at)

    def take_now(self, reading: StackReading, at: float) -> float | None:
        """As `take`, for a reading that a person asked for: no damper and no quiet time hide what the files say."""
        project = self._noticed(reading, at)
        return self._doubt(reading, at, 0.0) if project is None else self._put_in_force(project, reading, at)

    def _noticed(self, reading: StackReading, at: float) -> Project | None:
        """Count a reading's changes; the definition that it makes."""
        project = reading.loaded.project if reading.loaded else None
        changed, self.prints = _changed(self.prints, reading.prints) or self.restless, reading.prints
        if project is not None:
            self.suspect, self.pace = None, self.pace.noticed(project.digest, at)
            self.restless = changed if self.pace.rest else ""
            self.presence = Presence.PRESENT
        return project

    def _put_in_force(self, project: Project, reading: StackReading, at: float) -> float | None:
        if project.digest != self.digest:
            self.pace = self.pace.took(at)
        self.edited_at, self.reported = None, (*reading.diagnostics, *self._restless(reading))
        self.generation += project.digest != self.digest
        self.project, self.digest, self.place = project, project.digest, reading.place
        return self.pace.calm_at

    def _not_taken(self, reading: StackReading, due: float) -> Diagnostic:
        where = self._noisy_file(reading)
        text = (
            f"edit of {self.spelled(self.edited_at or 0.0)} not taken yet, until {self.spelled(due)}, because {where} "
            f"changed {TOO_MANY} times in a minute; to take it now: stackd up {reading.name}"
        )
        return _warning(EDIT_NOT_TAKEN, text, Span(where))

    def _noisy_file(self, reading: StackReading) -> str:
        return self.restless or str(reading.place.root / reading.place.entry)

    def _restless(self, reading: StackReading) -> tuple[Diagnostic, ...]:
        if not self.pace.rest:
            return ()
        where = self._noisy_file(reading)
        text = (
            f"it changes again and again ({TOO_MANY} times within {WINDOW:.0f} s), so changes are taken at most every "
            f"{self.pace.rest:.0f} s; does a service write into it?"
        )
        return (_warning("feedback-loop", text, Span(where)),)

    def _doubt(self, reading: StackReading, at: float, quiet: float) -> float | None:
        if self.suspect is None or self.suspect[0] != reading.prints:
            self.suspect = (reading.prints, at)
        due = self.suspect[1] + quiet
        if at < due and self.project is not None:
            return due
        self.reported = reading.diagnostics
        self.place = self.place or reading.place
        self.presence = Presence.PRESENT if reading.loaded else Presence.MISSING
        return None

    def settle(self, at: float, grace: float) -> float | None:
        """Count the reading towards a settled set of services; the instant of the next one needed, None = settled."""
        if self.project is None:
            return None
        self.services = settle(self.services, frozenset(self.project.services), at, grace)
        return None if self.services.settled else self.services.since + grace

    def desired(self, name: StackName) -> DesiredStack:
        """The stack as it is to be published while nothing is odd about its place."""
        return DesiredStack(
            name=name,
            project=self.project,
            diagnostics=self.reported,
            presence=self.presence,
            services_settled=self.services is not None and self.services.settled,
            generation=self.generation,
            folder=self.place.folder if self.place else None,
            root=self.place.root if self.place else None,
        )

    def revision(self, name: StackName, reading: StackReading, root_id: FileId) -> Revision | None:
        """What is to be remembered of the definition in force, None when it cannot be placed."""
        place = reading.place
        if self.project is None or place.folder is None or place.folder_id is None:
            return None
        fits = sum(map(len, reading.texts.values())) <= _MOST_TEXT
        return Revision(
            name=name,
            root=place.root,
            entry=place.entry,
            folder=place.folder,
            folder_id=place.folder_id,
            root_id=root_id,
            mark=place.mark,
            digest=self.digest,
            generation=self.generation,
            files=self.project.config_files,
            texts=encoded(reading.texts) if fits else {},
        )


def doubtful(name: StackName, fate: Fate, held: Held, outcome: Outcome, place: Place) -> DesiredStack:
    """A stack about whose place something is odd: what is in force stays, and a warning tells why and what to do."""
    where = Span(str(place.root / place.entry))
    calm = replace(held.desired(name), services_settled=False)
    match fate:
        case Fate.GOING:
            text = "it is gone from the stacks directory; unless it comes back, what stackd made for it will be removed"
            return replace(calm, presence=Presence.GOING, diagnostics=(_warning("stack-going", text, where),))
        case Fate.FROZEN:
            text = f"{outcome.frozen}. What runs, runs on; if it is to be removed: stackd down {name}"
            return replace(calm, presence=Presence.MISSING, diagnostics=(_warning("removal-frozen", text, where),))
        case Fate.RENAMED:
            new = outcome.renamed[name]
            text = f"it is called {new} now; what runs as {name} runs on until you say up for {new}"
            return replace(calm, presence=Presence.MISSING, diagnostics=(_warning("stack-renamed", text, where),))
        case Fate.MOVED:
            text = "its name is now that of another folder; what runs is left alone until you say up"
            return replace(calm, diagnostics=(_warning("stack-moved", text, where),))
        case Fate.REMOVED:
            return replace(calm, presence=Presence.REMOVED, diagnostics=())
        case Fate.HERE:
            return held.desired(name)


def waiting(name: StackName, old: StackName, before: Project | None, reading: StackReading) -> DesiredStack:
    """A new name of a stack that runs under its old one: nothing is done until a person asks for it."""
    project = reading.loaded.project if reading.loaded else None
    text = why = f"this was {old}, which still runs; `stackd up {name}` replaces it"
    if left := _left_behind(before, project):
        text += f". Its volumes do not move: {', '.join(left)}"
    warning = _warning("stack-renamed", text, Span(str(reading.place.root / reading.place.entry)))
    return DesiredStack(
        name,
        None,
        (*reading.diagnostics, warning),
        services_settled=False,
        folder=reading.place.folder,
        root=reading.place.root,
        waits=why if project is not None else "",
    )


def double(reading: StackReading, name: StackName) -> Diagnostic:
    """What to say of another folder that calls itself by a name that is taken."""
    where = reading.place.folder or reading.place.root / reading.place.entry
    text = f"this folder, too, is the project {name}; it is ignored: give it a name of its own (name: ...)"
    return _warning("duplicate-project", text, Span(str(where)))


def _left_behind(before: Project | None, after: Project | None) -> list[str]:
    """The volumes of the old project that the new one does not use."""
    if before is None:
        return []
    kept = {volume.name for volume in after.volumes.values()} if after else set()
    return sorted(one.name for one in before.volumes.values() if not one.external and one.name not in kept)


def _warning(code: str, text: str, where: Span) -> Diagnostic:
    return Diagnostic(code, text, where, Severity.WARNING)
