"""Build contexts: what is packed, what is refused, and that packing ends when it is called off."""

from __future__ import annotations

import asyncio
import os
import socket
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from stackd.engine import build as building
from stackd.engine.build import BuildRequest
from stackd.engine.context import Halt, inspect, pack
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.spec import BuildSpec


def names(build: BuildSpec) -> tuple[set[str], str]:
    packed = pack(build, Halt.after(60))
    with packed.file, tarfile.open(fileobj=packed.file) as tar:
        assert {(entry.uid, entry.uname) for entry in tar} == {(0, "")}
        return set(tar.getnames()), packed.dockerfile


def test_a_context_is_its_folder_without_what_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "junk").mkdir()
    for name in ("Dockerfile", "src/app.py", "junk/x", "secret.env"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / ".dockerignore").write_text("# all but src\n*\n!src\n!link\n")
    found, dockerfile = names(BuildSpec(context=str(tmp_path)))
    assert found == {"Dockerfile", ".dockerignore", "src", "src/app.py", "link"}
    assert dockerfile == "Dockerfile"


def test_a_dockerfile_from_elsewhere_comes_along(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "Other").write_text("FROM x")
    for build in (
        BuildSpec(context=str(context), dockerfile="../Other"),
        BuildSpec(context=str(context), dockerfile_inline="FROM x"),
    ):
        found, dockerfile = names(build)
        assert dockerfile in found


def test_a_socket_in_the_context_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert names(BuildSpec(context=str(tmp_path)))[0] == {"Dockerfile"}


@pytest.mark.parametrize("build", [BuildSpec(context="/no/such/folder"), BuildSpec(context="/", dockerfile="no/such")])
def test_a_missing_context_or_dockerfile_is_a_failure_in_words(build: BuildSpec) -> None:
    with pytest.raises(EngineError, match="no") as caught:
        pack(build, Halt.after(60))
    assert caught.value.kind is EngineErrorKind.FAILED


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM x")
    (tmp_path / "app").write_text("x")
    return tmp_path


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _kernel(path: Path) -> None:
    path.symlink_to("/proc/kmsg")


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def _packed(spec: BuildSpec) -> None:
    pack(spec, Halt.after(60)).file.close()


@pytest.mark.parametrize("make", [_pipe, _zero, _kernel, _large])
@pytest.mark.parametrize(
    ("name", "refuse"),
    [
        ("Dockerfile", _packed), (".dockerignore", _packed), ("../Elsewhere", _packed),
        ("Dockerfile", inspect), (".dockerignore", inspect), ("../Elsewhere", inspect),
        ("Dockerfile.dockerignore", inspect),
    ],
)  # fmt: skip
def test_a_file_that_a_build_names_is_a_regular_one_of_a_sane_size(
    tmp_path: Path, make: Callable[[Path], None], name: str, refuse: Callable[[BuildSpec], None]
) -> None:
    root = tmp_path / "context"
    root.mkdir()
    dockerfile = "Dockerfile" if "docker" in name else name
    for file in {"Dockerfile", dockerfile} - {name}:
        (root / file).write_text("FROM x")
    make(root / name)
    with pytest.raises(EngineError, match=r"regular file|larger than|of the kernel") as caught:
        refuse(BuildSpec(context=str(root), dockerfile=dockerfile))
    assert caught.value.kind is EngineErrorKind.FAILED


def test_a_broken_pattern_is_a_failure_that_names_file_and_line(context: Path) -> None:
    (context / ".dockerignore").write_text("ok\n[z-a]\n")
    for refuse in (lambda: inspect(BuildSpec(str(context))), lambda: pack(BuildSpec(str(context)), Halt.after(60))):
        with pytest.raises(EngineError, match=r'\.dockerignore: line 2: "\[z-a\]": syntax error in pattern'):
            refuse()


def test_a_pipe_in_the_context_is_an_entry_without_content(context: Path) -> None:
    os.mkfifo(context / "pipe")
    packed = pack(BuildSpec(str(context)), Halt.after(60))
    with packed.file, tarfile.open(fileobj=packed.file) as tar:
        assert (tar.getmember("pipe").isfifo(), tar.getmember("pipe").size) == (True, 0)


def test_a_file_that_became_a_pipe_after_the_look_is_a_failure(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tarfile.TarFile.gettarinfo

    def replaced(tar: tarfile.TarFile, name: str, arcname: str) -> tarfile.TarInfo:
        entry = real(tar, name, arcname)
        if arcname == "app":
            (context / "app").unlink()
            os.mkfifo(context / "app")
        return entry

    monkeypatch.setattr(tarfile.TarFile, "gettarinfo", replaced)
    with pytest.raises(EngineError, match="was replaced while the context was packed"):
        pack(BuildSpec(str(context)), Halt.after(60))


def test_packing_has_a_deadline(context: Path) -> None:
    with pytest.raises(EngineError, match=r"took longer than 0 s: is too much in it\?") as caught:
        pack(BuildSpec(str(context)), Halt.after(0))
    assert caught.value.kind is EngineErrorKind.TIMEOUT


def test_packing_is_called_off_within_a_large_file(context: Path) -> None:
    _large(context / "app")
    halt = Halt.after(60)
    looks = 0

    class Called(threading.Event):
        def is_set(self) -> bool:
            nonlocal looks
            looks += 1
            return looks > 10  # three of them for entries

    with pytest.raises(EngineError, match="was cancelled"):
        pack(BuildSpec(str(context)), Halt(halt.deadline, 60, Called()))
    assert looks == 11


async def test_a_cancelled_build_ends_the_packing_of_its_context(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended = threading.Event(), threading.Event()

    def packing(_build: BuildSpec, halt: Halt) -> None:
        began.set()
        assert halt.called.wait(60)
        ended.set()

    monkeypatch.setattr(building, "pack", packing)
    request = BuildRequest(BuildSpec(str(context)), "x", {}, lambda _progress: None, 60.0)
    task = asyncio.create_task(building._packed(request))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 60)


def test_a_folder_that_cannot_be_listed_is_a_failure_unless_it_is_left_out(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (context / "data").mkdir()
    real = os.scandir

    def scandir(path: Path) -> object:
        if path.name == "data":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(EngineError, match="Permission denied"):
        pack(BuildSpec(str(context)), Halt.after(60))
    (context / ".dockerignore").write_text("*\n!app\n")
    assert names(BuildSpec(str(context)))[0] == {"Dockerfile", ".dockerignore", "app"}
