"""What every call of the Protocol does, answers and refuses."""

from __future__ import annotations

import asyncio

import pytest

from stackd.engine.base import CreateRequest, Progress
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, ImageId, NetworkId
from stackd.model.observed import ContainerState, ObservedMount
from stackd.model.spec import BuildSpec
from stackd.translate import labels as label
from stackd.translate.node import Json
from tests.bed.api import free_port
from tests.contract.programs import EXITS, NO_SUCH_PROGRAM, PROBED
from tests.contract.world import IMAGE, INSTANCE, World

NOBODY = ContainerId("f" * 64)


def kind_of(caught: pytest.ExceptionInfo[EngineError]) -> EngineErrorKind:
    return caught.value.kind


async def test_info_tells_who_answers_and_since_when(world: World) -> None:
    info = await world.engine.info()
    assert info.version
    assert (1, 40) < info.api_version < (2, 0)
    assert info.started_at > 0
    assert info == await world.engine.info()


async def test_a_fresh_connection_is_answered(world: World) -> None:
    assert await world.engine.ping_fresh(2.0)
    assert await world.engine.obstacle(2.0) == ""


async def test_what_is_not_there_is_none(world: World) -> None:
    assert await world.engine.inspect_container(NOBODY) is None
    assert await world.engine.find_network("no-such-network") is None
    assert await world.engine.find_volume("no-such-volume") is None
    assert await world.engine.inspect_image("no/such/image:1") is None


async def test_a_list_has_the_stacks_containers_whatever_their_state(world: World) -> None:
    running, created = await world.run("running"), await world.create("created")
    ended = await world.run("ended", EXITS)
    await world.ended(ended)
    rows = await world.engine.list_containers(world.stack, INSTANCE)
    assert {row.id for row in rows} == {running, created, ended}
    assert {(row.stack, row.instance) for row in rows} == {(world.stack, INSTANCE)}
    assert {row.name for row in rows} == {world.name(name) for name in ("running", "created", "ended")}
    everything = await world.engine.list_containers(None, INSTANCE)
    assert {running, created, ended} <= {row.id for row in everything}


async def test_a_container_that_only_inherits_its_images_labels_is_no_container_of_the_project(world: World) -> None:
    """As the classic builder makes them, and `docker run` of an image that was built for a service."""
    inherited: dict[str, Json] = {"Labels": {label.PROJECT: world.stack, label.SERVICE: "web", label.BUILD: "v1:9"}}
    async with world.watching() as seen:
        own = await world.create("own")
        other = await world.create("other", more=inherited)
        await world.engine.start_container(other)
        await world.docker("rm", other)
        await seen.exactly(own, ["create"])
        await seen.exactly(other, [])
        other = await world.create("other", more=inherited)
        assert {row.id for row in await world.engine.list_containers(world.stack, INSTANCE)} == {own}
        assert other not in {row.id for row in await world.engine.list_containers(None, INSTANCE)}


async def test_an_inspect_tells_what_was_asked_for(world: World) -> None:
    network = await world.network()
    await world.engine.create_volume({"Name": f"{world.stack}_data", "Labels": world.labels()})
    name = f"{world.stack}_default"
    more: dict[str, Json] = {
        "StopTimeout": 7,
        "NetworkingConfig": {"EndpointsConfig": {name: {"Aliases": ["web"]}}},
    }
    host: dict[str, Json] = {"NetworkMode": name, "Binds": [f"{world.stack}_data:/data:rw"]}
    container = await world.create(host=host, more=more)
    made = await world.look(container)
    assert (made.name, made.stack, made.service, made.number) == (world.name("web"), world.stack, "web", 1)
    assert (made.state, made.pid, made.started_at, made.finished_at) == (ContainerState.CREATED, 0, 0.0, 0.0)
    assert (made.instance, made.oneoff, made.image, made.stop_grace) == (INSTANCE, False, IMAGE, 7.0)
    assert (made.engine_policy, made.network_mode, set(made.networks)) == ("no", name, {name})
    assert made.mounts == (ObservedMount("volume", f"{world.stack}_data", "/data"),)
    await world.engine.start_container(container)
    running = await world.look(container)
    assert running.state is ContainerState.RUNNING
    assert running.pid > 0
    assert running.started_at >= made.created_at > 0
    assert running.networks == {name: network}


