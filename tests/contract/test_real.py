"""What only a real engine can show of the adapter: registries, builders, duplicate networks, terminals, long lines."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from stackd.engine.base import Progress
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import EventKind
from stackd.model.observed import ContainerRow
from stackd.model.spec import BuildSpec
from stackd.translate import labels as label
from tests.bed.api import Bed
from tests.bed.registry import Registry
from tests.contract.programs import Program, shell
from tests.contract.world import IMAGE, INSTANCE, DockerWorld

pytestmark = pytest.mark.engine


@pytest.fixture
async def real() -> AsyncIterator[DockerWorld]:
    """A world on the bed's engine."""
    made = DockerWorld(Bed.current().host)
    try:
        yield made
    finally:
        await made.clean()


@pytest.fixture(params=["open", "private"])
def registry(request: pytest.FixtureRequest) -> Registry:
    """Both registries of the bed."""
    bed = Bed.current()
    return bed.registry() if request.param == "open" else bed.private_registry()


def log_in(monkeypatch: pytest.MonkeyPatch, folder: Path, registry: Registry, password: str) -> None:
    """What `docker login` leaves behind, in a configuration of the test's own."""
    auth = b64encode(f"{registry.user}:{password}".encode()).decode()
    (folder / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": auth}}} if registry.user else {})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


async def refusal(real: DockerWorld, ref: str) -> EngineErrorKind:
    with pytest.raises(EngineError) as caught:
        await real.engine.pull_image(ref, "", lambda _progress: None)
    return caught.value.kind


async def test_an_image_is_pulled_with_the_users_login(
    real: DockerWorld, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = f"{registry.address}/{real.stack}:1"
    log_in(monkeypatch, tmp_path, registry, registry.password)
    await real.cli("tag", IMAGE, ref)
    await real.cli("push", ref)
    await real.cli("rmi", ref)
    assert await real.engine.inspect_image(ref) is None
    told: list[Progress] = []
    await real.engine.pull_image(ref, "", told.append)
    assert await real.engine.inspect_image(ref) is not None
    assert told
    assert await refusal(real, f"{registry.address}/{real.stack}:absent") is EngineErrorKind.MISSING
    await real.cli("rmi", ref)


async def test_a_registry_that_wants_a_login_denies_without_one(
    real: DockerWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Bed.current().private_registry()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert await refusal(real, f"{registry.address}/x:1") is EngineErrorKind.DENIED
    log_in(monkeypatch, tmp_path, registry, "wrong")
    assert await refusal(real, f"{registry.address}/x:1") is EngineErrorKind.DENIED


async def build(real: DockerWorld, folder: Path, dockerfile: str, spec: BuildSpec) -> list[Progress]:
    (folder / "Dockerfile").write_text(dockerfile)
    told: list[Progress] = []
    await real.engine.build_image(spec, f"{real.stack}-x:latest", {label.PROJECT: real.stack}, told.append)
    return told


async def test_a_build_honours_target_args_and_dockerignore(real: DockerWorld, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "left").write_text("left")
    (tmp_path / ".dockerignore").write_text("left\n")
    dockerfile = (
        f"FROM {IMAGE} AS base\nARG WORD\nCOPY . /in\nRUN echo $WORD > /word; ls /in > /files\n"
        "FROM base AS wanted\nCMD cat /word /files\nFROM base AS other\nRUN false\n"
    )
    told = await build(real, tmp_path, dockerfile, BuildSpec(str(tmp_path), args={"WORD": "hello"}, target="wanted"))
    assert any(progress.percent for progress in told)
    output = await real.cli("run", "--rm", f"{real.stack}-x:latest")
    assert output.split() == ["hello", "Dockerfile", "kept"]


async def test_a_build_that_fails_says_why(real: DockerWorld, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"exit \$?3|code: 3") as caught:
        await build(real, tmp_path, f"FROM {IMAGE}\nRUN echo about to fail; exit 3\n", BuildSpec(str(tmp_path)))
    assert caught.value.kind is EngineErrorKind.FAILED


async def test_a_cancelled_build_ends_in_the_engine_too(real: DockerWorld, tmp_path: Path) -> None:
    step = f"sleep 60; : {real.stack}"

    async def steps_running(wanted: bool) -> None:
        async with asyncio.timeout(15):
            while (step in await real.cli("ps", "--no-trunc", "--format", "{{.Command}}")) is not wanted:  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.05)

    dockerfile = f"FROM {IMAGE}\nRUN {step}\n"
    running = asyncio.create_task(build(real, tmp_path, dockerfile, BuildSpec(str(tmp_path))))
    await steps_running(True)
    running.cancel()
    await asyncio.wait([running], timeout=5.0)
    assert running.cancelled()
    await steps_running(False)


async def test_the_classic_builders_containers_are_none_of_the_project(real: DockerWorld, tmp_path: Path) -> None:
    """They carry project and service of the image that they are made from, and of the one that they make."""
    tag, labels = f"{real.stack}-x:latest", {label.PROJECT: real.stack, label.SERVICE: "web", label.BUILD: "v1:9"}
    dockerfile, spec = tmp_path / "Dockerfile", BuildSpec(str(tmp_path))
    dockerfile.write_text(f"FROM {IMAGE}\nRUN echo {real.stack}\n")
    await real.engine.build_image(spec, tag, labels, lambda _progress: None)
    dockerfile.write_text(f"FROM {tag}\nRUN sleep 0.5\nCMD exit 3\n")
    rows: list[ContainerRow] = []

    async def look() -> None:
        while True:
            rows.extend(await real.engine.list_containers(real.stack, INSTANCE))

    async with real.watching() as seen:
        looking = asyncio.create_task(look())
        await real.engine.build_image(spec, tag, labels, lambda _progress: None)
        looking.cancel()
        fence = await real.fence()
        await seen.until(lambda: fence in [event.actor for event in seen.events])
    assert rows == []
    assert [
        event for event in seen.events if event.kind not in (EventKind.VOLUME, EventKind.IMAGE, EventKind.NETWORK)
    ] == []
    await real.cli("rmi", tag)


async def test_duplicates_of_our_network_are_healed(real: DockerWorld) -> None:
    name = f"{real.stack}_default"
    body = {"Name": name, "Labels": real.labels(**{label.NETWORK: "default"})}
    made = []
    connector = aiohttp.UnixConnector(str(Bed.current().socket))
    async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
        for _ in range(3):
            async with session.post("/v1.41/networks/create", json=body) as answer:
                made.append((await answer.json()).get("Id"))
    kept = await real.network()
    assert kept == made[0]
    assert [network.id for network in await real.engine.list_networks(real.stack)] == [kept]


async def test_a_terminals_log_and_a_line_of_many_frames_are_lines(real: DockerWorld) -> None:
    long = "head -c 40000 /dev/zero | tr '\\0' x; echo"
    piped = await real.run("piped", Program(shell(long)))
    terminal = await real.create("terminal", Program(shell("echo one; echo two")), more={"Tty": True})
    await real.engine.start_container(terminal)
    for container, expected in ((piped, ["x" * 40000]), (terminal, ["one", "two"])):
        async with real.engine.logs(container, tail=None, since=0, follow=True) as lines:
            assert [line.text async for line in lines] == expected
