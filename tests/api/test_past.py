"""What the API tells of the past, and how it goes back to it: why, crashes, revisions, rollback, adopt, release."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from stackd.api import past
from stackd.errors import RequestError, Span
from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.override import OperationState, Override, OverrideKind, Verb
from stackd.model.record import Adoptable, WhyAnswer, WhyLink
from stackd.model.view import ServiceState
from tests.api.world import Api, serving
from tests.fake.control import stack
from tests.fake.past import NOON, applied, crashed

BLOG, WEB = StackName("blog"), ServiceName("web")
REASON = WhyAnswer(
    BLOG,
    WEB,
    ServiceState.BACKING_OFF,
    "it exits at once since its image was edited",
    (
        WhyLink("edit", "image: web:1 -> web:2", NOON - 60, Span("/srv/blog/compose.yaml", 4, 12)),
        WhyLink("call", "started blog-web-1", NOON - 58),
        WhyLink("waiting", "the third try is due", None),
    ),
    "it is started again in 4 s",
)


def remember(api: Api) -> None:
    """A past: two crashes of web, one of db, three revisions, projects beside stackd."""
    control = api.control
    control.reasons[WEB] = REASON
    control.bundles += [crashed(7), crashed(8, "db", code=1, oom=False), crashed(9, code=3, oom=False)]
    control.applied += [applied(1), applied(2, "web.image: web:1 -> web:2"), applied(3, "web.image: web:2 -> web:3")]
    control.diffs = {
        (3, None): ("--- 2", "+++ 3", "@@ -4 +4 @@", "-    image: web:2", "+    image: web:3"),
        (3, 1): ("--- 1", "+++ 3", "-    image: web:1", "+    image: web:3"),
    }
    shop = Adoptable(StackName("shop"), "/srv/shop", ("/srv/shop/compose.yaml",), (WEB,), 2, 1)
    control.projects += [shop, replace(shop, name=StackName("old"), obstacle="its folder /srv/old is gone")]


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/stacks/blog/services/web/why", past.WhyView),
        ("/v1/stacks/blog/services/web/crashes", past.CrashesView),
        ("/v1/stacks/blog/services/web/crashes/7", past.BundleView),
        ("/v1/stacks/blog/crashes", past.CrashesView),
        ("/v1/stacks/blog/revisions", past.RevisionsView),
        ("/v1/stacks/blog/revisions/3", past.WholeRevisionView),
        ("/v1/stacks/blog/revisions/3/diff?against=1", past.DiffView),
        ("/v1/adoptable", past.AdoptablesView),
    ],
)
async def test_the_past_has_the_shape_that_its_schema_tells_and_an_etag(path: str, shape: type) -> None:
    async with serving() as api:
        remember(api)
        answer = await api.get(path)
        assert answer.status == 200, answer.text
        TypeAdapter(shape).validate_json(answer.text, strict=True, extra="forbid")
        assert (await api.get(path, If_None_Match=answer.headers["ETag"])).status == 304
        people = await api.get(path, Accept="text/plain")
        assert people.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "\x1b" not in people.text


async def test_why_tells_the_chain_with_times_and_places() -> None:
    async with serving() as api:
        remember(api)
        text = (await api.get("/v1/stacks/blog/services/web/why", Accept="text/plain")).text
        assert text.splitlines() == [
            "web: it exits at once since its image was edited",
            "  2023-11-14T22:12:20Z  edit     image: web:1 -> web:2 (/srv/blog/compose.yaml:4:12)",
            "  2023-11-14T22:12:22Z  call     started blog-web-1",
            "  now                   waiting  the third try is due",
            "next: it is started again in 4 s",
        ]


async def test_crashes_are_told_newest_first_of_a_service_or_of_all() -> None:
    async with serving() as api:
        remember(api)
        text = (await api.get("/v1/stacks/blog/crashes", Accept="text/plain")).text
        assert text.splitlines() == [
            "ID  WHEN    SERVICE  EXIT  KILLED                  CAUSE",
            "9   5m ago  web      3                             exited 3",
            "8   5m ago  db       1                             exited 1",
            "7   5m ago  web      137   SIGKILL, out of memory  exited 137, out of memory",
        ]
        listed = TypeAdapter(past.CrashesView).validate_json(
            (await api.get("/v1/stacks/blog/services/web/crashes")).text
        )
        assert [entry["id"] for entry in listed["crashes"]] == [9, 7]


async def test_a_crash_is_told_with_its_evidence() -> None:
    async with serving() as api:
        remember(api)
        text = (await api.get("/v1/stacks/blog/services/web/crashes/7", Accept="text/plain")).text
        assert text.splitlines() == [
            "crash 7 of blog/web: exited 137, out of memory",
            "ended: 2023-11-14T22:13:20Z, exit code 137 (SIGKILL, out of memory); it ran since 2023-11-14T22:12:20Z",
            "container: blog-web-1 (cccccccccccc); image: web:1 (123412341234), revision 3",
            "",
            "changed since it last ran well (2023-11-14T22:03:20Z):",
            "  mem_limit: 512m -> 64m (/srv/blog/compose.yaml:9:5)",
            "",
            "health checks:",
            "  2023-11-14T22:13:15Z  exit 1  connection refused",
            "",
            "its last 2 lines:",
            "  allocating",
            "   [31mgiving up",
            "not known: the state that the engine kept of it",
        ]


async def test_the_crashes_of_a_service_that_was_edited_away_are_still_told() -> None:
    async with serving() as api:
        api.control.bundles.append(crashed(4, "worker"))
        assert (await api.get("/v1/stacks/blog/services/worker/crashes/4")).json["id"] == 4
        assert (await api.get("/v1/stacks/blog/services/wev/crashes")).error() == (404, "no_such_service")


@pytest.mark.parametrize(
    ("path", "code", "hint"),
    [
        ("/v1/stacks/blog/services/wev/why", "no_such_service", 'did you mean "web"?'),
        ("/v1/stacks/blob/crashes", "no_such_stack", 'did you mean "blog"?'),
        ("/v1/stacks/blog/services/web/crashes/8", "no_such_crash", "kept: 9, 7"),
        ("/v1/stacks/blog/services/web/crashes/x", "no_such_crash", "kept: 9, 7"),
        ("/v1/stacks/blog/revisions/4", "no_such_revision", "kept: 3, 2, 1"),
        ("/v1/stacks/blog/revisions/3/diff?against=9", "no_such_revision", "9"),
    ],
)
async def test_what_of_the_past_is_not_kept_is_a_404_that_names_what_is(path: str, code: str, hint: str) -> None:
    async with serving() as api:
        remember(api)
        answer = await api.get(path)
        assert answer.error() == (404, code)
        assert hint in str(answer.json["detail"])


async def test_a_revision_that_failed_says_so() -> None:
    async with serving() as api:
        remember(api)
        api.control.applied[1] = replace(api.control.applied[1], failed=True)
        listed = (await api.get("/v1/stacks/blog/revisions")).json["revisions"]
        assert isinstance(listed, list)
        assert [one["failed"] for one in listed if isinstance(one, dict)] == [False, True, False]
        table = (await api.get("/v1/stacks/blog/revisions", Accept="text/plain")).text
        assert [line.split()[0] for line in table.splitlines() if " failed " in line] == ["2"]


async def test_the_newest_revision_is_the_current_one_unless_another_is_pinned() -> None:
    async with serving() as api:
        remember(api)
        text = (await api.get("/v1/stacks/blog/revisions", Accept="text/plain")).text
        assert text.splitlines()[:3] == [
            "REVISION  WHEN    NOW      SERVICES  CHANGES",
            "3         2m ago  current  db, web   web.image: web:2 -> web:3",
            "2         3m ago           db, web   web.image: web:1 -> web:2",
        ]
        pin = Override(BLOG, None, OverrideKind.PINNED, "", "me", NOON, value=2)
        api.control.put(replace(stack(), overrides=(pin,)))
        listed = TypeAdapter(past.RevisionsView).validate_json((await api.get("/v1/stacks/blog/revisions")).text)
        marks = {entry["number"]: (entry["current"], entry["pinned"]) for entry in listed["revisions"]}
        assert marks == {3: (False, False), 2: (True, True), 1: (False, False)}


async def test_a_revision_shows_its_definition_and_never_its_files() -> None:
    async with serving() as api:
        api.control.applied.append(replace(applied(1), revision="aHVudGVyMg=="))
        answer = await api.get("/v1/stacks/blog/revisions/1")
        assert answer.json["resolved"] == "name: blog\nservices:\n  web:\n    image: web:1\n"
        assert "aHVudGVyMg==" not in answer.text
        people = await api.get("/v1/stacks/blog/revisions/1", Accept="text/plain")
        assert people.text == "name: blog\nservices:\n  web:\n    image: web:1\n"


async def test_a_diff_is_against_the_revision_before_or_another() -> None:
    async with serving() as api:
        remember(api)
        path = "/v1/stacks/blog/revisions/3/diff"
        assert "-    image: web:2\n" in (await api.get(path, Accept="text/plain")).text
        assert "-    image: web:1\n" in (await api.get(f"{path}?against=1", Accept="text/plain")).text
        assert (await api.get(f"{path}?against=0")).error() == (400, "bad_query")


async def test_a_rollback_is_an_operation_that_pins_a_revision() -> None:
    async with serving() as api:
        remember(api)
        asked = asyncio.create_task(api.post("/v1/stacks/blog/rollback?wait=30", '{"revision": 1}'))
        await api.control.until(lambda: bool(api.control.kept))
        await api.control.finish(OperationId("op-1"), OperationState.SUCCEEDED)
        answer = await asked
        assert (answer.status, answer.json["verb"]) == (200, "rollback")
        assert [(one.kind, one.value) for one in api.control.stacks()[0].overrides] == [(OverrideKind.PINNED, 1)]
        text = (await api.get("/v1/stacks/blog", Accept="text/plain")).text
        assert "  the stack is pinned to revision 1 by uid" in text


async def test_a_rollback_goes_to_the_revision_before_when_none_is_named() -> None:
    async with serving() as api:
        assert (await api.post("/v1/stacks/blog/rollback")).error() == (409, "no_earlier_revision")
        remember(api)
        assert (await api.post("/v1/stacks/blog/rollback", '{"revision": 9}')).error() == (404, "no_such_revision")
        assert (await api.post("/v1/stacks/blog/rollback", '{"revision": 0}')).error() == (400, "bad_body")
        assert (await api.post("/v1/stacks/blog/rollback")).status == 202
        assert api.control.stacks()[0].overrides[0].value == 2


async def test_what_can_be_adopted_is_listed_with_what_stands_against_it() -> None:
    async with serving() as api:
        remember(api)
        text = (await api.get("/v1/adoptable", Accept="text/plain")).text
        assert text.splitlines() == [
            "PROJECT  RUNNING  SERVICES  FOLDER     OBSTACLE",
            "shop     1/2      web       /srv/shop",
            "old      1/2      web       /srv/shop  its folder /srv/old is gone",
        ]
        api.control.refuse = RequestError(503, "engine_unavailable", "the engine does not answer")
        assert (await api.get("/v1/adoptable")).error() == (503, "engine_unavailable")


async def test_a_project_that_is_no_stack_yet_can_be_adopted() -> None:
    async with serving() as api:
        remember(api)
        answer = await api.post("/v1/stacks/shop/adopt")
        assert (answer.status, answer.json["verb"], answer.json["stack"]) == (202, "adopt", "shop")
        assert (await api.post("/v1/stacks/old/adopt")).error() == (409, "not_adoptable")
        assert (await api.post("/v1/stacks/none/adopt")).error() == (404, "not_adoptable")


async def test_a_stack_can_be_released_and_adopted_again() -> None:
    async with serving() as api:
        assert (await api.post("/v1/stacks/blog/release?wait=0.01")).status == 202
        assert api.control.stacks()[0].overrides[0].kind is OverrideKind.RELEASED
        assert (await api.post("/v1/stacks/blog/adopt?wait=0.01")).status == 202
        assert not api.control.stacks()[0].overrides
        assert [entry.request.verb for entry in api.control.operations()] == [Verb.ADOPT, Verb.RELEASE]
        assert (await api.post("/v1/stacks/blob/release")).error() == (404, "no_such_stack")


async def test_a_rollback_is_released_by_its_own_name_only() -> None:
    async with serving() as api:
        remember(api)
        assert (await api.post("/v1/stacks/blog/rollback", '{"revision": 1}')).status == 202
        path = "/v1/stacks/blog/override"
        assert (await api.ask("DELETE", path)).json == {"changed": False, "detail": ""}
        assert (await api.ask("DELETE", f"{path}?kind=held")).json == {"changed": False, "detail": ""}
        assert (await api.ask("DELETE", f"{path}?kind=pinned")).json == {"changed": True, "detail": ""}
        assert (await api.ask("DELETE", f"{path}?kind=frozen")).error() == (400, "bad_query")


@pytest.mark.parametrize("uid_of", ["owner", "other"])
async def test_values_are_given_to_the_daemons_own_user_only(uid_of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as api:
        remember(api)
        if uid_of == "other":
            monkeypatch.setattr("stackd.api.recall.os.geteuid", lambda: 4242)
            monkeypatch.setattr("stackd.api.recall.ROOT", 4243)
        for path in ("services/web/why?values=1", "revisions/3/diff?values=1"):
            answer = await api.get(f"/v1/stacks/blog/{path}")
            if uid_of == "owner":
                assert answer.status == 200
            else:
                assert answer.error() == (403, "values_not_permitted")
        assert api.control.asked_values == ([True] if uid_of == "owner" else [])
        assert (await api.get("/v1/stacks/blog/services/web/why")).json["headline"] == REASON.headline
