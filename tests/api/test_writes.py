"""Verbs, overrides, and waiting for them."""

from __future__ import annotations

import asyncio
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.errors import Diagnostic, RequestError, Severity, Span
from stackd.model.ids import OperationId, ServiceName
from stackd.model.override import Operation, OperationState, Verb
from stackd.model.status import StackState
from stackd.model.view import ServiceState
from tests.api.world import Answer, Api, serving
from tests.fake.control import NOON, service, stack

STACK_VERBS = ("up", "down", "start", "stop", "restart", "reconcile", "pull", "build")
SERVICE_VERBS = ("start", "stop", "restart", "pull")


def nothing_to_do(operation: Operation) -> Operation:
    return replace(operation, state=OperationState.SUCCEEDED, changed=False, finished_at=NOON)


async def submitted(api: Api, count: int = 1) -> None:
    """Wait until so many verbs have been handed over."""
    await api.control.until(lambda: len(api.control.kept) >= count)


@pytest.mark.parametrize("verb", STACK_VERBS)
async def test_a_verb_on_a_stack_becomes_an_operation(verb: str) -> None:
    async with serving() as api:
        answer = await api.post(f"/v1/stacks/blog/{verb}")
        assert answer.status == 202
        assert answer.headers["Location"] == "/v1/operations/op-1"
        assert (answer.json["verb"], answer.json["services"]) == (verb, [])


@pytest.mark.parametrize("verb", SERVICE_VERBS)
async def test_a_verb_on_a_service_is_for_that_service(verb: str) -> None:
    async with serving() as api:
        answer = await api.post(f"/v1/stacks/blog/services/web/{verb}")
        assert (answer.status, answer.json["services"]) == (202, ["web"])
        assert (await api.post(f"/v1/stacks/blog/services/wev/{verb}")).error() == (404, "no_such_service")


async def test_the_body_names_several_services() -> None:
    async with serving() as api:
        answer = await api.post("/v1/stacks/blog/restart", '{"services": ["web", "db"]}')
        assert answer.json["services"] == ["web", "db"]


async def test_only_an_up_accepts_a_loss() -> None:
    async with serving() as api:
        for told, accepted in (('{"accept_loss": true, "services": ["web"]}', True), ("{}", False)):
            answer = await api.ask("POST", "/v1/stacks/blog/up", data=told)
            assert (answer.status, api.control.accepted_loss) == (202, accepted)
        refused = await api.ask("POST", "/v1/stacks/blog/restart", data='{"accept_loss": true}')
        assert 400 <= refused.status < 500


async def test_nothing_to_do_is_done_at_once_and_says_so() -> None:
    async with serving() as api:
        api.control.answers = nothing_to_do
        answer = await api.post("/v1/stacks/blog/up?wait=30")
        assert (answer.status, answer.json["changed"]) == (200, False)


async def test_a_verb_waits_until_it_is_done() -> None:
    async with serving() as api:
        asked = asyncio.create_task(api.post("/v1/stacks/blog/up?wait=30"))
        await submitted(api)
        await api.control.finish(OperationId("op-1"), OperationState.SUCCEEDED)
        answer = await asked
        assert (answer.status, answer.json["changed"]) == (200, True)


async def test_what_is_not_done_in_time_goes_on() -> None:
    async with serving() as api:
        answer = await api.post("/v1/stacks/blog/up?wait=0.01")
        assert (answer.status, answer.json["state"]) == (202, "queued")
        later = await api.get("/v1/operations/op-1?wait=0.01")
        assert (later.status, later.json["state"]) == (200, "queued")
        await api.control.finish(OperationId("op-1"), OperationState.SUCCEEDED)
        assert (await api.get("/v1/operations/op-1?wait=5")).json["state"] == "succeeded"


