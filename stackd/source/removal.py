"""When is a stack, or a service, really gone? Removing asks for more than adding.

Law: PURE: readings and instants in, fates out. A stack is removed only after its entry has been missing for some time
from a stacks directory that is readable and still the same directory; never when more than a share of all stacks went
at once, never when it merely has another name or folder now: those wait for a person. A service counts as gone only
after two equal readings. In doubt everything runs on. What this module does NOT do: read the disk or touch containers.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from stackd.model.ids import ServiceName, StackName

FileId = tuple[int, int]
"""Device and inode."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stack is: `entry` in the stacks directory `root`; the real folder and its identity (None = not there).

    `mark` is a digest of its Compose files: together with the identity it tells a renamed folder from a new one whose
    inode number happens to be that of a deleted one.
    """

    root: Path
    entry: str
    folder: Path | None = None
    folder_id: FileId | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """One reading of all stacks directories at `at` (monotonic). A root with identity None could not be read."""

    at: float
    roots: Mapping[Path, FileId | None]
    stacks: Mapping[StackName, Place]


@dataclass(frozen=True, slots=True)
class RemovalRules:
    """The knobs: seconds, a share of all stacks, and how few gone ones never freeze."""

    stack_grace: float = 10.0
    share: float = 0.5
    min_stacks: int = 2


class Fate(enum.StrEnum):
    """What is to be believed of a stack.

    GOING: its entry is missing, not long enough yet. FROZEN: missing, but a person must say so. RENAMED: its folder has
    another name now. MOVED: its name is another folder's now. In the last three what runs waits for a person.
    """

    HERE = "here"
    GOING = "going"
    FROZEN = "frozen"
    RENAMED = "renamed"
    MOVED = "moved"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Known:
    """A stack that was there: where it was last, since when it is missing (None = it is not), and whether for good."""

    place: Place
    gone_since: float | None = None
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Registry:
    """All stacks that are known and the identity that each stacks directory had when nothing in it was in doubt."""

    known: Mapping[StackName, Known] = field(default_factory=dict)
    roots: Mapping[Path, FileId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Consent:
    """What else is known. `holding`: the stacks that have containers (None = not seen yet: any may have); `confirmed`:
    those whose removal, new name or new folder a person has approved."""

    holding: Collection[StackName] | None = None
    confirmed: Collection[StackName] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The new registry, each stack's fate, new names by old ones, why nothing is removed ("" = no reason), and when to
    read again if nothing happens (monotonic, None = never)."""

    registry: Registry
    fates: Mapping[StackName, Fate]
    renamed: Mapping[StackName, StackName] = field(default_factory=dict)
    frozen: str = ""
    wake_at: float | None = None


NO_CONSENT = Consent()


def believe(registry: Registry, scan: Scan, rules: RemovalRules, consent: Consent = NO_CONSENT) -> Outcome:
    """What to believe after a reading: the fate of every stack that was read or is known."""
    missing = {name: one for name, one in registry.known.items() if name not in scan.stacks}
    renamed = _renamed(scan, missing)
    disturbed = _disturbed(registry, scan, missing)
    fates = {name: _present(name, registry.known.get(name), place, consent) for name, place in scan.stacks.items()}
    for name, one in missing.items():
        fates[name] = _missing(name, one, renamed.get(name), disturbed, consent)
    crowd = _crowd(fates, rules)
    fates.update(dict.fromkeys(crowd, Fate.FROZEN))
    known = {
        name: registry.known[name] if fates[name] is Fate.MOVED else Known(_seen(registry.known.get(name), place))
        for name, place in scan.stacks.items()
    }
    wake_at: float | None = None
    for name, one in missing.items():
        known[name] = aged = _aged(one, fates[name], scan.at, rules)
        if aged.removed:
            fates[name] = Fate.REMOVED
        elif aged.gone_since is not None:
            due = aged.gone_since + rules.stack_grace
            wake_at = due if wake_at is None else min(wake_at, due)
    reasons = [*disturbed.values(), *([_crowd_text(crowd, fates)] if crowd else [])]
    shown = {name: new for name, new in renamed.items() if fates[name] is Fate.RENAMED}
    return Outcome(Registry(known, _identities(registry, scan, fates)), fates, shown, "; ".join(reasons), wake_at)


def forget(registry: Registry, name: StackName) -> Registry:
    """The registry without a stack that is gone for good."""
    return replace(registry, known={known: one for known, one in registry.known.items() if known != name})


def _held(name: StackName, consent: Consent) -> bool:
    return consent.holding is None or name in consent.holding


