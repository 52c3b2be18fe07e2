"""Adoption and release: nothing is stopped, started or replaced, and what would be is held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.config import FreezeConfig
from stackd.daemon import Daemon
from stackd.errors import Diagnostic, EngineErrorKind, RequestError, Span
from stackd.model.ids import ServiceName, StackName
from stackd.model.override import OperationState, OverrideKind, Verb
from stackd.model.status import StackState
from stackd.model.view import Presence, ServiceState
from stackd.runtime.taking import TAKING
from stackd.translate import labels as label
from tests.fake.engine import FakeEngine
from tests.fake.machine import refuse
from tests.fake.values import FakeContainer
from tests.unit.runtime.whole import APP, calm, compose, link, mode, state, whole, write
from tests.unit.runtime.world import until

WEB, DB = ServiceName("web"), ServiceName("db")
TEXT = compose(web="one", db="one")
CHANGES = ("create_container", "start_container", "stop_container", "remove_container", "rename_container")


def counted(engine: FakeEngine) -> list[int]:
    return [len(engine.called(method)) for method in CHANGES]


async def made_by_compose(place: Path, engine: FakeEngine) -> Path:
    """A project as `docker compose up -d` leaves it: its containers name no stackd, and the engine restarts them."""
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    folder = write(place, TEXT)
    link(place, folder)
    async with whole(place, engine) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
    (place / "stacks" / "app").unlink()
    for file in (place / "state").iterdir():
        file.unlink()
    for box in engine.containers.values():
        own = (label.INSTANCE, label.ROOT, label.CONTENT)
        box.raw_labels = {key: value for key, value in box.raw_labels.items() if key not in own}
        box.raw_labels |= {label.CONFIG_FILES: str(folder / "compose.yaml")}
        box.labels = label.container_labels(box.raw_labels)
        box.policy = "unless-stopped"
    return folder


def box(engine: FakeEngine, service: str) -> FakeContainer:
    (found,) = [one for one in engine.containers.values() if one.labels.service == service]
    return found


async def ready(daemon: Daemon) -> None:
    await until(lambda: daemon.store.host.sources_loaded and daemon.store.host.engine_up)


async def settled(daemon: Daemon, stack: StackName = APP) -> None:
    """Adopt it and wait until that is over."""
    asked = await daemon.control.adopt(stack, "a test")
    over = await daemon.control.settled(asked.request.id, 10)
    assert (over.state, over.request.verb) == (OperationState.SUCCEEDED, Verb.ADOPT), over


async def test_adoption_links_the_folder_and_sets_engine_policies_and_does_nothing_else(tmp_path: Path) -> None:
    engine = FakeEngine()
    folder = await made_by_compose(tmp_path, engine)
    before, runs = counted(engine), {one.id: one.started_at for one in engine.containers.values()}
    async with whole(tmp_path, engine) as daemon:
        await ready(daemon)
        (found,) = await daemon.control.adoptable()
        assert (found.name, found.working_dir, found.containers, found.running) == (APP, str(folder), 2, 2)
        assert (found.obstacle, set(found.services)) == ("", {WEB, DB})
        await settled(daemon)
        assert (tmp_path / "stacks" / "app").resolve() == folder
        assert counted(engine) == before
        assert {one.id: one.started_at for one in engine.containers.values()} == runs
        assert len(engine.called("update_restart_policy")) == 2
        assert {one.policy for one in engine.containers.values()} == {"no"}
        assert daemon.store.view(APP).overrides == ()
        assert await daemon.control.adoptable() == ()
        engine.crash(box(engine, "web").id, 1)
        await until(lambda: box(engine, "web").runs == 2)


async def test_what_adoption_would_start_or_replace_is_held_until_up(tmp_path: Path) -> None:
    engine = FakeEngine()
    folder = await made_by_compose(tmp_path, engine)
    await engine.human_stop(box(engine, "web").id)
    (folder / "compose.yaml").write_text(TEXT.replace("image: db:1", "image: db:1\n    hostname: other"))
    before = counted(engine)
    async with whole(tmp_path, engine) as daemon:
        await ready(daemon)
        await settled(daemon)
        assert counted(engine) == before
        held = {one.service for one in daemon.store.view(APP).overrides if one.kind is OverrideKind.HELD}
        assert held == {WEB, DB}
        assert "its container differs from its file" in daemon.control.why(APP, DB).headline
        await daemon.control.submit(APP, Verb.UP, (), "a test")
        await until(lambda: calm(daemon, "web", "db"))
        assert daemon.store.view(APP).overrides == ()
        assert counted(engine) != before


async def test_a_project_with_services_that_its_file_does_not_name_is_held_as_a_whole(tmp_path: Path) -> None:
    engine = FakeEngine()
    folder = await made_by_compose(tmp_path, engine)
    (folder / "compose.yaml").write_text(compose(web="one"))
    before = counted(engine)
    async with whole(tmp_path, engine) as daemon:
        await ready(daemon)
        await settled(daemon)
        (held,) = daemon.store.view(APP).overrides
        assert (held.service, held.kind) == (None, OverrideKind.HELD)
        assert "service db is not in its file" in held.reason
        assert counted(engine) == before


def _gone(folder: Path, engine: FakeEngine) -> None:
    folder.rename(folder.parent / "elsewhere")


def _writable(folder: Path, engine: FakeEngine) -> None:
    folder.chmod(0o777)


def _other_file(folder: Path, engine: FakeEngine) -> None:
    for one in engine.containers.values():
        one.raw_labels = {**one.raw_labels, label.CONFIG_FILES: str(folder / "prod.yml")}


def _other_name(folder: Path, engine: FakeEngine) -> None:
    (folder / "compose.yaml").write_text("name: shop\n" + TEXT)


def _other_stackd(folder: Path, engine: FakeEngine) -> None:
    for one in engine.containers.values():
        one.labels = replace(one.labels, instance="theirs")


def _invalid(folder: Path, engine: FakeEngine) -> None:
    (folder / "compose.yaml").write_text("services: 7\n")


def _occupied(folder: Path, engine: FakeEngine) -> None:
    (folder.parent.parent / "stacks" / "app").write_text("something else\n")


def _linked(folder: Path, engine: FakeEngine) -> None:
    other = folder.parent / "by-link"
    other.symlink_to(folder)
    for one in engine.containers.values():
        one.labels = replace(one.labels, working_dir=str(other))


OBSTACLES: list[tuple[Callable[[Path, FakeEngine], None], str]] = [
    (_gone, "is not there"),
    (_writable, "can be written by everybody"),
    (_other_file, "set COMPOSE_FILE=prod.yml in its .env"),
    (_other_name, "set COMPOSE_PROJECT_NAME=app in its .env"),
    (_other_stackd, "another stackd (instance theirs)"),
    (_invalid, "compose.yaml"),
    (_occupied, "is there already"),
    (_linked, "is a link to"),
]


@pytest.mark.parametrize(("spoil", "told"), OBSTACLES)
async def test_what_cannot_be_adopted_is_listed_with_its_obstacle_and_refused(
    tmp_path: Path, spoil: Callable[[Path, FakeEngine], None], told: str
) -> None:
    engine = FakeEngine()
    folder = await made_by_compose(tmp_path, engine)
    spoil(folder, engine)
    async with whole(tmp_path, engine) as daemon:
        await ready(daemon)
        (found,) = await daemon.control.adoptable()
        assert told in found.obstacle
        with pytest.raises(RequestError) as refused:
            await daemon.control.adopt(APP, "a test")
        assert (refused.value.status, refused.value.code) == (409, "not_adoptable")
        assert found.obstacle in refused.value.detail
        assert not (tmp_path / "stacks" / "app").is_symlink()
        assert APP not in daemon.store.names() or daemon.store.view(APP).overrides == ()


async def test_a_stack_of_the_same_name_elsewhere_is_an_obstacle(tmp_path: Path) -> None:
    engine = FakeEngine()
    await made_by_compose(tmp_path, engine)
    other = tmp_path / "stacks" / "mine"
    other.mkdir()
    (other / "compose.yaml").write_text("name: app\n" + compose(web="one"))
    async with whole(tmp_path, engine) as daemon:
        await ready(daemon)
        await daemon.control.put_override(APP, None, OverrideKind.HELD, "", "a test", None)
        (found,) = await daemon.control.adoptable()
        assert "has its name" in found.obstacle


async def test_a_project_that_is_not_there_and_a_stack_that_is_kept_are_not_adoptable(tmp_path: Path) -> None:
    engine = FakeEngine()
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    link(tmp_path, write(tmp_path, TEXT))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
        assert await daemon.control.adoptable() == ()
        for name, status in ((StackName("nobody"), 404), (APP, 409)):
            with pytest.raises(RequestError) as refused:
                await daemon.control.adopt(name, "a test")
            assert (refused.value.status, refused.value.code) == (status, "not_adoptable")


async def test_projects_cannot_be_told_while_the_engine_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    async with whole(tmp_path, engine) as daemon:
        await ready(daemon)

        async def refused(*args: object) -> None:
            raise refuse(EngineErrorKind.UNAVAILABLE, "no answer")

        monkeypatch.setattr(engine, "list_containers", refused)
        with pytest.raises(RequestError) as told:
            await daemon.control.adoptable()
        assert (told.value.status, told.value.code) == (503, "engine_unavailable")


async def test_a_released_stack_is_the_engines_own_until_it_is_adopted(tmp_path: Path) -> None:
    engine = FakeEngine()
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    folder = write(tmp_path, TEXT)
    link(tmp_path, folder)
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
        before = counted(engine)
        asked = await daemon.control.release(APP, "a test")
        over = await daemon.control.settled(asked.request.id, 10)
        assert (over.state, over.request.verb) == (OperationState.SUCCEEDED, Verb.RELEASE)
        assert {one.policy for one in engine.containers.values()} == {"unless-stopped"}
        for verb in (Verb.UP, Verb.STOP, Verb.RESTART, Verb.DOWN):
            with pytest.raises(RequestError, match=f"was released.*: stackd adopt {APP}$") as refused:
                await daemon.control.submit(APP, verb, (), "a test")
            assert (refused.value.status, refused.value.code) == (409, "released")
        with pytest.raises(RequestError, match="was released"):
            await daemon.control.put_override(APP, WEB, OverrideKind.HELD, "", "a test", None)
        write(tmp_path, TEXT.replace("one", "two"))
        await daemon.control.rescan()
        assert [one.kind for one in daemon.store.view(APP).overrides] == [OverrideKind.RELEASED]
        assert "`stackd adopt app`" in daemon.control.why(APP, WEB).headline
        write(tmp_path, TEXT)
        await daemon.control.rescan()
        await settled(daemon)
        assert {one.policy for one in engine.containers.values()} == {"no"}
        assert daemon.store.view(APP).overrides == ()
        assert counted(engine) == before


async def test_deleting_the_release_is_adopting(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add_image("web:1")
    link(tmp_path, write(tmp_path, compose(web="one")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web"))
        await daemon.control.release(APP, "a test")
        await until(lambda: box(engine, "web").policy == "unless-stopped")
        await engine.human_stop(box(engine, "web").id)
        await until(lambda: not calm(daemon, "web"))
        assert (await daemon.control.drop_override(APP, None, "a test")).changed
        await until(lambda: [one.service for one in daemon.store.view(APP).overrides] == [WEB])
        assert box(engine, "web").runs == 1


HASTY = FreezeConfig(stack_grace=0.05, service_grace=0.05)


async def released_and_removed(place: Path, engine: FakeEngine) -> Path:
    """A stack that stackd made, released, and whose link was removed then; a daemon that believes that has ended."""
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    folder = write(place, TEXT)
    link(place, folder)
    async with whole(place, engine, freeze=HASTY) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
        asked = await daemon.control.release(APP, "a test")
        await daemon.control.settled(asked.request.id, 10)
        (place / "stacks" / "app").unlink()
        await until(lambda: presence(daemon) is Presence.REMOVED)
        await until(lambda: daemon.store.decision(APP) is not None)
    return folder


def presence(daemon: Daemon) -> Presence | None:
    """Where the stack's definition is; None = not known."""
    desired = daemon.store.view(APP).desired if APP in daemon.store.names() else None
    return desired.presence if desired is not None else None


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_released_stack_runs_on_after_its_link_is_removed_also_over_restarts(
    tmp_path: Path, forgotten: bool
) -> None:
    engine = FakeEngine()
    await released_and_removed(tmp_path, engine)
    if forgotten:
        for file in (tmp_path / "state").iterdir():
            file.unlink()
    before = len(engine.calls)
    async with whole(tmp_path, engine, freeze=HASTY) as daemon:
        await until(lambda: APP in daemon.store.names() and daemon.store.decision(APP) is not None)
        if not forgotten:
            await until(lambda: presence(daemon) is Presence.REMOVED)
        told = daemon.control.stack(APP)
        assert told.state is StackState.ORPHANED
        assert ("stackd adopt app" in told.detail) is not forgotten
    done = {one.method for one in engine.calls[before:]}
    assert done.isdisjoint((*CHANGES, "update_restart_policy", "remove_network"))
    assert {one.policy for one in engine.containers.values()} == {"unless-stopped"}
    assert all(one.live for one in engine.containers.values())


