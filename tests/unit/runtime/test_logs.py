"""Log lines of a whole stack, read from the engine's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stackd.engine.base import LogLine
from stackd.errors import RequestError
from stackd.model.ids import ContainerId, ServiceName
from stackd.runtime import logs
from stackd.runtime.control import LogQuery, ServiceLog
from stackd.runtime.logs import Ahead
from tests.fake import Fault, FaultKind
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import service
from tests.unit.runtime.world import STACK, running, until


async def test_lines_of_all_containers_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"), service("db"))
        await until(lambda: daemon.running("web", "db"))
        for number in range(4):
            engine.say(("app-web-1", "app-db-1")[number % 2], f"line {number}")
        async with daemon.commands().logs(STACK, LogQuery()) as lines:
            assert [entry.line.text async for entry in lines] == [f"line {number}" for number in range(4)]


async def test_an_engine_that_gives_no_log_is_an_error_before_the_first_line(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        engine.fail("logs", Fault(FaultKind.ERROR_BEFORE))
        with pytest.raises(RequestError, match="does not give the log"):
            async with daemon.commands().logs(STACK, LogQuery()):
                pass


async def test_following_tells_each_line_once_though_one_is_older_than_the_line_before_it(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        engine.say("app-web-1", "one")
        log = engine.find("app-web-1").log
        at = log[0][0]
        log += [(at - 5, "stderr", "older"), (at, "stderr", "as old")]
        async with asyncio.timeout(20), daemon.commands().logs(STACK, LogQuery(follow=True)) as lines:
            assert [(await anext(lines)).line.text for _ in range(3)] == ["one", "older", "as old"]
            await engine.human_restart("app-web-1", 1)
            await until(lambda: len([call for call in engine.calls if call.method == "logs"]) > 1)
            engine.say("app-web-1", "anew")
            assert (await anext(lines)).line.text == "anew"


@pytest.mark.parametrize("tail", [1, None])
async def test_what_was_told_or_was_not_wanted_is_not_told_when_a_log_is_followed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: int | None
) -> None:
    monkeypatch.setattr(logs, "_OVERLAP", 1)
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        engine.say("app-web-1", "one")
        log = engine.find("app-web-1").log
        log += [(log[0][0] + 1, "stdout", "two"), (log[0][0] + 2, "stdout", "three")]
        wanted = ["one", "two", "three"][-(tail or 3) :]
        async with asyncio.timeout(20), daemon.commands().logs(STACK, LogQuery(tail=tail, follow=True)) as told:
            assert [(await anext(told)).line.text for _ in wanted] == wanted
            await engine.human_restart("app-web-1", 1)
            await until(lambda: len([call for call in engine.calls if call.method == "logs"]) > 1)
            engine.say("app-web-1", "anew")
            assert (await anext(told)).line.text == "anew"


def line(size: int) -> ServiceLog:
    return ServiceLog(ServiceName("web"), 1, LogLine(ContainerId("c1"), "stdout", "x" * size, 1))


@pytest.mark.parametrize(("size", "fits"), [(1, 256), (64 * 1024, 16), (5_000_000, 1)])
async def test_no_more_is_read_ahead_of_a_slow_reader_than_a_bound_of_lines_and_of_text(size: int, fits: int) -> None:
    ahead = Ahead()
    for _ in range(fits):
        await ahead.put(line(size))
    one_more = asyncio.ensure_future(ahead.put(line(size)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not one_more.done()
    assert ahead.size == fits * size
    assert await ahead.get() == line(size)
    await one_more
    assert ahead.size == fits * size


async def test_a_reader_that_gives_up_takes_no_line_with_it() -> None:
    ahead = Ahead()
    waiting = asyncio.ensure_future(ahead.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await ahead.put(line(1))
    assert await ahead.get() == line(1)
