"""Notifications: one per incident, never in the way, limited, retried; by a real server and a real program."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from stackd.config import NotifyConfig, SupervisionConfig, parse
from stackd.daemon import Daemon
from stackd.errors import ConfigError
from stackd.model.ids import ServiceName
from stackd.model.override import OverrideKind, Verb
from stackd.runtime import channels, intake, notify
from stackd.runtime.channels import Channel, Command, DeliveryError, Limit, Message, Webhook
from tests.fake.engine import FakeEngine
from tests.fake.values import Behaviour
from tests.sim.virtual import VirtualLoop
from tests.unit.runtime.whole import APP, calm, compose, link, state, whole, write
from tests.unit.runtime.world import until

WIDE = Limit(30, 600.0)


def message(number: int = 1, event: str = "crash_loop") -> Message:
    return Message(event, 1.7e9, "app", "web", f"message {number}", "here", f"app/web/{number}")


# Channels, in virtual time


def virtually(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work())
    finally:
        loop.put_down()


class Way:
    """A channel whose deliveries are written down; `fails` of them go wrong first."""

    def __init__(self, fails: int = 0, limit: Limit = WIDE) -> None:
        self.fails = fails
        self.tries: list[float] = []
        self.delivered: list[Message] = []
        self.done: list[tuple[str, str]] = []
        mono = asyncio.get_running_loop().time
        self.channel = Channel("test", self._send, limit, mono, lambda one, why: self.done.append((one.text, why)))
        self.task = asyncio.create_task(self.channel.run())

    async def _send(self, message: Message) -> None:
        self.tries.append(asyncio.get_running_loop().time())
        if len(self.tries) <= self.fails:
            raise DeliveryError("out of order")
        self.delivered.append(message)


def test_a_failed_message_is_tried_again_after_5_30_and_120_seconds_and_delivered_once() -> None:
    async def story() -> None:
        way = Way(fails=3)
        way.channel.put(message())
        await asyncio.sleep(1000)
        rests = [later - earlier for earlier, later in zip(way.tries, way.tries[1:], strict=False)]
        assert rests == pytest.approx([5, 30, 120])
        assert [one.text for one in way.delivered] == ["message 1"]
        assert way.done == [("message 1", "")]

    virtually(story)


def test_after_four_failures_a_message_is_given_up_with_the_reason_and_the_next_one_goes() -> None:
    async def story() -> None:
        way = Way(fails=4)
        way.channel.put(message(1))
        way.channel.put(message(2))
        await asyncio.sleep(1000)
        assert [one.text for one in way.delivered] == ["message 2"]
        assert way.done == [("message 1", "out of order"), ("message 2", "")]

    virtually(story)


def test_what_is_beyond_the_limit_is_told_as_one_number_once_there_is_room() -> None:
    async def story() -> None:
        way = Way(limit=Limit(3, 600.0))
        for number in range(10):
            way.channel.put(message(number, "hold" if number == 9 else "crash_loop"))
        await asyncio.sleep(599)
        assert [one.text for one in way.delivered] == ["message 0", "message 1", "message 2"]
        await asyncio.sleep(2)
        more = way.delivered[-1]
        assert (more.event, more.count, more.text) == ("more", 7, "and 7 more: 6 crash_loop, 1 hold")
        assert len(way.done) == 11
        way.channel.put(message(11))
        await asyncio.sleep(1)
        assert way.delivered[-1].text == "message 11"

    virtually(story)


def test_a_full_queue_takes_nothing_more_and_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setattr(channels, "QUEUE", 5)
        way = Way(limit=Limit(100, 600.0))
        for number in range(8):
            way.channel.put(message(number))
        await asyncio.sleep(1)
        assert sum(one.count for one in way.delivered) == 8
        assert [one.count for one in way.delivered if one.event == "more"] == [3]

    virtually(story)


# A real program


async def test_a_command_gets_the_message_on_its_input_and_in_its_environment_and_no_shell(tmp_path: Path) -> None:
    program, out = tmp_path / "tell", tmp_path / "out"
    program.write_text(
        f'#!/bin/sh\n{{ cat; echo "$STACKD_EVENT|$STACKD_STACK|$STACKD_SERVICE|$1|$NOTIFY_SOCKET|$KEPT"; }} > {out}\n'
    )
    program.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": "/run/x", "KEPT": "yes"}
    await Command((str(program), "$(id) ; x"), environment).send(message())
    body, told = out.read_text().splitlines()
    assert json.loads(body) == {
        "event": "crash_loop", "at": "2023-11-14T22:13:20.000Z", "stack": "app", "service": "web",
        "message": "message 1", "instance": "here", "incident": "app/web/1", "count": 1,
    }  # fmt: skip
    assert told == "crash_loop|app|web|$(id) ; x||yes"


@pytest.mark.parametrize(
    ("words", "told"),
    [(("/bin/sh", "-c", "exit 3"), "ended with 3"), (("/nowhere/tell",), "cannot be run")],
)
async def test_a_command_that_fails_is_a_failed_delivery(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(DeliveryError, match=told):
        await Command(words, {}).send(message())


async def test_a_command_that_does_not_end_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "TIMEOUT", 0.3)
    pid = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid}; wait"
    with pytest.raises(DeliveryError, match="has not ended"):
        await Command(("/bin/sh", "-c", script), {"PATH": "/usr/bin:/bin"}).send(message())
    stat = Path(f"/proc/{pid.read_text().strip()}/stat")

    def is_over() -> bool:
        try:
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    await until(is_over)


# A real server


@asynccontextmanager
async def server(answer: Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (address,) = runner.addresses
    try:
        yield f"127.0.0.1:{address[1]}"
    finally:
        await runner.cleanup()


async def test_a_webhook_gets_the_message_as_json_with_the_users_credentials() -> None:
    seen: list[tuple[object, str]] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((await request.json(), request.headers.get("Authorization", "")))
        return web.Response(status=204)

    async with server(answer) as host:
        await Webhook(f"http://me:hunter2@{host}/hook/T0KEN").send(message())
    ((body, authorization),) = seen
    assert body == message().facts()
    assert authorization.startswith("Basic ")


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_an_answer_other_than_2xx_is_a_failed_delivery_that_names_only_the_host(status: int) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with server(answer) as host:
        hook = Webhook(f"http://me:hunter2@{host}/hook/T0KEN?key=s3cret")
        with pytest.raises(DeliveryError) as failed:
            await hook.send(message())
    assert str(failed.value) == f"127.0.0.1 answered {status}"
    assert "hunter2" not in repr(hook)


async def test_nobody_at_the_address_is_a_failed_delivery_without_the_address() -> None:
    with pytest.raises(DeliveryError) as failed:
        await Webhook("http://me:hunter2@127.0.0.1:9/hook/T0KEN").send(message())
    assert "127.0.0.1 cannot be reached" in str(failed.value)
    assert not {"hunter2", "T0KEN"} & {*str(failed.value).replace("/", " ").replace("@", " ").replace(":", " ").split()}


async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "TIMEOUT", 0.2)
    never = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with server(answer) as host:
        with pytest.raises(DeliveryError, match="has not answered"):
            await Webhook(f"http://{host}/").send(message())
        never.set()


# Incidents, on the whole daemon


class Inbox:
    """A webhook's server that keeps what it gets; `broken` = it answers 500."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.broken = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.broken:
            return web.Response(status=500)
        self.got.append(await request.json())
        return web.Response()

    def events(self) -> list[str]:
        return [one["event"] for one in self.got]


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-offs and proofs of a moment."""
    monkeypatch.setattr(intake, "PROOF_AGAIN", 0.05, raising=False)
    monkeypatch.setattr("stackd.runtime.holds.PROOF_AGAIN", 0.05, raising=False)
    monkeypatch.setattr(notify, "STEADY", 0.2)
    monkeypatch.setattr(notify, "SETTLES", 0.0)


def options(host: str, **more: Any) -> dict[str, Any]:
    return {"notify": NotifyConfig(webhook=f"http://{host}/hook", **more), "supervision": _SOON}


_SOON = SupervisionConfig(base_delay=0.01, max_delay=0.01, crashloop_after=3, slow_delay=0.3, default_restart="always")


async def loops(place: Path, daemon: Daemon, engine: FakeEngine) -> None:
    """Until web crash loops."""
    engine.add_image("web:1")
    engine.behave("web", Behaviour(exits_after=0.01, exit_code=1))
    link(place, write(place, compose(web="one")))
    await until(lambda: state(daemon, "web") is not None)


async def test_a_crash_loop_is_told_once_and_so_is_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    engine, inbox = FakeEngine(), Inbox()
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host)) as daemon:
        await loops(tmp_path, daemon, engine)
        await until(lambda: bool(inbox.got))
        (box,) = engine.containers.values()
        runs = box.runs
        await until(lambda: box.runs >= runs + 2)
        assert inbox.events() == ["crash_loop"]
        assert inbox.got[0]["message"].startswith("web is crash looping: exited 1, 3 times within ")
        assert (inbox.got[0]["stack"], inbox.got[0]["service"]) == ("app", "web")
        engine.behave("web", Behaviour())
        await daemon.control.submit(APP, Verb.RESTART, (), "a test")
        await until(lambda: inbox.events() == ["crash_loop", "recovery"])
        assert inbox.got[1]["incident"] == inbox.got[0]["incident"]


async def test_a_restart_of_the_daemon_repeats_no_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    engine, inbox = FakeEngine(), Inbox()
    async with server(inbox.answer) as host:
        async with whole(tmp_path, engine, **options(host)) as daemon:
            await loops(tmp_path, daemon, engine)
            await until(lambda: [one.due for one in daemon.notify._open.values()] == [""])
            assert inbox.events() == ["crash_loop"]
        async with whole(tmp_path, engine, **options(host)) as daemon:
            (box,) = engine.containers.values()
            runs = box.runs
            await until(lambda: box.runs >= runs + 2)
            assert inbox.events() == ["crash_loop"]


async def test_what_was_not_delivered_when_the_daemon_ended_is_told_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    engine, inbox = FakeEngine(), Inbox()
    inbox.broken = True
    async with server(inbox.answer) as host:
        async with whole(tmp_path, engine, **options(host)) as daemon:
            await loops(tmp_path, daemon, engine)
            await until(lambda: bool(daemon.notify._open))
        inbox.broken = False
        async with whole(tmp_path, engine, **options(host)) as daemon:
            await until(lambda: inbox.events() == ["crash_loop"])
            await until(lambda: [one.due for one in daemon.notify._open.values()] == [""])


async def test_a_stop_by_another_hand_is_told_and_one_that_was_asked_for_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    engine, inbox = FakeEngine(), Inbox()
    engine.add_image("web:1")
    engine.add_image("db:1")
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host)) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one", db="one")))
        await until(lambda: calm(daemon, "web", "db") and not daemon.intake.problem)
        await daemon.control.put_override(APP, ServiceName("db"), OverrideKind.HELD, "", "a test", None)
        box = next(one for one in engine.containers.values() if one.labels.service == "web")
        await engine.human_stop(box.id)
        await until(lambda: bool(inbox.got))
        assert (inbox.events(), inbox.got[0]["service"]) == (["hold"], "web")
        assert "`stackd start app web` starts it" in inbox.got[0]["message"]
        await engine.human_start(box.id)
        await until(lambda: inbox.events() == ["hold", "recovery"])


@pytest.mark.parametrize("settles", [0.0, 5.0], ids=["told at once", "told when it has settled"])
async def test_a_stack_taken_down_and_started_in_part_is_one_incident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settles: float
) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(notify, "SETTLES", settles)
    monkeypatch.setattr(notify, "LOOK_SOON", 0.01)
    engine, inbox = FakeEngine(), Inbox()
    engine.add_image("web:1")
    engine.add_image("db:1")
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host)) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one", db="one")))
        await until(lambda: calm(daemon, "web", "db") and not daemon.intake.problem)
        boxes = {str(one.labels.service): one for one in engine.containers.values()}
        for box in boxes.values():
            await engine.human_stop(box.id)
        await until(lambda: any(one["service"] is None for one in inbox.got))
        assert settles == 0 or inbox.events() == ["hold"]
        before = len(inbox.got)
        await engine.human_start(boxes["web"].id)
        await until(lambda: [one.service for one in daemon.store.view(APP).overrides] == ["db"])
        await engine.human_start(boxes["db"].id)
        await until(lambda: calm(daemon, "web", "db") and not daemon.store.view(APP).overrides)
        await until(lambda: len(inbox.got) > before)
        told = [(one["event"], one["service"]) for one in inbox.got[before:]]
        assert told == [("recovery", None)]


async def test_a_pause_by_another_hand_is_told_once_and_so_is_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, inbox = FakeEngine(), Inbox()
    engine.add_image("web:1")
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host)) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one")))
        await until(lambda: calm(daemon, "web") and not daemon.intake.problem)
        (box,) = engine.containers.values()
        await engine.human_pause(box.id)
        await until(lambda: bool(inbox.got))
        assert (inbox.events(), inbox.got[0]["service"]) == (["hold"], "web")
        assert "web is paused: paused by another hand" in inbox.got[0]["message"]
        daemon.notify._look()
        assert len(daemon.notify._open) == 1
        await engine.human_unpause(box.id)
        await until(lambda: inbox.events() == ["hold", "recovery"])
        assert inbox.got[1]["message"] == "web is no longer held: it is running"


async def test_the_end_of_a_hold_is_told_once_the_service_runs_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(notify, "LOOK_SOON", 0.01)
    engine, inbox = FakeEngine(), Inbox()
    engine.add_image("web:1")
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host)) as daemon:
        link(tmp_path, write(tmp_path, compose(web="one")))
        await until(lambda: calm(daemon, "web") and not daemon.intake.problem)
        (box,) = engine.containers.values()
        await engine.human_stop(box.id)
        await until(lambda: inbox.events() == ["hold"])
        view = daemon.store.view(APP)
        daemon.intents.let_go(APP, view.overrides, "a person started it")
        daemon.notify._look()
        assert [one.over for one in daemon.notify._open.values()] == [False], "nothing runs yet"
        await until(lambda: inbox.events() == ["hold", "recovery"])
        assert inbox.got[1]["message"] == "web is no longer held: it is running"


async def test_a_storm_is_told_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inbox = FakeEngine(), Inbox()
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host)) as daemon:
        await until(lambda: daemon.store.host.engine_up)
        notifier = daemon.notify
        daemon.store.update_host(storm="5 of 6 services failed within 30 s")
        notifier._look()
        notifier._look()
        daemon.store.update_host(storm="")
        notifier._look()
        await until(lambda: inbox.events() == ["storm", "recovery"])
        assert (inbox.got[0]["stack"], inbox.got[0]["message"]) == (None, "5 of 6 services failed within 30 s")


async def test_what_is_not_asked_for_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inbox = FakeEngine(), Inbox()
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host, on=("storm",))) as daemon:
        await until(lambda: daemon.store.host.engine_up)
        daemon.notify._raise("app", "web", notify.HOLD, lambda: "held")
        daemon.notify._end("app", "web", notify.HOLD, "free")
        daemon.notify._raise("", "", notify.STORM, lambda: "a storm")
        await until(lambda: inbox.events() == ["storm"])
        assert [one.kind for one in daemon.notify._open.values()] == [notify.STORM]


async def test_a_message_that_is_given_up_stands_in_the_history_without_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(channels, "RETRIES", (0.01,))
    engine, inbox = FakeEngine(), Inbox()
    inbox.broken = True
    async with server(inbox.answer) as host:
        told = options(host)
        told["notify"] = replace_webhook(told["notify"], f"http://me:hunter2@{host}/T0KEN")
        async with whole(tmp_path, engine, **told) as daemon:
            await until(lambda: daemon.store.host.engine_up)
            with caplog.at_level(logging.DEBUG):
                daemon.notify._raise("app", "web", notify.HOLD, lambda: "web is held")
                failed = "notify.failed"
                await until(lambda: any(one.type == failed for one in daemon.history.after(0, 1000)))
            (entry,) = [one for one in daemon.history.after(0, 1000) if one.type == failed]
            assert "127.0.0.1 answered 500" in entry.message and "web is held" in entry.message
            said = [entry.message, *(one.getMessage() for one in caplog.records if one.name.startswith("stackd"))]
            assert not any(secret in text for text in said for secret in ("hunter2", "T0KEN"))


def replace_webhook(config: NotifyConfig, webhook: str) -> NotifyConfig:
    return config.model_copy(update={"webhook": webhook})


async def test_a_fault_in_a_message_never_ends_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, inbox = FakeEngine(), Inbox()
    monkeypatch.setattr(notify, "LOOK_AGAIN", 0.05)
    broken = iter([True])

    def look(self: notify.Notify) -> float:
        if next(broken, False):
            raise KeyError("a fault")
        return original(self)

    original = notify.Notify._look
    monkeypatch.setattr(notify.Notify, "_look", look)
    async with server(inbox.answer) as host, whole(tmp_path, engine, **options(host)) as daemon:
        await until(lambda: daemon.store.host.engine_up)
        daemon.store.update_host(storm="a storm")
        await until(lambda: inbox.events() == ["storm"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('webhook = "ftp://me:hunter2@x/"', "must begin with http"),
        ('command = ["tell"]', "absolute path"),
        ('on = ["everything"]', "crash_loop"),
    ],
)
def test_a_wrong_address_is_refused_without_being_shown(line: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        parse(f"[notify]\n{line}\n", "config.toml", {"HOME": "/home/x"})
    assert "hunter2" not in str(refused.value)
