"""The adapter against servers that misbehave in ways a healthy engine cannot be made to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stackd.engine.base import Progress
from stackd.engine.deadlines import Deadlines
from stackd.engine.docker import DockerEngine
from stackd.errors import ConfigError, EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, InstanceName, StackName
from tests.unit.engine.stub import Stub, json_answer, serving, stream_answer

SHORT = Deadlines(look=0.3, unary=0.3, start=0.3, margin=0.1, silence=0.3)
WEB = ContainerId("c" * 64)


@asynccontextmanager
async def engine(folder: Path, told: Mapping[str, bytes | None]) -> AsyncIterator[tuple[DockerEngine, Stub]]:
    async with serving(folder, told) as stub:
        made = DockerEngine(stub.url, SHORT)
        try:
            yield made, stub
        finally:
            await made.close()


ID = "05c354fcc2a0600498b81d21460be3a30de7232aaa966e5ef6d5de14a4bf2857"
TASKS = f"/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/{ID}"
LEFT_TASKS = (
    f"task {ID}: already exists",
    f"failed to create task for container: failed to start shim: mkdir {TASKS}: file exists",
)
"""What 20.10 and 26 say to a start when they were killed between two steps of an earlier one."""
LIVE_TASK = "id already in use"
"""What 20.10 says when the process of the earlier one lives on."""


def refused(message: str) -> bytes:
    """An error of the engine's own."""
    return json_answer(json.dumps({"message": message}).encode(), "500 Internal Server Error")


async def kind_of_list(folder: Path, response: bytes | None) -> EngineErrorKind:
    async with engine(folder, {"containers/json": response}) as (made, _):
        with pytest.raises(EngineError) as caught:
            await made.list_containers(StackName("blog"), InstanceName("main"))
        return caught.value.kind


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (json_answer(b'{"message": "bad"}', "400 Bad Request"), EngineErrorKind.BAD_REQUEST),
        (json_answer(b'{"message": "no"}', "403 Forbidden"), EngineErrorKind.DENIED),
        (json_answer(b'{"message": "gone"}', "404 Not Found"), EngineErrorKind.MISSING),
        (json_answer(b'{"message": "taken"}', "409 Conflict"), EngineErrorKind.CONFLICT),
        (json_answer(b'{"message": "odd"}', "500 Internal Server Error"), EngineErrorKind.FAILED),
        (json_answer(b"{}", "500 Internal Server Error"), EngineErrorKind.FAILED),
        *((refused(text), EngineErrorKind.UNSTARTABLE) for text in LEFT_TASKS),
        (refused(LIVE_TASK), EngineErrorKind.FAILED),
        (json_answer(b'{"message": "later"}', "503 Service Unavailable"), EngineErrorKind.UNAVAILABLE),
        (json_answer(b"[{]"), EngineErrorKind.FAILED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", EngineErrorKind.UNAVAILABLE),
        (b"", EngineErrorKind.UNAVAILABLE),
        (b"no http at all\r\n\r\n", EngineErrorKind.UNAVAILABLE),
        (None, EngineErrorKind.TIMEOUT),
    ],
)
async def test_every_failure_is_an_engine_error_of_its_kind(
    tmp_path: Path, response: bytes | None, kind: EngineErrorKind
) -> None:
    assert await kind_of_list(tmp_path, response) is kind


async def test_no_engine_is_unavailable_and_answers_no_ping(tmp_path: Path) -> None:
    made = DockerEngine(f"unix://{tmp_path}/none.sock", SHORT)
    with pytest.raises(EngineError) as caught:
        await made.info()
    assert caught.value.kind is EngineErrorKind.UNAVAILABLE
    assert not await made.ping_fresh(1.0)
    await made.close()


async def test_a_ping_without_an_answer_is_no(tmp_path: Path) -> None:
    refusal = json_answer(b"", "500 Internal Server Error")
    async with engine(tmp_path, {"_ping": None}) as (made, _):
        assert not await made.ping_fresh(0.1)
    async with engine(tmp_path, {"_ping": refusal}) as (made, _):
        assert not await made.ping_fresh(1.0)


async def test_the_version_spoken_is_never_above_the_newest_tested(tmp_path: Path) -> None:
    future = json_answer(b'{"Version": "99", "ApiVersion": "1.99"}')
    told = {"/version": future, "/info": json_answer(b'{"ID": "e1"}')}
    async with engine(tmp_path, told) as (made, stub):
        info = await made.info()
        assert (info.version, info.api_version, info.engine_id) == ("99", (1, 51), "e1")
        assert "GET /v1.51/info" in stub.requests[1]


async def test_calls_at_the_start_negotiate_once(tmp_path: Path) -> None:
    async with engine(tmp_path, {"containers/json": json_answer(b"[]")}) as (made, stub):
        await asyncio.gather(*(made.list_containers(None, InstanceName("main")) for _ in range(10)))
        assert sum("/version" in request for request in stub.requests) == 1


