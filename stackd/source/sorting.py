"""One reading, sorted: which entries are stacks at all, and which of several with one name counts.

Law: pure. A folder that never held a definition file is no stack; one whose file disappeared is. What this module does
NOT do: read, or decide who is gone (`removal` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from stackd.model.ids import StackName
from stackd.source.discover import winner
from stackd.source.force import Stacks
from stackd.source.removal import Registry
from stackd.source.scan import Reading, StackReading


def without_plain_folders(
    reading: Reading, registry: Registry, running: Mapping[StackName, str]
) -> tuple[Reading, frozenset[Path]]:
    """The reading without the folders that are no stacks, and these: they hold no definition file and never did.

    One whose file disappeared is known by its place, or by the containers that were made from it; `running` are the
    stacks that have such, with their working_dir label.
    """
    places = {(one.place.root, one.place.entry) for one in registry.known.values() if not one.removed}
    folders = {Path(folder) for folder in running.values() if folder}
    plain, stacks = set[Path](), list[StackReading]()
    for one in reading.stacks:
        place = one.place
        if one.empty and (place.root, place.entry) not in places and place.folder not in folders:
            plain.add(place.root / place.entry)
        else:
            stacks.append(one)
    return replace(reading, stacks=tuple(stacks)), frozenset(plain)


def by_name(reading: Reading, registry: Registry, labels: Mapping[StackName, str]) -> Stacks:
    """The readings by name; of several with one name, the one counts that is known, or that `labels` name."""
    known = registry.known
    by_entry = {(one.place.root, one.place.entry): name for name, one in known.items() if not one.removed}
    groups: dict[StackName, list[StackReading]] = {}
    for one in reading.stacks:
        name = one.name if one.good else by_entry.get((one.place.root, one.place.entry), one.name)
        groups.setdefault(name, []).append(one)
    chosen: dict[StackName, StackReading] = {}
    doubles: dict[StackName, tuple[StackReading, ...]] = {}
    for name, group in groups.items():
        before = known[name].place.folder if name in known else None
        able = group if any(one.place.folder == before for one in group) else [one for one in group if one.good]
        places = {one.place: one for one in able or group}
        chosen[name] = places[winner(places, before, labels.get(name, ""))]
        if len(group) > 1:
            doubles[name] = tuple(one for one in group if one is not chosen[name])
    return Stacks(chosen, doubles)