@pytest.mark.parametrize("forgotten", [False, True])
async def test_adopting_a_released_stack_makes_its_link_again(tmp_path: Path, forgotten: bool) -> None:
    engine = FakeEngine()
    folder = await released_and_removed(tmp_path, engine)
    if forgotten:
        for file in (tmp_path / "state").iterdir():
            file.unlink()
    before = counted(engine)
    async with whole(tmp_path, engine, freeze=HASTY) as daemon:
        await ready(daemon)
        (found,) = await daemon.control.adoptable()
        assert (found.name, found.obstacle) == (APP, "")
        await settled(daemon)
        assert (tmp_path / "stacks" / "app").resolve() == folder
        assert presence(daemon) is Presence.PRESENT
        assert daemon.store.view(APP).overrides == ()
        await until(lambda: {one.policy for one in engine.containers.values()} == {"no"})
        assert counted(engine) == before


async def test_adopting_links_into_the_first_stacks_directory_that_can_be_written_to(tmp_path: Path) -> None:
    engine = FakeEngine()
    folder = await made_by_compose(tmp_path, engine)
    (tmp_path / "file").write_text("")
    async with whole(tmp_path, engine, stacks=(tmp_path / "file" / "stacks", tmp_path / "stacks")) as daemon:
        await ready(daemon)
        await settled(daemon)
        assert (tmp_path / "stacks" / "app").resolve() == folder


