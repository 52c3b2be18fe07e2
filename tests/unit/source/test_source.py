"""The whole disk side: real files, the real watcher, the real loader; what is published, and when."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stackd.compose.load import StackInputs, load
from stackd.config import FreezeConfig, WatchConfig
from stackd.model.ids import ServiceName, StackName
from stackd.model.spec import Loaded
from stackd.model.view import DesiredStack, Now, Presence
from stackd.runtime.database import Bounds
from stackd.runtime.journal import Journal
from stackd.source import discover
from stackd.source.discover import Candidate, look
from stackd.source.force import Held
from stackd.source.reading import Files
from stackd.source.revision import Revision
from stackd.source.scan import Scanner, SourceSettings, StackReading
from stackd.source.source import ELSEWHERE, GONE, Source, SourceOptions

FREEZE = FreezeConfig(stack_grace=0.3, service_grace=0.2)
WATCH = WatchConfig(step=0.02, quiet=0.1)


def compose(*services: str, name: str = "", mode: str = "a") -> str:
    lines = [f"name: {name}"] if name else []
    lines.append("services:")
    for service in services or ("web",):
        lines += [f"  {service}:", "    image: busybox", f"    environment: {{MODE: {mode}}}"]
    return "\n".join(lines) + "\n"


class World:
    """A stacks directory, what runs, and everything that was published."""

    def __init__(self, place: Path) -> None:
        self.root = place / "stacks"
        self.root.mkdir(exist_ok=True)
        self.desired: dict[StackName, DesiredStack] = {}
        self.log: list[str] = []
        self.reason = ""
        self.is_loaded = False
        self.running: Mapping[StackName, str] | None = {}
        self.kept: dict[StackName, Revision] = {}
        self._turn = asyncio.Event()

    # Publisher
    def publish(self, desired: DesiredStack) -> None:
        self.desired[desired.name] = desired
        self._said(f"publish {desired.name}")

    def withdraw(self, stack: StackName) -> None:
        del self.desired[stack]
        self._said(f"withdraw {stack}")

    def frozen(self, reason: str) -> None:
        self.reason = reason
        self._said("frozen")

    def loaded(self) -> None:
        self.is_loaded = True
        self._said("loaded")

    # RevisionStore
    def save_revision(self, revision: Revision) -> None:
        self.kept[revision.name] = revision

    def forget_revision(self, stack: StackName) -> None:
        self.kept.pop(stack, None)

    def _said(self, what: str) -> None:
        self.log.append(what)
        self._turn.set()

    def write(self, stack: str, text: str, file: str = "compose.yaml") -> Path:
        path = self.root / stack / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def of(self, name: str) -> DesiredStack:
        return self.desired[StackName(name)]

    def has(self, name: str) -> bool:
        return StackName(name) in self.desired

    def runs(self, *names: str) -> None:
        self.running = {StackName(name): str(self.root / name) for name in names}

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self._turn.clear()
                await self._turn.wait()

    @asynccontextmanager
    async def source(self, freeze: FreezeConfig = FREEZE, **env: str) -> AsyncIterator[Source]:
        options = SourceOptions(SourceSettings((self.root,), env), WATCH, freeze)
        self.desired.clear()
        self.is_loaded = False
        source = Source(options, self, lambda: self.running, self, dict(self.kept))
        task = asyncio.create_task(source.run())
        try:
            await self.until(lambda: self.is_loaded)
            yield source
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def mode(desired: DesiredStack, service: str = "web") -> str | None:
    assert desired.project is not None
    return desired.project.services[ServiceName(service)].environment["MODE"]


async def doubted(source: Source) -> None:
    """Wait until the source has read a bad text of `blog` by itself."""
    source.poke()
    async with asyncio.timeout(20):
        while source._held[StackName("blog")].suspect is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def codes(desired: DesiredStack) -> list[str]:
    return [one.code for one in desired.diagnostics]


async def test_everything_is_published_before_loaded_is_said(world: World) -> None:
    world.write("blog", compose())
    world.write("shop", compose("web", "db"))
    async with world.source():
        assert world.log == ["publish blog", "publish shop", "loaded"]
        blog = world.of("blog")
        assert (blog.generation, blog.presence, blog.folder) == (1, Presence.PRESENT, world.root / "blog")
        assert not blog.services_settled
        await world.until(lambda: world.of("blog").services_settled and world.of("shop").services_settled)


async def test_an_edit_comes_into_force_as_a_new_generation(world: World) -> None:
    file = world.write("blog", compose(mode="a"))
    async with world.source():
        file.write_text(compose(mode="b"))
        await world.until(lambda: mode(world.of("blog")) == "b")
        assert world.of("blog").generation == 2


async def test_env_files_and_overrides_belong_to_the_definition(world: World) -> None:
    world.write("blog", "services: {web: {image: 'busybox:${TAG}', env_file: [extra.env]}}\n")
    world.write("blog", "TAG=1\n", ".env")
    world.write("blog", "MODE=x\n", "extra.env")
    async with world.source():
        world.write("blog", "TAG=2\n", ".env")
        project = world.of("blog").project
        await world.until(lambda: world.of("blog").project != project)
        world.write("blog", "MODE=y\n", "extra.env")
        await world.until(lambda: mode(world.of("blog")) == "y")
        world.write("blog", "services: {web: {environment: {MODE: z}}}\n", "compose.override.yaml")
        await world.until(lambda: mode(world.of("blog")) == "z")
        assert world.of("blog").generation == 4


async def test_a_broken_text_is_reported_with_its_place_and_the_last_good_stays(world: World) -> None:
    file = world.write("blog", compose(mode="a"))
    async with world.source():
        file.write_text("services:\n  web: [\n")
        await world.until(lambda: bool(world.of("blog").diagnostics))
        broken = world.of("blog")
        assert broken.diagnostics[0].span.file == str(file)
        assert broken.diagnostics[0].span.line > 0
        assert (mode(broken), broken.generation, broken.presence) == ("a", 1, Presence.PRESENT)
        file.write_text(compose(mode="b"))
        await world.until(lambda: world.of("blog").generation == 2)
        assert world.of("blog").diagnostics == ()


async def test_a_half_written_file_is_not_reported(world: World) -> None:
    file = world.write("blog", compose(mode="a"))
    slow = WatchConfig(step=0.02, quiet=10)
    options = SourceOptions(SourceSettings((world.root,), {}), slow, FREEZE)
    source = Source(options, world, lambda: world.running, world, {})
    task = asyncio.create_task(source.run())
    await world.until(lambda: world.is_loaded and world.of("blog").services_settled)
    before = len(world.log)
    file.write_text("services:\n  web: [\n")
    await doubted(source)
    file.write_text(compose(mode="b"))
    await world.until(lambda: mode(world.of("blog")) == "b")
    assert world.log[before:] == ["publish blog"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_file_that_an_editor_moves_away_and_writes_anew_is_missing_at_no_time(world: World) -> None:
    file = world.write("blog", compose(mode="a"))
    options = SourceOptions(SourceSettings((world.root,), {}), WatchConfig(step=0.02, quiet=10), FREEZE)
    source = Source(options, world, lambda: world.running, world, {})
    task = asyncio.create_task(source.run())
    await world.until(lambda: world.is_loaded and world.of("blog").services_settled)
    before = len(world.log)
    for name in ("4913", ".compose.yaml.swp", "compose.yaml~"):
        world.write("blog", "services: [", name)
    file.rename(world.root / "blog" / "compose.yaml~")
    await doubted(source)
    file.write_text(compose(mode="b"))
    await world.until(lambda: mode(world.of("blog")) == "b")
    assert world.log[before:] == ["publish blog"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_after_a_restart_a_broken_text_leaves_the_remembered_definition_in_force(world: World) -> None:
    file = world.write("blog", compose(mode="a"))
    world.write("blog", "SECRET=x\n", ".env")
    async with world.source():
        pass
    file.write_text("services: [")
    async with world.source():
        await world.until(lambda: bool(world.of("blog").diagnostics))
        assert (mode(world.of("blog")), world.of("blog").generation) == ("a", 1)
        file.write_text(compose(mode="b"))
        await world.until(lambda: world.of("blog").generation == 2)


async def test_without_a_remembered_definition_a_broken_text_plans_nothing(world: World) -> None:
    world.write("blog", "services: [")
    async with world.source():
        blog = world.of("blog")
        assert (blog.project, blog.generation, blog.presence) == (None, 0, Presence.PRESENT)
        assert blog.diagnostics


async def test_a_restart_alone_makes_no_new_generation(world: World) -> None:
    world.write("blog", compose())
    async with world.source():
        first = world.of("blog").project
    async with world.source():
        assert (world.of("blog").generation, world.of("blog").project) == (1, first)


async def test_a_dangling_link_or_a_folder_without_a_file_removes_nothing(world: World, tmp_path: Path) -> None:
    source = tmp_path / "src" / "app"
    source.mkdir(parents=True)
    (source / "compose.yaml").write_text(compose(mode="a"))
    (world.root / "blog").symlink_to(source)
    world.runs("app")
    async with world.source():
        assert mode(world.of("app")) == "a"
        source.rename(tmp_path / "src" / "elsewhere")
        await world.until(lambda: world.of("app").presence is Presence.MISSING)
        assert mode(world.of("app")) == "a"
        assert codes(world.of("app")) == ["definition-missing"]
        source.mkdir()
        await world.until(lambda: "no Compose file" in world.of("app").diagnostics[0].message)
        assert world.of("app").presence is Presence.MISSING
        (source / "compose.yaml").write_text(compose(mode="b"))
        await world.until(lambda: mode(world.of("app")) == "b")
        assert world.of("app").presence is Presence.PRESENT


async def test_a_removed_stack_is_removed_after_the_grace_and_withdrawn_once_it_is_gone(world: World) -> None:
    for name in ("blog", "shop"):
        world.write(name, compose())
    world.runs("blog", "shop")
    async with world.source():
        shutil.rmtree(world.root / "blog")
        await world.until(lambda: world.of("blog").presence is Presence.GOING)
        assert codes(world.of("blog")) == ["stack-going"]
        await world.until(lambda: world.of("blog").presence is Presence.REMOVED)
        assert world.of("blog").project is not None
        world.runs("shop")
        await world.until(lambda: not world.has("blog"))
        assert set(world.kept) == {"shop"}


async def test_a_stack_removed_while_the_daemon_was_away_is_removed_after_the_grace(world: World) -> None:
    for name in ("blog", "shop"):
        world.write(name, compose())
    async with world.source():
        pass
    shutil.rmtree(world.root / "blog")
    world.runs("blog", "shop")
    async with world.source():
        assert world.of("blog").presence is Presence.GOING
        await world.until(lambda: world.of("blog").presence is Presence.REMOVED)


async def test_a_stack_that_was_never_seen_is_not_withdrawn_or_removed_while_what_runs_is_unknown(world: World) -> None:
    for name in ("blog", "shop"):
        world.write(name, compose())
    world.running = None
    async with world.source():
        shutil.rmtree(world.root / "blog")
        await world.until(lambda: world.of("blog").presence is Presence.REMOVED)
        assert world.has("blog")


async def test_most_stacks_gone_at_once_freezes_until_a_person_confirms(world: World) -> None:
    names = ("blog", "shop", "wiki")
    for name in names:
        world.write(name, compose())
    world.runs(*names)
    async with world.source() as source:
        for name in names:
            (world.root / name).rename(world.root.parent / f"away-{name}")
        await world.until(lambda: "3 of 3 stacks are gone at once" in world.reason)
        assert {world.of(name).presence for name in names} == {Presence.MISSING}
        assert source.confirm(StackName("blog"), ELSEWHERE) == ()
        assert source.confirm(None, GONE) == names
        await world.until(lambda: all(world.of(name).presence is Presence.REMOVED for name in names))
        assert world.reason == ""


async def test_a_stacks_directory_that_vanishes_removes_nothing_and_comes_back(world: World) -> None:
    world.write("blog", compose(mode="a"))
    world.runs("blog")
    async with world.source() as source:
        world.root.rename(world.root.parent / "unmounted")
        await world.until(lambda: "is not there" in world.reason)
        assert (world.of("blog").presence, mode(world.of("blog"))) == (Presence.MISSING, "a")
        assert str(world.root) in source.problem
        world.root.mkdir()  # An empty mount point.
        await world.until(lambda: "is not the directory it was" in world.reason)
        world.root.rmdir()
        (world.root.parent / "unmounted").rename(world.root)
        await world.until(lambda: world.of("blog").presence is Presence.PRESENT)
        assert (world.reason, source.problem) == ("", "")


async def test_a_renamed_folder_waits_for_up_and_lists_the_volumes_that_stay_behind(world: World) -> None:
    text = "services: {web: {image: busybox, volumes: ['data:/data']}}\nvolumes: {data: {}}\n"
    world.write("blog", text)
    world.write("shop", compose())
    world.runs("blog", "shop")
    async with world.source() as source:
        (world.root / "blog").rename(world.root / "site")
        await world.until(lambda: world.has("site"))
        site, blog = world.of("site"), world.of("blog")
        assert (site.project, blog.presence) == (None, Presence.MISSING)
        assert blog.project is not None
        assert "blog_data" in site.diagnostics[-1].message
        assert codes(site) == codes(blog) == ["stack-renamed"]
        assert site.waits == "this was blog, which still runs; `stackd up site` replaces it"
        source.confirm(StackName("site"))
        await world.until(lambda: world.of("site").project is not None)
        assert world.of("site").waits == ""
        assert world.of("blog").presence is Presence.REMOVED


async def test_a_renamed_stack_without_containers_just_has_its_new_name(world: World) -> None:
    file = world.write("blog", compose())
    world.write("shop", compose())
    async with world.source():
        file.write_text(compose(name="site"))
        await world.until(lambda: world.has("site") and not world.has("blog"))
        assert world.of("site").project is not None


async def test_a_new_name_in_the_file_waits_for_up_and_can_be_taken_back(world: World) -> None:
    file = world.write("blog", compose())
    world.runs("blog")
    async with world.source():
        file.write_text(compose(name="site"))
        await world.until(lambda: world.has("site"))
        assert world.of("site").project is None
        file.write_text(compose())
        await world.until(lambda: world.of("blog").presence is Presence.PRESENT)
        await world.until(lambda: not world.has("site"))


async def test_a_name_that_is_now_another_folders_waits_for_up(world: World, tmp_path: Path) -> None:
    for number, text in enumerate("ab"):
        folder = tmp_path / f"release{number}"
        folder.mkdir()
        (folder / "compose.yaml").write_text(compose(name="app", mode=text))
    (world.root / "app").symlink_to(tmp_path / "release0")
    world.runs("app")
    async with world.source() as source:
        (world.root / "new").symlink_to(tmp_path / "release1")
        (world.root / "new").rename(world.root / "app")
        await world.until(lambda: codes(world.of("app")) == ["stack-moved"])
        assert (mode(world.of("app")), world.of("app").folder) == ("a", tmp_path / "release0")
        source.confirm(StackName("app"))
        await world.until(lambda: mode(world.of("app")) == "b")
        assert world.of("app").folder == tmp_path / "release1"


async def test_of_two_folders_with_one_name_the_running_one_wins_and_nothing_is_surplus(world: World) -> None:
    world.write("a", compose(name="app", mode="a"))
    world.write("b", compose("web", "db", name="app", mode="b"))
    world.running = {StackName("app"): str(world.root / "b")}
    async with world.source() as source:
        app = world.of("app")
        assert mode(app) == "b"
        assert codes(app) == ["duplicate-project"]
        assert app.diagnostics[0].span.file == str(world.root / "a")
        world.running = {StackName("app"): str(world.root / "a")}
        await source.rescan()
        assert mode(world.of("app")) == "b"  # It keeps what it has.
        assert not world.of("app").services_settled


async def test_a_service_is_not_surplus_before_two_equal_readings(world: World) -> None:
    file = world.write("blog", compose("web", "db"))
    async with world.source():
        await world.until(lambda: world.of("blog").services_settled)
        file.write_text(compose("web"))
        await world.until(lambda: world.of("blog").generation == 2)
        assert not world.of("blog").services_settled
        await world.until(lambda: world.of("blog").services_settled)


async def test_a_stack_file_that_others_may_write_is_refused_and_the_last_good_stays(world: World) -> None:
    file = world.write("blog", compose(mode="a"))
    async with world.source():
        file.chmod(0o666)
        file.write_text(compose(mode="evil"))
        await world.until(lambda: bool(world.of("blog").diagnostics))
        assert mode(world.of("blog")) == "a"
        assert "can be written by everybody" in world.of("blog").diagnostics[0].message
        file.chmod(0o644)
        await world.until(lambda: mode(world.of("blog")) == "evil")


async def test_a_private_data_folder_of_a_stack_disturbs_nothing(world: World) -> None:
    world.write("blog", compose())
    data = world.root / "blog" / "data"
    data.mkdir(mode=0o700)
    async with world.source() as source:
        await world.until(lambda: world.of("blog").services_settled)
        before = list(world.log)
        data.chmod(0o000)
        (world.root / "blog" / "app.log").write_text("a service writes beside its definition\n")
        await source.rescan()
        assert world.log == before
        assert world.of("blog").diagnostics == ()
        data.chmod(0o700)


async def test_a_fig_file_is_a_stack(world: World) -> None:
    world.write("old", "web:\n  image: busybox\n  environment:\n    MODE: fig\n", "fig.yml")
    async with world.source():
        assert mode(world.of("old")) == "fig"


async def test_a_fault_of_the_loader_is_one_stacks_trouble(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("blog", compose())
    world.write("shop", compose())

    def faulty(inputs: StackInputs, read: Callable[[Path], bytes], env: Mapping[str, str]) -> Loaded:
        if inputs.folder.name == "blog":
            raise RecursionError
        return load(inputs, read, env)

    monkeypatch.setattr("stackd.source.scan.load", faulty)
    async with world.source():
        assert codes(world.of("blog")) == ["internal-error"]
        assert world.of("shop").project is not None


async def test_only_variables_that_are_passed_on_reach_a_definition(world: World) -> None:
    world.write("blog", "services: {web: {image: busybox, environment: {MODE: '${WHO:-nobody}'}}}\n")
    async with world.source(WHO="dev"):
        assert mode(world.of("blog")) == "dev"
    async with world.source():
        assert mode(world.of("blog")) == "nobody"


async def test_one_file_that_no_read_is_prepared_for_costs_nothing_but_its_stack(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As when compose.yaml led to /proc/kmsg: a fault outside of the loader."""
    file = world.write("blog", compose())
    world.write("shop", compose())
    broken = world.root / "shop"
    real = discover.look

    def look(root: Path, entry: str, files: Files) -> Candidate:
        if root / entry == broken:
            raise TypeError("object of type 'NoneType' has no len()")
        return real(root, entry, files)

    monkeypatch.setattr("stackd.source.scan.look", look)
    async with world.source() as source:
        (found,) = world.of("shop").diagnostics
        assert (found.code, found.span.file) == ("internal-error", str(broken))
        assert "stackd itself failed at this stack (TypeError in test_source.py:" in found.message
        file.write_text(compose(mode="b"))
        await world.until(lambda: mode(world.of("blog")) == "b")
        await source.rescan()
        assert [one.exc_info is not None for one in caplog.records if "by a fault of stackd" in one.message] == [True]
        monkeypatch.undo()
        await source.rescan()
        assert world.of("shop").project is not None and codes(world.of("shop")) == []


