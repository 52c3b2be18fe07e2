"""The warning about lingering: where it matters, and nowhere else."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from stackd.cli import lingering


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user who is not root, on a machine whose linger directory is empty, with a daemon of the user's manager."""
    name = pwd.getpwuid(65534).pw_name
    (tmp_path / "linger").mkdir()
    monkeypatch.setattr(lingering, "_LINGER", tmp_path / "linger")
    monkeypatch.setattr(lingering, "_under_user_manager", lambda pid, uid: (pid, uid) == (42, 65534))
    monkeypatch.setattr(os, "getuid", lambda: 65534)
    return name


def test_a_user_service_without_lingering_is_warned_of(user: str) -> None:
    assert lingering.warning(lambda: 42).endswith(f"loginctl enable-linger {user}")


def test_with_lingering_there_is_nothing_to_say(user: str, tmp_path: Path) -> None:
    (tmp_path / "linger" / user).touch()
    assert lingering.warning(lambda: 42) == ""


def test_a_daemon_started_by_hand_or_by_root_is_nobody_elses_business(
    user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lingering.warning(lambda: 43) == ""
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert lingering.warning(lambda: 42) == ""
