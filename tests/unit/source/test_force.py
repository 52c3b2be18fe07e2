"""What is in force of one stack: which text comes into force, what is said of the others, what is remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackd.errors import Diagnostic, Severity, Span
from stackd.model.ids import ServiceName, StackName
from stackd.model.spec import Loaded, Project, ServiceSpec, VolumeSpec
from stackd.model.view import Presence
from stackd.source.force import Held, double, doubtful, waiting
from stackd.source.pace import Pace
from stackd.source.removal import Fate, Outcome, Place, Registry
from stackd.source.scan import StackReading

BLOG, SITE = StackName("blog"), StackName("site")
FOLDER = Path("/stacks/blog")
FILE, ENV = FOLDER / "compose.yaml", FOLDER / "app.env"
PLACE = Place(FOLDER.parent, "blog", FOLDER, (1, 2))
BROKEN = Diagnostic("bad-port", "no port", Span(str(FILE), 1, 1))
ODD = Diagnostic("odd", "odd", Span(str(FILE), 1, 1), Severity.WARNING)

OUTCOME = Outcome(Registry(), {}, {BLOG: SITE}, "most are gone")


def project(digest: str = "1", *volumes: VolumeSpec) -> Project:
    web = ServiceSpec(ServiceName("web"), "web:1", ("1",))
    return Project(BLOG, FOLDER, (FILE,), {web.name: web}, {}, {one.key: one for one in volumes}, digest=digest)


def good(digest: str = "1", *told: Diagnostic, env: str = "") -> StackReading:
    """A reading of a definition; `env` is what the second file reads, "" = it is not there."""
    prints = {FILE: digest} | ({ENV: env} if env else {})
    return StackReading(BLOG, PLACE, Loaded(project(digest), told, (FILE,)), "", prints, {FILE: b"text"})


def bad(mark: str = "x") -> StackReading:
    return StackReading(BLOG, PLACE, Loaded(None, (BROKEN,), (FILE,)), "", {FILE: mark}, {})


def gone() -> StackReading:
    return StackReading(BLOG, replace(PLACE, folder=None, folder_id=None), None, "there is no file", {}, {})


def held(reading: StackReading | None = None) -> Held:
    """A stack after a first reading at instant 100."""
    made = Held()
    made.take(reading or good(), 100.0, 0.3)
    return made


def test_the_warnings_of_a_good_text_are_told() -> None:
    assert held(good("1", ODD)).desired(BLOG).diagnostics == (ODD,)


def test_the_same_text_read_again_is_no_new_generation() -> None:
    one = held()
    one.take(good(), 101.0, 0.3)
    assert one.generation == 1
    one.take(good("2"), 102.0, 0.3)
    assert one.generation == 2


def test_a_bad_text_is_told_once_it_has_stayed_the_same_for_a_moment() -> None:
    one = held()
    assert one.take(bad("x"), 101.0, 0.3) == 101.3
    assert one.take(bad("y"), 101.2, 0.3) == 101.2 + 0.3
    assert one.desired(BLOG).diagnostics == ()
    assert one.take(bad("y"), 101.6, 0.3) is None
    assert one.desired(BLOG).diagnostics == (BROKEN,)


def test_a_bad_text_is_told_at_once_to_a_person_who_asks() -> None:
    one = held()
    assert one.take_now(bad("x"), 101.0) is None
    assert (one.desired(BLOG).diagnostics, one.digest) == ((BROKEN,), "1")


def test_a_bad_text_that_was_never_good_is_told_at_once_with_its_place() -> None:
    one = held(bad())
    told = one.desired(BLOG)
    assert (told.diagnostics, told.folder, told.root) == ((BROKEN,), FOLDER, FOLDER.parent)


def test_a_definition_that_went_bad_keeps_the_place_of_the_good_one() -> None:
    one = held()
    one.take(gone(), 101.0, 0.0)
    told = one.desired(BLOG)
    assert (told.folder, told.presence) == (FOLDER, Presence.MISSING)
    one.take(bad(), 102.0, 0.0)
    assert one.desired(BLOG).presence is Presence.PRESENT


def test_a_stack_that_was_never_read_has_no_place() -> None:
    told = Held().desired(BLOG)
    assert (told.folder, told.root) == (None, None)


def test_services_are_settled_after_two_equal_readings_and_no_third_is_asked_for() -> None:
    one = held()
    assert one.settle(100.0, 5.0) == 105.0
    assert not one.desired(BLOG).services_settled
    assert one.settle(106.0, 5.0) is None
    assert one.desired(BLOG).services_settled


def test_without_a_definition_there_is_nothing_to_settle() -> None:
    one = held(bad())
    assert one.settle(100.0, 5.0) is None
    assert not one.desired(BLOG).services_settled


def test_nothing_is_remembered_that_has_no_definition_or_no_folder() -> None:
    nowhere, unknown = replace(PLACE, folder=None), replace(PLACE, folder_id=None)
    assert held(bad()).revision(BLOG, bad(), (1, 1)) is None
    assert held().revision(BLOG, replace(good(), place=nowhere), (1, 1)) is None
    assert held().revision(BLOG, replace(good(), place=unknown), (1, 1)) is None


def test_texts_that_are_too_large_are_not_remembered_and_the_rest_is() -> None:
    small = held().revision(BLOG, good(), (1, 1))
    large = held().revision(BLOG, replace(good(), texts={FILE: b"x" * (4 * 1024 * 1024 + 1)}), (1, 1))
    assert small is not None and small.read(FILE) == b"text"
    assert large is not None and (large.texts, large.digest) == ({}, "1")


# A text that keeps changing


def feverish() -> Held:
    """Ten changes of the first file, a second apart; the last taken is the ninth."""
    one = held(good("0"))
    for version in range(1, 11):
        one.take(good(str(version), env="same"), 100.0 + version, 0.3)
    return one


def test_the_file_that_is_named_is_one_that_changes() -> None:
    found = feverish().desired(BLOG).diagnostics[-1]
    assert found.span.file == str(FILE)


def test_the_stack_is_named_when_a_file_that_went_is_what_changed() -> None:
    one = held(good("0"))
    for version in range(1, 11):
        loaded = Loaded(project(str(version)), (), (FILE,))
        reading = replace(good("0", env=str(version) if version % 2 else ""), loaded=loaded)
        one.take(reading, 100.0 + version, 0.3)
    found = one.desired(BLOG).diagnostics[-1]
    assert found.span.file == str(FOLDER)


def test_a_text_that_goes_back_to_what_is_in_force_needs_no_turn() -> None:
    one = feverish()
    before = one.pace
    assert one.take(good("9", env="same"), 111.0, 0.3) == 111.0 + 60.0
    assert (one.digest, one.pace.taken_at, one.pace.rest) == ("9", before.taken_at, before.rest)


def test_a_change_after_a_minute_in_which_nothing_was_read_is_no_quiet() -> None:
    fever = Pace("a", tuple(float(at) for at in range(10)), 9.0, 20.0)
    assert fever.noticed("b", 100.0).rest == 20.0
    assert fever.noticed("a", 100.0).rest == 0.0


# Something odd about its place


@pytest.mark.parametrize(
    ("fate", "presence", "code"),
    [
        (Fate.GOING, Presence.GOING, "stack-going"),
        (Fate.FROZEN, Presence.MISSING, "removal-frozen"),
        (Fate.RENAMED, Presence.MISSING, "stack-renamed"),
        (Fate.MOVED, Presence.PRESENT, "stack-moved"),
        (Fate.REMOVED, Presence.REMOVED, ""),
    ],
)
def test_a_stack_whose_place_is_odd_is_told_so_and_its_services_are_not_settled(
    fate: Fate, presence: Presence, code: str
) -> None:
    one = held()
    one.settle(100.0, 0.0)
    one.settle(101.0, 0.0)
    told = doubtful(BLOG, fate, one, OUTCOME, PLACE)
    assert (told.presence, [found.code for found in told.diagnostics]) == (presence, [code] if code else [])
    assert (told.services_settled, told.project) == (False, one.project)


def test_a_stack_whose_removal_is_frozen_is_told_with_the_command_that_removes_it() -> None:
    (found,) = doubtful(BLOG, Fate.FROZEN, held(), OUTCOME, PLACE).diagnostics
    assert found.message.endswith(f": stackd down {BLOG}")


def test_a_stack_that_is_here_is_told_as_it_is_held() -> None:
    one = held()
    assert doubtful(BLOG, Fate.HERE, one, OUTCOME, PLACE) == one.desired(BLOG)


def test_a_new_name_lists_the_volumes_that_stay_behind_and_no_others() -> None:
    before = project(
        "0", VolumeSpec("a", "blog_a"), VolumeSpec("b", "kept"), VolumeSpec("c", "theirs", external=True)
    )  # fmt: skip
    reading = replace(good(), loaded=Loaded(project("1", VolumeSpec("x", "kept")), (ODD,), (FILE,)))
    told = waiting(SITE, BLOG, before, reading)
    assert told.diagnostics[0] == ODD
    assert told.diagnostics[1].message.endswith("Its volumes do not move: blog_a")
    assert (told.project, told.services_settled, told.folder) == (None, False, FOLDER)


def test_a_new_name_without_a_definition_leaves_every_volume_behind() -> None:
    told = waiting(SITE, BLOG, project("0", VolumeSpec("a", "blog_a")), gone())
    assert told.diagnostics[-1].message.endswith("Its volumes do not move: blog_a")


def test_a_new_name_of_what_was_never_read_leaves_no_volume_behind() -> None:
    told = waiting(SITE, BLOG, None, good())
    assert "volumes" not in told.diagnostics[-1].message


def test_another_folder_of_the_same_name_is_told_by_its_folder_else_by_its_entry() -> None:
    assert double(good(), BLOG).span.file == str(FOLDER)
    elsewhere = replace(good(), place=Place(FOLDER.parent, "copy"))
    assert double(elsewhere, BLOG).span.file == "/stacks/copy"