async def test_a_fault_while_a_stack_is_taken_is_that_stacks_state(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world.write("blog", compose())
    world.write("shop", compose())
    real = Held.take

    def take(held: Held, reading: StackReading, at: float, quiet: float) -> float | None:
        if reading.name == "blog":
            raise ZeroDivisionError("p4ss")
        return real(held, reading, at, quiet)

    monkeypatch.setattr(Held, "take", take)
    async with world.source() as source:
        assert codes(world.of("blog")) == ["internal-error"]
        assert "p4ss" not in str(world.of("blog").diagnostics)
        assert world.of("shop").project is not None
        await source.rescan()
        assert sum("by a fault of stackd" in one.message for one in caplog.records) == 1
        monkeypatch.undo()
        await source.rescan()
        assert world.of("blog").project is not None


@pytest.mark.parametrize("method", ["_loaded", "_stack"])
async def test_a_fault_in_a_reading_that_a_person_asks_for_is_that_stacks_state(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    world.write("app", compose())

    def faulty(*given: object) -> None:
        raise ZeroDivisionError("p4ss")

    async with world.source() as source:
        monkeypatch.setattr(Scanner, method, faulty)
        await source.read(StackName("app"))
        assert codes(world.of("app")) == ["internal-error"]
        assert world.of("app").project is not None
        monkeypatch.undo()
        monkeypatch.setattr(Held, "take_now", faulty)
        await source.read(StackName("app"))
        assert codes(world.of("app")) == ["internal-error"]
        monkeypatch.undo()
        await source.read(StackName("app"))
        assert codes(world.of("app")) == []


async def test_a_round_that_fails_as_a_whole_is_said_and_done_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("blog", compose())
    async with world.source() as source:
        real = source._scanner.read
        monkeypatch.setattr(source._scanner, "read", lambda: len(None))  # type: ignore[arg-type]
        await source.rescan()
        assert source.problem.startswith("stackd itself failed to read the stacks directories (TypeError)")
        assert world.of("blog").project is not None
        monkeypatch.setattr(source._scanner, "read", real)
        await source.rescan()
        assert source.problem == ""


async def test_a_definition_that_is_a_file_of_the_kernel_is_refused_and_the_others_go_on(world: World) -> None:
    world.write("shop", compose())
    (world.root / "blog").mkdir()
    (world.root / "blog" / "compose.yaml").symlink_to("/proc/kmsg")
    async with world.source():
        (found,) = world.of("blog").diagnostics
        assert (found.code, "not a regular file" in found.message) == ("unreadable-file", True)
        assert world.of("shop").project is not None


async def test_the_journal_keeps_what_a_restart_needs(world: World, tmp_path: Path) -> None:
    file = world.write("blog", compose(mode="a"))

    async def one_life(then: Callable[[DesiredStack], bool]) -> None:
        journal = Journal(tmp_path / "state", Bounds(100, 1e9), lambda: Now(time.monotonic(), time.time()))
        contents = await journal.load()
        options = SourceOptions(SourceSettings((world.root,), {}), WATCH, FREEZE)
        source = Source(options, world, lambda: world.running, journal, contents.revisions)
        task = asyncio.create_task(source.run())
        await world.until(lambda: world.has("blog") and then(world.of("blog")))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close(0)
        world.desired.clear()

    await one_life(lambda blog: blog.generation == 1)
    file.write_text("services: [")
    await one_life(lambda blog: bool(blog.diagnostics) and mode(blog) == "a")


# A question about now


def _noisy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every edit is one too many: none is taken by itself for a long time."""
    monkeypatch.setattr("stackd.source.pace.TOO_MANY", 1)
    monkeypatch.setattr("stackd.source.pace.FIRST_REST", 1e6)
    monkeypatch.setattr("stackd.source.pace.LONGEST_REST", 1e6)


@pytest.mark.parametrize("ask", ["read", "rescan"])
async def test_what_a_person_asks_for_is_read_now_whatever_the_damper_says(
    world: World, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    world.write("app", compose())
    async with world.source() as source:
        _noisy(world, monkeypatch)
        world.write("app", compose(mode="c"))
        await world.until(lambda: "edit-not-taken" in codes(world.of("app")))
        await (source.read(StackName("app")) if ask == "read" else source.rescan())
        assert mode(world.of("app")) == "c"
        assert "edit-not-taken" not in codes(world.of("app"))


async def test_a_bad_text_is_published_at_once_to_a_person_who_asks(world: World) -> None:
    world.write("app", compose())
    watch = WatchConfig(step=0.02, quiet=10.0)
    source = Source(SourceOptions(SourceSettings((world.root,), {}), watch), world, lambda: {}, world, {})
    task = asyncio.create_task(source.run())
    await world.until(lambda: world.is_loaded)
    world.write("app", "services: {web: {image: 7")
    await source.read(StackName("app"))
    assert codes(world.of("app"))
    assert mode(world.of("app")) == "a"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_stack_is_read_while_the_folder_of_another_hangs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("app", compose())
    world.write("nas", compose())
    hangs, free = threading.Event(), threading.Event()

    def slow(root: Path, entry: str, files: Files) -> Candidate:
        if entry == "nas":
            hangs.set()
            free.wait(60)
        return look(root, entry, files)

    async with world.source() as source:
        monkeypatch.setattr("stackd.source.scan.look", slow)
        try:
            source.poke()
            await asyncio.to_thread(hangs.wait, 10)
            assert str(world.root / "nas") in source.progress
            world.write("app", compose(mode="b"))
            async with asyncio.timeout(10):
                await source.read(StackName("app"))
            assert mode(world.of("app")) == "b"
            generation = world.of("app").generation
            world.write("app", compose(mode="c"))
            async with asyncio.timeout(10):
                await source.read(StackName("app"))
        finally:
            free.set()
        # The round that hung has seen neither edit: it takes nothing back.
        await source.rescan()
        assert (mode(world.of("app")), world.of("app").generation) == ("c", generation + 1)


async def test_a_stack_whose_own_folder_hangs_costs_one_thread_however_often_it_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("nas", compose())
    free, reads = threading.Event(), list[str]()

    def slow(root: Path, entry: str, files: Files) -> Candidate:
        reads.append(entry)
        free.wait(60)
        return look(root, entry, files)

    async with world.source() as source:
        await world.until(lambda: world.of("nas").services_settled)
        monkeypatch.setattr("stackd.source.scan.look", slow)
        try:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await source.read(StackName("nas"))
            assert reads == ["nas"]
        finally:
            free.set()
        await source.read(StackName("nas"))


async def test_a_stack_that_is_new_gone_or_renamed_is_read_with_everything(world: World) -> None:
    world.write("app", compose())
    async with world.source() as source:
        world.write("new", compose())
        await source.read(StackName("new"))
        assert world.has("new")
        world.write("app", compose(name="other"))
        await source.read(StackName("app"))
        assert world.has("other")


# What is no stack


async def test_a_folder_that_never_held_a_definition_is_no_stack_and_is_said_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stackd.source")
    world.write("app", compose())
    world.write("README", "not a definition\n", "notes.txt")
    async with world.source() as source:
        await source.rescan()
        await source.rescan()
        assert [str(name) for name in world.desired] == ["app"]
        said = [record for record in caplog.records if "README is no stack" in record.getMessage()]
        assert [record.levelno for record in said] == [logging.INFO]


async def test_a_folder_becomes_a_stack_when_its_definition_comes(world: World) -> None:
    world.write("later", "", "notes.txt")
    async with world.source():
        assert not world.has("later")
        world.write("later", compose())
        await world.until(lambda: world.has("later") and world.of("later").project is not None)


async def test_a_stack_whose_file_disappears_stays_a_stack_over_a_restart_too(world: World) -> None:
    file = world.write("app", compose())
    async with world.source():
        file.unlink()
        await world.until(lambda: codes(world.of("app")) == ["definition-missing"])
    async with world.source():
        await world.until(lambda: codes(world.of("app")) == ["definition-missing"])
        assert mode(world.of("app")) == "a"


async def test_a_folder_that_containers_were_made_from_is_a_stack_without_a_file_too(world: World) -> None:
    world.write("app", "", "notes.txt")
    world.runs("app")
    async with world.source():
        assert codes(world.of("app")) == ["definition-missing"]


async def test_a_plain_folder_that_goes_is_no_removed_stack(world: World) -> None:
    world.write("app", compose())
    for name in ("a", "b", "c"):
        world.write(name, "", "notes.txt")
    async with world.source() as source:
        for name in ("a", "b", "c"):
            shutil.rmtree(world.root / name)
        await source.rescan()
        assert (world.reason, [*world.desired]) == ("", [StackName("app")])