def _present(name: StackName, before: Known | None, place: Place, consent: Consent) -> Fate:
    """The fate of a stack that was read: it has moved when its real folder is another one and it has containers."""
    if before is None or name in consent.confirmed or not _held(name, consent):
        return Fate.HERE
    was, now = before.place.folder, place.folder
    return Fate.MOVED if was is not None and now is not None and was != now else Fate.HERE


def _seen(before: Known | None, place: Place) -> Place:
    """The place as read; behind a dangling link still the folder that was there."""
    if place.folder is not None or before is None:
        return place
    was = before.place
    return replace(place, folder=was.folder, folder_id=was.folder_id, mark=was.mark)


def _missing(
    name: StackName, one: Known, new: StackName | None, disturbed: Mapping[Path, str], consent: Consent
) -> Fate:
    """The fate of a stack whose entry is not there, before time and number are looked at."""
    if one.removed or name in consent.confirmed or (new is not None and new in consent.confirmed):
        return Fate.REMOVED
    if one.place.root in disturbed:
        return Fate.FROZEN
    if new is not None:
        return Fate.RENAMED if _held(name, consent) else Fate.REMOVED
    return Fate.GOING


def _renamed(scan: Scan, missing: Mapping[StackName, Known]) -> dict[StackName, StackName]:
    """Missing stacks whose folder, or whose entry, is now a stack of another name."""
    found: dict[StackName, StackName] = {}
    for old, one in missing.items():
        was = one.place
        for new, place in scan.stacks.items():
            same_folder = was.folder_id is not None and (place.folder_id, place.mark) == (was.folder_id, was.mark)
            if same_folder or (place.root, place.entry) == (was.root, was.entry):
                found[old] = new
    return found


def _disturbed(registry: Registry, scan: Scan, missing: Mapping[StackName, Known]) -> dict[Path, str]:
    """Stacks directories that stacks are missing from and that cannot be trusted, with the reason in words."""
    found: dict[Path, str] = {}
    for root in {one.place.root for one in missing.values() if not one.removed}:
        identity = scan.roots.get(root)
        if identity is None:
            found[root] = f"{root} is not there or cannot be read"
        elif registry.roots.get(root, identity) != identity:
            found[root] = f"{root} is not the directory it was (unmounted or replaced), and stacks are missing from it"
    return found


def _crowd(fates: Mapping[StackName, Fate], rules: RemovalRules) -> list[StackName]:
    """The stacks that are going, if they are too many at once to be believed."""
    going = [name for name, fate in fates.items() if fate is Fate.GOING]
    return going if len(going) >= rules.min_stacks and len(going) > rules.share * _total(fates) else []


def _crowd_text(crowd: list[StackName], fates: Mapping[StackName, Fate]) -> str:
    names = ", ".join(sorted(crowd)[:5]) + (", ..." if len(crowd) > 5 else "")
    return f"{len(crowd)} of {_total(fates)} stacks are gone at once ({names}); nothing is removed until you confirm it"


def _total(fates: Mapping[StackName, Fate]) -> int:
    return sum(fate is not Fate.REMOVED for fate in fates.values())


def _aged(one: Known, fate: Fate, at: float, rules: RemovalRules) -> Known:
    """A missing stack with its time counted on, and removed if that was long enough."""
    match fate:
        case Fate.GOING:
            since = at if one.gone_since is None else one.gone_since
            return replace(one, gone_since=since, removed=at - since >= rules.stack_grace)
        case Fate.REMOVED:
            return replace(one, removed=True)
        case Fate.HERE | Fate.FROZEN | Fate.RENAMED | Fate.MOVED:
            # Time counts only while nothing else is odd.
            return replace(one, gone_since=None)


def _identities(registry: Registry, scan: Scan, fates: Mapping[StackName, Fate]) -> dict[Path, FileId]:
    """A directory's new identity is accepted once none of its stacks waits for a person."""
    waiting = {registry.known[name].place.root for name, fate in fates.items() if fate is Fate.FROZEN}
    found = dict(registry.roots)
    for root, identity in scan.roots.items():
        if identity is not None and (root not in found or root not in waiting):
            found[root] = identity
    return found


@dataclass(frozen=True, slots=True)
class Services:
    """The set of services as read, since when it reads the same (monotonic), and whether that is long enough."""

    names: frozenset[ServiceName]
    since: float
    settled: bool


def settle(before: Services | None, names: frozenset[ServiceName], at: float, grace: float) -> Services:
    """What to believe of a set of services after a reading at `at`: settled after two equal ones `grace` apart."""
    if before is None or before.names != names:
        return Services(names, at, settled=grace <= 0)
    return replace(before, settled=before.settled or at - before.since >= grace)
