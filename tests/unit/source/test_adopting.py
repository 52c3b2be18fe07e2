"""What keeps a folder of `docker compose` from being a stack, told with what to do about it."""

from __future__ import annotations

from pathlib import Path

from stackd.model.ids import StackName
from stackd.source.adopting import obstacle
from stackd.source.scan import SourceSettings

BLOG = StackName("blog")


def told(folder: Path | str, *made_from: str, name: StackName = BLOG) -> str:
    return obstacle(SourceSettings((), {}), name, str(folder), made_from)


def folder(place: Path, text: str = "services: {web: {image: busybox}}\n") -> Path:
    made = place.resolve() / "blog"
    made.mkdir()
    if text:
        (made / "compose.yaml").write_text(text)
    return made


def test_a_folder_that_makes_the_same_project_can_be_kept(tmp_path: Path) -> None:
    here = folder(tmp_path)
    assert told(here, str(here / "compose.yaml")) == ""


def test_containers_that_do_not_tell_their_files_are_no_obstacle(tmp_path: Path) -> None:
    assert told(folder(tmp_path)) == ""


def test_containers_must_tell_the_folder_that_they_were_made_in(tmp_path: Path) -> None:
    for unknown in ("", "blog"):
        assert told(unknown) == "its containers do not tell which folder they were made in"


def test_a_file_in_the_place_of_the_folder_is_an_obstacle(tmp_path: Path) -> None:
    file = tmp_path.resolve() / "blog"
    file.write_text("")
    assert told(file) == f"{file} is not a folder"


def test_a_folder_that_is_gone_is_an_obstacle(tmp_path: Path) -> None:
    assert told(tmp_path / "blog") == f"its folder {tmp_path / 'blog'} is not there: put it back, then adopt it again"


def test_a_folder_without_a_compose_file_is_an_obstacle(tmp_path: Path) -> None:
    assert told(folder(tmp_path, "")).startswith("there is no Compose file in its folder")


def test_an_invalid_definition_is_told_by_its_error_not_by_a_warning(tmp_path: Path) -> None:
    found = told(folder(tmp_path, "version: '3'\nservices: {web: {image: busybox, nonsense: 1}}\n"))
    assert ": error[" in found


def test_other_files_than_those_it_was_made_from_are_told_with_what_to_set(tmp_path: Path) -> None:
    here = folder(tmp_path)
    (here / "prod.yml").write_text("services: {}\n")
    found = told(here, str(here / "compose.yaml"), str(here / "prod.yml"))
    assert found == (
        "it was made from compose.yaml:prod.yml, not from compose.yaml: "
        "set COMPOSE_FILE=compose.yaml:prod.yml in its .env"
    )


def test_a_folder_of_another_project_name_is_told_with_what_to_set(tmp_path: Path) -> None:
    found = told(folder(tmp_path), name=StackName("shop"))
    assert found == "its folder makes project blog: set COMPOSE_PROJECT_NAME=shop in its .env"
