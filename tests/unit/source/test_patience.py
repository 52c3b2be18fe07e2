"""A call that hangs costs its own answer, and one thread."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from stackd.source.discover import list_root
from stackd.source.patience import Patience
from stackd.source.reading import Files

HERE, THERE = Path("/here"), Path("/there")


def test_what_a_call_returns_or_raises_is_passed_on() -> None:
    patience = Patience()
    assert patience.call(HERE, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        patience.call(HERE, lambda: 1 // 0)


def test_a_call_that_hangs_is_given_up_and_not_made_again_before_it_has_ended() -> None:
    patience, answers, calls = Patience(0.02), threading.Event(), list[str]()

    def slow() -> int:
        calls.append("slow")
        answers.wait()
        return 7

    for _ in range(3):
        with pytest.raises(TimeoutError, match="did not answer within"):
            patience.call(HERE, slow)
    assert patience.call(THERE, lambda: 1) == 1
    assert len(calls) == 1
    (thread,) = (one for one in threading.enumerate() if one.name == f"read {HERE}")
    answers.set()
    thread.join()
    assert patience.call(HERE, slow) == 7


def test_a_link_into_a_place_that_hangs_does_not_hide_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "nfs", "z"):
        (tmp_path / "src" / name).mkdir(parents=True)
    root = tmp_path / "stacks"
    root.mkdir()
    for name in ("a", "nfs", "z"):
        (root / name).symlink_to(tmp_path / "src" / name)
    (tmp_path / "src" / "nfs").rmdir()  # so that the link must be looked at by its path, too
    answers, exists = threading.Event(), os.path.exists

    def slow(path: str) -> bool:
        return answers.wait() if path.endswith("nfs") else exists(path)

    monkeypatch.setattr("stackd.source.discover.os.path.exists", slow)
    try:
        assert list_root(root, Files(os.geteuid()), Patience(0.02)).entries == ("a", "nfs", "z")
    finally:
        answers.set()
