"""Whose files are trusted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stackd.source.permissions import Permissions, is_private_group, objection

ME, OTHER, SHARED = 4242, 4343, 54321


def found(mode: int, uid: int = ME, gid: int = SHARED) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "uid", "part"),
    [
        (stat.S_IFREG | 0o644, ME, ""),
        (stat.S_IFREG | 0o600, 0, ""),
        (stat.S_IFREG | 0o644, OTHER, f"belongs to uid {OTHER}"),
        (stat.S_IFREG | 0o646, ME, "everybody"),
        (stat.S_IFREG | 0o664, ME, f"group {SHARED}"),
        (stat.S_IFDIR | 0o775, 0, f"group {SHARED}"),
        (stat.S_IFDIR | 0o1777, 0, ""),
        (stat.S_IFDIR | 0o1777, OTHER, f"belongs to uid {OTHER}"),
        (stat.S_IFREG | 0o1666, ME, "everybody"),
    ],
)
def test_only_the_owner_who_is_me_or_root_may_write_sticky_directories_excepted(mode: int, uid: int, part: str) -> None:
    reason = objection(found(mode, uid), ME)
    assert (part in reason) if part else reason == ""


def test_the_owners_private_group_counts_as_the_owner() -> None:
    assert is_private_group(0, 0)  # root's, on every system
    assert objection(found(stat.S_IFREG | 0o664, 0, 0), ME) == ""
    assert not is_private_group(SHARED, ME)


def test_every_component_of_the_real_path_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "open" / "inner" / "compose.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    assert Permissions(os.geteuid()).refusal(file) == ""
    (tmp_path / "open").chmod(0o777)
    assert Permissions(os.geteuid()).refusal(file) == f"{tmp_path / 'open'} can be written by everybody"
