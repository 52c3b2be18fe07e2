"""`why`, `crashes`, `history`, `rollback`, `adopt`, `release`: what they print, and how they end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackd.model.ids import OperationId, ServiceName, StackName
from stackd.model.override import OperationState, Override, OverrideKind
from stackd.model.record import Adoptable
from stackd.model.status import StackState
from tests.api.test_past import REASON, WEB, remember
from tests.cli.test_with_daemon import done, world
from tests.fake.control import service, stack
from tests.fake.past import NOON, crashed


async def test_why_tells_headline_chain_and_what_comes_next(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        ended = await stackd("why", "blog", "web")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines() == [
            "web: it exits at once since its image was edited",
            "  2023-11-14T22:12:20Z  edit     image: web:1 -> web:2 (/srv/blog/compose.yaml:4:12)",
            "  2023-11-14T22:12:22Z  call     started blog-web-1",
            "  now                   waiting  the third try is due",
            "next: it is started again in 4 s",
        ]


ALL_OF_IT = [
    ("held", "`stackd resume blog` ends that, and so does an edit of its files"),
    ("stopped", "`stackd up blog` starts it, and so does an edit of its files"),
    ("released", "`stackd adopt blog` has stackd keep it again"),
]


@pytest.mark.parametrize(("kind", "end"), ALL_OF_IT)
async def test_why_of_a_stack_that_was_left_or_put_so_says_by_whom_and_what_ends_it(
    tmp_path: Path, kind: str, end: str
) -> None:
    seen = "signal 15 came to all of it"
    whole = Override(StackName("blog"), None, OverrideKind(kind), seen, "another hand", NOON, NOON + 60)
    for services in ((service("web"), service("db")), (service("web"),)):
        async with world(tmp_path, replace(stack("blog", *services), overrides=(whole,))) as (_, stackd):
            ended = await stackd("why", "blog")
            assert (ended.code, ended.out.splitlines()) == (
                0,
                [
                    f"blog is {kind}: {seen} (by another hand) at 2023-11-14T22:13:20Z",
                    f"next: it ends at 2023-11-14T22:14:20Z; {end}",
                ],
            )


async def test_why_of_a_stack_without_a_reason_of_its_own_tells_each_service_in_a_line(tmp_path: Path) -> None:
    lines = ["db: it is as its file says", "web: it exits at once since its image was edited"]
    async with world(tmp_path) as (api, stackd):
        remember(api)
        ended = await stackd("why", "blog")
        assert (ended.code, ended.out.splitlines()) == (0, lines)
        pin = Override(StackName("blog"), None, OverrideKind.PINNED, "rollback", "uid 0", NOON, value=2)
        api.control.put(replace(stack(), overrides=(pin,)))
        assert (await stackd("why", "blog")).out.splitlines() == [
            "blog is pinned to revision 2: rollback (by uid 0) at 2023-11-14T22:13:20Z",
            "next: `stackd up blog` puts its files in force, and so does an edit of its files",
            *lines,
        ]
        told = (await stackd("why", "blog", "--json")).json
        assert isinstance(told, dict)
        assert ([one["value"] for one in told["overrides"]], len(told["services"])) == ([2], 2)


async def test_why_of_a_stack_without_services_tells_its_state(tmp_path: Path) -> None:
    frozen = replace(stack(state=StackState.FROZEN), services=(), detail="this was ren, which still runs")
    async with world(tmp_path, frozen) as (_, stackd):
        assert (await stackd("why", "blog")).out == "blog: frozen (this was ren, which still runs)\n"


async def test_a_service_alone_will_do_while_only_one_stack_has_it(tmp_path: Path) -> None:
    async with world(tmp_path, stack(), stack("shop", service("till"))) as (api, stackd):
        remember(api)
        assert (await stackd("why", "web")).out.startswith(f"web: {REASON.headline}\n")
        assert (await stackd("why", "shop")).out.startswith("till: ")
        assert len((await stackd("crashes", "web")).out.splitlines()) == 4
        api.control.put(stack("shop", service("web")))
        ended = await stackd("why", "web")
        assert (ended.code, ended.out) == (2, "")
        assert 'several stacks have a service "web": blog, shop; say which: STACK web' in ended.err


async def test_crashes_lists_them_and_shows_all_of_one(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        lines = (await stackd("crashes", "blog")).out.splitlines()
        assert [line.split()[0] for line in lines[:-1]] == ["ID", "9", "8", "7"]
        assert lines[-1] == "all of one: stackd crashes blog ID"
        for words in (("blog", "7"), ("blog", "web", "7"), ("web", "7")):
            text = (await stackd("crashes", *words)).out
            assert text.startswith("crash 7 of blog/web: exited 137, out of memory\n")
            assert "\nits last 2 lines:\n  allocating\n" in text
            assert "\x1b" not in text
        assert (await stackd("crashes", "blog", "--last")).out.startswith("crash 9 of blog/web: ")
        assert (await stackd("crashes", "blog", "db", "--last")).out.startswith("crash 8 of blog/db: ")


async def test_crashes_of_a_stack_without_any_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as (_, stackd):
        assert (await stackd("crashes", "blog")).out == "no crashes\n"


async def test_a_crash_without_a_change_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        for number, stable_at, told in ((1, None, "not known to have run well before"), (2, 1.7e9, "Z): nothing")):
            api.control.bundles = [replace(crashed(number), changes=(), stable_at=stable_at)]
            assert f"{told}\n" in (await stackd("crashes", "blog", str(number))).out


async def test_history_lists_revisions_and_shows_what_one_changed(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        rows = [line.split() for line in (await stackd("history", "blog")).out.splitlines()]
        assert rows[0] == ["REVISION", "WHEN", "NOW", "SERVICES", "CHANGES"]
        assert (rows[1][0], rows[1][3], rows[3][0]) == ("3", "current", "1")
        assert "-    image: web:2\n+    image: web:3\n" in (await stackd("history", "blog", "--diff", "3")).out
        other = await stackd("history", "blog", "--diff", "3", "--against", "1")
        assert "-    image: web:1\n+    image: web:3\n" in other.out


async def test_values_are_asked_for_by_their_option_and_by_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        assert (await stackd("history", "blog", "--diff", "3")).code == 0
        assert (await stackd("history", "blog", "--diff", "3", "--values")).code == 0
        assert api.control.asked_values == [False, True]
        refused = await stackd("history", "blog", "--values")
        assert (refused.code, "--values needs --diff" in refused.err) == (2, True)
        assert "(with values)" not in (await stackd("why", "blog", "web")).out
        assert "(with values)" in (await stackd("why", "blog", "web", "--values")).out


async def test_a_rollback_waits_and_says_how_it_is_released(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        process = await stackd.start("rollback", "blog", "1")
        await api.control.until(lambda: api.control.waiters > 0)
        await api.control.finish(OperationId("op-1"), OperationState.SUCCEEDED)
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
        assert out.decode() == (
            "rollback blog: done\n"
            "revision 1 is in force until its files are edited; or go back to the files now: stackd up blog\n"
        )
        assert "pinned" in (await stackd("history", "blog")).out


async def test_a_rollback_may_name_no_revision_and_may_not_wait(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        ended = await stackd("rollback", "blog", "-d")
        assert (ended.code, ended.out) == (0, "rollback blog: queued\n")
        assert api.control.rolled_back == [None]


async def test_adopt_lists_what_can_be_adopted_and_what_was_released(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        assert (await stackd("adopt")).out == "there is no Compose project that stackd does not keep already\n"
        remember(api)
        await api.control.release(StackName("blog"), "me")
        lines = (await stackd("adopt")).out.splitlines()
        assert [line.split()[0] for line in lines[:3]] == ["PROJECT", "shop", "old"]
        assert lines[2].endswith("its folder /srv/old is gone")
        assert lines[3] == "blog was released; take it back: stackd adopt blog"


async def test_adopt_takes_a_name_or_a_folder(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.answers = done
        api.control.projects.append(Adoptable(StackName("shop"), str(tmp_path / "till"), (), (WEB,), 1, 1))
        (tmp_path / "till").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "till")
        for name in ("shop", "./link", str(tmp_path / "till")):
            ended = await stackd("adopt", name)
            assert (ended.code, ended.out) == (
                0,
                "adopt shop: done\nstackd keeps shop from now on: stackd status shop\n",
            )


async def test_what_stands_against_adopting_ends_with_1(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        ended = await stackd("adopt", "old")
        assert (ended.code, ended.err) == (1, "error: old: its folder /srv/old is gone\n")


async def test_release_says_what_it_means_and_adopt_takes_it_back(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.answers = done
        ended = await stackd("release", "blog")
        assert (ended.code, ended.out.splitlines()) == (
            0,
            [
                "release blog: done",
                "its containers run on; from now on the engine restarts them, as the file's `restart:` says",
                "edits of its files are not applied until you take it back: stackd adopt blog",
            ],
        )
        assert api.control.stacks()[0].overrides[0].kind is OverrideKind.RELEASED
        assert "the stack is released by uid" in (await stackd("status", "blog")).out
        assert (await stackd("adopt", "blog")).code == 0
        assert not api.control.stacks()[0].overrides


async def test_adopt_tells_what_it_leaves_as_it_is(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.answers = done
        held = Override(StackName("shop"), WEB, OverrideKind.HELD, "its container differs from its file", "me", NOON)
        api.control.projects.append(Adoptable(StackName("shop"), "/srv/shop", (), (WEB,), 1, 1))
        api.control.when_adopted = replace(stack("shop"), overrides=(held,))
        assert (await stackd("adopt", "shop")).out.splitlines()[-1] == (
            "web is held: its container differs from its file; make it as its file says: stackd up shop web"
        )


async def test_resume_ends_neither_a_rollback_nor_a_release(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        await api.control.rollback(StackName("blog"), 1, "me")
        ended = await stackd("resume", "blog")
        assert (ended.code, "its rollback ends with: stackd up blog" in ended.err) == (1, True)
        await api.control.release(StackName("blog"), "me")
        ended = await stackd("resume", "blog")
        assert (ended.code, "take it back: stackd adopt blog" in ended.err) == (1, True)
        assert api.control.stacks()[0].overrides[0].kind is OverrideKind.RELEASED


@pytest.mark.parametrize(
    "words",
    [
        ("why", "blog", "web"),
        ("crashes", "blog"),
        ("crashes", "blog", "--last"),
        ("history", "blog"),
        ("history", "blog", "--diff", "3"),
        ("rollback", "blog"),
        ("adopt",),
        ("adopt", "shop"),
        ("release", "blog"),
    ],
)
async def test_json_of_the_past_is_one_value(tmp_path: Path, words: tuple[str, ...]) -> None:
    async with world(tmp_path) as (api, stackd):
        remember(api)
        api.control.answers = done
        ended = await stackd(*words, "--json")
        assert (ended.code, ended.err) == (0, "")
        assert isinstance(ended.json, dict)


async def test_completion_knows_services_to_ask_about_and_projects_to_adopt(tmp_path: Path) -> None:
    async with world(tmp_path) as (api, stackd):
        api.control.projects.append(Adoptable(StackName("shop"), "/srv/shop", (), (ServiceName("web"),), 1, 1))
        asked = {"_STACKD_COMPLETE": "bash_complete", "COMP_CWORD": "3"}
        assert (await stackd(**asked, COMP_WORDS="stackd why blog w")).out == "plain,web\n"
        asked["COMP_CWORD"] = "2"
        assert (await stackd(**asked, COMP_WORDS="stackd adopt s")).out == "plain,shop\n"
        asked["COMP_CWORD"] = "1"
        assert (await stackd(**asked, COMP_WORDS="stackd hist")).out == "plain,history\n"
