"""A web page that reaches a forwarded socket gets nothing; programs are not disturbed."""

from __future__ import annotations

import pytest

from tests.api.world import serving


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", ""),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "none"),
        ("Host", "evil.example"),
        ("Host", "evil.example:8080"),
        ("Host", "stackd.localhost"),
        ("Host", "127.0.0.1.nip.example:80"),
        ("Host", "[127.0.0.1.evil]"),
    ],
)
async def test_what_only_a_browser_sends_is_refused_before_anything_is_done(header: str, value: str) -> None:
    async with serving() as api:
        for method, path in (("GET", "/v1/stacks"), ("GET", "/livez"), ("POST", "/v1/stacks/blog/down")):
            answer = await api.ask(method, path, headers={header: value})
            assert answer.error() == (403, "browser_not_allowed")
            assert f"the header {header}: {value}" in str(answer.json["detail"])
            assert "Host: stackd" in str(answer.json["detail"])
        assert not api.control.kept


@pytest.mark.parametrize(
    "host", ["stackd", "localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]:80", "[::ffff:1.2.3.4]"]
)
async def test_a_program_is_answered(host: str) -> None:
    async with serving() as api:
        assert (await api.get("/v1/stacks", Host=host)).status == 200


@pytest.mark.parametrize(
    "media", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "application/jsonp", ""]
)
async def test_a_body_that_is_not_json_by_its_media_type_is_refused(media: str) -> None:
    async with serving() as api:
        for path in ("/v1/stacks/blog/stop", "/v1/stacks/blog/adopt", "/v1/rescan"):
            answer = await api.ask("POST", path, data="{}", headers={"Content-Type": media})
            assert answer.error() == (415, "not_json")
            assert "-H 'Content-Type: application/json'" in str(answer.json["detail"])
        assert (len(api.control.kept), api.control.scans) == (0, 0)


@pytest.mark.parametrize("media", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_taken(media: str) -> None:
    async with serving() as api:
        answer = await api.ask(
            "POST", "/v1/stacks/blog/stop", data='{"services": ["web"]}', headers={"Content-Type": media}
        )
        assert answer.json["services"] == ["web"]


async def test_a_post_without_a_body_needs_no_media_type() -> None:
    async with serving() as api:
        assert (await api.post("/v1/stacks/blog/stop")).status == 202
        form = {"Content-Type": "application/x-www-form-urlencoded"}  # curl -d ''
        assert (await api.ask("POST", "/v1/stacks/blog/stop", data="", headers=form)).status == 202


async def test_the_description_says_who_may_ask_and_what_a_body_is() -> None:
    async with serving() as api:
        text = (await api.get("/v1/openapi.json")).text
        for word in ("browser_not_allowed", "application/json", "Sec-Fetch-Site", "--json"):
            assert word in text