async def test_an_inspect_of_nothing_new_is_equal(world: World) -> None:
    container = await world.run()
    assert await world.look(container) == await world.look(container)


async def test_each_run_has_a_start_of_its_own(world: World) -> None:
    container = await world.stopped()
    first = await world.look(container)
    assert first.state is ContainerState.EXITED
    assert first.finished_at >= first.started_at > 0
    await world.engine.start_container(container)
    assert (await world.look(container)).started_at > first.finished_at


async def test_the_health_log_tells_the_newest_probes_and_outlives_a_restart(world: World) -> None:
    async with world.watching() as seen:
        container = await world.run(program=PROBED)
        await seen.until(lambda: "health_status: healthy" in seen.words(container))
        await world.sicken(container)
        await seen.until(lambda: "health_status: unhealthy" in seen.words(container))
    found = await world.engine.health_log(container)
    assert 0 < len(found) <= 5
    assert [probe.at for probe in found] == sorted(probe.at for probe in found), "oldest first"
    assert found[-1].exit_code != 0
    assert found[0].at >= (await world.look(container)).started_at
    await world.engine.stop_container(container, 5)
    await world.engine.start_container(container)
    assert found[-1] in await world.engine.health_log(container)


async def test_without_a_health_check_or_a_container_there_is_no_health_log(world: World) -> None:
    assert await world.engine.health_log(await world.run()) == ()
    assert await world.engine.health_log(ContainerId("f" * 64)) == ()


async def test_a_published_port_is_told_while_it_runs(world: World) -> None:
    port = str(free_port())
    host: dict[str, Json] = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}}
    container = await world.create(host=host, more={"ExposedPorts": {"80/tcp": {}}})
    assert (await world.look(container)).ports == ()
    await world.engine.start_container(container)
    assert (await world.look(container)).ports == (f"127.0.0.1:{port}->80/tcp",)


async def test_a_local_image_is_known_by_reference_and_id(world: World) -> None:
    found = await world.engine.inspect_image(IMAGE)
    assert found is not None
    assert (found.ref, found.volumes, found.has_healthcheck) == (IMAGE, (), False)
    again = await world.engine.inspect_image(found.id)
    assert again is not None
    assert again.id == found.id
    assert (await world.look(await world.create())).image_id == found.id


async def test_a_create_that_cannot_be_is_refused(world: World) -> None:
    await world.create()
    with pytest.raises(EngineError) as taken:
        await world.create()
    with pytest.raises(EngineError) as unknown:
        await world.engine.create_container(CreateRequest(world.name("x"), {"Image": "no/such/image:1"}))
    with pytest.raises(EngineError) as nameless:
        await world.engine.create_container(CreateRequest("x", {"Image": IMAGE}))
    kinds = [kind_of(caught) for caught in (taken, unknown, nameless)]
    assert kinds == [EngineErrorKind.CONFLICT, EngineErrorKind.MISSING, EngineErrorKind.BAD_REQUEST]


async def test_further_networks_are_connected_before_create_returns(world: World) -> None:
    first, second = await world.network("first"), await world.network("second")
    name = f"{world.stack}_first"
    more: dict[str, Json] = {"NetworkingConfig": {"EndpointsConfig": {name: {}}}}
    container = await world.create(host={"NetworkMode": name}, more=more, connects=[(second, {})])
    assert set((await world.look(container)).networks) == {name, f"{world.stack}_second"}
    await world.engine.start_container(container)
    assert set((await world.look(container)).networks.values()) == {first, second}


