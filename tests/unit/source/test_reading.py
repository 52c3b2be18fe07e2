"""Reading single files: what is refused, and what a fingerprint notices."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackd.source import reading
from stackd.source.reading import Files


def files() -> Files:
    return Files(os.geteuid())


def test_a_file_is_read_once_per_reading(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("a")
    seen = files()
    assert seen.read(file) == b"a"
    file.write_text("b")
    assert seen.read(file) == b"a"
    assert files().read(file) == b"b"


def test_what_is_absent_stays_absent_within_a_reading(tmp_path: Path) -> None:
    seen = files()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            seen.read(tmp_path / "f")
        (tmp_path / "f").write_text("x")


def test_a_file_behind_a_link_is_judged_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "f").write_text("x")
    (tmp_path / "link").symlink_to("open/f")
    with pytest.raises(PermissionError, match=r"refused: .* can be written by everybody"):
        files().read(tmp_path / "link")


def test_only_regular_files_of_a_sane_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a named pipe, not a regular file"):
        files().read(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError, match="a folder"):
        files().read(tmp_path)
    with pytest.raises(OSError, match="no possible file name"):
        files().read(Path("a\0b"))
    monkeypatch.setattr(reading, "LARGEST", 3)
    (tmp_path / "big").write_text("1234")
    with pytest.raises(OSError, match="larger than"):
        files().read(tmp_path / "big")


def test_a_device_is_refused_as_one_and_no_chmod_of_it_is_advised(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="is a device, not a regular file"):
        files().read(tmp_path / "link")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "f").write_text("x")
    before = os.listdir("/proc/self/fd")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "f", tmp_path / "absent"):
        files().fingerprint(path)
    assert os.listdir("/proc/self/fd") == before


def test_a_fingerprint_tells_content_absence_and_refusal_apart_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "f"
    seen = [files().fingerprint(file)]
    file.write_text("a")
    seen.append(files().fingerprint(file))
    os.utime(file, (1, 1))
    file.chmod(0o600)
    assert files().fingerprint(file) == seen[-1]
    file.write_text("b")
    seen.append(files().fingerprint(file))
    file.chmod(0o666)
    seen.append(files().fingerprint(file))
    assert len(set(seen)) == 4