async def test_adopting_right_after_the_link_was_removed_makes_it_again_where_it_was(tmp_path: Path) -> None:
    engine = FakeEngine()
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    folder = write(tmp_path, TEXT)
    entry = tmp_path / "stacks" / "other-name"
    entry.parent.mkdir()
    entry.symlink_to(folder)
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
        await daemon.control.release(APP, "a test")
        entry.unlink()
        await settled(daemon)
        assert entry.resolve() == folder
        assert daemon.store.view(APP).overrides == ()


async def test_a_stack_whose_folder_is_gone_stays_released_and_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    engine = FakeEngine()
    folder = await released_and_removed(tmp_path, engine)
    folder.rename(folder.parent / "elsewhere")
    async with whole(tmp_path, engine, freeze=HASTY) as daemon:
        await ready(daemon)
        with pytest.raises(RequestError, match=f"its folder {folder} is not there: put it back") as refused:
            await daemon.control.adopt(APP, "a test")
        assert (refused.value.status, refused.value.code) == (409, "not_adoptable")
        assert [one.kind for one in daemon.store.view(APP).overrides] == [OverrideKind.RELEASED]
        assert all(one.live for one in engine.containers.values())


async def test_what_was_left_of_a_removed_stack_can_be_adopted_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    folder = await made_by_compose(tmp_path, engine)
    link(tmp_path, folder)
    async with whole(tmp_path, engine, freeze=HASTY) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
        (tmp_path / "stacks" / "app").unlink()
        await until(lambda: presence(daemon) is Presence.REMOVED)
        await settled(daemon)
        assert (tmp_path / "stacks" / "app").resolve() == folder
        await until(lambda: calm(daemon, "web", "db"))


