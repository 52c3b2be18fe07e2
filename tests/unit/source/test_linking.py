"""Links in stacks directories: made once, never in the place of something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.source.linking import LinkError, make_link


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "far" / "blog"
    made.mkdir(parents=True)
    return made


def test_a_link_is_made_with_the_stacks_directory_that_is_to_hold_it(tmp_path: Path, folder: Path) -> None:
    link = tmp_path / "etc" / "stacks" / "blog"
    assert make_link(link, folder)
    assert (link.is_symlink(), link.resolve()) == (True, folder)


def test_a_link_that_is_there_is_made_no_second_time(tmp_path: Path, folder: Path) -> None:
    link = tmp_path / "blog"
    assert make_link(link, folder)
    assert not make_link(link, folder)


def test_a_link_to_another_folder_is_never_replaced(tmp_path: Path, folder: Path) -> None:
    link, other = tmp_path / "blog", tmp_path / "other"
    other.mkdir()
    link.symlink_to(other)
    with pytest.raises(LinkError, match=f"{link} is there already, a link to {other}") as refused:
        make_link(link, folder)
    assert (refused.value.taken, link.resolve()) == (True, other)


def test_a_link_that_leads_nowhere_is_never_replaced(tmp_path: Path, folder: Path) -> None:
    link = tmp_path / "blog"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(LinkError, match="is there already, a link to") as refused:
        make_link(link, folder)
    assert (refused.value.taken, link.is_symlink()) == (True, True)


def test_a_folder_in_the_place_of_a_link_stays_and_is_told(tmp_path: Path, folder: Path) -> None:
    link = tmp_path / "blog"
    link.mkdir()
    with pytest.raises(LinkError, match="is there already, a folder") as refused:
        make_link(link, folder)
    assert (refused.value.taken, link.is_symlink()) == (True, False)


def test_a_link_that_cannot_be_made_is_told_with_the_cause_and_not_as_taken(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "stacks").write_text("a file")
    with pytest.raises(LinkError, match=r"cannot make .*/stacks/blog: ") as refused:
        make_link(tmp_path / "stacks" / "blog", folder)
    assert not refused.value.taken
