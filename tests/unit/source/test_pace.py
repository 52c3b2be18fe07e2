"""A definition that keeps changing is taken ever more seldom, says so, and is taken at last."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from stackd.errors import Severity
from stackd.model.ids import StackName
from stackd.model.spec import Loaded, Project
from stackd.source.force import Held
from stackd.source.removal import Place
from stackd.source.scan import StackReading

FOLDER = Path("/stacks/blog")
FILE = FOLDER / "compose.yaml"
PLACE = Place(FOLDER.parent, "blog", FOLDER, (1, 2))


def reading(version: int, *, other: int = 0) -> StackReading:
    """The stack with a definition of this version; its env file has a version as well."""
    digest = f"{version}/{other}"
    project = Project(StackName("blog"), FOLDER, (FILE,), {}, {}, {}, digest=digest)
    prints = {FILE: str(version), FOLDER / "app.env": str(other)}
    return StackReading(StackName("blog"), PLACE, Loaded(project, (), (FILE,)), "", prints, {})


class Files:
    """A stack whose files are read again and again."""

    def __init__(self) -> None:
        self.held = Held()
        self.at = 100.0
        self.again: float | None = None
        self.look(reading(0))

    def look(self, one: StackReading, after: float = 1.0) -> None:
        self.at += after
        self.again = self.held.take(one, self.at, 0.3)

    def codes(self) -> list[str]:
        return [found.code for found in self.held.desired(StackName("blog")).diagnostics]


def feverish() -> Files:
    """Ten changes, a second apart."""
    files = Files()
    for version in range(1, 11):
        files.look(reading(0, other=version))
    return files


def test_every_edit_is_taken_at_once_while_they_are_few() -> None:
    files = Files()
    for version in range(1, 10):
        files.look(reading(version))
        assert (files.held.digest, files.codes()) == (f"{version}/0", [])


def test_edits_that_are_far_enough_apart_are_never_too_many() -> None:
    files = Files()
    for version in range(1, 40):
        files.look(reading(version), after=7.0)
        assert files.held.digest == f"{version}/0"


def test_a_text_that_changes_too_often_is_not_taken_at_once_and_the_file_is_named() -> None:
    files = feverish()
    assert files.held.digest == "0/9"
    found = files.held.desired(StackName("blog")).diagnostics[-1]
    assert (found.code, found.span.file) == ("feedback-loop", str(FOLDER / "app.env"))
    assert files.again == files.at - 1.0 + 10.0


def test_the_newest_text_is_taken_once_its_rest_is_over_and_the_rests_grow() -> None:
    files = feverish()
    taken = []
    for version in range(11, 300):
        files.look(reading(0, other=version))
        if files.held.digest == f"0/{version}":
            taken.append(files.at)
    assert [later - early for early, later in pairwise(taken)][:4] == [20, 40, 60, 60]


def test_a_minute_of_quiet_ends_it() -> None:
    files = feverish()
    last = reading(0, other=10)
    files.look(last, after=10.0)
    assert (files.held.digest, files.codes()) == ("0/10", ["feedback-loop"])
    files.look(last, after=(files.again or 0.0) - files.at)
    assert files.codes() == []
    files.look(reading(1))
    assert files.held.digest == "1/0"


def test_a_file_that_is_merely_touched_is_no_change() -> None:
    files = Files()
    for version in range(1, 30):
        one = reading(0)
        files.look(replace(one, prints={**one.prints, FILE: f"touched {version}"}))
    assert files.codes() == []


def test_an_edit_that_is_not_taken_says_since_when_until_when_and_because_of_which_file() -> None:
    files = feverish()
    first = files.at
    files.look(reading(0, other=11))
    found = files.held.desired(StackName("blog")).diagnostics[0]
    assert (found.code, found.severity) == ("edit-not-taken", Severity.WARNING)
    assert f"edit of {first:.0f} not taken yet, until {files.again:.0f}" in found.message
    assert f"because {FOLDER / 'app.env'} changed 10 times in a minute" in found.message
    assert "stackd up blog" in found.message


def test_an_edit_that_is_taken_at_last_is_no_longer_said_to_wait() -> None:
    files = feverish()
    files.look(reading(0, other=10), after=10.0)
    assert files.codes() == ["feedback-loop"]


def test_a_person_who_asks_gets_the_text_as_it_is_and_the_damper_stays_for_the_next_edit() -> None:
    files = feverish()
    files.again = files.held.take_now(reading(0, other=10), files.at)
    assert (files.held.digest, files.codes()) == ("0/10", ["feedback-loop"])
    files.look(reading(0, other=11))
    assert files.held.digest == "0/10"
    assert files.codes() == ["edit-not-taken", "feedback-loop"]


def test_a_question_that_finds_nothing_new_does_not_disarm_the_damper() -> None:
    files = feverish()
    for _ in range(3):
        files.held.take_now(reading(0, other=9), files.at)
    files.look(reading(0, other=11))
    assert files.held.digest == "0/9"
