"""Which stacks there are, what they are called, and who wins a name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackd.source.discover import Candidate, guessed_name, list_root, look, winner
from stackd.source.reading import Files
from stackd.source.removal import Place


def files() -> Files:
    return Files(os.geteuid())


def names(candidate: Candidate) -> list[str]:
    return [path.name for path in candidate.inputs.config_files] if candidate.inputs else []


def stack(folder: Path, *present: str, text: str = "services: {}\n") -> Path:
    folder.mkdir(parents=True)
    for name in present:
        (folder / name).write_text(text)
    return folder


def test_stacks_are_folders_and_links_to_folders_and_nothing_hidden(tmp_path: Path) -> None:
    root = tmp_path / "stacks"
    stack(root / "blog")
    stack(root / ".git")
    (root / "linked").symlink_to(stack(tmp_path / "src"))
    (root / "dangling").symlink_to(tmp_path / "nowhere")
    (root / "README").write_text("x")
    (root / "to-file").symlink_to(root / "README")
    found = list_root(root, files())
    assert found.entries == ("blog", "dangling", "linked")
    assert found.identity == (root.stat().st_dev, root.stat().st_ino)


def test_a_stacks_directory_that_cannot_be_used_has_no_identity_and_a_reason(tmp_path: Path) -> None:
    assert list_root(tmp_path / "absent", files()).problem == "No such file or directory"
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    refused = list_root(tmp_path / "open", files())
    assert refused.identity is None
    assert "everybody" in refused.problem


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        (("compose.yml", "compose.yaml"), ["compose.yaml"]),
        (("docker-compose.yaml", "docker-compose.yml"), ["docker-compose.yml"]),
        (("compose.yaml", "compose.override.yaml", "compose.override.yml"), ["compose.yaml", "compose.override.yml"]),
        (("docker-compose.yml", "docker-compose.override.yml"), ["docker-compose.yml", "docker-compose.override.yml"]),
        (("fig.yml",), ["fig.yml"]),
        (("fig.yml", "compose.yaml"), ["compose.yaml"]),
        (("other.yaml",), []),
    ],
)
def test_files_are_chosen_as_compose_chooses_them_and_fig_last(
    tmp_path: Path, present: tuple[str, ...], wanted: list[str]
) -> None:
    stack(tmp_path / "blog", *present)
    assert names(look(tmp_path, "blog", files())) == wanted


def test_what_has_no_definition_says_why(tmp_path: Path) -> None:
    stack(tmp_path / "empty")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "there is no Compose file in its folder" in look(tmp_path, "empty", files()).problem
    assert look(tmp_path, "dangling", files()).problem == "it is a link that points to nothing"


def test_the_real_folder_is_the_stacks_folder(tmp_path: Path) -> None:
    real = stack(tmp_path / "src" / "app", "compose.yaml")
    (tmp_path / "blog").symlink_to(real)
    found = look(tmp_path, "blog", files())
    assert found.folder == real
    assert found.inputs is not None
    assert found.inputs.folder == real
    assert guessed_name(found, files(), {}) == "app"


def test_data_folders_of_a_stack_are_never_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stack(tmp_path / "blog", "compose.yaml")
    stack(folder / "data", "compose.yaml")
    (folder / "data").chmod(0o700)
    touched: list[str] = []
    real = os.scandir

    def noting(path: Path) -> Iterator[os.DirEntry[str]]:
        touched.append(str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", noting)
    list_root(tmp_path, files())
    found = look(tmp_path, "blog", files())
    assert touched == [str(tmp_path)]
    assert not any("data" in str(path.relative_to(tmp_path)) for path in found.watched)


@pytest.mark.parametrize(
    ("env", "text", "wanted"),
    [
        ("COMPOSE_PROJECT_NAME=fromenv\n", "name: fromfile\nservices: [", "fromenv"),
        ("", "name: From-File # c\nservices: [", "from-file"),
        ("", "services: [", "my_app"),
    ],
)
def test_a_broken_definition_still_has_its_most_likely_name(tmp_path: Path, env: str, text: str, wanted: str) -> None:
    folder = stack(tmp_path / "My_App!", "compose.yaml", text=text)
    (folder / ".env").write_text(env)
    assert guessed_name(look(tmp_path, "My_App!", files()), files(), {}) == wanted


def test_of_two_folders_with_one_name_whoever_runs_wins_else_the_first_by_path() -> None:
    a, b, c = (Place(Path("/r"), name, Path("/src") / name) for name in "abc")
    assert winner([c, b, a], None, "") == a
    assert winner([c, b, a], None, "/src/b") == b
    assert winner([c, b, a], Path("/src/c"), "/src/b") == c
    assert winner([c, b, a], Path("/src/gone"), "/elsewhere") == a


def test_a_stack_that_a_link_of_another_user_chose_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is trusted; who may write to the sticky directory on the way chose it."""
    folder = stack(tmp_path / "src", "compose.yaml")
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    link = tmp_path / "sticky" / "link"
    link.symlink_to(folder)
    root = tmp_path / "stacks"
    root.mkdir()
    (root / "blog").symlink_to(link)
    assert look(root, "blog", files()).folder == folder
    real = os.lstat

    def lstat(path: str | Path) -> os.stat_result:
        seen = real(path)
        return os.stat_result((*seen[:4], 54321, *seen[5:])) if str(path) == str(link) else seen

    monkeypatch.setattr(os, "lstat", lstat)
    refused = look(root, "blog", files())
    assert (refused.folder, refused.inputs) == (None, None)
    assert refused.problem.startswith(f"refused: {link} is a link of uid 54321 in a directory that others may write to")


def test_a_folder_whose_path_is_not_utf_8_is_refused_with_what_to_do(tmp_path: Path) -> None:
    real = os.fsencode(tmp_path) + b"/caf\xe9"
    os.makedirs(real)
    (tmp_path / "stacks").mkdir()
    os.symlink(real, os.fsencode(tmp_path) + b"/stacks/cafe")
    found = look(tmp_path / "stacks", "cafe", files())
    assert (found.inputs, found.folder) == (None, None)
    assert "is not UTF-8" in found.problem
    assert f"rename the folder: {tmp_path}/caf\\udce9" in found.problem
