"""The proxy passes on everything as it is, names every call, and breaks exactly what it is told to break."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from stackd.engine.probe import ping
from tests.proxy.calls import Call, named
from tests.proxy.proxy import Answer, Delay, Fault, Hook, Proxy, Reset, proxy

BROKEN = (aiohttp.ClientError, ConnectionError)


class Server:
    """An engine that notes what reaches it; `/events` goes on until `go_on` is set, `/build` says what it has read."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.bodies: list[bytes] = []
        self.go_on = asyncio.Event()
        self.first_piece = asyncio.Event()
        self.left_alone = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path_qs}")
        if request.path.endswith("/events"):
            return await self._events(request)
        if request.path.endswith("/build"):
            async for piece in request.content.iter_any():
                self.bodies.append(piece)
                self.first_piece.set()
        else:
            self.bodies.append(await request.read())
        return web.json_response({"Id": "made"}, status=201, headers={"Api-Version": "1.41"})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"n":1}\n')
        try:
            await self.go_on.wait()
        finally:
            self.left_alone.set()
        await response.write(b'{"n":2}\n')
        return response


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine")).start()
    yield made
    await runner.cleanup()


@pytest.fixture
async def between(tmp_path: Path, server: Server) -> AsyncIterator[Proxy]:
    with proxy(tmp_path / "proxy", tmp_path / "engine") as made:
        yield made


@pytest.fixture
async def client(between: Proxy) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(between.socket))
    async with aiohttp.ClientSession("http://engine", connector=connector) as made:
        yield made


def on(name: str, fault: Fault | None, seen: list[Call]) -> Hook:
    """A hook that answers `fault` to the calls of a name and notes them."""

    def hook(call: Call) -> Fault | None:
        if call.name != name:
            return None
        seen.append(call)
        return fault

    return hook


@pytest.mark.parametrize(
    ("method", "path", "query", "name", "target"),
    [
        ("POST", "/v1.41/containers/create", {"name": "a-1"}, "POST /containers/create", "a-1"),
        ("POST", "/containers/abc/start", {}, "POST /containers/{id}/start", "abc"),
        ("DELETE", "/v1.51/containers/abc", {"v": "1"}, "DELETE /containers/{id}", "abc"),
        ("GET", "/v1.41/containers/json", {"all": "1"}, "GET /containers/json", ""),
        ("GET", "/containers/abc/json", {}, "GET /containers/{id}/json", "abc"),
        ("POST", "/networks/n1/connect", {}, "POST /networks/{id}/connect", "n1"),
        ("GET", "/networks", {}, "GET /networks", ""),
        ("DELETE", "/volumes/a%2Fb", {}, "DELETE /volumes/{name}", "a/b"),
        ("GET", "/images/host:5000/a/b:1/json", {}, "GET /images/{name}/json", "host:5000/a/b:1"),
        ("POST", "/images/create", {"fromImage": "busybox"}, "POST /images/create", "busybox"),
        ("POST", "/v1.41/build", {"t": "app"}, "POST /build", "app"),
        ("GET", "/_ping", {}, "GET /_ping", ""),
    ],
)
def test_a_call_is_named_by_method_and_path_with_the_object_left_open(
    method: str, path: str, query: dict[str, str], name: str, target: str
) -> None:
    call = named(1, method, path, query)
    assert (call.name, call.target) == (name, target)


async def test_a_call_goes_through_as_it_is_and_is_recorded_with_its_answer(
    between: Proxy, server: Server, client: aiohttp.ClientSession
) -> None:
    async with client.post("/v1.41/containers/create?name=a%2Fb", data=b'{"Image":"x"}') as answer:
        assert (answer.status, await answer.json()) == (201, {"Id": "made"})
        assert answer.headers["Api-Version"] == "1.41"
    assert server.seen == ["POST /v1.41/containers/create?name=a/b"]
    assert server.bodies == [b'{"Image":"x"}']
    assert between.calls() == (Call(1, "POST /containers/create", "a/b", 201),)


