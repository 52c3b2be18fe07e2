"""Reading regular files only: what is refused, and that nothing waits."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from stackd import regular_file
from stackd.regular_file import read_bounded, read_regular


def test_a_regular_file_is_read_whole_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a" * 100)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "link").symlink_to("f")
    assert read_regular(tmp_path / "f", 100) == read_regular(tmp_path / "link", 100) == b"a" * 100
    assert read_regular(tmp_path / "empty", 100) == b""
    with pytest.raises(OSError, match="is larger than 99 bytes"):
        read_regular(tmp_path / "f", 99)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent", 99)


@pytest.mark.parametrize("place", ["/proc/version", "/proc/kmsg", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_a_file_of_the_kernel_is_refused_unopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda *args: opened.append(args[0]))
    (tmp_path / "compose.yaml").symlink_to(place)
    with pytest.raises(OSError, match="is a file of the kernel"):
        read_regular(tmp_path / "compose.yaml", 100, place)
    assert opened == []


@pytest.mark.parametrize("place", ["/proc/kmsg", "/proc/version"])
def test_a_file_of_the_kernel_is_not_read_for_a_person_either(tmp_path: Path, place: str) -> None:
    (tmp_path / "compose.yaml").symlink_to(place)
    with pytest.raises(OSError, match="is a file of the kernel"):
        read_bounded(tmp_path / "compose.yaml")


def test_a_pipe_whose_path_is_in_proc_is_read_for_a_person() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"text")
    os.close(writer)
    assert read_bounded(Path(f"/proc/self/fd/{reader}")) == b"text"
    os.close(reader)


def test_what_has_content_but_no_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regular_file, "_KERNEL", ())
    with pytest.raises(OSError, match="has no size but content"):
        read_regular(Path("/proc/version"), 1000)


def test_pipes_sockets_devices_and_folders_are_refused_unopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    monkeypatch.setattr(os, "open", lambda *_args: pytest.fail("was opened"))
    for name, message in (("pipe", "a named pipe"), ("socket", "a socket"), (".", "a folder")):
        with pytest.raises(OSError, match=f"is {message}, not a regular file"):
            read_regular(tmp_path / name, 100)
    with pytest.raises(OSError, match="is a device, not a regular file"):
        read_regular(Path("/dev/zero"), 100)


def test_a_file_that_became_a_pipe_after_the_look_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    seen, look = os.lstat(tmp_path / "f"), os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: seen if os.fspath(path).endswith("pipe") else look(path))
    with pytest.raises(OSError, match="a named pipe"):
        read_regular(tmp_path / "pipe", 100)


def test_no_more_is_read_than_allowed_from_a_file_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"a" * 5000)
    small = os.stat_result((*os.lstat(tmp_path / "f")[:6], 1, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _handle: small)
    with pytest.raises(OSError, match="larger than"):
        read_regular(tmp_path / "f", 100)


def test_what_a_person_names_may_be_a_pipe_and_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"services: {}")
    os.close(writing)
    assert read_bounded(Path(f"/dev/fd/{reading}")) == b"services: {}"
    os.close(reading)
    monkeypatch.setattr(regular_file, "LARGEST", 1000)
    with pytest.raises(OSError, match="is larger than 1000 bytes"):
        read_bounded(Path("/dev/zero"))