@pytest.mark.parametrize("state", [OperationState.FAILED, OperationState.SUPERSEDED, OperationState.CANCELLED])
async def test_an_operation_that_came_to_nothing_is_a_conflict(state: OperationState) -> None:
    async with serving() as api:
        found = Diagnostic("bad-port", "found x, want y", Span("/srv/blog/compose.yaml", 3, 5), Severity.ERROR)
        api.control.put(replace(stack(), diagnostics=(found,)))
        api.control.answers = lambda operation: replace(operation, state=state, detail="web exited 1")
        answer = await api.post("/v1/stacks/blog/up?wait=1")
        assert answer.error() == (409, f"operation_{state}")
        assert answer.json["detail"] == "web exited 1"
        assert answer.headers["Location"] == "/v1/operations/op-1"
        assert bool(answer.json["errors"]) == (state is OperationState.FAILED)


async def test_a_refusal_of_an_invalid_definition_shows_its_findings() -> None:
    async with serving() as api:
        found = Diagnostic("bad-port", "found x, want y", Span("/srv/blog/compose.yaml", 3, 5), Severity.ERROR)
        warning = replace(found, severity=Severity.WARNING)
        api.control.put(replace(stack(), diagnostics=(warning, found), state=StackState.INVALID))
        api.control.refuse = RequestError(422, "invalid_definition", "there is no good definition yet")
        answer = await api.post("/v1/stacks/blog/up")
        assert answer.error() == (422, "invalid_definition")
        assert answer.json["errors"] == [
            {
                "file": "/srv/blog/compose.yaml",
                "line": 3,
                "column": 5,
                "pointer": "",
                "message": "found x, want y",
            }
        ]


async def test_the_history_learns_who_asked() -> None:
    async with serving() as api:
        by = (await api.post("/v1/stacks/blog/stop")).json["by"]
        command = Path("/proc/self/comm").read_text().strip()
        assert by == f"uid {os.geteuid()} (pid {os.getpid()} {command})"


async def test_a_client_that_goes_away_cancels_nothing() -> None:
    async with serving() as api:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entered = asyncio.Event()

        def enter() -> asyncio.Future[None]:
            entered.set()
            return gate

        api.control.before_submit = enter
        asked = asyncio.create_task(api.post("/v1/stacks/blog/up"))
        await entered.wait()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await api.get("/livez")
        gate.set_result(None)
        await submitted(api)
        assert api.control.kept[OperationId("op-1")].request.verb is Verb.UP


async def test_the_end_of_serving_ends_a_wait_with_what_is_known() -> None:
    async with serving() as api:
        asked = asyncio.create_task(api.post("/v1/stacks/blog/up?wait=600"))
        waiting = asyncio.create_task(api.get("/v1/stacks/blog/wait?for=stopped&wait=600"))
        await api.control.until(lambda: api.control.waiters == 2)
        await api.server.stop()
        assert (await asked).status == 202
        assert (await waiting).error() == (503, "shutting_down")


@pytest.mark.parametrize(
    ("path", "body", "code", "pointer"),
    [
        ("up?wait=soon", "", "bad_query", "query.wait"),
        ("up?wait=-1", "", "bad_query", "query.wait"),
        ("up?wait=nan", "", "bad_query", "query.wait"),
        ("up?wiat=3", "", "bad_query", "query.wiat"),
        ("up?wait=1&wait=2", "", "bad_query", "query.wait"),
        ("up", '{"service": "web"}', "bad_body", "body.service"),
        ("up", "{", "bad_body", "body"),
        ("up", "\xff", "bad_body", "body"),
    ],
)
async def test_a_malformed_request_is_told_where(path: str, body: str, code: str, pointer: str) -> None:
    async with serving() as api:
        answer = await api.post(f"/v1/stacks/blog/{path}", body)
        assert answer.error() == (400, code)
        assert [entry["pointer"] for entry in errors_of(answer)] == [pointer]
        assert not api.control.kept


def errors_of(answer: Answer) -> list[dict[str, object]]:
    found = json.loads(answer.text)["errors"]
    assert isinstance(found, list)
    return found


async def test_a_huge_body_is_refused() -> None:
    huge = io.BytesIO(b" " * (1024 * 1024 + 1))
    async with serving() as api:
        assert (await api.ask("POST", "/v1/stacks/blog/up", data=huge)).error() == (413, "too_large")


async def test_a_wrong_method_is_told_the_right_one() -> None:
    async with serving() as api:
        answer = await api.get("/v1/stacks/blog/up")
        assert answer.error() == (405, "method_not_allowed")
        assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("scope", ["/v1/stacks/blog", "/v1/stacks/blog/services/web"])
