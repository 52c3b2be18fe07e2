"""History and logs as they happen: cursors, slow clients, clients that go away."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

import stackd
from stackd.api.serving import Settings
from stackd.errors import RequestError
from stackd.model.happenings import EVENT_TYPES
from tests.api.world import Api, Json, eventually, serving
from tests.fake.control import NOON, stack

QUICK = Settings(heartbeat=0.02, stall=0.2, wall=lambda: NOON + 300)


@asynccontextmanager
async def followed(api: Api, path: str, accept: str = "*/*") -> AsyncIterator[AsyncIterator[dict[str, Json]]]:
    """An open stream, line by line."""
    async with api.session.get(f"http://stackd{path}", headers={"Accept": accept}) as response:
        assert response.status == 200
        yield objects(response)


async def objects(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Json]]:
    async for line in response.content:
        found = json.loads(line)
        assert isinstance(found, dict)
        yield found


async def all_of(api: Api, path: str) -> list[dict[str, Json]]:
    """A stream that ends by itself."""
    async with followed(api, path) as lines:
        return [line async for line in lines]


async def test_the_history_is_read_from_an_exclusive_cursor() -> None:
    async with serving() as api:
        for number in range(1, 5):
            await api.control.note(f"thing {number}")
        assert [line["seq"] for line in await all_of(api, "/v1/events")] == [1, 2, 3, 4]
        assert [line["seq"] for line in await all_of(api, "/v1/events?from=2")] == [3, 4]
        assert await all_of(api, "/v1/events?from=now") == []
        assert (await all_of(api, "/v1/events?from=3"))[0] == {
            "seq": 4,
            "at": "2023-11-14T22:13:20.000Z",
            "stack": "blog",
            "service": "web",
            "type": "service.state",
            "message": "thing 4",
            "data": {"exit_code": 137},
        }


async def test_a_long_history_comes_whole() -> None:
    async with serving() as api:
        for number in range(1000):
            await api.control.note(f"thing {number}")
        assert [line["seq"] for line in await all_of(api, "/v1/events")] == list(range(1, 1001))


async def test_the_history_is_filtered_by_stack_and_by_family_of_types() -> None:
    async with serving(stack("blog"), stack("shop")) as api:
        await api.control.note("a", kind="container.exited")
        await api.control.note("b", kind="containers")
        assert [line["message"] for line in await all_of(api, "/v1/events?type=container")] == ["a"]
        assert [line["message"] for line in await all_of(api, "/v1/events?type=container.exited&stack=blog")] == ["a"]
        assert await all_of(api, "/v1/events?stack=shop") == []


@pytest.mark.parametrize("follow", ["", "&follow=1"])
async def test_an_event_type_that_cannot_be_is_refused_with_the_nearest_and_the_families(follow: str) -> None:
    async with serving() as api:
        answer = await api.get(f"/v1/events?type=contaner.exited{follow}")
        assert answer.error() == (400, "unknown_event_type")
        assert 'no event type "contaner.exited"; did you mean "container.exited"?' in str(answer.json)
        assert "operation" in str(answer.json["detail"])


@pytest.mark.parametrize("kind", ["container", "container.", "container.exited", "service.state", "definition.error"])
async def test_a_known_event_type_without_entries_is_an_empty_answer(kind: str) -> None:
    async with serving() as api:
        assert await all_of(api, f"/v1/events?type={kind}") == []


async def test_events_of_a_stack_that_never_was_are_refused_and_those_of_one_that_is_gone_are_not() -> None:
    async with serving(stack("shop")) as api:
        await api.control.note("a")
        assert [line["message"] for line in await all_of(api, "/v1/events?stack=blog")] == ["a"]
        answer = await api.get("/v1/events?stack=shap")
        assert answer.error() == (404, "no_such_stack")
        assert 'did you mean "shop"?' in str(answer.json)


def test_every_type_that_is_recorded_is_known() -> None:
    """A type is written where the history is added to; those with a variable part are in the table by their values."""
    package = Path(stackd.__file__).parent
    texts = [file.read_text() for folder in ("runtime", "source") for file in (package / folder).glob("*.py")]
    calls = [
        call
        for text in texts
        for call in re.findall(r"(?:history\.add|self\._add|Words)\((?=(.{0,200}))", text, re.DOTALL)
    ]
    found = {match[1] for call in calls if (match := re.search(r'(?<!f)"([a-z]+\.[a-z_]+)"', call))}
    assert found >= {"container.exited", "image.pulled", "host.storm"}
    assert found <= set(EVENT_TYPES)


async def test_a_follower_sees_what_happens_next_and_a_sign_of_life() -> None:
    async with serving(settings=QUICK) as api:
        await api.control.note("before")
        async with followed(api, "/v1/events?follow=1") as lines:
            assert await anext(lines) == {"type": "heartbeat", "seq": 1, "at": "2023-11-14T22:18:20.000Z"}
            await api.control.note("after")
            async for line in lines:
                if line["type"] != "heartbeat":
                    assert (line["seq"], line["message"]) == (2, "after")
                    break


async def test_a_follower_may_begin_with_everything_as_it_is() -> None:
    async with serving() as api:
        async with followed(api, "/v1/events?follow=1&snapshot=1") as lines:
            first = await anext(lines)
        assert first["type"] == "snapshot"
        assert isinstance(first["stacks"], list)
        assert len(first["stacks"]) == 1


async def test_people_read_the_history_as_text() -> None:
    async with serving() as api:
        await api.control.note("web exited 137\x1b[2J")
        answer = await api.get("/v1/events", Accept="text/plain")
        assert answer.text == "2023-11-14T22:13:20.000Z  blog/web          service.state         web exited 137 [2J\n"


@pytest.mark.parametrize("cursor", [1, 99])
async def test_a_cursor_that_leads_nowhere_is_gone_and_names_the_oldest(cursor: int) -> None:
    async with serving() as api:
        for _ in range(5):
            await api.control.note("x")
        api.control.forget(3)
        answer = await api.get(f"/v1/events?from={cursor}&follow=1")
        assert answer.error() == (410, "cursor_expired")
        oldest = answer.json["oldest"]
        assert oldest == 3
        assert [line["seq"] for line in await all_of(api, f"/v1/events?from={oldest}")] == [4, 5]


async def test_a_follower_whose_cursor_expires_is_told_from_where_it_lags() -> None:
    async with serving() as api:
        await api.control.note("one")
        async with followed(api, "/v1/events?follow=1&from=oldest") as lines:
            assert (await anext(lines))["seq"] == 1
            api.control.history.clear()
            api.control.forgotten = 7
            await api.control.say("wake")
            await api.control.note("eight")
            assert await anext(lines) == {"type": "lagged", "from": 1}
            assert [line async for line in lines] == []


async def test_more_followers_than_allowed_are_refused() -> None:
    async with serving(settings=replace(QUICK, max_followers=2)) as api:
        async with followed(api, "/v1/events?follow=1"), followed(api, "/v1/stacks/blog/logs?follow=1"):
            answer = await api.get("/v1/events?follow=1")
            assert answer.error() == (429, "too_many_followers")
            assert answer.headers["Retry-After"] == "10"
        await gone(api)
        assert (await api.get("/v1/events")).status == 200


async def gone(api: Api) -> None:
    """Wait until the server has noticed that every follower went away."""
    await eventually(lambda: not api.server.serving.followers)


async def test_a_hundred_aborted_followers_leave_nothing() -> None:
    async with serving(settings=replace(QUICK, max_followers=200)) as api:
        before = len(asyncio.all_tasks())
        openings = []
        for number in range(100):
            path = "/v1/events?follow=1" if number % 2 else "/v1/stacks/blog/logs?follow=1"
            reader, writer = await asyncio.open_unix_connection(str(api.path))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: stackd\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            openings.append(writer)
        assert api.server.serving.followers == 100
        for writer in openings:
            writer.transport.abort()
        await gone(api)
        await eventually(
            lambda: len(asyncio.all_tasks()) <= before and not api.control.log_open and not api.control.waiters
        )


async def test_a_client_that_does_not_read_is_closed_and_slows_nobody() -> None:
    async with serving(settings=replace(QUICK, stall=3.0)) as api:
        slow = await asyncio.to_thread(stalled_follower, str(api.path))
        try:
            for number in range(400):
                await api.control.note(f"{number} " + "x" * 4000)
            assert len(await all_of(api, "/v1/events")) == 400
            await gone(api)
            lines = (await asyncio.to_thread(read_all, slow)).splitlines()
        finally:
            slow.close()
        *sent, last = [found for found in map(parsed, lines) if found and found["type"] != "heartbeat"]
        seqs = [entry["seq"] for entry in sent]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) < 400
        assert (last["type"], last["from"]) == ("lagged", seqs[-1])


def parsed(line: bytes) -> dict[str, Json]:
    """A line of a raw answer; chunk sizes and headers are {}."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def stalled_follower(path: str) -> socket.socket:
    """A client that asks for everything to come and reads nothing."""
    client = socket.socket(socket.AF_UNIX)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(path)
    client.sendall(b"GET /v1/events?follow=1&from=oldest HTTP/1.1\r\nHost: stackd\r\n\r\n")
    return client


