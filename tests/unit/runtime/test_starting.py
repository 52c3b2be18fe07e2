"""The start of the daemon: answers wait for the files, and once for the engine; what hangs does not hide the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from stackd.model.ids import ServiceName, StackName
from stackd.model.status import StackState
from stackd.model.view import ServiceState
from stackd.source import scan, source
from stackd.source.discover import Candidate, look
from stackd.source.reading import Files
from stackd.source.scan import Scanner
from tests.fake.engine import FakeEngine
from tests.unit.runtime.whole import APP, compose, link, whole, write
from tests.unit.runtime.world import until

ENOUGH = 20.0


def images(engine: FakeEngine, *names: str) -> None:
    for name in names:
        engine.add_image(f"{name}:1")


@contextmanager
def hanging(monkeypatch: pytest.MonkeyPatch, *entries: str) -> Iterator[threading.Event]:
    """Whoever looks into these folders hangs until the event is set."""
    answers = threading.Event()

    def slow(root: Path, entry: str, files: Files) -> Candidate:
        if entry in entries:
            answers.wait()
        return look(root, entry, files)

    monkeypatch.setattr(scan, "look", slow)
    monkeypatch.setattr(source, "Scanner", partial(Scanner, patience=0.05))
    try:
        yield answers
    finally:
        answers.set()


async def test_the_first_answer_knows_every_stack_and_what_is_decided(tmp_path: Path) -> None:
    engine = FakeEngine()
    images(engine, "web")
    link(tmp_path, write(tmp_path, compose(web="a")))
    engine.freeze_engine()
    async with whole(tmp_path, engine) as daemon:
        assert daemon.control.stacks() == ()
        started = asyncio.create_task(daemon.control.started(ENOUGH))
        await until(lambda: daemon.store.host.sources_loaded)
        assert daemon.control.stack(APP).state is StackState.LOADING
        assert not started.done()
        engine.thaw_engine()
        assert await started == ""
        (found,) = daemon.control.stacks()
        assert found.name == APP
        assert found.state is not StackState.LOADING
        assert [one.state for one in found.services if one.state is ServiceState.UNKNOWN] == []


async def test_without_an_engine_the_answer_is_what_the_files_say(tmp_path: Path) -> None:
    engine = FakeEngine()
    await engine.stop_engine()
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        assert await daemon.control.started(ENOUGH) == ""
        assert [(one.name, [s.name for s in one.services]) for one in daemon.control.stacks()] == [(APP, ["web"])]


async def test_an_engine_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.freeze_engine()
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: daemon.store.host.sources_loaded)
        assert await daemon.control.started(0.05) == ""
        async with asyncio.timeout(ENOUGH):
            assert await daemon.control.started(ENOUGH * 1000) == ""
        engine.thaw_engine()


async def test_a_folder_that_hangs_does_not_hide_the_other_stacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    images(engine, "web")
    for name in ("app", "nfs"):
        link(tmp_path, write(tmp_path, compose(web="a"), name))
    with hanging(monkeypatch, "nfs"):
        async with whole(tmp_path, engine) as daemon:
            assert await daemon.control.started(ENOUGH) == ""
            app, nfs = daemon.control.stacks()
            assert (app.name, [one.name for one in app.services]) == (APP, [ServiceName("web")])
            assert (nfs.name, nfs.state) == (StackName("nfs"), StackState.INVALID)
            assert "did not answer within" in nfs.detail
            assert "network file system" in nfs.detail


async def test_a_folder_that_hangs_is_looked_at_again_until_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(tmp_path, write(tmp_path, compose(web="a")))
    monkeypatch.setattr(source, "_AFTERMATH", 0.02)
    with hanging(monkeypatch, "app") as answers:
        async with whole(tmp_path, FakeEngine()) as daemon:
            assert await daemon.control.started(ENOUGH) == ""
            assert daemon.control.stack(APP).services == ()
            answers.set()
            await until(lambda: bool(daemon.control.stack(APP).services))


async def test_a_folder_that_hangs_after_a_restart_keeps_its_last_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    images(engine, "web")
    link(tmp_path, write(tmp_path, compose(web="a")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: len(engine.containers) == 1)
        await until(lambda: daemon.control.stack(APP).state is StackState.RUNNING)
    before = set(engine.containers)
    with hanging(monkeypatch, "app"):
        async with whole(tmp_path, engine) as daemon:
            assert await daemon.control.started(ENOUGH) == ""
            found = daemon.control.stack(APP)
            assert [one.name for one in found.services] == [ServiceName("web")]
            await until(lambda: "did not answer within" in str(daemon.control.stack(APP).diagnostics))
    assert set(engine.containers) == before


async def test_what_is_being_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("app", "nfs"):
        link(tmp_path, write(tmp_path, compose(web="a"), name))
    with hanging(monkeypatch, "nfs"):
        monkeypatch.setattr(source, "Scanner", Scanner)
        async with whole(tmp_path, FakeEngine()) as daemon:
            await until(lambda: "1 of 2" in daemon.source.progress)
            unread = await daemon.control.started(0.05)
            assert unread == f"reading {tmp_path / 'stacks' / 'nfs'}, 1 of 2 folders are read"
