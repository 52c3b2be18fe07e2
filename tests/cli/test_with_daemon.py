"""Commands that talk to the daemon: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.api.convert import instant
from stackd.api.serving import Settings
from stackd.errors import Diagnostic, RequestError, Severity, Span
from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.override import Operation, OperationState, Override, OverrideKind
from stackd.model.plan import FieldChange, Why
from stackd.model.record import Adoptable
from stackd.model.status import PlanStatus, StackState, StackStatus, StepStatus
from stackd.model.view import ServiceState
from tests.api.world import Api, eventually, serving
from tests.cli.world import Cli
from tests.fake.control import NOON, service, stack

BROKEN = Diagnostic(
    "bad-port",
    '"80:80:80:80" is not HOST:CONTAINER[/PROTO]',
    Span("/srv/blog/compose.yaml", 14, 9),
    Severity.ERROR,
    "services.web.ports.0",
)


@asynccontextmanager
async def world(home: Path, *stacks: StackStatus) -> AsyncIterator[tuple[Api, Cli]]:
    """A daemon and a command line that finds it."""
    async with serving(*stacks) as api:
        yield api, Cli(home, api.path)


def done(operation: Operation) -> Operation:
    return replace(operation, state=OperationState.SUCCEEDED, changed=True, finished_at=NOON)


def squeezed(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


async def test_ps_lists_services_in_aligned_columns(tmp_path: Path) -> None:
    waiting = service("web", ServiceState.WAITING, detail="waits for db to be healthy", up=0)
    async with world(tmp_path, stack("blog", service("db"), waiting, state=StackState.CHANGING)) as (_, stackd):
        ended = await stackd("ps")
        lines = ended.out.splitlines()
        assert ended.code == 0
        assert squeezed(ended.out)[0] == ["STACK", "SERVICE", "STATE", "UP", "SINCE", "DETAIL"]
        assert squeezed(ended.out)[2] == ["blog", "web", "waiting", "0/1", "waits", "for", "db", "to", "be", "healthy"]
        assert lines[2].index("waiting") == lines[0].index("STATE")
        assert lines[2].index("waits") == lines[0].index("DETAIL")
        assert (await stackd("ps", "blog")).out == ended.out


async def test_status_of_all_shows_what_is_wrong_and_where(tmp_path: Path) -> None:
    shop = replace(stack("shop", state=StackState.DEGRADED), detail="web crashes")
    async with world(tmp_path, replace(stack(), diagnostics=(BROKEN,)), shop) as (_, stackd):
        ended = await stackd("status")
        assert ended.code == 0
        assert ended.out == (
            "STACK  STATE     SERVICES  DETAIL\n"
            "blog   running   2/2       the newest text has errors: the last good definition stays in force\n"
            "shop   degraded  2/2       web crashes\n"
            "\n"
            '/srv/blog/compose.yaml:14:9: error[bad-port]: "80:80:80:80" is not HOST:CONTAINER[/PROTO]\n'
        )


async def test_status_of_all_names_the_services_that_are_set_aside_each_by_itself(tmp_path: Path) -> None:
    kinds = (ServiceState.HELD, ServiceState.PAUSED, *[ServiceState.STOPPED] * 4)
    aside = [service(f"s{number}", state) for number, state in enumerate(kinds)]
    pinned = Override(StackName("c"), None, OverrideKind.PINNED, "rollback", "uid 0", NOON, value=2)
    stacks = (
        stack("a", service("web", ServiceState.HELD), service("db")),
        replace(stack("b", *aside, state=StackState.DEGRADED), detail="db crashes"),
        replace(stack("c", service("web", ServiceState.HELD)), overrides=(pinned,)),
        replace(stack("d", service("web", ServiceState.HELD)), overrides=(replace(pinned, kind=OverrideKind.HELD),)),
        replace(stack("e", service("web", ServiceState.STOPPED), state=StackState.STOPPED), detail="asked for"),
    )
    async with world(tmp_path, *stacks) as (_, stackd):
        rows = [line.split(None, 3)[3:] for line in (await stackd("status")).out.splitlines()[1:]]
    assert rows == [
        ["1 held: web"],
        ["db crashes; 1 held: s0; 1 paused: s1; 4 stopped: s2, s3, s4, ..."],
        ["1 held: web"],
        [],
        ["asked for"],
    ]


async def test_status_of_one_shows_everything(tmp_path: Path) -> None:
    async with world(tmp_path, replace(stack(), foreign=("blog-web-run-1",))) as (_, stackd):
        ended = await stackd("status", "blog")
        lines = ended.out.splitlines()
        assert lines[:4] == [
            "blog: running",
            "folder: /srv/blog",
            "files: /srv/blog/compose.yaml",
            "generation: 3, applied: 3",
        ]
        assert lines[-2:] == ["not ours, never touched:", "  blog-web-run-1"]


async def test_plan_shows_steps_with_their_cause(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        assert (await stackd("plan", "blog")).out == "blog: nothing to do\n"
        change = FieldChange("environment.X", "1", "2", Span("compose.yaml", 14, 7))
        step = StepStatus(
            "create", ServiceName("web"), "blog-web-1", Why.CONFIG_CHANGED, "edited", (change,), (), False, ""
        )
        api.control.plans[StackName("blog")] = PlanStatus(StackName("blog"), (step,), "restarts 1 of 2")
        ended = await stackd("plan", "blog")
        assert ended.out == (
            "blog: 1 step, restarts 1 of 2\n"
            "  ACTION  WHAT        NOW   WHY\n"
            "  create  blog-web-1  next  edited: environment.X: 1 -> 2 (compose.yaml:14:7)\n"
        )


@pytest.mark.parametrize("verb", ["up", "down", "start", "stop", "restart", "pull"])
async def test_a_verb_waits_and_tells_the_outcome(tmp_path: Path, verb: str) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.answers = done
        ended = await stackd(verb, "blog")
        assert (ended.code, ended.out) == (0, f"{verb} blog: done\n")
        api.control.answers = lambda operation: replace(done(operation), changed=False)
        ended = await stackd(verb, "blog", "web", "db")
        if verb == "down":
            assert (ended.code, len(api.control.operations())) == (2, 1)
            assert "SERVICE]" not in (await stackd("down", "--help")).out
            return
        assert (ended.code, ended.out) == (0, f"{verb} blog web db: nothing to do\n")
        assert [kept.request.services for kept in api.control.operations()] == [("web", "db"), ()]


async def test_while_it_waits_it_tells_each_change_in_a_line(tmp_path: Path) -> None:
    starting = service("web", ServiceState.STARTING, detail="health check")
    async with world(tmp_path, stack("blog", service("db"), starting, state=StackState.CHANGING)) as (api, stackd):
        process = await stackd.start("up", "blog")
        assert process.stderr is not None
        assert process.stdout is not None
        assert await process.stderr.readline() == b"web: starting (health check)\n"
        api.control.put(stack("blog", service("db"), service("web", ServiceState.HEALTHY)))
        await api.control.note("web is healthy")
        assert await process.stderr.readline() == b"web: healthy\n"
        await api.control.finish(OperationId("op-1"), OperationState.SUCCEEDED)
        assert await process.stdout.read() == b"up blog: done\n"
        assert await process.wait() == 0


async def test_on_a_terminal_it_draws_over_what_it_has_drawn(tmp_path: Path) -> None:
    starting = service("web", ServiceState.STARTING, detail="health check")
    async with world(tmp_path, stack("blog", service("db"), starting, state=StackState.CHANGING)) as (api, stackd):
        ours, theirs = pty.openpty()
        command = ("-c", "from stackd.cli.main import main; main()", "up", "blog")
        process = await asyncio.create_subprocess_exec(
            *(os.sys.executable, *command),  # type: ignore[attr-defined]
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=stackd.environment({"PYTHONPATH": os.getcwd()}),
        )
        os.close(theirs)
        await api.control.until(lambda: api.control.waiters > 0)
        await api.control.finish(OperationId("op-1"), OperationState.SUCCEEDED)
        assert await process.wait() == 0
        text = await asyncio.to_thread(drained, ours)
        assert "\x1b[33mstarting\x1b[0m" in text
        assert "\x1b[2F" in text
        assert text.rstrip().endswith("up blog: done")


def drained(terminal: int) -> str:
    """Everything that was written to a terminal whose writer has ended."""
    text = b""
    try:
        while chunk := os.read(terminal, 65536):
            text += chunk
    except OSError:
        pass  # how a terminal says that nobody writes any more
    os.close(terminal)
    return text.decode()


@pytest.mark.parametrize("state", ["failed", "superseded", "cancelled"])
async def test_what_came_to_nothing_ends_with_1(tmp_path: Path, state: str) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.answers = lambda asked: replace(asked, state=OperationState(state), detail="web exited 1")
        if state == "failed":
            ended = await stackd("up", "blog")
        else:
            ended = await stackd("up", "blog", "-d")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.count("web exited 1") == 1


async def test_up_ends_with_6_while_the_newest_text_is_not_in_force(tmp_path: Path) -> None:
    async with world(tmp_path, replace(stack(), diagnostics=(BROKEN,))) as (api, stackd):
        api.control.answers = done
        ended = await stackd("up", "blog")
        assert ended.code == 6
        assert "the last good definition stays in force\n  /srv/blog/compose.yaml:14:9: error[bad-port]" in ended.err
        assert (await stackd("restart", "blog")).code == 0


async def test_what_is_not_done_in_time_ends_with_4_and_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        ended = await stackd("up", "blog", "--timeout", "0.2")
        assert ended.code == 4
        assert "error: up blog is not done after 0.2 s; it goes on" in ended.err
        assert api.control.operations()[0].state is OperationState.QUEUED


async def test_detached_it_does_not_wait(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, stackd):
        ended = await stackd("up", "blog", "--detach")
        assert (ended.code, ended.out) == (0, "up blog: queued\n")


async def test_up_accepts_a_loss_when_it_is_told_to(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        assert (await stackd("up", "blog", "--detach", "--accept-loss")).code == 0
        assert api.control.accepted_loss
        assert (await stackd("up", "blog", "--detach")).code == 0
        assert not api.control.accepted_loss


async def test_hold_and_resume(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        assert (await stackd("hold", "blog", "web", "--for", "0")).code == 2  # not: for ever
        ended = await stackd("hold", "blog", "web", "--reason", "moving disks", "--for", "1h")
        until = api.control.stacks()[0].overrides[0].until
        assert until is not None
        assert (ended.code, ended.out) == (
            0,
            f"held until {instant(until)}: web; release it: stackd resume blog web\n",
        )
        assert api.control.stacks()[0].overrides[0].reason == "moving disks"
        assert (await stackd("resume", "blog", "web")).out == "web: released\n"
        assert (await stackd("resume", "blog", "web")).out == "web: was neither held nor stopped\n"


async def test_a_hold_or_its_end_that_is_not_on_disk_is_warned_of_once(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.behind = "not on disk: no space left"
        ended = await stackd("hold", "blog", "web", "db")
        assert (ended.code, ended.err) == (0, "warning: not on disk: no space left\n")
        ended = await stackd("resume", "blog", "web", "db")
        assert (ended.code, ended.out) == (0, "web: released\ndb: released\n")
        assert ended.err == "warning: not on disk: no space left\n"


@pytest.mark.parametrize("words", [("status",), ("status", "blog"), ("ps",), ("ps", "--json")], ids=" ".join)
async def test_a_database_that_forgets_is_warned_of_in_one_line_beside_the_results(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.ready = replace(api.control.ready, watcher="slow")
        before = await stackd(*words)
        api.control.ready = replace(api.control.ready, journal="no space left")
        ended = await stackd(*words)
    assert (before.err, ended.out) == ("", before.out)
    assert ended.err == "warning: the database is not in order, so holds and stops may be forgotten: no space left\n"


async def test_a_hold_of_several_services_is_of_all_of_them_or_of_none(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        ended = await stackd("hold", "blog", "web", "bd")
        assert (ended.code, ended.err) == (5, 'error: stack "blog" has no service "bd"; did you mean "db"?\n')
        assert not api.control.stacks()[0].overrides
        assert (await stackd("hold", "blog", "web", "db")).code == 0
        assert {one.service for one in api.control.stacks()[0].overrides} == {"web", "db"}


async def test_resume_of_a_stack_names_the_services_that_are_held_by_themselves(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, stackd):
        await stackd("hold", "blog", "web")
        assert (await stackd("resume", "blog")).out == (
            "blog: was neither held nor stopped\nweb is held: stackd resume blog web\n"
        )


async def test_logs_are_shown_by_service(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        await api.control.say("hello")
        await api.control.say("a query", "db")
        assert (await stackd("logs", "blog")).out == "web-1 | hello\ndb-1  | a query\n"
        assert (await stackd("logs", "blog", "db", "-t", "-n", "5", "--since", "2h")).out == (
            "db-1 | 2023-11-14T22:13:20.000Z a query\n"
        )
        assert api.control.queries[-1].tail == 5


async def test_followed_logs_come_line_by_line(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        process = await stackd.start("logs", "-f", "blog")
        await api.control.say("one")
        assert process.stdout is not None
        assert await process.stdout.readline() == b"web-1 | one\n"
        await api.control.say("two")
        assert await process.stdout.readline() == b"web-1 | two\n"
        process.terminate()
        await process.communicate()


async def test_interrupted_it_ends_with_130(tmp_path: Path) -> None:
    import signal

    async with world(tmp_path) as (api, stackd):
        process = await stackd.start("events", "-f", "--from", "oldest")
        await api.control.note("one")
        assert process.stdout is not None
        assert b"blog/web          service.state         one" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert (process.returncode, err.strip()) == (130, b"")


@pytest.mark.parametrize("verb", ["restart", "down", "up"])
async def test_interrupted_while_it_waits_it_says_that_it_goes_on_and_how_to_watch_it(
    tmp_path: Path, verb: str
) -> None:
    import signal

    async with world(tmp_path) as (api, stackd):
        process = await stackd.start(verb, "blog")
        await eventually(lambda: api.control.waiters > 0)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert process.returncode == 130
        assert err.decode().split("\n")[-3] == f"{verb} blog goes on in stackd; watch it: stackd status blog"


async def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        for number in range(3000):
            await api.control.note(f"{number} " + "x" * 200)
        process = await stackd.start("events")
        assert process.stdout is not None
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert process.stderr is not None
        assert await process.stderr.read() == b""
        assert await process.wait() == 0


async def test_wait_ends_when_it_is_so_or_with_4(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, stackd):
        assert (await stackd("wait", "blog")).code == 0
        ended = await stackd("wait", "blog", "--for", "stopped", "--timeout", "0.1")
        assert ended.code == 4
        assert "stack blog is not stopped after 0.1 s" in ended.err
        assert (await stackd("wait", "blog", "--for", "happy")).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("ps",),
        ("status",),
        ("status", "blog"),
        ("plan", "blog"),
        ("up", "blog"),
        ("down", "blog"),
        ("hold", "blog"),
        ("resume", "blog"),
        ("wait", "blog"),
        ("version",),
    ],
)
async def test_json_is_one_value(tmp_path: Path, words: tuple[str, ...]) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.answers = done
        ended = await stackd(*words, "--json")
        assert (ended.code, ended.err) == (0, "")
        assert isinstance(ended.json, dict | list)


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("status", "blob"), 5, "no_such_stack"),
        (("ps", "blob"), 5, "no_such_stack"),
        (("events", "blob"), 5, "no_such_stack"),
        (("events", "--type", "foo"), 2, "unknown_event_type"),
        (("logs", "blob"), 5, "no_such_stack"),
        (("hold", "blog", "wev"), 5, "not_found"),
        (("wait", "blog", "--for", "happy"), 2, "usage"),
        (("wait", "blog", "--for", "stopped", "--timeout", "0.1"), 4, "wait_timeout"),
        (("up", "blog", "--timeout", "0.1"), 4, "timeout"),
        (("crashes", "blog", "--last"), 5, "not_found"),
        (("add", "nowhere"), 1, "failed"),
        (("remove", "nowhere"), 5, "not_found"),
        (("config", "nowhere"), 5, "not_found"),
        (("validate", "nowhere"), 5, "not_found"),
        (("restart",), 2, "usage"),
    ],
)
async def test_a_command_that_fails_with_json_prints_one_problem_and_the_same_text_and_code(
    tmp_path: Path, words: tuple[str, ...], code: int, problem: str
) -> None:
    async with world(tmp_path) as (_, stackd):
        plain, ended = await stackd(*words), await stackd(*words, "--json")
        assert (ended.code, plain.code) == (code, code)
        found = ended.json
        assert isinstance(found, dict)
        assert (found["code"], found["type"]) == (problem, f"urn:stackd:problem:{problem}")
        assert found["detail"]
        assert ended.err


async def test_an_operation_that_came_to_nothing_is_part_of_its_problem(tmp_path: Path) -> None:
    def fails(operation: Operation) -> Operation:
        return replace(operation, state=OperationState.FAILED, detail="no image", finished_at=NOON)

    async with world(tmp_path) as (api, stackd):
        api.control.answers = fails
        ended = await stackd("restart", "blog", "--json")
        assert ended.code == 1
        found = ended.json
        assert isinstance(found, dict)
        assert (found["code"], found["operation"]["detail"]) == ("operation_failed", "no image")
        assert "no image" in ended.err


async def test_up_with_json_prints_one_problem_while_the_newest_text_is_not_in_force(tmp_path: Path) -> None:
    broken = replace(stack(), diagnostics=(BROKEN,))
    async with world(tmp_path, broken) as (api, stackd):
        api.control.answers = done
        ended = await stackd("up", "blog", "--json")
        found = ended.json
        assert isinstance(found, dict)
        assert (ended.code, found["code"], found["errors"][0]["line"]) == (6, "invalid", 14)


async def test_json_of_streams_is_one_value_a_line(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        await api.control.note("one")
        await api.control.say("hello")
        for words in (("events",), ("logs", "blog")):
            ended = await stackd(*words, "--json")
            assert [isinstance(json.loads(line), dict) for line in ended.out.splitlines()] == [True]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("status", "blob"), 5, 'error: there is no stack "blob"; did you mean "blog"?\n'),
        (("restart", "blog", "wev"), 5, 'error: stack "blog" has no service "wev"\n'),
        (("why", "wev"), 5, 'there is no stack or service "wev"; did you mean "web"?'),
        (("why", "blog", "wev"), 5, 'stack "blog" has no service "wev"; did you mean "web"?'),
        (("crashes", "blog", "12"), 5, 'no crash "12" is kept; the newest: none'),
        (("crashes", "blog", "--last"), 5, "no crash is kept"),
        (("history", "blog", "--diff", "4"), 5, 'no revision "4" of blog is kept; kept: none'),
        (("history", "blog", "--against", "4"), 2, "--against needs --diff"),
        (("rollback", "blog"), 1, "stack blog has no earlier revision"),
        (("rollback", "blog", "4"), 5, "no revision 4 of blog is kept"),
        (("adopt", "none"), 5, 'there is no project "none" to adopt'),
        (("adopt", "/nowhere"), 5, "no Compose project runs from /nowhere\n  to have stackd start it: stackd add"),
        (("release", "blob"), 5, 'there is no stack "blob"'),
        (("events", "blob"), 5, 'there is no stack "blob"; did you mean "blog"?'),
        (("events", "--type", "contaner"), 2, 'no event type "contaner"; did you mean "container"?'),
        (("wait", "blog", "--for", "helthy"), 2, '"helthy" is no condition; did you mean "healthy"?; wanted: healthy'),
        (("events", "--from", "99"), 1, "belongs to another one"),
        (("up",), 2, "Missing argument 'STACK'"),
        (("stauts",), 2, 'no command "stauts"; did you mean "status"?'),
        (("up", "blog", "--timeout", "soon"), 2, '"soon" is not a duration such as 90, 2m or 1h'),
    ],
)
async def test_errors_have_a_text_and_a_code(tmp_path: Path, words: tuple[str, ...], code: int, text: str) -> None:
    async with world(tmp_path) as (_, stackd):
        ended = await stackd(*words)
        assert (ended.code, ended.out) == (code, "")
        assert text in ended.err


async def test_a_refused_definition_is_shown_line_by_line(tmp_path: Path) -> None:
    from stackd.errors import RequestError

    async with world(tmp_path, replace(stack(), diagnostics=(BROKEN,))) as (api, stackd):
        api.control.refuse = RequestError(422, "invalid_definition", "blog has no good definition yet")
        ended = await stackd("up", "blog")
        assert ended.code == 6
        assert ended.err == (
            "error: blog has no good definition yet\n"
            '  /srv/blog/compose.yaml:14:9: "80:80:80:80" is not HOST:CONTAINER[/PROTO]\n'
        )


async def test_an_error_that_the_refusal_tells_already_is_not_told_again(tmp_path: Path) -> None:
    from stackd.errors import RequestError

    async with world(tmp_path, replace(stack(), diagnostics=(replace(BROKEN, hint="quote it"),))) as (api, stackd):
        api.control.refuse = RequestError(409, "no_definition", f"blog is not valid: {BROKEN}")
        ended = await stackd("up", "blog")
        assert (ended.code, ended.err) == (6, f"error: blog is not valid: {BROKEN}\n")


async def test_version_tells_of_daemon_and_engine(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, stackd):
        assert (await stackd("version")).out.splitlines()[1:] == [
            "daemon: 0.1.0 (instance default, pid 4242)",
            "engine: 28.0.1 (API 1.48)",
        ]


async def test_colour_is_for_terminals_only_and_can_be_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, stackd):
        assert "\x1b" not in (await stackd("ps")).out
        for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            ours, theirs = pty.openpty()
            process = await asyncio.create_subprocess_exec(
                *(os.sys.executable, "-c", "from stackd.cli.main import main; main()", "ps"),  # type: ignore[attr-defined]
                stdout=theirs,
                env=stackd.environment({"PYTHONPATH": os.getcwd(), **more}),
            )
            os.close(theirs)
            assert await process.wait() == 0
            assert ("\x1b[" in await asyncio.to_thread(drained, ours)) is coloured


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("config b", ["blog"]),
        ("config blog w", ["web"]),
        ("remove b", ["blog"]),
        ("adopt o", ["old"]),
        ("wait blog --for h", ["healthy"]),
        ("wait blog --for g", ["generation:"]),
        ("events --type container.e", ["container.exited"]),
        ("events --type ho", ["host", "host.resumed", "host.storm", "host.storm_over"]),
        ("events --from o", ["oldest"]),
    ],
)
async def test_what_can_be_known_is_completed(tmp_path: Path, words: str, wanted: list[str]) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.projects.append(Adoptable(StackName("old"), "/srv/old", (), (ServiceName("web"),), 1, 1))
        asked = {"_STACKD_COMPLETE": "bash_complete", "COMP_CWORD": str(len(words.split()))}
        ended = await stackd(**asked, COMP_WORDS=f"stackd {words}")
        assert (ended.err, ended.out.split()) == ("", [f"plain,{name}" for name in wanted])


async def test_completion_knows_stacks_and_services(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, stackd):
        asked = {"_STACKD_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
        assert (await stackd(**asked, COMP_WORDS="stackd restart b")).out == "plain,blog\n"
        asked["COMP_CWORD"] = "3"
        assert (await stackd(**asked, COMP_WORDS="stackd restart blog w")).out == "plain,web\n"


async def test_a_daemon_that_is_still_reading_is_said_to_be(tmp_path: Path) -> None:
    async with serving(settings=Settings(start_time=0.02)) as api:
        api.control.unread = "reading /srv/stacks/nfs, 3 of 12 folders are read"
        stackd = Cli(tmp_path, api.path)
        for words in (("ps",), ("stop", "blog", "web"), ("up", "blog")):
            ended = await stackd(*words)
            assert (ended.code, ended.out) == (3, "")
            assert ended.err == (
                "error: stackd is still reading the stacks: reading /srv/stacks/nfs, 3 of 12 folders are read; "
                "ask again in a few seconds\n"
            )


async def test_ps_says_that_an_edit_is_not_taken_yet(tmp_path: Path) -> None:
    text = "edit of 14:02:11 not taken yet, until 14:03:10, because app.env changed 10 times in a minute"
    late = Diagnostic("edit-not-taken", text, Span("app.env"), Severity.WARNING)
    async with world(tmp_path, replace(stack(), diagnostics=(late,))) as (_, stackd):
        assert (await stackd("ps")).err == f"warning: blog: {text}\n"
        assert (await stackd("ps", "blog")).err == f"warning: blog: {text}\n"


async def test_ps_and_plan_say_that_an_edit_with_errors_is_not_taken(tmp_path: Path) -> None:
    async with world(tmp_path, replace(stack(), diagnostics=(BROKEN,))) as (_, stackd):
        for words in (("ps",), ("ps", "blog"), ("plan", "blog"), ("plan", "blog", "--json")):
            ended = await stackd(*words)
            assert ended.code == 0
            assert ended.err == (
                "warning: blog: its files have errors, and the edit is not taken: stackd status blog\n"
            )


async def test_ps_of_a_stack_without_services_names_the_stack(tmp_path: Path) -> None:
    async with world(tmp_path, replace(stack(), services=())) as (_, stackd):
        assert (await stackd("ps", "blog")).err == "blog has no services yet: stackd status blog\n"


async def test_a_wait_for_what_cannot_be_read_ends_with_the_reason(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.unreadable = RequestError(503, "not_read", "the files of blog could not be read within 10 s")
        ended = await stackd("wait", "blog", "--for", "running")
        assert ended.code != 0
        assert "could not be read within 10 s" in ended.err


@pytest.mark.parametrize("command", ["ps", "status"])
async def test_without_an_engine_ps_and_status_say_which_socket_was_tried(tmp_path: Path, command: str) -> None:
    text = "no engine at unix:///run/docker.sock (connection refused): is Docker running? trying again every 10 s"
    async with world(tmp_path) as (api, stackd):
        api.control.ready = replace(api.control.ready, engine=text)
        assert f"warning: {text}\n" in (await stackd(command)).err
