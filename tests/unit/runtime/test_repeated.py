"""A warning that repeats: the first at once, the others once a minute by their number."""

from __future__ import annotations

import asyncio
import logging

import pytest

from stackd.runtime.repeated import Repeated
from tests.sim.virtual import VirtualLoop

log = logging.getLogger("test")


def test_the_first_is_logged_at_once_and_the_others_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        one = Repeated(log)
        for number in range(500):
            one.note(f"bad {number}")
        assert caplog.messages == ["bad 0"]
        await asyncio.sleep(59)
        one.note("bad 500")
        assert len(caplog.messages) == 1
        await asyncio.sleep(2)
        assert caplog.messages[1:] == ["bad 500 (500 more since the line before)"]
        one.note("bad 501")
        one.note("bad 502")
        one.close()
        assert caplog.messages[2:] == ["bad 502 (2 more since the line before)"]

    _play(story())


def test_after_a_quiet_minute_the_next_one_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        one = Repeated(log)
        one.note("bad")
        await asyncio.sleep(61)
        one.note("bad again")
        assert caplog.messages == ["bad", "bad again"]
        one.close()
        one.close()
        assert len(caplog.messages) == 2

    _play(story())


def _play(story: object) -> None:
    loop = VirtualLoop()
    try:
        assert asyncio.iscoroutine(story)
        loop.run_until_complete(story)
    finally:
        loop.put_down()