async def test_a_stream_is_passed_on_piece_by_piece(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get("/events") as answer:
        assert await answer.content.readline() == b'{"n":1}\n'
        server.go_on.set()
        assert await answer.content.readline() == b'{"n":2}\n'
        assert await answer.content.readline() == b""


async def test_an_upload_is_passed_on_piece_by_piece(server: Server, client: aiohttp.ClientSession) -> None:
    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        await server.first_piece.wait()
        yield b"second"

    async with client.post("/build?t=app", data=upload()) as answer:
        assert answer.status == 201
        await answer.read()
    assert b"".join(server.bodies) == b"firstsecond"


async def test_a_client_that_goes_away_takes_its_request_with_it(server: Server, client: aiohttp.ClientSession) -> None:
    async with client.get("/events") as answer:
        await answer.content.readline()
        answer.close()
    await asyncio.wait_for(server.left_alone.wait(), 10)
    assert not server.go_on.is_set()


@pytest.mark.parametrize("fault", [Answer(500), Reset()])
async def test_a_fault_before_a_call_keeps_it_from_the_engine(
    between: Proxy, server: Server, client: aiohttp.ClientSession, fault: Fault
) -> None:
    seen: list[Call] = []
    between.before = on("POST /containers/{id}/start", fault, seen)
    if isinstance(fault, Answer):
        async with client.post("/containers/a/start") as answer:
            assert (answer.status, await answer.json()) == (500, {"message": "injected"})
    else:
        with pytest.raises(BROKEN):
            await client.post("/containers/a/start")
    assert server.seen == []
    assert [call.status for call in (*seen, *between.calls())] == [0, 0]
    await (await client.post("/containers/a/stop")).read()
    assert server.seen == ["POST /containers/a/stop"]


async def test_a_fault_after_a_call_keeps_only_the_answer_from_the_client(
    between: Proxy, server: Server, client: aiohttp.ClientSession
) -> None:
    seen: list[Call] = []
    between.after = on("POST /containers/{id}/start", Reset(), seen)
    with pytest.raises(BROKEN):
        await client.post("/containers/a/start")
    assert server.seen == ["POST /containers/a/start"]
    assert [call.status for call in seen] == [201]
    between.calm()
    assert (await client.post("/containers/a/start")).status == 201


async def test_a_call_that_hangs_holds_up_no_other(
    between: Proxy, server: Server, client: aiohttp.ClientSession
) -> None:
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(call: Call) -> Fault | None:
        if call.name != "POST /containers/{id}/start":
            return None
        loop.call_soon_threadsafe(arrived.set)
        return Delay(math.inf)

    between.before = hang
    hanging = asyncio.create_task(client.post("/containers/a/start"))
    await arrived.wait()
    async with client.get("/version") as answer:
        assert answer.status == 201
    assert (server.seen, hanging.done()) == (["GET /version"], False)
    assert between.reset_all() == 1
    with pytest.raises(BROKEN):
        await hanging


async def test_a_delayed_call_goes_on(between: Proxy, server: Server, client: aiohttp.ClientSession) -> None:
    between.before = on("GET /info", Delay(0.01), [])
    async with client.get("/info") as answer:
        assert answer.status == 201
    assert server.seen == ["GET /info"]


async def test_breaking_all_connections_ends_an_open_stream(between: Proxy, client: aiohttp.ClientSession) -> None:
    async with client.get("/events") as answer:
        await answer.content.readline()
        assert between.reset_all() == 1
        with pytest.raises(BROKEN):
            await answer.content.readline()


async def test_an_engine_that_is_not_there_is_a_connection_that_breaks(tmp_path: Path) -> None:
    with proxy(tmp_path / "proxy", tmp_path / "nothing") as made:
        assert not await ping(str(made.socket), 5)
    assert not await ping(str(tmp_path / "proxy"), 5)
