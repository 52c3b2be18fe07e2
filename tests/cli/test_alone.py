"""Commands without a daemon: they say so, or do not need one; and what they cost."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from stackd.cli.exits import MEANING, Exit
from stackd.cli.main import COMMANDS, stackd
from stackd.errors import Diagnostic, Severity, Span
from stackd.model.ids import StackName
from stackd.model.override import Override, OverrideKind
from tests.api.world import serving
from tests.cli.world import RUN, Cli
from tests.fake.control import NOON, service, stack
from tests.oracle.cli import call

GOOD = "services:\n  web:\n    image: busybox:1\n"
BAD = 'services:\n  web:\n    image: busybox:1\n    ports:\n      - "80:80:80:80:80"\n'


def folder(parent: Path, name: str = "app", text: str = GOOD) -> Path:
    """A folder with a definition."""
    made = parent / name
    made.mkdir()
    (made / "compose.yaml").write_text(text)
    return made


@pytest.mark.parametrize("words", [("--no-such-flag",), ("--hash",), ("--variables", "--format", "foo")], ids=" ".join)
def test_config_in_docker_composes_words_ends_with_its_code_for_a_wrong_command_line(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    here = folder(tmp_path)
    for given in (("-f", "compose.yaml"), ("--shell-env",)):
        assert call(here, {"HOME": str(tmp_path)}, "config", *given, *words).code == Exit.FAILED


def test_config_of_a_stack_ends_as_every_command_for_an_unknown_flag(tmp_path: Path) -> None:
    assert call(tmp_path, {}, "config", "blog", "--no-such-flag").code == Exit.USAGE


def test_a_number_that_json_cannot_hold_is_neither_printed_in_json_nor_hashed(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, deploy: {resources: {limits: {cpus: inf}}}}\n  b: {image: x}\n"
    here = folder(tmp_path, text=text)
    ended = [
        call(here, {"HOME": str(tmp_path)}, "config", "--shell-env", *more)
        for more in ((), ("--json",), ("--hash", "*"), ("--hash", "b"))
    ]
    assert [one.code for one in ended] == [0, 1, 1, 0]
    assert "services.a.deploy.resources.limits.cpus" in ended[1].err


@pytest.mark.parametrize(
    "words",
    [
        ("ps",),
        ("status",),
        ("plan", "blog"),
        ("up", "blog"),
        ("down", "blog"),
        ("start", "blog"),
        ("stop", "blog"),
        ("restart", "blog"),
        ("pull", "blog"),
        ("hold", "blog"),
        ("resume", "blog"),
        ("logs", "blog"),
        ("events",),
        ("wait", "blog"),
        ("why", "blog", "web"),
        ("crashes", "blog"),
        ("history", "blog"),
        ("rollback", "blog"),
        ("adopt",),
        ("adopt", "blog"),
        ("release", "blog"),
    ],
)
async def test_without_a_daemon_a_command_says_so_and_how_to_start_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = await Cli(tmp_path)(*words)
    assert ended.code == 3
    assert ended.err == (
        f"error: stackd is not running (nothing answers at {tmp_path}/run/stackd/stackd.sock)\n"
        "  start it: systemctl --user start stackd\n"
        "  or here, to watch it: stackd run\n"
    )


@pytest.mark.parametrize(
    "words",
    [(), ("ps",), ("status", "blog"), ("up", "blog"), ("logs", "blog"), ("socket",), ("why", "blog"), ("adopt",)],
)
def test_the_command_line_is_light(words: tuple[str, ...]) -> None:
    """Nothing heavy is imported, whatever the command comes to."""
    program = (
        "import sys\n"
        f"sys.argv = ['stackd', '--socket', '/nonexistent/s', *{words!r}]\n"
        "from stackd.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'aiodocker', 'asyncio', 'pydantic', 'rich', 'yaml', 'watchfiles', 'sqlite3', 'tomllib'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("words", [("version",), ("--help",), ("version", "--json")], ids=" ".join)
@pytest.mark.parametrize(
    ("end", "code", "told"),
    [(">/dev/full", 1, "error: standard output: No space left on device\n"), (">&-", 0, "")],
    ids=["full", "closed"],
)
def test_an_output_that_takes_nothing_ends_a_command_without_a_traceback(
    tmp_path: Path, words: tuple[str, ...], end: str, code: int, told: str
) -> None:
    shell = ["bash", "-c", f'"$@" {end}', "bash", sys.executable, "-c", RUN, *words]
    ended = subprocess.run(shell, env=Cli(tmp_path).environment({}), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (code, told)


async def test_help_lists_every_command_and_every_exit_code(tmp_path: Path) -> None:
    text = (await Cli(tmp_path)("--help")).out
    for name in COMMANDS:
        assert f"\n  {name} " in text
    for code in Exit:
        assert MEANING[code].split(";")[0] in text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_that_fits_a_terminal(name: str) -> None:
    ended = CliRunner().invoke(stackd, [name, "--help"], prog_name="stackd")
    assert ended.exit_code == 0
    assert ended.output.startswith(f"Usage: stackd {name}")
    assert max(map(len, ended.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, "{home}/run/stackd/stackd.sock"),
        ({"STACKD_SOCKET": "/x/y.sock"}, "/x/y.sock"),
    ],
)
async def test_the_socket_is_where_the_environment_says(tmp_path: Path, more: dict[str, str], wanted: str) -> None:
    assert (await Cli(tmp_path)("socket", **more)).out == wanted.format(home=tmp_path) + "\n"


async def test_the_socket_is_where_option_or_configuration_say(tmp_path: Path) -> None:
    (tmp_path / ".config" / "stackd").mkdir(parents=True)
    (tmp_path / ".config" / "stackd" / "config.toml").write_text('socket = "~/my.sock"\n')
    run = Cli(tmp_path)
    assert (await run("socket")).out == f"{tmp_path}/my.sock\n"
    assert (await run("--socket", "/a.sock", "socket", STACKD_SOCKET="/b.sock")).out == "/a.sock\n"
    (tmp_path / ".config" / "stackd" / "config.toml").write_text("socket = \n")
    ended = await run("socket")
    assert ended.code == 6
    assert "config.toml:1:10: not valid TOML" in ended.err


async def test_validate_tells_file_line_and_column(tmp_path: Path) -> None:
    run = Cli(tmp_path)
    good, bad = folder(tmp_path, "good"), folder(tmp_path, "bad", BAD)
    ended = await run("validate", str(good))
    assert (ended.code, ended.out) == (0, "good: valid, 1 service\n")
    ended = await run("validate", str(bad / "compose.yaml"), str(good))
    assert ended.code == 6
    assert ended.out.startswith(f"{bad}/compose.yaml:5:9: error[")
    assert ended.err == "error: 1 error, 0 warnings\n"
    found = (await run("validate", "--json", str(bad))).json
    assert isinstance(found, list)
    assert found[0]["valid"] is False
    assert found[0]["diagnostics"][0]["line"] == 5


async def test_config_prints_the_canonical_form(tmp_path: Path) -> None:
    run = Cli(tmp_path)
    made = folder(tmp_path)
    model = (await run("config", "--json", str(made))).json
    assert isinstance(model, dict)
    assert model["services"]["web"]["image"] == "busybox:1"
    text = (await run("config", str(made))).out
    assert text.startswith("name: app\n")
    assert "image: busybox:1" in text
    ended = await run("config", str(folder(tmp_path, "bad", BAD)))
    assert (ended.code, ended.out) == (6, "")


async def test_config_into_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    image: web\n")
    ended = await Cli(tmp_path)("config", ".", "-o", "/nowhere/x")
    assert (ended.code, ended.err) == (1, "error: cannot write /nowhere/x: No such file or directory\n")


@pytest.mark.parametrize("words", [("validate", "x" * 300), ("add", "x" * 300), ("config", "./" + "x" * 300)])
async def test_a_path_that_the_system_refuses_is_no_traceback(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = await Cli(tmp_path)(*words)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert ended.err.endswith(f"{'x' * 300}: File name too long\n")


@pytest.mark.parametrize("words", [("config", "."), ("validate", "."), ("status",), ("run",)])
async def test_a_configuration_file_that_is_no_text_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / ".config" / "stackd" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes(b'engine = "\xff"\n')
    ended = await Cli(tmp_path)(*words)
    assert ended.code == 6
    assert str(file) in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("word", "code"), [("nowhere", 5), ("./empty", 6)])
async def test_config_of_nothing_says_so(tmp_path: Path, word: str, code: int) -> None:
    (tmp_path / "empty").mkdir()
    assert (await Cli(tmp_path)("config", word)).code == code


async def test_add_links_and_remove_unlinks(tmp_path: Path) -> None:
    run = Cli(tmp_path)
    made = folder(tmp_path)
    link = tmp_path / ".config" / "stackd" / "stacks" / "app"
    ended = await run("add", "app")
    assert ended.code == 0
    assert ended.out.splitlines()[0] == f"linked: {link} -> {made}"
    assert "start it: systemctl --user start stackd" in ended.out
    assert link.resolve() == made
    assert (await run("add", "app")).out.startswith("linked already: ")
    ended = await run("remove", "app")
    assert (ended.code, ended.out.splitlines()[0]) == (0, f"unlinked: {link} -> {made}")
    assert not link.is_symlink()
    assert (made / "compose.yaml").is_file()
    assert (await run("remove", "app")).code == 5


@pytest.mark.parametrize("first", ["/proc/stacks", "/dev/null/stacks"])
async def test_add_links_into_the_first_stacks_directory_that_takes_it(tmp_path: Path, first: str) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "compose.yaml").write_text("services:\n  web:\n    image: web\n")
    file = tmp_path / ".config" / "stackd" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'stacks = ["{first}", "{tmp_path / "second"}"]\n')
    stackd = Cli(tmp_path)
    ended = await stackd("add", "app")
    assert (ended.code, ended.out.splitlines()[0]) == (0, f"linked: {tmp_path / 'second' / 'app'} -> {folder}")
    assert (await stackd("add", "app")).out.startswith("linked already: ")
    file.write_text(f'stacks = ["{first}"]\n')
    ended = await stackd("add", "app")
    assert (ended.code, ended.out) == (1, "")
    assert f"cannot make {first}/app" in ended.err


async def test_add_takes_no_name_that_is_taken(tmp_path: Path) -> None:
    run = Cli(tmp_path)
    (tmp_path / "other").mkdir()
    folder(tmp_path)
    folder(tmp_path / "other")
    await run("add", "app")
    ended = await run("add", "other/app")
    assert ended.code == 1
    assert "choose another name" in ended.err
    assert (await run("add", "other/app", "--name", "app2")).code == 0


async def test_remove_never_touches_a_real_folder(tmp_path: Path) -> None:
    stacks = tmp_path / ".config" / "stackd" / "stacks"
    stacks.mkdir(parents=True)
    made = folder(stacks)
    ended = await Cli(tmp_path)("remove", "app")
    assert ended.code == 1
    assert "is a folder, not a link, and is not removed" in ended.err
    assert (made / "compose.yaml").is_file()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc"])
async def test_remove_stays_within_the_stacks_directories(tmp_path: Path, name: str) -> None:
    assert (await Cli(tmp_path)("remove", name)).code == 5


async def test_with_a_daemon_add_and_remove_tell_what_it_will_do(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks"
    made = folder(tmp_path)
    async with serving(replace(stack("shop"), folder=str(made))) as api:
        api.control.stacks_dirs = (str(stacks),)
        run = Cli(tmp_path, api.path)
        assert (await run("add", "app")).out.endswith("stackd starts shop now; watch it: stackd status shop\n")
        assert api.control.scans == 1
        ended = await run("remove", "shop")
        assert ended.out.splitlines()[0] == f"unlinked: {stacks}/app -> {made}"
        assert ended.out.splitlines()[1:] == [
            "in about 10 s stackd removes the containers and networks that it made; volumes and files stay",
            f"take it back: stackd add {made}",
        ]


async def test_add_of_a_stack_that_is_down_does_not_say_that_it_starts(tmp_path: Path) -> None:
    made = folder(tmp_path)
    for kind, way in ((OverrideKind.STOPPED, "start it: stackd up shop"), (OverrideKind.RELEASED, "stackd adopt shop")):
        down = Override(StackName("shop"), None, kind, "asked for", "me", NOON)
        async with serving(replace(stack("shop"), folder=str(made), overrides=(down,))) as api:
            api.control.stacks_dirs = (str(tmp_path / "stacks"),)
            lines = (await Cli(tmp_path, api.path)("add", "app")).out.splitlines()
            assert lines[1] == f"the stack is {kind} by me since 2023-11-14T22:13:20.000Z: asked for"
            assert lines[2].endswith(way)
            assert "now" not in lines[2]


async def test_add_of_a_stack_that_is_down_and_has_errors_tells_both(tmp_path: Path) -> None:
    made = folder(tmp_path)
    down = Override(StackName("shop"), None, OverrideKind.STOPPED, "asked for", "me", NOON)
    found = Diagnostic("bad-port", "found x", Span("/srv/compose.yaml", 3, 5), Severity.ERROR)
    for overrides, way in (((down,), "start it: stackd up shop"), ((), "as soon as the file is right; ")):
        async with serving(replace(stack("shop"), folder=str(made), overrides=overrides, diagnostics=(found,))) as api:
            api.control.stacks_dirs = (str(tmp_path / "stacks"),)
            text = (await Cli(tmp_path, api.path)("add", "app")).out
            assert "/srv/compose.yaml:3:5: error[bad-port]: found x\n" in text
            assert way in text.splitlines()[-1]


async def test_remove_tells_that_adopted_containers_run_on(tmp_path: Path) -> None:
    made = folder(tmp_path)
    theirs = service("web")
    theirs = replace(theirs, replicas=tuple(replace(one, adopted=True) for one in theirs.replicas))
    gone = "in about 10 s stackd removes the containers and networks that it made; volumes and files stay"
    stays = "its containers made by docker compose run on, and get their file's restart policy back"
    for services, told in (((theirs,), [stays]), ((theirs, service("db")), [gone, stays])):
        async with serving(replace(stack("shop", *services), folder=str(made))) as api:
            api.control.stacks_dirs = (str(tmp_path / "stacks"),)
            run = Cli(tmp_path, api.path)
            await run("add", "app")
            assert (await run("remove", "app")).out.splitlines()[1:-1] == told


async def test_remove_tells_that_a_released_stack_runs_on(tmp_path: Path) -> None:
    made = folder(tmp_path)
    released = Override(StackName("shop"), None, OverrideKind.RELEASED, "released", "me", NOON)
    async with serving(replace(stack("shop"), folder=str(made), overrides=(released,))) as api:
        api.control.stacks_dirs = (str(tmp_path / "stacks"),)
        run = Cli(tmp_path, api.path)
        await run("add", "app")
        told = "shop was released: its containers run on, the engine's own; take it back: stackd adopt shop"
        assert (await run("remove", "app")).out.splitlines()[1:] == [told]
        (tmp_path / "stacks" / "app").symlink_to(made)
        (tmp_path / "stacks" / "real").mkdir()
        api.control.world[StackName("shop")] = replace(
            api.control.world[StackName("shop")], folder=str(tmp_path / "stacks" / "real")
        )
        assert "its containers run on" in (await run("remove", "real")).err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_prints_a_script(tmp_path: Path, shell: str) -> None:
    ended = await Cli(tmp_path)("completion", shell)
    assert ended.code == 0
    assert "_STACKD_COMPLETE" in ended.out


async def test_version_needs_no_daemon(tmp_path: Path) -> None:
    ended = await Cli(tmp_path)("version")
    assert ended.code == 0
    assert ended.out.endswith("daemon: not running\n")
