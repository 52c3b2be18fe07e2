"""The past behind the API: why, crashes, revisions, rollback and its pin over a restart of the daemon."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.daemon import Daemon
from stackd.errors import RequestError
from stackd.model.ids import ServiceName, StackName
from stackd.model.override import OperationState, OverrideKind, Verb
from stackd.model.record import Applied, Crash
from stackd.model.view import Pin, ServiceState
from tests.fake.engine import FakeEngine
from tests.unit.runtime.whole import APP, calm, compose, link, mode, state, whole, write
from tests.unit.runtime.world import until

WEB = ServiceName("web")


def images(engine: FakeEngine) -> FakeEngine:
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    return engine


async def applied(daemon: Daemon, number: int) -> None:
    """Until so many revisions are kept."""
    await until(lambda: calm(daemon, "web") and len(daemon.control.revisions(APP)) >= number)


async def two_revisions(place: Path, daemon: Daemon) -> None:
    engine = daemon._engine
    assert isinstance(engine, FakeEngine)
    link(place, write(place, compose(web="one")))
    await until(lambda: calm(daemon, "web"))
    await applied(daemon, 1)
    write(place, compose(web="two"))
    await until(lambda: mode(engine, "web") == ["two"])
    await applied(daemon, 2)


async def test_rollback_puts_the_revision_before_in_force_and_says_so(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        asked = await daemon.control.rollback(APP, None, "a test")
        over = await daemon.control.settled(asked.request.id, 10)
        assert (over.state, over.request.verb) == (OperationState.SUCCEEDED, Verb.ROLLBACK)
        assert mode(engine, "web") == ["one"]
        (pinned,) = daemon.control.stack(APP).overrides
        assert (pinned.kind, pinned.value) == (OverrideKind.PINNED, 1)
        told = [link.text for link in daemon.control.why(APP, WEB).chain if link.kind == "override"]
        assert any("revision 1 of the stack app is in force" in text for text in told)


@pytest.mark.parametrize("names", [("web",), ("web", "db")])
async def test_what_another_hand_stops_during_a_rollback_is_held_beside_the_pin(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one", db="one")))
        await until(lambda: calm(daemon, "web", "db"))
        await until(lambda: len(daemon.control.revisions(APP)) == 1)
        write(tmp_path, compose(web="two", db="one"))
        await until(lambda: mode(engine, "web") == ["two"])
        await until(lambda: len(daemon.control.revisions(APP)) == 2)
        await daemon.control.rollback(APP, 1, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web", "db"))
        scope = {None} if len(names) > 1 else {WEB}
        await asyncio.gather(*(engine.human_stop(one.id) for name in names for one in engine.of_service(name)))
        await until(lambda: {one.service for one in daemon.store.view(APP).standing} == scope)
        assert next(o.kind for o in daemon.store.view(APP).overrides if o.service is None) is OverrideKind.PINNED


@pytest.mark.parametrize("how", ["up", "edit"])
async def test_a_pin_is_released_by_up_and_by_an_edit(tmp_path: Path, how: str) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        await daemon.control.rollback(APP, 1, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web"))
        if how == "up":
            await daemon.control.submit(APP, Verb.UP, (), "a test")
        else:
            write(tmp_path, compose(web="three"))
        await until(lambda: mode(engine, "web") == ["two" if how == "up" else "three"] and calm(daemon, "web"))
        assert daemon.control.stack(APP).overrides == ()


async def test_a_release_of_what_else_stands_keeps_the_pin_and_one_of_the_pin_ends_it(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        await daemon.control.rollback(APP, 1, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web"))
        assert not (await daemon.control.drop_override(APP, None, "a test")).changed
        await daemon.control.put_override(APP, None, OverrideKind.HELD, "", "a test", None)
        assert (await daemon.control.drop_override(APP, None, "a test")).changed
        assert [one.kind for one in daemon.store.view(APP).overrides] == [OverrideKind.PINNED]
        assert (await daemon.control.drop_override(APP, None, "a test", OverrideKind.PINNED)).changed
        await until(lambda: mode(engine, "web") == ["two"] and calm(daemon, "web"))
        assert daemon.store.view(APP).overrides == ()


async def test_a_restart_of_one_service_keeps_the_pin(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        await daemon.control.rollback(APP, 1, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web"))
        asked = await daemon.control.submit(APP, Verb.RESTART, (WEB,), "a test")
        await daemon.control.settled(asked.request.id, 10)
        assert mode(engine, "web") == ["one"]
        assert [one.kind for one in daemon.control.stack(APP).overrides] == [OverrideKind.PINNED]


async def test_a_pinned_stack_that_is_taken_down_keeps_its_pin(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        await daemon.control.rollback(APP, 1, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web"))
        await daemon.control.submit(APP, Verb.DOWN, (), "a test")
        await until(lambda: not engine.containers)
        assert {one.kind for one in daemon.store.view(APP).overrides} == {OverrideKind.PINNED, OverrideKind.STOPPED}


async def test_a_pin_survives_a_restart_of_the_daemon_without_the_newest_text_coming_into_force(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        await daemon.control.rollback(APP, 1, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web"))
    made = len(engine.called("create_container"))
    async with whole(tmp_path, engine) as daemon:
        assert daemon.store.view(APP).pinned is not None, "read before anything is planned"
        await until(lambda: calm(daemon, "web"))
        assert daemon.store.view(APP).project is not None
        assert len(engine.called("create_container")) == made


async def test_a_pin_that_cannot_be_read_any_more_changes_nothing_and_says_so(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        await daemon.control.rollback(APP, 1, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stackd.runtime.kept.Kept.applied", lambda self, stack: ())
        async with whole(tmp_path, engine) as daemon:
            await until(lambda: state(daemon, "web") is ServiceState.HELD)
            assert mode(engine, "web") == ["one"]
            (override,) = daemon.control.stack(APP).overrides
            assert "revision 1 cannot be read any more, so nothing is changed" in override.reason
            assert "cannot be read any more" in daemon.control.why(APP, WEB).headline
            (service,) = daemon.control.stack(APP).services
            assert "cannot be read any more" in service.detail


async def test_rollback_of_what_is_not_kept_is_refused(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one")))
        await until(lambda: calm(daemon, "web"))
        await applied(daemon, 1)
        with pytest.raises(RequestError, match="no earlier revision") as refused:
            await daemon.control.rollback(APP, None, "a test")
        assert (refused.value.status, refused.value.code) == (409, "no_earlier_revision")
        with pytest.raises(RequestError, match="kept are 1 to 1") as refused:
            await daemon.control.rollback(APP, 7, "a test")
        assert (refused.value.status, refused.value.code) == (404, "no_such_revision")
        assert daemon.store.view(APP).overrides == ()


async def test_rollback_passes_over_a_revision_that_failed(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        kept, journal = daemon.control.revisions(APP), daemon._journal
        write(tmp_path, compose(web="three"))
        await until(lambda: mode(engine, "web") == ["three"])
        await applied(daemon, 3)
        journal.save_applied(replace(kept[0], failed=True))
        await daemon.control.rollback(APP, None, "a test")
        await until(lambda: mode(engine, "web") == ["one"] and calm(daemon, "web"))
        await daemon.control.submit(APP, Verb.UP, (), "a test")
        await until(lambda: mode(engine, "web") == ["three"] and calm(daemon, "web"))
        journal.save_applied(replace(kept[1], failed=True))
        with pytest.raises(RequestError, match="no earlier revision to go back to, only such as failed: 1, 2"):
            await daemon.control.rollback(APP, None, "a test")
        await daemon.control.rollback(APP, 2, "a test")
        await until(lambda: mode(engine, "web") == ["two"])


async def test_a_diff_shows_the_edited_fields_and_no_secret(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    secret = compose(web="one") + "      DB_PASSWORD: {}\n"
    async with whole(tmp_path, engine) as daemon:
        link(tmp_path, write(tmp_path, secret.format("hunter2")))
        await until(lambda: calm(daemon, "web"))
        await applied(daemon, 1)
        write(tmp_path, secret.format("hunter3").replace("one", "two"))
        await until(lambda: mode(engine, "web") == ["two"])
        await applied(daemon, 2)
        lines = await daemon.control.diff(APP, 2, None)
        assert "-services.web.environment.MODE: one" in lines
        assert "+services.web.environment.MODE: two" in lines
        edited = [line for line in lines if "DB_PASSWORD" in line]
        assert [line.partition("(hidden ")[0] for line in edited] == [
            "-services.web.environment.DB_PASSWORD: ", "+services.web.environment.DB_PASSWORD: ",
        ]  # fmt: skip
        assert "hunter" not in "\n".join(lines)
        assert all(line.startswith(("+", "@", "---")) for line in await daemon.control.diff(APP, 1, None))


@pytest.mark.parametrize("ask", ["diff", "rollback"])
async def test_a_revision_is_read_beside_the_event_loop(
    tmp_path: Path, ask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        past, reading, goes_on = daemon.control._past, threading.Event(), threading.Event()
        read = past._revive

        def slow(applied: Applied) -> Pin:
            reading.set()
            assert goes_on.wait(10), "the event loop stood still meanwhile"
            return read(applied)

        monkeypatch.setattr(past, "_revive", slow)
        control = daemon.control
        asked = asyncio.ensure_future(control.diff(APP, 2, 1) if ask == "diff" else control.rollback(APP, 1, "a test"))
        await until(reading.is_set)
        assert not asked.done()
        goes_on.set()
        assert await asked


async def test_crashes_are_told_newest_first_and_only_those_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one")))
        await until(lambda: calm(daemon, "web"))
        (box,) = engine.containers.values()
        for runs in (2, 3):
            engine.crash(box.id, runs)
            await until(lambda runs=runs: box.runs == runs and calm(daemon, "web"))  # type: ignore[misc]
        await until(lambda: len(daemon.control.crashes(APP, WEB)) == 2)
        found: tuple[Crash, ...] = daemon.control.crashes(APP, WEB)
        assert [one.exit_code for one in found] == [3, 2]
        assert (await daemon.control.crash(APP, found[0].id)).crash == found[0]
        with pytest.raises(RequestError, match="has no crash") as refused:
            await daemon.control.crash(StackName("other"), found[0].id)
        assert (refused.value.status, refused.value.code) == (404, "no_such_crash")
        with pytest.raises(RequestError, match='stack "app" has no service "wbe"; did you mean "web"'):
            daemon.control.crashes(APP, ServiceName("wbe"))


async def test_why_goes_from_the_edited_line_to_the_container_that_runs(tmp_path: Path) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        await two_revisions(tmp_path, daemon)
        answer = daemon.control.why(APP, WEB)
        first = answer.chain[0]
        assert first.kind == "edit"
        assert first.span is not None and (Path(first.span.file).name, first.span.line) == ("compose.yaml", 6)
        assert "environment.MODE: one -> two" in answer.headline
        kinds = [one.kind for one in answer.chain]
        assert kinds.index("decision") < kinds.index("call")
        assert any("created" in one.text for one in answer.chain), answer


async def test_what_was_asked_and_is_not_on_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one")))
        await until(lambda: calm(daemon, "web"))

        async def full(timeout: float) -> bool:
            return False

        monkeypatch.setattr(daemon._journal, "flush", full)
        asked = await daemon.control.submit(APP, Verb.RESTART, (WEB,), "a test")
        assert asked.detail.startswith("not on disk: ")
        over = await daemon.control.settled(asked.request.id, 10)
        assert (over.state, over.detail) == (OperationState.SUCCEEDED, asked.detail)
        held = await daemon.control.put_override(APP, WEB, OverrideKind.HELD, "", "a test", None)
        assert held.detail == asked.detail


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.DOWN, Verb.UP])
async def test_what_is_not_on_disk_is_told_once_in_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    engine = images(FakeEngine())
    async with whole(tmp_path, engine) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one")))
        await until(lambda: calm(daemon, "web"))
        await daemon.control.put_override(APP, WEB, OverrideKind.HELD, "", "a test", None)

        async def full(timeout: float) -> bool:
            return False

        monkeypatch.setattr(daemon._journal, "flush", full)
        asked = await daemon.control.submit(APP, verb, (), "a test")
        told = [one for one in daemon.control.happenings(-1, 1000) if one.type == "journal.behind"]
        assert [one.message for one in told] == [asked.detail]


async def test_a_release_that_could_not_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with whole(tmp_path, images(FakeEngine())) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one")))
        await until(lambda: calm(daemon, "web"))
        await daemon.control.put_override(APP, WEB, OverrideKind.HELD, "", "a test", None)

        async def full(timeout: float) -> bool:
            return False

        with monkeypatch.context() as patch:
            patch.setattr(daemon._journal, "flush", full)
            dropped = await daemon.control.drop_override(APP, WEB, "a test")
        assert (dropped.changed, dropped.detail.startswith("not on disk: ")) == (True, True)
