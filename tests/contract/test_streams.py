"""Logs and streams: complete lines, exact resumption, and no connection left behind by whoever leaves early."""

from __future__ import annotations

import asyncio
import os

import pytest

from stackd.engine.base import LogLine
from stackd.engine.logs import CUT, LONGEST_LINE
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId
from tests.contract.programs import Program, shell
from tests.contract.world import FakeWorld, World

TALKS = Program(shell("trap 'exit 0' TERM; echo one; echo two >&2; echo three; while :; do sleep 0.05; done"))


async def talking(world: World) -> ContainerId:
    """A container that has printed three lines and runs on."""
    container = await world.run("talks", TALKS)
    if isinstance(world, FakeWorld):
        for text, stream in (("one", "stdout"), ("two", "stderr"), ("three", "stdout")):
            world.fake.say(container, text, stream)
            await asyncio.sleep(0.001)
    async with asyncio.timeout(10), world.engine.logs(container, tail=None, since=0, follow=True) as lines:
        count = 0
        async for _ in lines:
            count += 1
            if count == 3:
                break
    return container


async def read(world: World, container: ContainerId, tail: int | None = None, since: int = 0) -> list[LogLine]:
    async with world.engine.logs(container, tail=tail, since=since, follow=False) as lines:
        return [line async for line in lines]


async def test_lines_come_whole_with_their_stream_and_time(world: World) -> None:
    container = await talking(world)
    lines = await read(world, container)
    assert {(line.text, line.stream) for line in lines} == {("one", "stdout"), ("two", "stderr"), ("three", "stdout")}
    assert [line.text for line in lines if line.stream == "stdout"] == ["one", "three"]
    assert all(line.container == container and line.at > 1_000_000_000_000_000_000 for line in lines)


async def test_reading_on_from_an_instant_includes_it(world: World) -> None:
    """For each line by itself: those of stdout and stderr may be written in another order than that of their time."""
    container = await talking(world)
    lines = await read(world, container)
    for at in (line.at for line in lines):
        assert await read(world, container, since=at) == [line for line in lines if line.at >= at]
    assert await read(world, container, since=max(line.at for line in lines) + 1) == []


async def test_a_tail_is_the_last_lines(world: World) -> None:
    container = await talking(world)
    assert len(await read(world, container, tail=1)) == 1
    assert await read(world, container, tail=0) == []


async def test_following_ends_with_the_run(world: World) -> None:
    container = await talking(world)
    async with world.engine.logs(container, tail=None, since=0, follow=True) as lines:
        await world.engine.stop_container(container, 5)
        async with asyncio.timeout(10):
            assert len([line async for line in lines]) == 3


async def test_a_missing_container_has_no_log(world: World) -> None:
    with pytest.raises(EngineError) as caught:
        async with world.engine.logs(ContainerId("f" * 64), tail=None, since=0, follow=False):
            pass
    assert caught.value.kind is EngineErrorKind.MISSING


async def test_a_hundred_follows_left_in_the_middle_leave_no_connection(world: World) -> None:
    container = await talking(world)
    following = asyncio.Semaphore(0)

    async def follow() -> None:
        async with world.engine.logs(container, tail=None, since=0, follow=True) as lines:
            async for _ in lines:
                following.release()

    await world.look(container)
    before = len(os.listdir("/proc/self/fd"))
    tasks = [asyncio.create_task(follow()) for _ in range(100)]
    for _ in range(100):
        await following.acquire()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    async with asyncio.timeout(5):
        assert (await world.look(container)).running
    assert len(os.listdir("/proc/self/fd")) <= before + 35, "only the pool of requests may have grown"


async def test_events_left_in_the_middle_do_not_disturb_the_next_reader(world: World) -> None:
    for _ in range(5):
        async with world.watching() as seen:
            container = await world.create()
            await seen.until(lambda container=container: bool(seen.words(container)))  # type: ignore[misc]
        await world.engine.remove_container(container, volumes=True)


@pytest.mark.parametrize("fill", ["x", "\\r"])
async def test_a_line_without_an_end_comes_in_parts(world: World, fill: str) -> None:
    """300,000 characters, and none of them a newline."""
    script = f"head -c 300000 /dev/zero | tr '\\0' '{fill}'; trap 'exit 0' TERM; while :; do sleep 0.05; done"
    container = await world.run("endless", Program(shell(script)))
    if isinstance(world, FakeWorld):
        world.fake.say(container, fill.replace("\\r", "\r") * 300_000)
    async with asyncio.timeout(20), world.engine.logs(container, tail=None, since=0, follow=True) as lines:
        parts = [await anext(lines) for _ in range(3)]
    assert [len(part.text) for part in parts] == [LONGEST_LINE + len(CUT)] * 3
    assert all(part.text.endswith(CUT.decode()) for part in parts)
