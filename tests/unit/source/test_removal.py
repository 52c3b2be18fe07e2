"""Removal rules, one obligation each, on values alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.model.ids import ServiceName, StackName
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
    Services,
    believe,
    forget,
    settle,
)

ROOT = Path("/stacks")
RULES = RemovalRules()
NONE_HELD = Consent(holding=())


def place(entry: str, inode: int = 0, mark: str = "m", folder: str = "") -> Place:
    return Place(ROOT, entry, Path(folder or f"/src/{entry}"), (1, inode or sum(entry.encode())), mark)


class World:
    """A stacks directory over time; every `see` is one reading."""

    def __init__(self, *names: str) -> None:
        self.registry = Registry()
        self.places = {StackName(name): place(name) for name in names}
        self.identity: FileId | None = (1, 1)
        self.see(0)

    def see(self, at: float, consent: Consent = Consent()) -> Outcome:  # noqa: B008
        outcome = believe(self.registry, Scan(at, {ROOT: self.identity}, dict(self.places)), RULES, consent)
        self.registry = outcome.registry
        return outcome

    def drop(self, *names: str) -> None:
        for name in names:
            del self.places[StackName(name)]


def fate(outcome: Outcome, name: str) -> Fate:
    return outcome.fates[StackName(name)]


def test_a_stack_is_removed_only_after_its_entry_has_been_gone_for_ten_seconds() -> None:
    world = World("a", "b", "c")
    world.drop("a")
    gone = world.see(100)
    assert (fate(gone, "a"), gone.wake_at) == (Fate.GOING, 110)
    assert fate(world.see(109.9), "a") is Fate.GOING
    assert fate(world.see(110), "a") is Fate.REMOVED
    assert fate(world.see(200), "a") is Fate.REMOVED


def test_the_only_stack_can_be_removed() -> None:
    world = World("a")
    world.drop("a")
    world.see(1)
    assert fate(world.see(11), "a") is Fate.REMOVED


def test_a_stack_that_comes_back_in_time_begins_anew() -> None:
    world = World("a", "b", "c")
    kept = world.places[StackName("a")]
    world.drop("a")
    world.see(1)
    world.places[StackName("a")] = kept
    assert fate(world.see(5), "a") is Fate.HERE
    world.drop("a")
    assert fate(world.see(12), "a") is Fate.GOING


def test_a_removed_stack_that_comes_back_is_here_again() -> None:
    world = World("a", "b", "c")
    kept = world.places[StackName("a")]
    world.drop("a")
    world.see(1)
    world.see(11)
    world.places[StackName("a")] = kept
    assert fate(world.see(12), "a") is Fate.HERE


def test_more_than_half_of_the_stacks_gone_at_once_freezes_until_confirmed() -> None:
    world = World("a", "b", "c", "d", "e")
    world.drop("a", "b", "c")
    world.see(1)
    frozen = world.see(500)
    assert {fate(frozen, name) for name in "abc"} == {Fate.FROZEN}
    assert frozen.frozen == "3 of 5 stacks are gone at once (a, b, c); nothing is removed until you confirm it"
    said = world.see(501, Consent(confirmed={StackName(name) for name in "abc"}))
    assert {fate(said, name) for name in "abc"} == {Fate.REMOVED}
    assert said.frozen == ""


def test_exactly_half_is_not_more_than_half() -> None:
    world = World("a", "b")
    world.drop("a")
    world.see(1)
    assert fate(world.see(11), "a") is Fate.REMOVED


def test_stacks_removed_one_after_the_other_never_freeze() -> None:
    world = World(*"abcdef")
    for number, name in enumerate("abcdef"):
        world.drop(name)
        world.see(100 * number + 1)
        outcome = world.see(100 * number + 11)
        assert (fate(outcome, name), outcome.frozen) == (Fate.REMOVED, "")


def test_when_a_freeze_lifts_the_rest_wait_their_full_time_again() -> None:
    world = World("a", "b", "c")
    kept = world.places[StackName("a")]
    world.drop("a", "b")
    world.see(1)
    world.see(60)
    world.places[StackName("a")] = kept
    assert fate(world.see(61), "b") is Fate.GOING
    assert fate(world.see(70), "b") is Fate.GOING
    assert fate(world.see(71), "b") is Fate.REMOVED


@pytest.mark.parametrize("identity", [None, (9, 9)])
def test_a_stacks_directory_that_vanished_or_is_another_one_removes_nothing(identity: FileId | None) -> None:
    world = World("a", "b", "c")
    kept = dict(world.places)
    world.identity = identity
    world.drop("a")
    outcome = world.see(1)
    assert fate(outcome, "a") is Fate.FROZEN
    assert str(ROOT) in outcome.frozen
    assert fate(world.see(1000), "a") is Fate.FROZEN
    world.identity, world.places = (1, 1), kept
    back = world.see(1001)
    assert (fate(back, "a"), back.frozen) == (Fate.HERE, "")


def test_a_replaced_stacks_directory_with_all_its_stacks_is_accepted() -> None:
    world = World("a", "b", "c")
    world.identity = (9, 9)
    assert world.see(1).frozen == ""
    world.drop("a")
    world.see(2)
    assert fate(world.see(12), "a") is Fate.REMOVED


def test_a_renamed_folder_is_a_rename_and_waits_for_a_person() -> None:
    world = World("a", "b", "c")
    moved = world.places[StackName("a")]
    world.drop("a")
    world.places[StackName("new")] = Place(ROOT, "new", Path("/src/new"), moved.folder_id, moved.mark)
    outcome = world.see(100)
    assert (fate(outcome, "a"), outcome.renamed) == (Fate.RENAMED, {"a": "new"})
    assert fate(world.see(1000), "a") is Fate.RENAMED
    assert fate(world.see(1001, Consent(confirmed={StackName("new")})), "a") is Fate.REMOVED


def test_another_project_name_in_the_same_folder_is_a_rename() -> None:
    world = World("a", "b")
    world.places[StackName("other")] = world.places.pop(StackName("a"))
    assert world.see(1).renamed == {"a": "other"}


def test_a_rename_of_a_stack_without_containers_needs_nobody() -> None:
    world = World("a", "b")
    world.places[StackName("other")] = world.places.pop(StackName("a"))
    outcome = world.see(1, NONE_HELD)
    assert (fate(outcome, "a"), outcome.renamed) == (Fate.REMOVED, {})


def test_a_new_folder_that_got_a_deleted_ones_inode_is_no_rename() -> None:
    world = World("a", "b", "c")
    old = world.places.pop(StackName("a"))
    world.places[StackName("new")] = Place(ROOT, "new", Path("/src/new"), old.folder_id, "another text")
    assert world.see(1).renamed == {}


def test_a_name_that_is_now_another_folders_waits_for_a_person() -> None:
    world = World("a", "b")
    world.places[StackName("a")] = place("a", folder="/elsewhere/a")
    assert fate(world.see(1), "a") is Fate.MOVED
    assert fate(world.see(100), "a") is Fate.MOVED
    assert fate(world.see(101, Consent(confirmed={StackName("a")})), "a") is Fate.HERE
    assert fate(world.see(102), "a") is Fate.HERE


def test_a_dangling_link_is_no_move_and_the_folder_behind_it_is_remembered() -> None:
    world = World("a", "b")
    world.places[StackName("a")] = Place(ROOT, "a")
    assert fate(world.see(1), "a") is Fate.HERE


def test_what_is_forgotten_is_not_known_any_more() -> None:
    registry = Registry({StackName("a"): Known(place("a"))})
    assert forget(registry, StackName("a")) == Registry()


def test_services_are_settled_after_two_equal_readings_a_second_apart() -> None:
    web, db = ServiceName("web"), ServiceName("db")
    first = settle(None, frozenset({web, db}), 10, 1)
    assert first == Services(frozenset({web, db}), 10, settled=False)
    assert not settle(first, first.names, 10.9, 1).settled
    second = settle(first, first.names, 11, 1)
    assert second.settled
    fewer = settle(second, frozenset({web}), 12, 1)
    assert not fewer.settled
    assert settle(fewer, frozenset({web}), 13, 1).settled
    assert not settle(fewer, frozenset({web, db}), 13, 1).settled