async def test_a_create_whose_connect_fails_leaves_nothing_behind(world: World) -> None:
    network = await world.network()
    address: dict[str, Json] = {"IPAMConfig": {"IPv4Address": "10.9.9.9"}}
    with pytest.raises(EngineError) as caught:
        await world.create(connects=[(network, address)])
    assert kind_of(caught) is EngineErrorKind.BAD_REQUEST
    assert await world.engine.list_containers(world.stack, INSTANCE) == ()


async def test_a_missing_network_shows_at_the_start_only(world: World) -> None:
    nowhere = f"{world.stack}_nowhere"
    by_create = await world.create("create", host={"NetworkMode": nowhere})
    by_connect = await world.create("connect", connects=[(nowhere, {})])
    for container in (by_create, by_connect):
        with pytest.raises(EngineError) as caught:
            await world.engine.start_container(container)
        assert kind_of(caught) is EngineErrorKind.MISSING
        assert (await world.look(container)).state is ContainerState.CREATED


async def test_starting_a_running_one_is_success_and_a_missing_one_is_not(world: World) -> None:
    container = await world.run()
    before = await world.look(container)
    await world.engine.start_container(container)
    assert await world.look(container) == before
    with pytest.raises(EngineError) as caught:
        await world.engine.start_container(NOBODY)
    assert kind_of(caught) is EngineErrorKind.MISSING


