"""Engines that stop, die and hang: what calls, streams and containers then do (behaviour.md 1)."""

from __future__ import annotations

import asyncio
import time

import pytest

from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId
from stackd.model.observed import ContainerState
from tests.contract.power import Power
from tests.contract.programs import STUBBORN
from tests.contract.world import INSTANCE, World


async def state(world: World, container: ContainerId) -> ContainerState:
    return (await world.look(container)).state


async def policed(world: World, policy: str, service: str) -> ContainerId:
    return await world.run(service, host={"RestartPolicy": {"Name": policy}})


async def test_a_frozen_engine_is_a_time_out_within_the_deadline(power: Power) -> None:
    container = await power.world.run()
    engine = power.hasty()
    await engine.info()
    async with power.frozen():
        began = time.monotonic()
        for call in (
            engine.inspect_container(container),
            engine.list_containers(power.world.stack, INSTANCE),
            engine.info(),
            engine.create_volume({"Name": f"{power.world.stack}_late", "Labels": power.world.labels()}),
        ):
            with pytest.raises(EngineError) as caught:
                await call
            assert caught.value.kind is EngineErrorKind.TIMEOUT
        assert not await engine.ping_fresh(0.3)
        assert time.monotonic() - began < 6
    assert await state(power.world, container) is ContainerState.RUNNING
    assert await engine.ping_fresh(5)


async def test_what_ended_under_a_frozen_engine_is_told_when_it_goes_on(power: Power) -> None:
    container = await power.world.run()
    pid = (await power.world.look(container)).pid
    async with power.world.watching() as seen:
        async with power.frozen():
            await power.world.kill_process(container, pid)
        await seen.exactly(container, ["die(137)"])


async def test_a_stopping_engine_refuses_fresh_connections_while_its_stream_lives(power: Power) -> None:
    polite, stubborn = await power.world.run("polite"), await power.world.run("stubborn", STUBBORN)
    async with power.world.watching() as seen:
        stopping = asyncio.create_task(power.stop())
        await seen.until(lambda: "kill(15)" in seen.words(polite))
        assert not await power.world.engine.ping_fresh(1.0)
        assert seen.error is None
        error = await seen.ended()
        assert error.kind is EngineErrorKind.UNAVAILABLE
        assert sorted(seen.words(polite)) == ["die(0)", "kill(15)", "stop"]
        assert sorted(seen.words(stubborn)) == ["die(137)", "kill(15)", "kill(9)", "stop"]
        await stopping
    try:
        with pytest.raises(EngineError) as caught:
            await power.world.look(polite)
        assert caught.value.kind is EngineErrorKind.UNAVAILABLE
    finally:
        await power.start()


async def test_after_a_restart_the_same_client_works_and_policies_have_been_followed(power: Power) -> None:
    world = power.world
    before = await world.engine.info()
    kept = {policy: await policed(world, policy, policy) for policy in ("no", "always", "unless-stopped")}
    stopped = {policy: await policed(world, policy, f"{policy}-held") for policy in ("always", "unless-stopped")}
    for container in stopped.values():
        await world.engine.stop_container(container, 5)
    await power.stop()
    await power.start()
    after = await world.engine.info()
    assert after.started_at > before.started_at
    assert after.api_version == before.api_version
    assert [await state(world, kept[policy]) for policy in ("no", "always", "unless-stopped")] == [
        ContainerState.EXITED, ContainerState.RUNNING, ContainerState.RUNNING,
    ]  # fmt: skip
    assert await state(world, stopped["always"]) is ContainerState.RUNNING
    assert await state(world, stopped["unless-stopped"]) is ContainerState.EXITED


async def test_a_killed_engine_breaks_the_stream_and_stops_its_survivors_at_boot(power: Power) -> None:
    world = power.world
    survivors = {policy: await policed(world, policy, policy) for policy in ("no", "always", "unless-stopped")}
    async with world.watching() as seen:
        await power.kill()
        assert (await seen.ended()).kind is EngineErrorKind.UNAVAILABLE
        assert [seen.words(container) for container in survivors.values()] == [[], [], []]
    assert not await world.engine.ping_fresh(1.0)
    obstacle = await world.engine.obstacle(1.0)
    assert obstacle.startswith("no engine at unix:///")
    assert obstacle.endswith("): is Docker running?")
    await power.start()
    async with world.watching() as seen:
        assert await state(world, survivors["no"]) is ContainerState.EXITED
        assert await state(world, survivors["always"]) is ContainerState.RUNNING
        assert await state(world, survivors["unless-stopped"]) is ContainerState.EXITED
        assert not seen.words(survivors["no"])


async def test_a_death_while_the_engine_was_away_is_seen_in_the_list_only(power: Power) -> None:
    world = power.world
    container = await world.run()
    pid = (await world.look(container)).pid
    await power.kill()
    await world.kill_process(container, pid)
    await power.start()
    found = await world.ended(container)
    assert found.exit_code in (137, 255)


@pytest.mark.timeout(240)
async def test_what_a_killed_engine_has_left_starts_again_or_is_refused_for_ever_and_can_be_replaced(
    power: Power,
) -> None:
    world = power.world
    left = await power.leave_task()
    if left is None:
        return  # every one of them could be started
    name = (await world.look(left)).name

    async def refused() -> EngineErrorKind:
        with pytest.raises(EngineError) as caught:
            await world.engine.start_container(left)
        return caught.value.kind

    assert [await refused(), await refused()] == [EngineErrorKind.UNSTARTABLE] * 2
    assert not (await world.look(left)).live
    await world.engine.remove_container(left, volumes=False)
    fresh = await world.create(name.removeprefix(f"{world.stack}-").removesuffix("-1"))
    await world.engine.start_container(fresh)
    assert ((await world.look(fresh)).name, await state(world, fresh)) == (name, ContainerState.RUNNING)
