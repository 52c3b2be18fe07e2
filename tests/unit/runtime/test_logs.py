"""Log lines of a whole stack, read from the engine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.errors import RequestError
from stackd.runtime.control import LogQuery
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