async def test_a_taken_port_fails_the_start_and_frees_with_its_holder(world: World) -> None:
    port = str(free_port())
    host: dict[str, Json] = {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": port}]}}
    more: dict[str, Json] = {"ExposedPorts": {"80/tcp": {}}}
    holder = await world.create("holder", host=host, more=more)
    waiting = await world.create("waiting", host=host, more=more)
    await world.engine.start_container(holder)
    with pytest.raises(EngineError) as caught:
        await world.engine.start_container(waiting)
    assert kind_of(caught) is EngineErrorKind.FAILED
    assert "already" in caught.value.message
    found = await world.look(waiting)
    assert (found.state, found.exit_code) == (ContainerState.CREATED, 128)
    await world.engine.stop_container(holder, 5)
    await world.engine.start_container(waiting)
    assert (await world.look(waiting)).running


async def test_a_program_that_is_not_there_fails_the_start(world: World) -> None:
    container = await world.create(program=NO_SUCH_PROGRAM)
    with pytest.raises(EngineError) as caught:
        await world.engine.start_container(container)
    assert kind_of(caught) is EngineErrorKind.FAILED
    found = await world.look(container)
    assert (found.state, found.exit_code, bool(found.error)) == (ContainerState.CREATED, 127, True)


async def test_stopping_and_removing_what_is_gone_is_success(world: World) -> None:
    await world.engine.stop_container(NOBODY, 1)
    await world.engine.remove_container(NOBODY, volumes=True)
    await world.engine.remove_network(NetworkId("f" * 64))
    container = await world.stopped()
    await world.engine.stop_container(container, None)
    await world.engine.remove_container(container, volumes=True)
    assert await world.engine.inspect_container(container) is None


async def test_a_running_one_is_never_removed(world: World) -> None:
    container = await world.run()
    with pytest.raises(EngineError) as caught:
        await world.engine.remove_container(container, volumes=True)
    assert kind_of(caught) is EngineErrorKind.CONFLICT
    assert (await world.look(container)).running


async def test_a_name_that_is_taken_is_a_conflict(world: World) -> None:
    await world.create("first")
    second = await world.create("second")
    with pytest.raises(EngineError) as caught:
        await world.engine.rename_container(second, world.name("first"))
    assert kind_of(caught) is EngineErrorKind.CONFLICT


async def test_a_network_is_made_once_however_often_it_is_asked_for(world: World) -> None:
    made = await asyncio.gather(*(world.network() for _ in range(8)))
    assert len(set(made)) == 1
    (found,) = await world.engine.list_networks(world.stack)
    assert (found.id, found.name, found.key) == (made[0], f"{world.stack}_default", "default")
    assert found.instance == INSTANCE
    assert await world.engine.find_network(found.name) == found
    assert await world.engine.find_network(found.name[:-1]) is None


async def test_another_projects_network_is_a_conflict(world: World) -> None:
    await world.network()
    foreign: dict[str, Json] = {"Name": f"{world.stack}_default", "Labels": {label.PROJECT: "somebody"}}
    with pytest.raises(EngineError) as caught:
        await world.engine.create_network(foreign)
    assert kind_of(caught) is EngineErrorKind.CONFLICT


async def test_a_network_in_use_is_not_removed(world: World) -> None:
    network = await world.network()
    container = await world.run(host={"NetworkMode": f"{world.stack}_default"})
    with pytest.raises(EngineError) as caught:
        await world.engine.remove_network(network)
    assert kind_of(caught) is EngineErrorKind.CONFLICT
    await world.engine.stop_container(container, 5)
    await world.engine.remove_network(network)
    assert await world.engine.list_networks(world.stack) == ()


async def test_a_volume_is_made_once_and_found(world: World) -> None:
    body: dict[str, Json] = {"Name": f"{world.stack}_data", "Labels": world.labels(**{label.VOLUME: "data"})}
    await world.engine.create_volume(body)
    await world.engine.create_volume(body)
    (found,) = await world.engine.list_volumes(world.stack)
    assert (found.name, found.key) == (f"{world.stack}_data", "data")
    assert await world.engine.find_volume(found.name) == found


async def test_anonymous_volumes_go_with_their_container_and_named_ones_stay(world: World) -> None:
    await world.engine.create_volume({"Name": f"{world.stack}_data", "Labels": world.labels()})
    host: dict[str, Json] = {"Binds": [f"{world.stack}_data:/named"]}
    container = await world.create(host=host, more={"Volumes": {"/anonymous": {}}})
    mounts = {mount.target: mount.source for mount in (await world.look(container)).mounts}
    assert await world.engine.find_volume(mounts["/anonymous"]) is not None
    await world.engine.remove_container(container, volumes=True)
    assert await world.engine.find_volume(mounts["/anonymous"]) is None
    assert await world.engine.find_volume(mounts["/named"]) is not None


async def test_volumes_are_taken_over_from_another_container(world: World) -> None:
    data = await world.create("data", more={"Volumes": {"/data": {}}})
    user = await world.create("user", host={"VolumesFrom": [data]})
    assert (await world.look(user)).mounts == (await world.look(data)).mounts
    assert (await world.look(user)).volumes_from == (data,)


async def test_a_shared_namespace_needs_its_parent_running(world: World) -> None:
    parent = await world.create("parent")
    child = await world.create("child", host={"NetworkMode": f"container:{world.name('parent')}"})
    with pytest.raises(EngineError) as caught:
        await world.engine.start_container(child)
    assert kind_of(caught) is EngineErrorKind.CONFLICT
    await world.engine.start_container(parent)
    await world.engine.start_container(child)
    assert (await world.look(child)).network_mode in (f"container:{parent}", f"container:{world.name('parent')}")
    await world.engine.stop_container(child, 5)
    await world.engine.stop_container(parent, 5)
    await world.engine.remove_container(parent, volumes=True)
    with pytest.raises(EngineError) as orphaned:
        await world.engine.start_container(child)
    assert kind_of(orphaned) is EngineErrorKind.MISSING


async def test_an_image_that_no_registry_has_cannot_be_pulled(world: World) -> None:
    with pytest.raises(EngineError):
        await world.engine.pull_image("127.0.0.1:9/nothing:1", "", lambda _progress: None)


async def test_an_image_is_built_tagged_and_labelled(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nARG WORD=none\nENV WORD=$WORD\nVOLUME /data\n")
    tag, told = f"{world.stack}-web:latest", list[Progress]()
    build = BuildSpec(context=str(context), args={"WORD": "hello"})
    await world.engine.build_image(build, tag, {label.PROJECT: world.stack}, told.append)
    found = await world.engine.inspect_image(tag)
    assert found is not None
    assert found.id.startswith("sha256:")
    assert told
    assert ImageId(found.id) != (await world.engine.inspect_image(IMAGE) or found).id