async def test_a_released_stack_without_a_valid_definition_or_an_engine_is_not_adopted(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add_image("web:1")
    link(tmp_path, write(tmp_path, compose(web="one")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web"))
        await daemon.control.release(APP, "a test")
        daemon.store.update_host(engine_up=False)
        with pytest.raises(RequestError) as away:
            await daemon.control.adopt(APP, "a test")
        assert away.value.status == 503
        daemon.store.update_host(engine_up=True)
        desired = daemon.store.view(APP).desired
        assert desired is not None
        wrong = Diagnostic("bad-type", "it wants a mapping", Span("compose.yaml", 1, 1))
        daemon.store.set_desired(replace(desired, project=None, diagnostics=(wrong,)))
        with pytest.raises(RequestError, match="it wants a mapping") as refused:
            await daemon.control.adopt(APP, "a test")
        assert refused.value.status == 409
        assert [one.kind for one in daemon.store.view(APP).overrides] == [OverrideKind.RELEASED]


async def test_an_adoption_that_was_broken_off_can_be_asked_for_again(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.add_image("web:1")
    link(tmp_path, write(tmp_path, compose(web="one")))
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web"))
        await daemon.control.put_override(APP, None, OverrideKind.HELD, TAKING, "a test", None)
        await settled(daemon)
        assert daemon.store.view(APP).overrides == ()


HARDENED = TEXT.replace("image: db:1", "image: db:1\n    cap_drop: [ALL]\n    mem_limit: 64m")
LOSS = "would lose cap_drop, mem_limit; confirm: stackd up app --accept-loss"


async def hardened_by_compose(place: Path, engine: FakeEngine) -> Path:
    """A project made by `docker compose up -d`, whose db is hardened and limited."""
    for name in ("web:1", "db:1"):
        engine.add_image(name)
    folder = write(place, HARDENED)
    link(place, folder)
    async with whole(place, engine) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
    (place / "stacks" / "app").unlink()
    for file in (place / "state").iterdir():
        file.unlink()
    for one in engine.containers.values():
        own = (label.INSTANCE, label.ROOT, label.CONTENT)
        one.raw_labels = {key: value for key, value in one.raw_labels.items() if key not in own}
        one.labels = label.container_labels(one.raw_labels)
        one.policy = "unless-stopped"
    box(engine, "db").carried = frozenset({"cap_drop", "mem_limit"})
    return folder


async def test_adopting_warns_of_what_is_read_and_not_carried_out(tmp_path: Path) -> None:
    engine = FakeEngine()
    await hardened_by_compose(tmp_path, engine)
    async with whole(tmp_path, engine) as daemon:
        await ready(daemon)
        asked = await daemon.control.adopt(APP, "a test")
        over = await daemon.control.settled(asked.request.id, 10)
        assert over.state is OperationState.SUCCEEDED
        assert "warning: stackd does not carry out yet: db: cap_drop, mem_limit. " in over.detail
        assert "web:" not in over.detail


async def test_an_edit_after_adoption_waits_until_the_loss_is_accepted_also_over_a_restart(tmp_path: Path) -> None:
    engine = FakeEngine()
    folder = await hardened_by_compose(tmp_path, engine)
    link(tmp_path, folder)
    old = box(engine, "db").id
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: calm(daemon, "web", "db"))
        write(tmp_path, HARDENED.replace("MODE: one", "MODE: two"))
        await until(lambda: state(daemon, "db") is ServiceState.HELD and mode(engine, "web") == ["two"])
        assert daemon.control.why(APP, DB).headline == f"db is held: {LOSS}"
        asked = await daemon.control.submit(APP, Verb.UP, (), "a test")
        over = await daemon.control.settled(asked.request.id, 10)
        assert (over.state, over.detail) == (OperationState.FAILED, f"db: {LOSS}")
        asked = await daemon.control.submit(APP, Verb.RESTART, (DB,), "a test")
        over = await daemon.control.settled(asked.request.id, 10)
        assert (over.state, box(engine, "db").id, box(engine, "db").runs) == (OperationState.SUCCEEDED, old, 2)
    async with whole(tmp_path, engine) as daemon:
        await until(lambda: state(daemon, "db") is ServiceState.HELD)
        asked = await daemon.control.submit(APP, Verb.UP, (), "a test", accept_loss=True)
        over = await daemon.control.settled(asked.request.id, 10)
        assert (over.state, mode(engine, "db")) == (OperationState.SUCCEEDED, ["two"])
        write(tmp_path, HARDENED.replace("MODE: one", "MODE: three"))
        await until(lambda: mode(engine, "db") == ["three"] and calm(daemon, "web", "db"))
