"""What the API answers to those who only look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from stackd.api import schemas
from stackd.errors import Diagnostic, Severity, Span
from stackd.model.ids import ServiceName, StackName
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import FieldChange, Why
from stackd.model.status import PlanStatus, StackState, StepStatus
from stackd.model.view import ServiceState
from tests.api.world import serving
from tests.fake.control import NOON, WELL, service, stack


async def test_livez_answers_even_when_nothing_works() -> None:
    async with serving() as api:
        api.control.ready = replace(WELL, engine="not reachable")
        assert (await api.get("/livez")).json == {"alive": True}


async def test_readyz_names_what_is_stale() -> None:
    async with serving() as api:
        assert (await api.get("/readyz")).json["ready"] is True
        api.control.ready = replace(WELL, engine="not reachable for 12 s", watcher="lost /srv")
        answer = await api.get("/readyz")
        assert answer.error() == (503, "not_ready")
        assert answer.headers["Retry-After"] == "5"
        assert answer.json["detail"] == "engine: not reachable for 12 s; watcher: lost /srv"


async def test_version_tells_who_answers() -> None:
    async with serving() as api:
        answer = await api.get("/v1/version")
        assert answer.json == {
            "stackd": "0.1.0",
            "engine": "28.0.1",
            "engine_api": "1.48",
            "instance": "default",
            "pid": 4242,
            "stacks_dirs": ["/srv"],
        }


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/stacks", schemas.StacksView),
        ("/v1/stacks/blog", schemas.StackView),
        ("/v1/stacks/blog/services/web", schemas.ServiceView),
        ("/v1/stacks/blog/plan", schemas.PlanView),
        ("/v1/stacks/blog/definition", schemas.DefinitionView),
        ("/v1/stacks/blog/override", schemas.OverridesView),
        ("/v1/stacks/blog/services/web/override", schemas.OverridesView),
        ("/v1/operations", schemas.OperationsView),
        ("/v1/version", schemas.VersionView),
        ("/readyz", schemas.ReadyView),
    ],
)
async def test_an_answer_has_the_shape_that_its_schema_tells(path: str, shape: type) -> None:
    async with serving() as api:
        answer = await api.get(path)
        assert answer.status == 200
        TypeAdapter(shape).validate_json(answer.text, strict=True, extra="forbid")


async def test_an_etag_that_the_client_has_is_answered_with_304() -> None:
    async with serving() as api:
        first = await api.get("/v1/stacks/blog")
        again = await api.get("/v1/stacks/blog", If_None_Match=first.headers["ETag"])
        assert (again.status, again.text) == (304, "")
        api.control.put(stack("blog", state=StackState.DEGRADED))
        changed = await api.get("/v1/stacks/blog", If_None_Match=first.headers["ETag"])
        assert changed.status == 200
        assert changed.headers["ETag"] != first.headers["ETag"]


async def test_instants_are_rfc_3339_in_utc() -> None:
    async with serving() as api:
        text = (await api.get("/v1/stacks/blog")).text
        assert '"started_at":"2023-11-14T22:13:20.000Z"' in text


async def test_people_get_a_table() -> None:
    async with serving() as api:
        answer = await api.get("/v1/stacks", Accept="text/plain")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.text == "STACK  STATE    SERVICES\nblog   running  2/2\n"
        stack_text = (await api.get("/v1/stacks/blog", Accept="text/plain")).text
        assert "web      running  1/1  5m     0.0.0.0:8080->80/tcp" in stack_text
        assert "policy" not in (await api.get("/v1/stacks/blog/services/web", Accept="text/plain")).text


async def test_people_see_when_the_next_try_is() -> None:
    failing = service("web", ServiceState.BACKING_OFF, detail="exited 3", up=0)
    curve = replace(failing.restart, attempt=4, next_at=NOON + 307.5)
    async with serving(stack("blog", replace(failing, restart=curve))) as api:
        text = (await api.get("/v1/stacks/blog", Accept="text/plain")).text
        assert "web      backing_off  0/1  exited 3; failure 4, next try in 8s\n" in text


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/plain;q=0.1, application/json", "text/html"])
async def test_programs_get_json(accept: str) -> None:
    async with serving() as api:
        assert (await api.get("/v1/stacks", Accept=accept)).headers["Content-Type"] == "application/json"


async def test_findings_are_shown_with_their_place() -> None:
    async with serving() as api:
        found = Diagnostic(
            "bad-port",
            '"80:80:80:80" is not HOST:CONTAINER[/PROTO]',
            Span("/srv/blog/compose.yaml", 14, 9),
            Severity.ERROR,
            "services.web.ports.0",
            "quote it",
        )
        api.control.put(replace(stack(), diagnostics=(found,)))
        body = (await api.get("/v1/stacks/blog/definition")).json
        assert body["diagnostics"] == [
            {
                "severity": "error",
                "code": "bad-port",
                "message": '"80:80:80:80" is not HOST:CONTAINER[/PROTO]',
                "file": "/srv/blog/compose.yaml",
                "line": 14,
                "column": 9,
                "pointer": "services.web.ports.0",
                "hint": "quote it",
            }
        ]
        text = (await api.get("/v1/stacks", Accept="text/plain")).text
        assert "the last good definition stays in force" in text
        assert '/srv/blog/compose.yaml:14:9: error[bad-port]: "80:80:80:80" is not HOST' in text


async def test_a_plan_tells_why_and_what_it_waits_for() -> None:
    async with serving() as api:
        change = FieldChange("environment.X", "1", "2", Span("compose.yaml", 14, 7))
        step = StepStatus(
            "create",
            ServiceName("web"),
            "blog-web-1",
            Why.CONFIG_CHANGED,
            "edited",
            (change,),
            ("waiting for db",),
            False,
            "",
        )
        api.control.plans[StackName("blog")] = PlanStatus(StackName("blog"), (step,), "restarts 1 of 2")
        text = (await api.get("/v1/stacks/blog/plan", Accept="text/plain")).text
        assert text.splitlines() == [
            "blog: 1 step, restarts 1 of 2",
            "  ACTION  WHAT        NOW             WHY",
            "  create  blog-web-1  waiting for db  edited: environment.X: 1 -> 2 (compose.yaml:14:7)",
        ]
        steps = (await api.get("/v1/stacks/blog/plan")).json["steps"]
        assert isinstance(steps, list)
        assert isinstance(steps[0], dict)
        assert steps[0]["why"] == "config_changed"


@pytest.mark.parametrize(
    "path", ["/v1/stacks", "/v1/stacks/blog", "/livez", "/v1/events?follow=1", "/v1/stacks/blog/logs?follow=1"]
)
async def test_head_is_answered_like_get_without_a_body(path: str) -> None:
    async with serving() as api:
        head = await api.ask("HEAD", path)
        assert (head.status, head.text) == (200, "")
        if "follow" not in path:
            get = await api.get(path)
            assert {name: head.headers[name] for name in ("ETag", "Content-Type", "Content-Length")} == {
                name: get.headers[name] for name in ("ETag", "Content-Type", "Content-Length")
            }
        assert (await api.ask("HEAD", "/v1/stacks/blob")).status == 404
        assert (await api.ask("HEAD", "/v1/stacks/blog/up")).status == 405


@pytest.mark.parametrize("state", [StackState.LOADING, StackState.INVALID, StackState.FAILED])
async def test_an_empty_plan_of_a_stack_not_decided_on_does_not_say_that_all_is_done(state: StackState) -> None:
    async with serving(replace(stack(state=state), detail="not looked at yet")) as api:
        text = (await api.get("/v1/stacks/blog/plan", Accept="text/plain")).text
        assert text == f"blog: not known yet: the stack is {state} (not looked at yet)\n"
        assert (await api.get("/v1/stacks/blog/plan")).json["state"] == state


async def test_an_empty_plan_of_a_stack_that_waits_for_a_person_says_for_what_and_counts_as_no_run() -> None:
    why = "this was ren, which still runs; `stackd up blog` replaces it"
    async with serving(replace(stack(state=StackState.FROZEN), services=(), detail=why)) as api:
        text = (await api.get("/v1/stacks/blog/plan", Accept="text/plain")).text
        assert text == f"blog: nothing until you say so: {why}\n"
        assert (await api.get("/v1/stacks/blog/wait?for=running")).status == 409


async def test_a_long_reason_goes_on_below_itself_and_hides_nothing() -> None:
    reason = " ".join(f"word{number}" for number in range(60))
    async with serving(stack("blog", service("web", ServiceState.BLOCKED, detail=reason))) as api:
        lines = (await api.get("/v1/stacks/blog", Accept="text/plain")).text.splitlines()
        assert max(map(len, lines)) < 160
        assert " ".join(" ".join(lines).split()).count(reason.split()[-1]) == 1
        at = next(line.index("word0") for line in lines if "word0" in line)
        shown = [line[at:] for line in lines if "word" in line]
        assert " ".join(shown) == reason


async def test_a_stack_that_never_was_good_shows_each_error_once() -> None:
    found = Diagnostic("bad-port", "found x, want y", Span("/srv/blog/compose.yaml", 3, 5), Severity.ERROR)
    broken = replace(
        stack(state=StackState.INVALID), generation=0, detail=str(found), diagnostics=(found,), services=()
    )
    async with serving(broken) as api:
        for path in ("/v1/stacks", "/v1/stacks/blog"):
            text = (await api.get(path, Accept="text/plain")).text
            assert text.count("found x, want y") == 1
            assert "its files have errors: nothing is in force yet" in text


async def test_a_service_shows_its_restart_curve_and_its_override() -> None:
    hold = Override(StackName("blog"), ServiceName("web"), OverrideKind.HELD, "docker stop", "docker", NOON, NOON + 60)
    failing = replace(service("web", ServiceState.HELD, detail="held"), override=hold)
    curve = replace(failing.restart, attempt=2, reason="exited 3", last_exit=3, oom=True, reset_at=NOON + 600)
    async with serving(stack("blog", replace(failing, restart=curve))) as api:
        path = "/v1/stacks/blog/services/web"
        assert (await api.get(path)).json["restart"] == {
            "policy": "always",
            "attempt": 2,
            "next_at": None,
            "reason": "exited 3",
            "last_exit": 3,
            "oom": True,
            "reset_at": "2023-11-14T22:23:20.000Z",
        }
        lines = (await api.get(path, Accept="text/plain")).text.splitlines()
        assert "failures are forgotten: 2023-11-14T22:23:20.000Z, if it runs well until then" in lines
        assert (
            "override: web is held until 2023-11-14T22:14:20.000Z by docker since 2023-11-14T22:13:20.000Z: docker stop"
        ) in lines


async def test_what_a_container_says_does_not_steer_the_terminal() -> None:
    async with serving(stack("blog", service("web", ServiceState.BLOCKED, detail="\x1b[2J\nboo"))) as api:
        text = (await api.get("/v1/stacks/blog", Accept="text/plain")).text
        assert "\x1b" not in text
        assert " [2J boo" in text


@pytest.mark.parametrize(
    ("path", "code", "hint"),
    [
        ("/v1/stacks/blob", "no_such_stack", "blog"),
        ("/v1/stacks/blog/services/wev", "no_such_service", "web"),
        ("/v1/operations/op-9", "no_such_operation", ""),
        ("/v1/stack", "no_such_route", "/v1/stacks"),
    ],
)
async def test_what_is_not_there_is_a_404_that_names_the_nearest(path: str, code: str, hint: str) -> None:
    async with serving() as api:
        answer = await api.get(path)
        assert answer.error() == (404, code)
        assert not hint or f'did you mean "{hint}"?' in str(answer.json["detail"])


async def test_a_route_that_resembles_none_is_refused_in_whole_sentences() -> None:
    async with serving() as api:
        answer = await api.get("/zzzzzzzz")
        assert answer.json["detail"] == "nothing is served at /zzzzzzzz. See /v1/openapi.json"


async def test_a_definition_is_edited_in_its_file_only() -> None:
    async with serving() as api:
        answer = await api.ask("PUT", "/v1/stacks/blog/definition", data="services: {}")
        assert answer.error() == (405, "edit_the_file")
        assert answer.headers["Allow"] == "GET, HEAD"
        assert "/srv/blog/compose.yaml" in str(answer.json["detail"])


async def test_operations_are_listed_newest_first() -> None:
    async with serving() as api:
        await api.post("/v1/stacks/blog/up")
        await api.post("/v1/stacks/blog/restart")
        listed = (await api.get("/v1/operations")).json["operations"]
        assert isinstance(listed, list)
        assert [entry["verb"] for entry in listed if isinstance(entry, dict)] == ["restart", "up"]
        assert "restart blog" in (await api.get("/v1/operations", Accept="text/plain")).text


@pytest.mark.parametrize(("query", "reads"), [("", ["blog"]), ("?read=true", ["blog"]), ("?read=false", [])])
async def test_a_plan_is_made_from_the_files_as_they_are_unless_that_is_not_wanted(
    query: str, reads: list[str]
) -> None:
    async with serving() as api:
        assert (await api.get(f"/v1/stacks/blog/plan{query}")).status == 200
        assert api.control.reads == reads
