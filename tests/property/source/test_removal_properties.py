"""Laws of removal that hold for every history of readings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stackd.model.ids import StackName
from stackd.source.removal import Consent, Fate, FileId, Outcome, Place, Registry, RemovalRules, Scan, believe

ROOT = Path("/stacks")
RULES = RemovalRules()
NAMES = [StackName(name) for name in "abcdef"]

readings = st.lists(
    st.tuples(
        st.floats(0.0, 20.0),  # seconds since the one before
        st.sampled_from([(1, 1), (1, 1), (1, 1), (2, 2), None]),  # the directory's identity
        st.sets(st.sampled_from(NAMES)),  # what is in it
    ),
    min_size=1,
    max_size=30,
)
Reading = tuple[float, FileId | None, set[StackName]]


def place(name: StackName) -> Place:
    return Place(ROOT, name, Path("/src") / name, (1, ord(name)), name)


def run(history: Sequence[Reading], consent: Consent | None = None) -> list[tuple[Scan, Registry, Outcome]]:
    registry, at, seen = Registry(), 0.0, []
    for passed, identity, names in history:
        at += passed
        scan = Scan(at, {ROOT: identity}, {name: place(name) for name in names} if identity else {})
        outcome = believe(registry, scan, RULES, consent or Consent())
        seen.append((scan, registry, outcome))
        registry = outcome.registry
    return seen


def removals(seen: list[tuple[Scan, Registry, Outcome]]) -> list[tuple[int, StackName]]:
    """The readings at which a stack was newly taken for removed."""
    return [
        (index, name)
        for index, (_, before, outcome) in enumerate(seen)
        for name, fate in outcome.fates.items()
        if fate is Fate.REMOVED and not (name in before.known and before.known[name].removed)
    ]


@given(readings)
def test_nothing_is_removed_that_was_there_within_the_grace(history: list[Reading]) -> None:
    seen = run(history)
    for index, name in removals(seen):
        at = seen[index][0].at
        for scan, _, _ in seen[: index + 1]:
            assert not (name in scan.stacks and at - scan.at < RULES.stack_grace)


@given(readings)
def test_nothing_is_removed_while_its_directory_is_unreadable_or_another_one(history: list[Reading]) -> None:
    for scan, before, outcome in run(history):
        if scan.roots[ROOT] is None or scan.roots[ROOT] != before.roots.get(ROOT, scan.roots[ROOT]):
            for name, fate in outcome.fates.items():
                assert fate is not Fate.REMOVED or before.known[name].removed


@given(readings)
def test_never_more_than_half_go_in_one_reading(history: list[Reading]) -> None:
    seen = run(history)
    for index, (_, before, _) in enumerate(seen):
        gone = [name for at, name in removals(seen) if at == index]
        alive = {name for name, one in before.known.items() if not one.removed} | seen[index][0].stacks.keys()
        assert len(gone) < RULES.min_stacks or len(gone) <= RULES.share * len(alive)


@given(readings)
def test_what_is_in_the_directory_is_never_going_frozen_or_removed(history: list[Reading]) -> None:
    for scan, _, outcome in run(history):
        assert {outcome.fates[name] for name in scan.stacks} <= {Fate.HERE}


@given(readings)
def test_every_known_stack_has_a_fate_and_is_still_known(history: list[Reading]) -> None:
    for scan, before, outcome in run(history):
        assert outcome.fates.keys() == outcome.registry.known.keys() == before.known.keys() | scan.stacks.keys()


@given(readings)
def test_the_same_reading_again_changes_no_belief(history: list[Reading]) -> None:
    for scan, _, outcome in run(history):
        again = believe(outcome.registry, scan, RULES)
        assert (again.fates, again.frozen, again.registry) == (outcome.fates, outcome.frozen, outcome.registry)


@given(readings)
def test_a_quiet_directory_settles_into_here_frozen_or_removed(history: list[Reading]) -> None:
    scan, _, outcome = run(history)[-1]
    registry = outcome.registry
    for passed in (11.0, 22.0):
        outcome = believe(registry, Scan(scan.at + passed, scan.roots, scan.stacks), RULES)
        registry = outcome.registry
    assert set(outcome.fates.values()) <= {Fate.HERE, Fate.FROZEN, Fate.REMOVED}
    assert (Fate.FROZEN in outcome.fates.values()) == bool(outcome.frozen)


@given(readings)
def test_a_confirmed_stack_that_is_missing_is_removed_at_once(history: list[Reading]) -> None:
    for scan, _, outcome in run(history, Consent(confirmed=set(NAMES))):
        assert all((name in scan.stacks) == (fate is Fate.HERE) for name, fate in outcome.fates.items())
