"""The adapter's parts: where the engine is, log lines, references and credentials, build contexts, command lines."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stackd.engine import probe
from stackd.engine.build import BuildRequest, build_image, buildx_command, classic_params, passed_args
from stackd.engine.credentials import Reference, parse_reference, registry_auth
from stackd.engine.locate import locate
from stackd.engine.logs import CUT, LONGEST_LINE, Splitter
from stackd.engine.wire import Wire
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


@pytest.mark.parametrize("tty", [True, False])
@pytest.mark.parametrize("fill", [b"x", b"\r"])
def test_a_line_that_never_ends_comes_in_parts_and_no_more_than_one_is_held(tty: bool, fill: bytes) -> None:
    splitter, chunk = Splitter(WEB, tty=tty), fill * 16384
    lines = list(splitter.feed(STAMP if tty else b""))
    for _ in range(1024):
        lines += splitter.feed(chunk if tty else frame(1, STAMP + chunk))
        assert splitter.held <= LONGEST_LINE + len(chunk)
    assert len(lines) == 255
    assert {line.text for line in lines} == {(fill * LONGEST_LINE + CUT).decode()}
    assert {line.at for line in lines} == {1_714_557_600_000_000_001}


def test_the_parts_of_a_long_line_are_the_whole_line() -> None:
    text = "é" * LONGEST_LINE
    splitter = Splitter(WEB, tty=False)
    lines = list(splitter.feed(frame(1, STAMP + b"x" + text.encode() + b"\r\n") + frame(1, STAMP + b"next\n")))
    assert "".join(line.text.removesuffix(CUT.decode()) for line in lines[:-1]) == "x" + text
    assert [line.text.endswith(CUT.decode()) for line in lines] == [True, True, False, False]


def test_a_part_has_the_time_of_the_frame_in_which_it_begins() -> None:
    splitter = Splitter(WEB, tty=False)
    later = STAMP.replace(b"1Z", b"9Z")
    first = list(splitter.feed(frame(1, STAMP + b"x" * LONGEST_LINE) + frame(1, later + b"yyyyy\n")))
    assert [line.at % 10 for line in first] == [1, 9]


def test_a_line_as_long_as_may_be_is_not_cut() -> None:
    (line,) = Splitter(WEB, tty=True).feed(STAMP + b"x" * LONGEST_LINE + b"\r\n")
    assert line.text == "x" * LONGEST_LINE


def test_a_frame_that_claims_to_be_huge_is_taken_as_it_comes() -> None:
    splitter = Splitter(WEB, tty=False)
    list(splitter.feed(bytes([1, 0, 0, 0]) + b"\xff\xff\xff\xff" + STAMP))
    lines = [line for _ in range(64) for line in splitter.feed(b"z" * LONGEST_LINE)]
    assert len(lines) == 63
    assert splitter.held <= 2 * LONGEST_LINE


def test_what_should_be_a_timestamp_and_never_ends_is_not_kept() -> None:
    splitter = Splitter(WEB, tty=True)
    for _ in range(64):
        list(splitter.feed(b"z" * LONGEST_LINE))
        assert splitter.held <= 2 * LONGEST_LINE


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


def request() -> BuildRequest:
    build = BuildSpec(
        context="/src", dockerfile="a/Dockerfile", args={"A": "1", "B": None}, target="prod", labels={"own": "1"}
    )
    return BuildRequest(build, "web:1", {"label": "2"}, lambda _progress: None, 60.0)


def test_buildx_gets_everything_the_file_says() -> None:
    assert buildx_command(request(), passed_args(request()).words) == [
        "docker", "buildx", "build", "--load", "--progress=plain", "--tag=web:1", "--file=/src/a/Dockerfile",
        "--build-arg", "A", "--build-arg", "B", "--label", "own=1", "--label", "label=2", "--target=prod", "/src",
    ]  # fmt: skip


def with_args(context: str = "/src", **args: str | None) -> BuildRequest:
    return BuildRequest(BuildSpec(context, args=args), "web:1", {}, lambda _progress: None, 60.0)


FAKE_DOCKER = """#!/bin/sh
test "$2" = version && exit 0
tr '\\0' '\\n' < /proc/$$/cmdline > "$HOME/cmdline"
env > "$HOME/environ"
"""


async def test_a_build_arg_is_in_buildxs_environment_and_not_on_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "docker").write_text(FAKE_DOCKER)
    (tmp_path / "docker").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOKEN", "the daemon's own")
    wire = Wire("unix:///run/engine.sock")
    await build_image(wire, with_args(str(tmp_path), TOKEN="hunter2", DOCKER_HOST="tcp://x", LINES="a\nb"))
    await wire.close()
    command, environ = (tmp_path / "cmdline").read_text(), (tmp_path / "environ").read_text()
    assert "hunter2" not in command
    assert "--build-arg\nTOKEN\n" in command
    assert "TOKEN=hunter2\n" in environ
    assert "LINES=a\nb\n" in environ
    assert "DOCKER_HOST=unix:///run/engine.sock\n" in environ
    assert "--build-arg\nDOCKER_HOST=tcp://x\n" in command


@pytest.mark.parametrize("name", ["PATH", "HOME", "LD_PRELOAD", "DOCKER_CONFIG", "BUILDX_BUILDER", "BUILDKIT_HOST",
                                  "http_proxy", "NO_PROXY", "GODEBUG", "GIT_SSH_COMMAND", "SSL_CERT_FILE"])  # fmt: skip
def test_a_build_arg_that_would_change_the_builder_never_reaches_its_environment(name: str) -> None:
    found = passed_args(with_args(**{name: "x"}))
    assert (found.words, found.environment) == (["--build-arg", f"{name}=x"], {})


@pytest.mark.parametrize("name", ["DOCKER_AUTH_CONFIG", "BUILDX_TOKEN"])
def test_a_secret_under_a_name_that_the_builder_reads_is_refused_by_name(name: str) -> None:
    with pytest.raises(EngineError, match=f"build arg {name} .*rename it") as caught:
        passed_args(with_args(**{name: "hunter2"}))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["GIT_TOKEN", "SSH_PRIVATE_KEY", "DOCKER_PASSWORD", "GOPROXY", "TZDATA"])
def test_a_name_that_only_resembles_one_that_the_builder_reads_goes_by_the_environment(name: str) -> None:
    assert passed_args(with_args(**{name: "hunter2"})).environment == {name: "hunter2"}


def test_a_proxy_with_a_password_stays_off_the_command_line() -> None:
    found = passed_args(with_args(HTTPS_PROXY="http://me:hunter2@proxy:3128"))
    assert found.words == ["--build-arg", "HTTPS_PROXY"]
    assert found.environment == {"HTTPS_PROXY": "http://me:hunter2@proxy:3128"}


def test_a_name_with_an_equals_sign_ends_there() -> None:
    assert passed_args(with_args(**{"A=B": "c"})).environment == {"A": "B=c"}


def test_a_build_arg_with_a_nul_is_refused() -> None:
    with pytest.raises(EngineError, match=r"build arg A .*NUL"):
        passed_args(with_args(A="x\0y"))


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
