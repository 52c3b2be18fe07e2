"""Connections that idle, stall, break off, talk nonsense or are too many: bounded, and one line of the log for all."""

from __future__ import annotations

import asyncio
import errno
import gzip
import logging
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stackd.api import connections, serving
from stackd.api.serving import Settings
from tests.api.world import Api, eventually
from tests.api.world import serving as served
from tests.fake.control import service, stack

UP = "/v1/stacks/blog/up"
GET = b"GET /livez HTTP/1.1\r\nHost: stackd\r\n\r\n"
FOLLOW = b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: stackd\r\n\r\n"


class Raw:
    """A client that writes and reads bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def status(self) -> bytes:
        """The status line of the next answer."""
        return (await self.reader.readline()).strip()

    async def until(self, wanted: bytes) -> bytes:
        """What comes up to `wanted`."""
        return await self.reader.readuntil(wanted)

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


@asynccontextmanager
async def raw(api: Api) -> AsyncIterator[Raw]:
    """A connection, closed at the end."""
    reader, writer = await asyncio.open_unix_connection(api.path)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


def post(body: bytes, encoding: str, path: str = UP) -> bytes:
    """A request with an encoded body."""
    head = f"POST {path} HTTP/1.1\r\nHost: stackd\r\nContent-Type: application/json\r\nContent-Encoding: {encoding}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def loud(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What an operator would see: warnings and worse, of anybody."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


NOT_ENCODED = [
    post(b"hello, hello", "gzip"),
    post(b"hello, hello", "deflate"),
    post(gzip.compress(b"{}")[:5], "gzip"),
    post(gzip.compress(b'{"services": []}')[:14] + b"\xff\xff\xff", "gzip"),
    post(zlib.compress(b" " * 500)[:-6], "deflate"),
]


@pytest.mark.parametrize("request_", NOT_ENCODED)
async def test_a_body_that_is_not_encoded_as_it_says_is_malformed(
    caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    async with served() as api, raw(api) as client:
        client.send(request_)
        assert b" 400 " in await client.status()
        assert not api.control.kept
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_small_body_that_becomes_a_large_one_is_too_large() -> None:
    async with served() as api, raw(api) as client:
        client.send(post(gzip.compress(b" " * 50_000_000), "gzip"))
        assert b" 413 " in await client.status()


async def test_a_body_that_is_well_encoded_is_read() -> None:
    async with served() as api, raw(api) as client:
        client.send(post(gzip.compress(b'{"services": ["web"]}'), "gzip"))
        assert b" 202 " in await client.status()


NOT_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET\r\n\r\n",
    b"G@T / HTTP/1.1\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization hunter2\r\n\r\n",
    b"POST /v1/rescan HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
]


@pytest.mark.parametrize("nonsense", NOT_HTTP)
async def test_what_is_not_http_is_answered_with_a_problem(caplog: pytest.LogCaptureFixture, nonsense: bytes) -> None:
    async with served() as api, raw(api) as client:
        client.send(nonsense)
        answer = await client.rest()
    assert answer.split(None, 2)[1] == b"400"
    assert b"application/problem+json" in answer
    assert b'"malformed_request"' in answer
    assert "hunter2" not in caplog.text


async def test_a_thousand_malformed_requests_write_two_lines_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bodies = [post(b"hello, hello", "gzip", "/v1/rescan"), *NOT_ENCODED, *NOT_HTTP]
    async with served() as api:
        for number in range(1000):
            async with raw(api) as client:
                client.send(bodies[number % len(bodies)])
                await client.status()
    assert len(loud(caplog)) == 2
    assert "malformed request: from " in loud(caplog)[0]
    assert "more since the line before" in loud(caplog)[1]
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_client_that_goes_before_its_answer_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as api:
        for _ in range(20):
            async with raw(api) as client:
                client.send(GET * 20)
        async with raw(api) as client:
            client.send(FOLLOW)
            await client.until(b"\r\n\r\n")
        await eventually(lambda: api.server.serving.followers == 0)
    assert not loud(caplog)


@pytest.mark.parametrize("begun", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: stackd\r\n"])
async def test_a_connection_without_a_whole_head_is_closed(begun: bytes) -> None:
    async with served(settings=Settings(idle=0.05)) as api, raw(api) as client:
        client.send(begun)
        assert await client.rest() == b""


async def test_a_connection_that_idles_after_its_answer_is_closed() -> None:
    async with served(settings=Settings(idle=0.05)) as api, raw(api) as client:
        client.send(GET)
        assert (await client.rest()).count(b"HTTP/1.1 200 OK") == 1


async def test_a_stream_is_not_idle() -> None:
    async with served(settings=Settings(idle=0.01, heartbeat=0.03)) as api, raw(api) as client:
        client.send(FOLLOW)
        for _ in range(5):
            await client.until(b'"heartbeat"')


async def test_a_request_that_waits_is_not_idle() -> None:
    async with served(settings=Settings(idle=0.01)) as api, raw(api) as client:
        client.send(b"POST /v1/stacks/blog/up?wait=0.1 HTTP/1.1\r\nHost: stackd\r\n\r\n")
        assert b" 202 " in await client.status()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with served(settings=Settings(body_time=0.05)) as api, raw(api) as client:
        head = f"POST {UP} HTTP/1.1\r\nHost: stackd\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        client.send(head.encode() + b'{"ser')
        assert b" 408 " in await client.status()
        assert not api.control.kept


async def test_the_rest_of_a_body_that_nobody_reads_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER", 0.05)
    async with served() as api, raw(api) as client:
        head = (
            b"POST /v1/rescan HTTP/1.1\r\nHost: stackd\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        )
        client.send(head + b'{"ser')
        async with asyncio.timeout(5):
            assert (await client.rest()).startswith(b"HTTP/1.1 200")


async def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    many = [service(f"s{number}") for number in range(3000)]
    async with served(stack("blog", *many), settings=Settings(stall=0.05)) as api:
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.setblocking(False)
            deaf.connect(str(api.path))
            deaf.send(b"GET /v1/stacks HTTP/1.1\r\nHost: stackd\r\n\r\n")
            await eventually(lambda: api.server.connections == 1)
            await eventually(lambda: api.server.connections == 0)


async def test_the_connection_that_has_idled_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLES", 0.01)
    async with served(settings=Settings(max_connections=2)) as api, raw(api) as first, raw(api) as second:
        first.send(FOLLOW)
        await first.until(b"\r\n\r\n")
        second.send(GET)
        assert b" 200 " in await second.status()
        async with raw(api) as third:
            third.send(GET)
            assert b" 200 " in await third.status()
        await second.rest()
        assert api.server.serving.followers == 1


async def test_when_all_connections_are_busy_the_next_one_waits_for_its_turn(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(max_connections=2, heartbeat=0.02)
    async with served(settings=settings) as api, raw(api) as one, raw(api) as two:
        for client in (one, two):
            client.send(FOLLOW)
            await client.until(b"\r\n\r\n")
        async with raw(api) as late:
            late.send(GET)
            await eventually(lambda: bool(loud(caplog)))
            await one.until(b'"heartbeat"')
            assert api.server.connections == 2
            two.writer.close()
            assert b" 200 " in await late.status()
    assert loud(caplog) == ["all 2 connections are in use; others wait until one of them ends"]


async def test_connections_that_cannot_be_accepted_write_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    accept, left = loop.sock_accept, list(range(50))

    async def flooded(listening: socket.socket) -> object:
        if left:
            left.pop()
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listening)

    monkeypatch.setattr(connections, "ACCEPT_RETRY", 0)
    monkeypatch.setattr(loop, "sock_accept", flooded)
    async with served() as api:
        assert (await api.get("/livez")).status == 200
    assert not left
    assert "cannot accept a connection: Too many open files" in loud(caplog)[0]
    assert len(loud(caplog)) == 2  # the second at the end, with the number of the others


@pytest.mark.parametrize(("allowed", "most"), [(1024, 256), (256, 64), (1_000_000, 256), (16, 8)])
def test_connections_leave_most_descriptors_to_stackd(monkeypatch: pytest.MonkeyPatch, allowed: int, most: int) -> None:
    monkeypatch.setattr(serving, "open_files", lambda: allowed)
    assert Settings().max_connections == most


def test_the_unit_sets_the_limit_of_open_files() -> None:
    unit = (Path(__file__).parents[2] / "systemd" / "stackd.service").read_text()
    assert "\nLimitNOFILE=16384\n" in unit
