"""The adapter's parts: where the engine is, log lines, references and credentials, build contexts, command lines."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from stackd.engine import probe
from stackd.engine.build import BuildRequest, buildx_command, classic_params
from stackd.engine.context import Ignore, pack
from stackd.engine.credentials import Reference, parse_reference, registry_auth
from stackd.engine.locate import locate
from stackd.engine.logs import Splitter
from stackd.errors import ConfigError, EngineError, EngineErrorKind
from stackd.model.ids import ContainerId
from stackd.model.spec import BuildSpec

WEB = ContainerId("c1")
STAMP = b"2024-05-01T10:00:00.000000001Z "


def test_docker_host_wins_over_every_socket() -> None:
    found = locate({"DOCKER_HOST": "unix:///x.sock", "XDG_RUNTIME_DIR": "/run/user/1"}, lambda _path: True)
    assert found == "unix:///x.sock"


def test_a_rootless_engine_comes_before_the_systems() -> None:
    assert locate({"XDG_RUNTIME_DIR": "/run/user/1"}, lambda _path: True) == "unix:///run/user/1/docker.sock"
    assert locate({}, lambda path: "podman" in str(path)) == "unix:///run/podman/podman.sock"


def test_without_any_socket_the_usual_place_is_waited_for() -> None:
    assert locate({}, lambda _path: False) == "unix:///var/run/docker.sock"


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="tcp"):
        locate({"DOCKER_HOST": "tcp://1.2.3.4:2375"})


def test_the_library_can_be_imported_by_a_user_without_a_home() -> None:
    home = "if 'HOME' not in os.environ: raise RuntimeError('no home')"
    code = f"import os, pathlib\ndef home(cls):\n {home}\n return cls(os.environ['HOME'])\n"
    code += "pathlib.Path.home = classmethod(home)\nimport stackd.engine.docker\nassert 'HOME' not in os.environ"
    command = [sys.executable, "-c", code]
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def test_frames_become_lines_however_the_bytes_are_cut() -> None:
    raw = frame(1, STAMP + b"one\n") + frame(2, STAMP + b"two\n") + frame(1, STAMP + "ünï\n".encode())
    for size in (1, 3, 7, len(raw)):
        splitter = Splitter(WEB, tty=False)
        chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
        lines = [line for chunk in chunks for line in splitter.feed(chunk)]
        assert [(line.stream, line.text) for line in lines] == [("stdout", "one"), ("stderr", "two"), ("stdout", "ünï")]
        assert {line.at for line in lines} == {1_714_557_600_000_000_001}


def test_a_long_line_is_put_together_and_streams_do_not_mix() -> None:
    splitter = Splitter(WEB, tty=False)
    raw = frame(1, STAMP + b"a" * 16384) + frame(2, STAMP + b"err\n") + frame(1, STAMP + b"b\n")
    assert [(line.stream, len(line.text)) for line in splitter.feed(raw)] == [("stderr", 3), ("stdout", 16385)]


def test_a_last_line_without_an_end_comes_with_the_streams_end() -> None:
    splitter = Splitter(WEB, tty=False)
    assert list(splitter.feed(frame(1, STAMP + b"tail"))) == []
    assert [line.text for line in splitter.finish()] == ["tail"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    (line,) = Splitter(WEB, tty=False).feed(frame(1, STAMP + b"\xff!\n"))
    assert line.text == "�!"


def test_a_terminals_lines_have_no_frames() -> None:
    splitter = Splitter(WEB, tty=True)
    assert [line.text for line in splitter.feed(STAMP + b"one\r\n" + STAMP + b"tw")] == ["one"]
    assert [line.text for line in splitter.finish()] == ["tw"]


@pytest.mark.parametrize(
    ("ref", "parts"),
    [
        ("redis", Reference("docker.io", "redis", "latest")),
        ("redis:7", Reference("docker.io", "redis", "7")),
        ("org/app", Reference("docker.io", "org/app", "latest")),
        ("ghcr.io/a/b:1", Reference("ghcr.io", "ghcr.io/a/b", "1")),
        ("localhost:5000/x", Reference("localhost:5000", "localhost:5000/x", "latest")),
        ("localhost/x:2", Reference("localhost", "localhost/x", "2")),
        ("a.b/x:1@sha256:9", Reference("a.b", "a.b/x", "sha256:9")),
    ],
)
def test_a_reference_names_registry_repository_and_tag(ref: str, parts: Reference) -> None:
    assert parse_reference(ref) == parts


def decoded(header: str) -> object:
    return json.loads(base64.urlsafe_b64decode(header))


async def test_stored_credentials_are_found_however_their_key_is_written(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    auth = base64.b64encode(b"me:p:w").decode()
    config.write_text(
        json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}, "http://r.test": {"auth": auth}}})
    )
    hub = decoded(await registry_auth("docker.io", config))
    assert hub == {"username": "me", "password": "p:w", "serveraddress": "https://index.docker.io/v1/"}
    assert decoded(await registry_auth("r.test", config)) == {
        "username": "me", "password": "p:w", "serveraddress": "r.test",
    }  # fmt: skip
    assert await registry_auth("other.test", config) == ""
    assert await registry_auth("r.test", tmp_path / "absent.json") == ""


async def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-mine"
    helper.write_text('#!/bin/sh\nread server\necho "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"$server\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    config = tmp_path / "config.json"
    config.write_text('{"credHelpers": {"r.test": "mine", "s.test": "absent"}}')
    assert decoded(await registry_auth("r.test", config)) == {"identitytoken": "r.test", "serveraddress": "r.test"}
    with pytest.raises(EngineError, match="docker-credential-absent") as caught:
        await registry_auth("s.test", config)
    assert caught.value.kind is EngineErrorKind.DENIED


@pytest.mark.parametrize(
    ("patterns", "out", "stays"),
    [
        (["node_modules"], ["node_modules", "node_modules/a/b"], ["a/node_modules", "node_modules2"]),
        (["**/node_modules"], ["node_modules", "a/b/node_modules/c"], ["node_modulesx"]),
        (["*.log"], ["a.log"], ["d/a.log", "a.logs"]),
        (["**/*.log"], ["a.log", "d/e/a.log"], []),
        (["/build/"], ["build", "build/x"], ["a/build"]),
        (["docs", "!docs/keep.md"], ["docs/a.md"], ["docs/keep.md"]),
        (["!a", "a"], ["a"], []),
        (["te?t", "x[0-9]"], ["test", "x1"], ["tet", "xa"]),
        (["a.b"], ["a.b"], ["axb"]),
        (["*"], ["a", "a/b"], []),
    ],
)
def test_ignore_rules_are_those_of_docker(patterns: list[str], out: list[str], stays: list[str]) -> None:
    rules = Ignore(patterns)
    assert [path for path in out if not rules.leaves_out(path)] == []
    assert [path for path in stays if rules.leaves_out(path)] == []


def names(build: BuildSpec) -> tuple[set[str], str]:
    packed = pack(build)
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
        pack(build)
    assert caught.value.kind is EngineErrorKind.FAILED


def request() -> BuildRequest:
    build = BuildSpec(
        context="/src", dockerfile="a/Dockerfile", args={"A": "1", "B": None}, target="prod", labels={"own": "1"}
    )
    return BuildRequest(build, "web:1", {"label": "2"}, lambda _progress: None, 60.0)


def test_buildx_gets_everything_the_file_says() -> None:
    assert buildx_command(request()) == [
        "docker", "buildx", "build", "--load", "--progress=plain", "--tag=web:1", "--file=/src/a/Dockerfile",
        "--build-arg", "A=1", "--build-arg", "B", "--label", "own=1", "--label", "label=2", "--target=prod", "/src",
    ]  # fmt: skip


def test_the_classic_builder_gets_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B", "from outside")
    params = classic_params(request(), "a/Dockerfile")
    assert (params["t"], params["dockerfile"], params["target"]) == ("web:1", "a/Dockerfile", "prod")
    assert params["buildargs"] == {"A": "1", "B": "from outside"}
    assert params["labels"] == {"own": "1", "label": "2"}


async def test_what_is_said_of_an_engine_that_cannot_be_reached_names_socket_reason_and_what_to_look_at(
    tmp_path: Path,
) -> None:
    absent, closed, silent = tmp_path / "absent", tmp_path / "closed", tmp_path / "silent"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(silent))
    listening.listen()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(closed))
    assert await probe.obstacle(str(absent), 5.0) == "no such file or directory"
    assert await probe.obstacle(str(closed), 5.0) == "connection refused"
    assert await probe.obstacle(str(silent), 0.05) == "no answer within 0.05 s"
    listening.close()
    told = probe.unreachable("/run/docker.sock", "connection refused")
    assert told == "no engine at unix:///run/docker.sock (connection refused): is Docker running?"
    assert "group docker" in probe.unreachable("/run/docker.sock", "permission denied")
