"""No value of a definition reaches an output, under whatever name it stands: every output is searched."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import aiodocker
import aiohttp
import pytest

from stackd.api.listening import listen
from stackd.api.server import Server
from stackd.config import NotifyConfig
from stackd.daemon import Daemon
from stackd.engine.base import CreateRequest
from stackd.engine.failures import failure
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, ServiceName
from stackd.runtime.log import JsonFormatter, TextFormatter
from stackd.values import MOST_TEXT
from tests.fake.engine import FakeEngine
from tests.unit.runtime.planting import NAMES, Garden
from tests.unit.runtime.whole import APP, calm, compose, link, whole, write
from tests.unit.runtime.world import until

WEB, BAD = ServiceName("web"), ServiceName("bad")


@asynccontextmanager
async def api(place: Path, daemon: Daemon) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the daemon's real API."""
    server, path = Server(daemon.control), place / "run" / "s"
    await server.start(listen(path))
    try:
        async with aiohttp.ClientSession("http://stackd", connector=aiohttp.UnixConnector(str(path))) as session:
            yield session
    finally:
        await server.stop()


def applied(daemon: Daemon, number: int) -> bool:
    """Whether so many revisions are kept, and nothing is left to do."""
    return calm(daemon, "web", "db") and len(daemon.control.revisions(APP)) == number


async def everything(session: aiohttp.ClientSession) -> str:
    """Every answer of the API that does not go on for ever, as JSON and as text; and some refusals."""
    document = await (await session.get("/v1/openapi.json")).json()
    paths = [
        path.replace("{stack}", "app").replace("{service}", service).replace("{number}", number)
        for path, verbs in document["paths"].items() if "get" in verbs
        for service in ("web", "db", "bad") for number in ("1", "2")
    ]  # fmt: skip
    crashes = (await (await session.get("/v1/stacks/app/crashes")).json())["crashes"]
    paths += [f"/v1/stacks/app/services/{one['service']}/crashes/{one['id']}" for one in crashes]
    paths += ["/v1/stacks/app/services/nope", "/v1/stacks/app/revisions/99", "/v1/stacks/app/wait?for=web:x", "/nope"]
    paths += ["/v1/stacks/app/revisions/2/diff?against=1", "/v1/events?from=nope"]
    texts = []
    for path in dict.fromkeys(path for path in paths if "{" not in path and not path.endswith(("/logs", "/wait"))):
        for accept in ("application/json", "text/plain"):
            answer = await session.get(path, headers={"Accept": accept})
            texts.append(f"{path} {answer.status}\n{await answer.text()}")
    return "\n".join(texts)


def tables(place: Path) -> str:
    """What the database tells of the past: all but the texts of revisions, which are to be kept, and logs."""
    with closing(sqlite3.connect(place / "state" / "stackd.db")) as database:
        found = [str(row) for name in ("history", "meta", "ledger", "operations", "overrides")
                 for row in database.execute(f"SELECT * FROM {name}")]  # fmt: skip
        return "\n".join([*found, *(str(row) for row in database.execute("SELECT summary FROM crashes"))])


async def test_no_planted_value_is_in_any_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(NAMES) >= 60
    caplog.set_level(logging.DEBUG)
    engine, garden = FakeEngine(), Garden(tmp_path)
    for name in ("web:1", "db:1", "bad:1"):
        engine.add_image(name)
    create = engine.create_container

    async def refusing(request: CreateRequest) -> ContainerId:
        if "bad" in request.name:
            raise EngineError(EngineErrorKind.FAILED, garden.as_an_engine_says_it() + json.dumps(request.body))
        return await create(request)

    monkeypatch.setattr(engine, "create_container", refusing)
    sent = tmp_path / "sent"
    notify = NotifyConfig(command=("/bin/sh", "-c", f"cat >> {sent}; env | grep STACKD >> {sent}"))
    async with whole(tmp_path, engine, notify=notify) as daemon, api(tmp_path, daemon) as session:
        for number in (1, 2):
            garden.save()
            await until(partial(applied, daemon, number))
        (box,) = engine.of_service("web")
        box.error = garden.as_an_engine_says_it()
        runs = box.runs
        engine.crash(box.id, 3)
        await until(lambda: box.live and box.runs > runs)
        engine.crash(box.id, 3)
        await until(sent.exists)
        garden.save(bad={"image": "bad:1", "environment": garden.pairs("bad")})
        await until(lambda: BAD in {one.service for one in daemon.store.view(APP).failures.values()})
        told = await everything(session)
        await daemon._journal.flush(5)
        assert "(hidden" in told
        assert "environment.POSTGRES_DB: (hidden " in told
        assert "operation.failed" in told
        assert "crash looping" in told
        forms = (TextFormatter(journal=False), JsonFormatter())
        lines = [form.format(record) for record in caplog.records for form in forms]
        for text in (told, "\n".join(lines), tables(tmp_path), sent.read_text(), str(daemon.store.view(APP).failures)):
            assert garden.leaks(text) == []
        assert len(lines) > 10


async def test_values_are_shown_to_whoever_asks_for_them_and_to_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine, garden = FakeEngine(), Garden(tmp_path)
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    async with whole(tmp_path, engine) as daemon, api(tmp_path, daemon) as session:
        for number in (1, 2):
            garden.save()
            await until(partial(applied, daemon, number))
        diff = await (await session.get("/v1/stacks/app/revisions/2/diff?values=1")).text()
        why = await (await session.get("/v1/stacks/app/services/web/why?values=1")).text()
        at = NAMES.index("POSTGRES_DB")
        assert f"environment.POSTGRES_DB: zq7seed-map-{at}-2/x" in diff
        assert "environment.PASSWORD_F: zq7seed-envfile-0-1/x -> zq7seed-envfile-0-2/x" in why
        assert garden.leaks(await everything(session)) == []
        assert garden.leaks("\n".join(record.getMessage() for record in caplog.records)) == []


async def test_a_task_that_ends_by_a_fault_shows_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine, garden = FakeEngine(), Garden(tmp_path)
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    async with whole(tmp_path, engine) as daemon:
        garden.save()
        await until(lambda: calm(daemon, "web", "db"))

        async def faulty(request: object) -> None:
            raise KeyError(garden.as_an_engine_says_it())

        monkeypatch.setattr(engine, "start_container", faulty)
        (box,) = engine.of_service("web")
        engine.crash(box.id, 3)
        await until(lambda: bool(daemon.store.view(APP).failures))
        assert garden.leaks(str(daemon.store.view(APP).failures)) == []
        assert "failed by a fault of stackd" in caplog.text
        assert garden.leaks(caplog.text) == []


async def test_a_long_message_of_the_engine_is_scrubbed_before_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    engine.add_image("web:1")
    secret = "zq7-" + "s3cret" * 100
    words = "x" * (MOST_TEXT - 300) + secret + "y" * MOST_TEXT
    fault = aiodocker.DockerError(500, words)

    async def refusing(request: CreateRequest) -> ContainerId:
        raise failure(fault, "create web-1")

    monkeypatch.setattr(engine, "create_container", refusing)
    link(tmp_path, write(tmp_path, compose(web=secret)))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: APP in daemon.store.names() and bool(daemon.store.view(APP).failures))
        (found,) = daemon.store.view(APP).failures.values()
        assert "zq7-" not in found.message
        assert len(found.message) <= MOST_TEXT
        said = f"create web-1: {words}"
        assert hashlib.sha256(said.encode()).hexdigest()[:16] not in found.message