def read_all(client: socket.socket) -> bytes:
    client.settimeout(30)
    return b"".join(iter(lambda: client.recv(65536), b""))


async def test_the_end_of_serving_ends_streams_at_once() -> None:
    async with serving() as api, followed(api, "/v1/events?follow=1") as lines:
        async with asyncio.timeout(2):
            await api.server.stop()
        with pytest.raises((StopAsyncIteration, aiohttp.ClientError)):
            await anext(lines)


async def test_logs_come_by_service_with_their_instant() -> None:
    async with serving() as api:
        await api.control.say("hello")
        await api.control.say("a query", "db")
        lines = await all_of(api, "/v1/stacks/blog/logs?tail=10&since=2023-11-14T22:00:00Z&service=web&service=db")
        assert [(line["service"], line["text"]) for line in lines] == [("web", "hello"), ("db", "a query")]
        assert lines[0] == {
            "type": "log",
            "at": "2023-11-14T22:13:20.000Z",
            "service": "web",
            "number": 1,
            "container": "c" * 64,
            "stream": "stdout",
            "text": "hello",
        }
        query = api.control.queries[0]
        assert (query.tail, query.since, query.services, query.follow) == (10, NOON - 800, ("web", "db"), False)


async def test_logs_for_people_are_aligned() -> None:
    async with serving() as api:
        await api.control.say("hello")
        await api.control.say("a query", "db")
        text = (await api.get("/v1/stacks/blog/logs", Accept="text/plain")).text
        assert text == "web-1 | hello\ndb-1  | a query\n"
        stamped = (await api.get("/v1/stacks/blog/logs?timestamps=1", Accept="text/plain")).text
        assert stamped.startswith("web-1 | 2023-11-14T22:13:20.000Z hello\n")