async def test_an_override_is_set_shown_and_released(scope: str) -> None:
    async with serving() as api:
        until = "2033-11-14T22:13:20Z"
        body = json.dumps({"kind": "held", "reason": "moving disks", "until": until})
        put = await api.ask("PUT", f"{scope}/override", data=body)
        assert put.status == 200
        assert (put.json["kind"], put.json["reason"], put.json["until"]) == (
            "held",
            "moving disks",
            "2033-11-14T22:13:20.000Z",
        )
        assert put.json["detail"] == ""
        shown = {key: value for key, value in put.json.items() if key != "detail"}
        assert (await api.get(f"{scope}/override")).json["overrides"] == [shown]
        assert (await api.ask("DELETE", f"{scope}/override")).json == {"changed": True, "detail": ""}
        assert (await api.ask("DELETE", f"{scope}/override")).json == {"changed": False, "detail": ""}


async def test_an_override_that_is_not_on_disk_is_set_and_says_so() -> None:
    async with serving() as api:
        api.control.behind = "not on disk: no space left"
        body = '{"kind": "held"}'
        put = await api.ask("PUT", "/v1/stacks/blog/override", data=body)
        assert (put.status, put.json["detail"]) == (200, "not on disk: no space left")
        told = await api.ask("PUT", "/v1/stacks/blog/override", data=body, headers={"Accept": "text/plain"})
        assert told.text.endswith("\nwarning: not on disk: no space left\n")


async def test_a_release_that_is_not_on_disk_says_so() -> None:
    async with serving() as api:
        await api.ask("PUT", "/v1/stacks/blog/override", data='{"kind": "held"}')
        api.control.behind = "not on disk: no space left"
        dropped = await api.ask("DELETE", "/v1/stacks/blog/override")
        assert dropped.json == {"changed": True, "detail": "not on disk: no space left"}


@pytest.mark.parametrize("body", ['{"kind": "frozen"}', "{}", '{"kind": "held", "x": 1}'])
async def test_an_override_that_does_not_fit_its_schema_is_malformed(body: str) -> None:
    async with serving() as api:
        answer = await api.ask("PUT", "/v1/stacks/blog/override", data=body)
        assert answer.error() == (400, "bad_body")
        assert not api.control.stacks()[0].overrides


@pytest.mark.parametrize("kind", ["paused", "scaled", "pinned", "released"])
async def test_a_kind_of_override_that_is_not_set_so_is_for_the_daemon_to_refuse(kind: str) -> None:
    async with serving() as api:
        api.control.refuse = RequestError(422, "not_supported", f"{kind}: not so")
        answer = await api.ask("PUT", "/v1/stacks/blog/override", data=json.dumps({"kind": kind}))
        assert answer.error() == (422, "not_supported")
        assert answer.json["title"] == "Not possible"


async def test_an_override_that_is_over_already_cannot_be() -> None:
    async with serving() as api:
        body = '{"kind": "held", "until": "2001-01-01T00:00:00Z"}'
        answer = await api.ask("PUT", "/v1/stacks/blog/override", data=body)
        assert answer.error() == (422, "already_over")
        assert not api.control.stacks()[0].overrides


async def test_a_rescan_reads_then_answers_with_every_stack() -> None:
    async with serving() as api:
        answer = await api.post("/v1/rescan")
        assert answer.status == 200
        assert api.control.scans == 1
        assert "stacks" in answer.json


@pytest.mark.parametrize("condition", ["running", "healthy", "generation:3"])
async def test_a_wait_for_what_is_so_already_ends_at_once(condition: str) -> None:
    async with serving() as api:
        answer = await api.get(f"/v1/stacks/blog/wait?for={condition}")
        assert (answer.status, answer.json["name"]) == (200, "blog")


@pytest.mark.parametrize("condition", ["stopped", "generation:4"])
async def test_a_wait_that_takes_too_long_is_a_conflict(condition: str) -> None:
    async with serving() as api:
        answer = await api.get(f"/v1/stacks/blog/wait?for={condition}&wait=0.01")
        assert answer.error() == (409, "wait_timeout")
        assert "db is running" in str(answer.json["detail"])


