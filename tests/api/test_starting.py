"""Before the files have been read once: what says nothing of them is answered, the rest waits, for a while."""

from __future__ import annotations

import asyncio

import pytest

from stackd.api.routes import TABLE, Route
from stackd.api.serving import Settings
from tests.api.world import Api, serving

SOON = Settings(start_time=0.02)
UNREAD = "reading /srv/stacks/nfs, 3 of 12 folders are read"
EARLY = {
    "/livez", "/readyz", "/v1/version", "/v1/openapi.json",
    "/v1/operations", "/v1/operations/{operation}", "/v1/events",
}  # fmt: skip


def of(route: Route) -> str:
    """A path of a route, whose parameters are wrong by nothing but what is not there."""
    path = route.path.format(stack="blog", service="web", operation="op-1", number="1", crash="1")
    return path + ("?for=running" if path.endswith("/wait") else "")


async def ask(api: Api, route: Route) -> tuple[int, object]:
    body = '{"kind": "held"}' if route.path.endswith("/override") and route.method == "PUT" else None
    answer = await api.ask(route.method, of(route), data=body)
    if answer.status == 503:
        assert answer.headers["Retry-After"] == "5"
        assert UNREAD in str(answer.json["detail"])
        return answer.error()
    return answer.status, None


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
async def test_what_the_files_tell_is_not_answered_before_they_are_read(route: Route) -> None:
    async with serving(settings=SOON) as api:
        api.control.unread = UNREAD
        found = await ask(api, route)
        assert (found == (503, "starting")) is (route.path not in EARLY)
        assert not api.control.kept
        assert not api.control.scans


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/stacks"), ("POST", "/v1/stacks/blog/services/web/stop")])
async def test_a_request_that_comes_too_early_is_answered_when_they_are_read(method: str, path: str) -> None:
    async with serving() as api:
        api.control.unread = UNREAD
        asked = asyncio.create_task(api.ask(method, path))
        await api.control.until(lambda: api.control.waiters == 1)
        await api.control.begun()
        assert (await asked).status in (200, 202)


async def test_a_wrong_request_is_refused_at_once() -> None:
    async with serving(settings=Settings(start_time=600)) as api:
        api.control.unread = UNREAD
        assert (await api.get("/v1/stacks?nonsense=1")).error() == (400, "bad_query")
        assert (await api.post("/v1/stacks/blog/up", "{")).error() == (400, "bad_body")


async def test_a_snapshot_of_all_stacks_waits_and_the_history_does_not() -> None:
    async with serving(settings=SOON) as api:
        api.control.unread = UNREAD
        assert (await api.get("/v1/events?snapshot=1")).error() == (503, "starting")
        assert (await api.get("/v1/events")).status == 200


async def test_the_end_of_serving_ends_the_waiting() -> None:
    async with serving(settings=Settings(start_time=600)) as api:
        api.control.unread = UNREAD
        asked = asyncio.create_task(api.get("/v1/stacks"))
        await api.control.until(lambda: api.control.waiters == 1)
        await api.server.stop()
        assert (await asked).error() == (503, "shutting_down")