async def test_followed_logs_go_on() -> None:
    async with serving() as api:
        await api.control.say("one")
        async with followed(api, "/v1/stacks/blog/logs?follow=1") as lines:
            assert (await anext(lines))["text"] == "one"
            await api.control.say("two")
            assert (await anext(lines))["text"] == "two"
        await gone(api)
        assert api.control.log_open == 0


async def test_quiet_logs_give_a_sign_of_life() -> None:
    async with serving(settings=QUICK) as api, followed(api, "/v1/stacks/blog/logs?follow=1") as lines:
        assert (await anext(lines))["type"] == "heartbeat"
        await api.control.say("late")
        async for line in lines:
            if line["type"] == "log":
                break


async def test_logs_without_an_engine_are_not_available_now() -> None:
    async with serving() as api:
        api.control.refuse = RequestError(503, "engine_unavailable", "the engine does not answer")
        answer = await api.get("/v1/stacks/blog/logs")
        assert answer.error() == (503, "engine_unavailable")
        assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize("query", ["tail=-1", "since=yesterday", "since=0.5", "since=1700000000", "since=2026-01-31",
                                   "since=2026-01-31T09:30:00", "follow=maybe", "tial=3"])  # fmt: skip
async def test_malformed_log_queries_are_refused(query: str) -> None:
    async with serving() as api:
        answer = await api.get(f"/v1/stacks/blog/logs?{query}")
        assert answer.error() == (400, "bad_query")
        assert "2026-01-31T09:30:00Z" in str(answer.json["detail"]) or "since" not in query
