"""Verbs, from the request to what the engine is asked to do."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.errors import RequestError
from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.override import OperationState, OverrideKind, Request, Verb
from stackd.model.view import ServiceState
from stackd.source.removal import Fate
from stackd.source.source import ELSEWHERE, GONE, Source
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import needs, service
from tests.unit.runtime.world import STACK, Running, running, until

DB, WEB, JOBS = ServiceName("db"), ServiceName("web"), ServiceName("jobs")
APP = (service("db"), service("web", needs("db")), service("jobs"))


async def up(daemon: Running) -> None:
    daemon.load(*APP)
    await until(lambda: daemon.running("db", "web", "jobs"))


async def test_a_stop_of_the_whole_stack_stops_dependents_before_what_they_need(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        await up(daemon)
        names = {container.id: container.name for container in engine.containers.values()}
        await daemon.commands().submit(STACK, Verb.STOP, (), "a test")
        await until(lambda: daemon.running())
        order = [names[call.args[0]] for call in engine.called("stop_container")]  # type: ignore[index]
        assert order.index("app-web-1") < order.index("app-db-1")


async def test_a_start_of_one_service_leaves_the_rest_of_a_stack_that_is_down_stopped(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        await daemon.commands().submit(STACK, Verb.DOWN, (), "a test")
        await until(lambda: daemon.running())
        await daemon.commands().submit(STACK, Verb.START, (WEB,), "a test")
        await until(lambda: daemon.running("db", "web"))
        assert [one.service for one in daemon.store.view(STACK).overrides] == [JOBS]


async def test_releasing_one_services_hold_does_not_bring_back_a_stack_that_is_down(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        commands = daemon.commands()
        await commands.put_override(STACK, JOBS, OverrideKind.HELD, "", "a test", None)
        await commands.submit(STACK, Verb.DOWN, (), "a test")
        assert (await commands.drop_override(STACK, JOBS, "a test")).changed
        assert [one.service for one in daemon.store.view(STACK).overrides] == [None]


async def test_a_release_of_a_stop_starts_again_and_is_told_as_a_resume(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        commands = daemon.commands()
        await commands.submit(STACK, Verb.STOP, (JOBS,), "a test")
        await until(lambda: daemon.running("db", "web"))
        seen = daemon.history.last_seq
        assert (await commands.drop_override(STACK, JOBS, "a person")).changed
        await until(lambda: daemon.running("db", "web", "jobs"))
        asked = [one for one in daemon.history.after(seen, 1000) if one.type == "operation.requested"]
        assert [one.message for one in asked] == ["resume jobs asked for by a person"]
        links = [link.text for link in commands.why(STACK, JOBS).chain]
        assert "resume jobs asked for by a person" in links


async def test_down_for_one_service_is_refused_and_takes_nothing_down(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        with pytest.raises(RequestError, match="to stop a service: stop") as refused:
            await daemon.commands().submit(STACK, Verb.DOWN, (WEB,), "a test")
        assert (refused.value.status, refused.value.code) == (422, "whole_stack_only")
        assert daemon.store.view(STACK).overrides == ()


async def test_up_never_approves_that_a_stack_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    approved: list[Collection[Fate]] = []

    def confirm(source: Source, stack: StackName | None, fates: Collection[Fate] = ()) -> tuple[StackName, ...]:
        approved.append(fates)
        return ()

    monkeypatch.setattr(Source, "confirm", confirm)
    monkeypatch.setattr(Source, "problem", "")
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        for verb in (Verb.UP, Verb.START, Verb.DOWN):
            await daemon.commands().submit(STACK, verb, (), "a test")
    assert approved == [ELSEWHERE, (), GONE]
    assert not {*ELSEWHERE} & {*GONE}


async def test_a_restart_that_was_asked_for_is_on_disk_before_the_answer(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        kept: list[Request] = []
        put = daemon.journal.put_request

        async def watched(request: Request) -> bool:
            assert daemon.store.view(STACK).requests == (), "in force before it is on disk"
            kept.append(request)
            return await put(request)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(daemon.journal, "put_request", watched)
            asked = await daemon.commands().submit(STACK, Verb.RESTART, (WEB,), "a test")
        assert kept == [asked.request]


async def test_a_cursor_from_before_the_oldest_event_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        commands = daemon.commands()
        daemon.history.add(STACK, None, "stack.told", "one")
        daemon.history._entries[0] = replace(daemon.history._entries[0], seq=50)
        assert [one.seq for one in commands.happenings(49, 10)] == [50]
        with pytest.raises(RequestError, match="the oldest event still kept has seq 50") as refused:
            commands.happenings(48, 10)
        assert refused.value.status == 410


async def test_a_hold_whose_time_is_over_ends_and_the_history_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        (box,) = [one for one in daemon.engine.containers.values() if one.labels.service == JOBS]
        await daemon.commands().put_override(STACK, JOBS, OverrideKind.HELD, "", "a test", time.time() + 0.2)
        daemon.engine.crash(box.id, 1)
        await until(lambda: box.runs == 2 and not daemon.store.view(STACK).overrides)
        told = [one.message for one in daemon.history.after(0, 1000) if one.type == "override.released"]
        assert told == ["no longer held: its time is over"]


@pytest.mark.parametrize("kind", [OverrideKind.PINNED, OverrideKind.RELEASED, OverrideKind.SCALED, OverrideKind.PAUSED])
async def test_what_has_a_verb_of_its_own_is_not_set_as_an_override(tmp_path: Path, kind: OverrideKind) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        with pytest.raises(RequestError) as refused:
            await daemon.commands().put_override(STACK, None, kind, "", "a test", None)
        assert (refused.value.status, refused.value.code) == (422, "not_supported")
        assert daemon.store.view(STACK).overrides == ()


@pytest.mark.parametrize(("verb", "names"), [(Verb.START, (DB,)), (Verb.UP, (DB,)), (Verb.UP, ())])
async def test_a_start_of_what_another_hand_paused_fails_and_says_how_to_go_on(
    tmp_path: Path, verb: Verb, names: tuple[ServiceName, ...]
) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        box = next(one for one in daemon.engine.containers.values() if one.name == "app-db-1")
        await daemon.engine.human_pause(box.id)
        commands = daemon.commands()
        await until(lambda: commands.stack(STACK).services[0].state is ServiceState.PAUSED)
        asked = await commands.submit(STACK, verb, names, "a test")
        done = await commands.settled(asked.request.id, 20)
        assert done.state is OperationState.FAILED
        assert done.detail.startswith("db: paused by another hand"), done.detail
        assert done.detail.endswith("; to go on: docker unpause app-db-1")
        await daemon.engine.human_unpause(box.id)
        await until(lambda: not daemon.store.view(STACK).requests)
        assert box.runs == 1


async def test_a_start_beside_a_paused_service_and_a_restart_of_it_succeed(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        box = next(one for one in daemon.engine.containers.values() if one.name == "app-db-1")
        await daemon.engine.human_pause(box.id)
        commands = daemon.commands()
        await until(lambda: commands.stack(STACK).services[0].state is ServiceState.PAUSED)
        for verb, name in ((Verb.START, JOBS), (Verb.RESTART, DB)):
            asked = await commands.submit(STACK, verb, (name,), "a test")
            assert (await commands.settled(asked.request.id, 20)).state is OperationState.SUCCEEDED
        assert box.runs == 2


async def test_what_is_not_there_is_named_in_double_quotes_with_what_is_near(tmp_path: Path) -> None:
    async with running(tmp_path, FakeEngine()) as daemon:
        await up(daemon)
        commands = daemon.commands()
        with pytest.raises(RequestError, match=r'^there is no stack "ap"; did you mean "app"[?]$'):
            commands.stack(StackName("ap"))
        with pytest.raises(RequestError, match=r'^stack "app" has no service "wbe"; did you mean "web"[?]$'):
            commands.crashes(STACK, ServiceName("wbe"))
        with pytest.raises(RequestError, match=r'^there is no operation "zzz" '):
            commands.operation(OperationId("zzz"))
        with pytest.raises(RequestError, match=r'^there is no project "zzz" on the engine'):
            await commands.adopt(StackName("zzz"), "a test")
