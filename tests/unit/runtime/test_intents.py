"""What a decision asks of the overrides: a hold that stackd itself asks for is put into force, and on disk, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.model.ids import ServiceName
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import Plan
from stackd.model.view import Decision, Ledger
from tests.fake.engine import FakeEngine
from tests.unit.runtime.world import STACK, Running, clock, running

WEB, DB = ServiceName("web"), ServiceName("db")
HOLD = Override(STACK, WEB, OverrideKind.HELD, "another controller replaces it", "stackd", 1.0, definition="web@1")


def asking(*holds: Override, released: tuple[Override, ...] = ()) -> Decision:
    """A decision that asks for these holds."""
    return Decision(Plan(), Ledger(), holds=holds, released=released)


@asynccontextmanager
async def life(place: Path) -> AsyncIterator[Running]:
    """A daemon that sees no engine's containers and no files."""
    async with running(place, FakeEngine()) as daemon:
        yield daemon


async def judge(daemon: Running, decision: Decision) -> tuple[Override, ...]:
    """The overrides that stand after the decision."""
    await daemon.intents.judge(daemon.store.view(STACK), decision)
    return daemon.store.view(STACK).overrides


async def test_a_hold_that_the_decision_asks_for_is_in_force_at_once_and_told(tmp_path: Path) -> None:
    async with life(tmp_path) as daemon:
        assert await judge(daemon, asking(HOLD)) == (HOLD,)
        (told,) = [one for one in daemon.history.after(0, 100) if one.type == "override.set"]
        assert (told.service, dict(told.data)["by"], dict(told.data)["kind"]) == (WEB, "stackd", "held")


async def test_such_a_hold_outlives_the_daemon(tmp_path: Path) -> None:
    async with life(tmp_path) as daemon:
        await judge(daemon, asking(HOLD))
    async with life(tmp_path) as daemon:
        assert daemon.store.view(STACK).overrides == (HOLD,)


async def test_the_same_decision_judged_again_sets_no_second_hold(tmp_path: Path) -> None:
    async with life(tmp_path) as daemon:
        await judge(daemon, asking(HOLD))
        later = replace(HOLD, at=2.0)
        assert await judge(daemon, asking(later)) == (HOLD,)
        assert len([one for one in daemon.history.after(0, 100) if one.type == "override.set"]) == 1


@pytest.mark.parametrize("scope", [WEB, None], ids=["the service", "the stack"])
@pytest.mark.parametrize("kind", [OverrideKind.STOPPED, OverrideKind.HELD])
async def test_what_a_person_has_asked_for_is_not_replaced(
    tmp_path: Path, scope: ServiceName | None, kind: OverrideKind
) -> None:
    theirs = Override(STACK, scope, kind, "asked for", "person", clock().wall)
    async with life(tmp_path) as daemon:
        await daemon.intents.put(theirs)
        assert await judge(daemon, asking(HOLD)) == (theirs,)


async def test_an_override_of_another_service_is_no_reason_against_it(tmp_path: Path) -> None:
    theirs = Override(STACK, DB, OverrideKind.STOPPED, "asked for", "person", clock().wall)
    async with life(tmp_path) as daemon:
        await daemon.intents.put(theirs)
        assert set(await judge(daemon, asking(HOLD))) == {theirs, HOLD}


async def test_what_the_same_decision_releases_does_not_keep_the_hold_away(tmp_path: Path) -> None:
    old = Override(STACK, WEB, OverrideKind.STOPPED, "asked for", "person", clock().wall, definition="web@0")
    async with life(tmp_path) as daemon:
        await daemon.intents.put(old)
        assert await judge(daemon, asking(HOLD, released=(old,))) == (HOLD,)