async def test_a_stream_that_breaks_is_unavailable_after_what_it_told(tmp_path: Path) -> None:
    told = b'{"com.docker.compose.project":"p","com.docker.compose.container-number":"1","exitCode":"1"}'
    event = b'{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":%s},"timeNano":5}\n' % told
    noise = b'{"Type":"container","Action":"exec_die: x","Actor":{"ID":"c1"}}\n\n'
    async with engine(tmp_path, {"/events": stream_answer(noise + event)}) as (made, _), made.events() as events:
        assert (await anext(events)).exit_code == 1
        with pytest.raises(EngineError) as caught:
            await anext(events)
        assert caught.value.kind is EngineErrorKind.UNAVAILABLE


async def test_an_event_longer_than_any_buffer_is_read(tmp_path: Path) -> None:
    label = b"x" * 700_000
    told = b'{"com.docker.compose.project":"p","com.docker.compose.container-number":"1","l":"%s"}' % label
    event = b'{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":%s},"timeNano":5}\n' % told
    async with engine(tmp_path, {"/events": stream_answer(event)}) as (made, _), made.events() as events:
        assert (await anext(events)).action == "start"


async def test_a_stream_left_early_is_closed(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with engine(tmp_path, {"/events": head}) as (made, stub):
        for _ in range(3):
            async with made.events():
                pass
        async with asyncio.timeout(5):
            while stub.open:  # noqa: ASYNC110 (the server has no event for it)
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("manifest for a/b:1 not found: manifest unknown", EngineErrorKind.MISSING),
        ("unauthorized: authentication required", EngineErrorKind.DENIED),
        ("Get https://r/v2/: no basic auth credentials", EngineErrorKind.DENIED),
        ("dial tcp: lookup r: no such host", EngineErrorKind.FAILED),
    ],
)
async def test_an_error_within_a_pull_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, kind: EngineErrorKind
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    answer = stream_answer(b'{"status":"Pulling from a/b","id":"1"}\n{"error":"%s"}\n' % message.encode())
    async with engine(tmp_path, {"images/create": answer}) as (made, _):
        with pytest.raises(EngineError) as caught:
            await made.pull_image("a/b:1", "", lambda _progress: None)
        assert caught.value.kind is kind


async def test_a_pull_sends_credentials_and_tells_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"auths": {"reg.test:5000": {"auth": "bWU6cHc="}}}')
    lines = (
        b'{"status":"Pulling fs layer","id":"a"}\n'
        b'{"status":"Downloading","id":"a","progressDetail":{"current":50,"total":100}}\n'
        b'{"status":"Pull complete","id":"a"}\n{"status":"Status: Downloaded newer image"}\n'
    )
    told: list[Progress] = []
    async with engine(tmp_path, {"images/create": stream_answer(lines)}) as (made, stub):
        await made.pull_image("reg.test:5000/a/b@sha256:12", "linux/arm64", told.append)
        request = next(request for request in stub.requests if "images/create" in request)
    assert [progress.percent for progress in told] == [None, 0.0, 35.0, 100.0]
    assert "fromImage=reg.test:5000/a/b" in request.replace("%2F", "/").replace("%3A", ":")
    assert "x-registry-auth: " in request.lower()


async def test_a_pull_without_progress_is_a_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    async with engine(tmp_path, {"images/create": None}) as (made, _):
        with pytest.raises(EngineError) as caught:
            await made.pull_image("a/b:1", "", lambda _progress: None)
        assert caught.value.kind is EngineErrorKind.TIMEOUT


async def test_a_start_that_the_host_refuses_may_succeed_later(tmp_path: Path) -> None:
    refusal = json_answer(b'{"message": "exec: no such file"}', "400 Bad Request")
    async with engine(tmp_path, {"/start": refusal}) as (made, _):
        with pytest.raises(EngineError) as caught:
            await made.start_container(WEB)
        assert (caught.value.kind, caught.value.status) == (EngineErrorKind.FAILED, 400)


async def test_a_stop_sends_whole_seconds_and_takes_304_for_yes(tmp_path: Path) -> None:
    unchanged = b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"
    async with engine(tmp_path, {"/stop": unchanged}) as (made, stub):
        await made.stop_container(WEB, 0.2)
        await made.stop_container(WEB, None)
        stops = [request.partition("\r")[0] for request in stub.requests if "/stop" in request]
    assert [line.split()[1].partition("/stop")[2] for line in stops] == ["?t=1", ""]


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:2375", "ssh://me@host", "npipe://x"])
async def test_other_addresses_than_unix_sockets_are_refused_in_words(url: str) -> None:
    with pytest.raises(ConfigError, match="Unix socket"):
        DockerEngine(url)