async def test_a_wait_ends_when_the_state_comes() -> None:
    async with serving(stack("blog", service("web", ServiceState.STARTING), state=StackState.CHANGING)) as api:
        waiting = asyncio.create_task(api.get("/v1/stacks/blog/wait?for=healthy&wait=60"))
        running = await api.get("/v1/stacks/blog/wait?for=running&wait=60")
        assert running.status == 200
        api.control.put(stack("blog", service("web", ServiceState.HEALTHY)))
        await api.control.note("web is healthy")
        assert (await waiting).status == 200


async def test_a_service_stopped_on_purpose_does_not_hold_up_a_wait() -> None:
    async with serving() as api:
        await api.ask("PUT", "/v1/stacks/blog/override", data='{"kind": "stopped"}')
        override = api.control.stacks()[0].overrides[0]
        stopped = replace(service("web", ServiceState.STOPPED, up=0), override=override)
        api.control.put(stack("blog", stopped, service("db")))
        assert (await api.get("/v1/stacks/blog/wait?for=running")).status == 200
        api.control.put(stack("blog", stopped, state=StackState.STOPPED))
        assert (await api.get("/v1/stacks/blog/wait?for=stopped")).status == 200
        assert (await api.get("/v1/stacks/blog/wait?for=running")).status == 409


@pytest.mark.parametrize("query", ["", "?for=happy", "?for=generation:x", "?for=healthy&wait=1e99"])
async def test_a_wait_for_nonsense_is_malformed(query: str) -> None:
    async with serving() as api:
        answer = await api.get(f"/v1/stacks/blog/wait{query}")
        assert answer.error() == (400, "bad_query")
        assert "`running`, `healthy`, `stopped` or `generation:N`" in str(answer.json["detail"]) or "1e99" in query


async def test_a_defect_is_an_internal_error_that_tells_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as api:

        def defect() -> asyncio.Future[None]:
            raise ZeroDivisionError("token=hunter2")

        api.control.before_submit = defect
        answer = await api.post("/v1/stacks/blog/up")
        assert answer.error() == (500, "internal")
        assert "hunter2" not in answer.text
        assert answer.headers["X-Request-Id"] in caplog.text


async def test_a_service_is_named_in_the_body_exactly() -> None:
    async with serving() as api:
        assert (await api.post("/v1/stacks/blog/stop", '{"services": ["wev"]}')).error() == (404, "no_such_service")
        assert ServiceName("web") in {entry.name for entry in api.control.stacks()[0].services}


@pytest.mark.parametrize("condition", ["running", "healthy", "stopped", "generation:3"])
async def test_a_wait_reads_the_files_before_it_looks_at_any_state(condition: str) -> None:
    edited = replace(stack("blog", service("web", ServiceState.BACKING_OFF)), state=StackState.DEGRADED)
    async with serving() as api:
        api.control.when_read = replace(edited, generation=4, observed_generation=2)
        answer = await api.get(f"/v1/stacks/blog/wait?for={condition}&wait=0.01")
        assert answer.error() == (409, "wait_timeout")
        assert api.control.reads == ["blog"]


async def test_a_wait_for_what_cannot_be_read_says_so_at_once() -> None:
    async with serving() as api:
        api.control.unreadable = RequestError(503, "not_read", "the files of blog could not be read within 10 s")
        answer = await api.get("/v1/stacks/blog/wait?for=running&wait=60")
        assert answer.error() == (503, "not_read")


async def test_a_wait_that_a_bad_text_holds_up_shows_what_is_wrong_with_it() -> None:
    bad = Diagnostic("bad-port", "no port", Span("/srv/blog/compose.yaml", 3, 5))
    async with serving() as api:
        api.control.when_read = replace(stack(), diagnostics=(bad,))
        answer = await api.get("/v1/stacks/blog/wait?for=running&wait=0.01")
        assert answer.error() == (409, "wait_timeout")
        assert "its newest text is not in force: /srv/blog/compose.yaml:3:5" in str(answer.json["detail"])
