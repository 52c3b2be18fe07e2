"""The key of digests: random, private, kept; and what comes of one that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.runtime.digest_key import FILE, SIZE, digest_key


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    key = digest_key(tmp_path)
    assert len(key) == SIZE
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert digest_key(tmp_path) == key
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("fault", ["short", "public", "link", "folder"])
def test_a_key_that_cannot_be_trusted_is_replaced_or_not_used(tmp_path: Path, fault: str) -> None:
    path, given = tmp_path / FILE, bytes(SIZE)
    if fault == "folder":
        path.mkdir()
    elif fault == "link":
        (tmp_path / "elsewhere").write_bytes(given)
        (tmp_path / "elsewhere").chmod(0o600)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_bytes(given[:5] if fault == "short" else given)
        path.chmod(0o644 if fault == "public" else 0o600)
    key = digest_key(tmp_path)
    assert len(key) == SIZE
    assert key != given


def test_a_state_directory_that_cannot_be_written_gives_a_key_of_this_run(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert len(digest_key(missing)) == SIZE
    assert digest_key(missing) != digest_key(missing)
