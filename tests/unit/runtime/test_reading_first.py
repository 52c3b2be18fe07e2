"""A question about now is answered about now: what `up`, `wait` and `plan` see right after an edit."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from stackd.api.writes import _healthy, _holds, _runs
from stackd.daemon import Daemon
from stackd.errors import RequestError
from stackd.model.override import Verb
from stackd.model.plan import Why
from stackd.runtime import parts
from stackd.source.discover import Candidate, look
from stackd.source.reading import Files
from tests.fake.engine import FakeEngine
from tests.unit.runtime.whole import APP, calm, compose, link, mode, whole, write
from tests.unit.runtime.world import until


@pytest.fixture
def engine() -> FakeEngine:
    made = FakeEngine()
    made.add_image("web:1")
    return made


def damp(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each edit is one too many, and is not taken by itself for a long time."""
    monkeypatch.setattr("stackd.source.pace.TOO_MANY", 1)
    monkeypatch.setattr("stackd.source.pace.FIRST_REST", 1e6)
    monkeypatch.setattr("stackd.source.pace.LONGEST_REST", 1e6)


async def damped(daemon: Daemon, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that runs with MODE a, while its file says b and the damper keeps that from coming into force."""
    await until(lambda: calm(daemon, "web"))
    damp(monkeypatch)
    write(place, compose(web="b"))
    await until(lambda: "edit-not-taken" in [one.code for one in daemon.control.stack(APP).diagnostics])


async def test_up_takes_an_edit_that_the_damper_holds_back(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await damped(daemon, tmp_path, monkeypatch)
        operation = await daemon.control.submit(APP, Verb.UP, (), "a test")
        await daemon.control.settled(operation.request.id, 20)
        assert mode(engine, "web") == ["b"]


async def test_a_plan_is_made_from_the_file_as_it_is(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await damped(daemon, tmp_path, monkeypatch)
        await daemon.control.read(APP)
        assert [one.why for one in daemon.control.plan(APP).steps][:1] == [Why.CONFIG_CHANGED]


async def test_what_is_held_back_is_said_in_status_and_recorded_once(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await damped(daemon, tmp_path, monkeypatch)
        assert "not taken yet, until" in daemon.control.stack(APP).detail
        for text in "cdef":
            write(tmp_path, compose(web=text))
            seen = daemon.source._held[APP].prints
            daemon.source.poke()
            await until(lambda seen=seen: daemon.source._held[APP].prints != seen)  # type: ignore[misc]
        codes = [dict(one.data).get("code") for one in daemon.history.after(0, 1000)]
        assert codes.count("edit-not-taken") == 1


async def test_a_service_whose_new_image_cannot_be_had_does_not_count_as_running(
    tmp_path: Path, engine: FakeEngine
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web"))
        assert _runs(daemon.control.stack(APP))
        write(tmp_path, compose(web="a").replace("web:1", "nowhere:1"))
        await daemon.control.read(APP)
        # The container of before the edit runs on all the while.
        assert not _runs(daemon.control.stack(APP))
        await until(lambda: bool(daemon.store.view(APP).failures))
        await until(lambda: daemon.store.decided_version(APP) == daemon.store.view(APP).version)
        assert mode(engine, "web") == ["a"]
        assert not _runs(daemon.control.stack(APP))


@pytest.mark.parametrize("condition", ["running", "healthy", "generation:2"])
async def test_right_after_an_edit_no_condition_is_met_by_the_state_before_it(
    tmp_path: Path, engine: FakeEngine, condition: str
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web"))
        write(tmp_path, compose(web="b"))
        await daemon.control.read(APP)
        assert not _holds(condition, daemon.control.stack(APP))
        await until(lambda: _holds(condition, daemon.control.stack(APP)))
        assert mode(engine, "web") == ["b"]


async def test_what_runs_by_an_earlier_text_is_not_running_while_the_newest_is_bad(
    tmp_path: Path, engine: FakeEngine
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web"))
        write(tmp_path, "services: {web: 7}")
        await daemon.control.read(APP)
        assert not _runs(daemon.control.stack(APP))
        assert not _healthy(daemon.control.stack(APP))


async def test_a_stack_is_found_although_its_folder_was_not_read_yet(tmp_path: Path, engine: FakeEngine) -> None:
    async with whole(tmp_path, engine) as daemon:
        await daemon.control.rescan()
        link(tmp_path, write(tmp_path, compose(web="a")))
        await daemon.control.submit(APP, Verb.UP, (), "a test")
        await until(lambda: calm(daemon, "web"))


async def test_up_is_bounded_and_works_while_the_folder_of_another_stack_hangs(
    tmp_path: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    link(tmp_path, write(tmp_path, compose(other="a"), "nas"))
    hangs, free = threading.Event(), threading.Event()

    def slow(root: Path, entry: str, files: Files) -> Candidate:
        if entry == "nas":
            hangs.set()
            free.wait(60)
        return look(root, entry, files)

    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web"))
        monkeypatch.setattr("stackd.source.scan.look", slow)
        monkeypatch.setattr(parts, "READ_WITHIN", 0.2)
        try:
            daemon.source.poke()
            await asyncio.to_thread(hangs.wait, 10)
            write(tmp_path, compose(web="b"))
            await daemon.control.submit(APP, Verb.UP, (), "a test")
            await until(lambda: mode(engine, "web") == ["b"])
            with pytest.raises(RequestError, match=f"{tmp_path}/stacks/nas, 1 of 2") as refused:
                await daemon.control.rescan()
            assert (refused.value.status, refused.value.code) == (503, "not_read")
            assert (await daemon.control.submit(APP, Verb.STOP, (), "a test")).request.verb is Verb.STOP
        finally:
            free.set()
