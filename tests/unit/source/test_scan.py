"""One reading of everything: what is loaded again, what is watched, what is told of a folder without definition."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.source.scan import Reading, Scanner, SourceSettings, StackReading

TEXT = "services: {web: {image: busybox, env_file: [../common/app.env]}}\n"


class World:
    """A stacks directory with one stack, whose env file is elsewhere, and its reader."""

    def __init__(self, place: Path) -> None:
        self.root = place.resolve() / "stacks"
        self.env = self.root / "common" / "app.env"
        self.save("blog/compose.yaml", TEXT)
        self.save("common/app.env", "MODE=a\n")
        self.scanner = Scanner(SourceSettings((self.root,), {}))

    def save(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self) -> Reading:
        return self.scanner.read()

    def stack(self, entry: str = "blog") -> StackReading:
        (found,) = [one for one in self.read().stacks if one.place.entry == entry]
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_did_not_change_is_not_loaded_again(world: World) -> None:
    assert world.stack().loaded is world.stack().loaded


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("blog/compose.yaml", TEXT.replace("busybox", "alpine:3")),
        ("common/app.env", "MODE=other\n"),
        ("blog/.env", "COMPOSE_PROJECT_NAME=site\n"),
        ("blog/compose.override.yaml", "services: {db: {image: busybox}}\n"),
    ],
)
def test_a_change_of_any_file_that_it_is_made_from_loads_it_again(world: World, name: str, text: str) -> None:
    before = world.stack()
    world.save(name, text)
    after = world.stack()
    assert before.loaded is not None and before.loaded.project is not None
    assert after.loaded is not None and after.loaded.project is not None
    assert before.loaded.project.digest != after.loaded.project.digest or before.name != after.name


def test_files_outside_of_the_folder_are_watched_too(world: World) -> None:
    reading = world.read()
    assert world.env in reading.target.files
    assert world.env in reading.prints


def test_what_a_watcher_would_see_tells_a_change_and_nothing_without_one(world: World) -> None:
    reading = world.read()
    assert world.scanner.fingerprints(reading.target) == reading.prints
    world.save("shop/compose.yaml", "services: {}\n")
    assert world.scanner.fingerprints(reading.target) != reading.prints


def test_a_folder_without_a_definition_is_read_with_its_problem_and_the_others_with_it(world: World) -> None:
    folder = world.stack("common")
    assert (folder.loaded, folder.good, folder.name, folder.texts) == (None, False, "common", {})
    assert [one.code for one in folder.diagnostics] == ["definition-missing"]
    assert folder.place.mark == ""
    assert world.stack().good


def test_a_stack_is_called_as_its_definition_says(world: World) -> None:
    world.save("blog/compose.yaml", "name: si${X:-te}\n" + TEXT)
    assert world.stack().name == "site"


def test_the_texts_of_every_file_are_kept(world: World) -> None:
    assert world.stack().texts[world.env] == b"MODE=a\n"


def test_a_mark_tells_the_compose_files_of_two_folders_apart(world: World) -> None:
    world.save("copy/compose.yaml", TEXT)
    world.save("shop/compose.yaml", "services: {web: {image: busybox}}\n")
    marks = [world.stack(name).place.mark for name in ("blog", "copy", "shop")]
    assert marks[0] and (marks[0] == marks[1], marks[0] == marks[2]) == (True, False)
