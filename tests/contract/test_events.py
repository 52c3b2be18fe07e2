"""Which events each cause makes: the grammar that supervision reads (behaviour.md 1)."""

from __future__ import annotations

import asyncio

import pytest

from stackd.model.observed import ContainerState, Health
from tests.contract.programs import EXITS, GREEDY, POLITE, PROBED, STUBBORN, Program
from tests.contract.seen import Expected
from tests.contract.world import World

STOPPED: Expected = ["kill(15)", {"stop", "die(0)"}]


async def test_an_own_exit_tells_die_alone(world: World) -> None:
    async with world.watching() as seen:
        container = await world.run(program=EXITS)
        await seen.exactly(container, ["create", "start", "die(3)"])
    assert (await world.look(container)).exit_code == 3


async def test_a_kill_by_the_host_tells_die_alone(world: World) -> None:
    container = await world.run()
    async with world.watching() as seen:
        await world.crash(container)
        await seen.exactly(container, ["die(137)"])


async def test_our_stop_and_a_persons_stop_tell_the_same(world: World) -> None:
    ours, theirs = await world.run("ours"), await world.run("theirs")
    async with world.watching() as seen:
        await world.engine.stop_container(ours, 5)
        await world.docker("stop", theirs)
        await seen.exactly(ours, STOPPED)
        await seen.exactly(theirs, STOPPED)


async def test_a_stubborn_process_is_killed_after_its_grace(world: World) -> None:
    container = await world.run(program=STUBBORN)
    async with world.watching() as seen:
        await world.engine.stop_container(container, 1)
        await seen.exactly(container, ["kill(15)", "kill(9)", {"stop", "die(137)"}])


async def test_two_stops_at_once_tell_two_stops_and_one_death(world: World) -> None:
    container = await world.run()
    async with world.watching() as seen:
        await asyncio.gather(*(world.engine.stop_container(container, 5) for _ in range(2)))
        told = {"kill", "stop", "die"}
        await seen.until(lambda: len(seen.words(container)) >= 5)
        words = [entry.partition("(")[0] for entry in seen.words(container)]
        assert set(words) == told
        assert sorted(words) == ["die", "kill", "kill", "stop", "stop"]


async def test_a_restart_tells_stop_and_die_before_start_and_restart(world: World) -> None:
    container = await world.run()
    async with world.watching() as seen:
        await world.docker("restart", container)
        await seen.exactly(container, [*STOPPED, "start", "restart"])


async def test_a_restart_of_an_ended_one_tells_only_start_and_restart(world: World) -> None:
    container = await world.stopped()
    async with world.watching() as seen:
        await world.docker("restart", container)
        await seen.exactly(container, ["start", "restart"])


async def test_docker_kill_never_tells_stop(world: World) -> None:
    container = await world.run()
    async with world.watching() as seen:
        await world.docker("kill", container)
        await seen.exactly(container, ["kill(9)", "die(137)"])


async def test_a_harmless_signal_tells_kill_alone(world: World) -> None:
    container = await world.run(program=Program(("sh", "-c", "trap '' HUP; while :; do sleep 0.05; done")))
    async with world.watching() as seen:
        await world.docker("kill", container, "1")
        await seen.exactly(container, ["kill(1)"])


async def test_a_forced_removal_tells_kill_die_destroy(world: World) -> None:
    running, ended = await world.run("running"), await world.stopped("ended")
    async with world.watching() as seen:
        await world.docker("rm", running)
        await world.docker("rm", ended)
        await seen.exactly(running, ["kill(9)", "die(137)", "destroy"])
        await seen.exactly(ended, ["destroy"])


async def test_a_stop_while_paused_unpauses(world: World) -> None:
    container = await world.run()
    async with world.watching() as seen:
        await world.docker("pause", container)
        assert (await world.look(container)).state is ContainerState.PAUSED
        await world.docker("stop", container)
        await seen.exactly(container, ["pause", "kill(15)", "unpause", {"stop", "die(0)"}])


async def test_a_kill_while_paused_does_not_unpause(world: World) -> None:
    container = await world.run()
    async with world.watching() as seen:
        await world.docker("pause", container)
        await world.docker("kill", container)
        await seen.exactly(container, ["pause", "kill(9)", "die(137)"])


async def test_a_death_while_paused_shows_only_at_unpause(world: World) -> None:
    container = await world.run()
    async with world.watching() as seen:
        await world.docker("pause", container)
        await world.crash(container)
        assert (await world.look(container)).state is ContainerState.PAUSED
        await world.docker("unpause", container)
        await seen.exactly(container, ["pause", "unpause", "die(137)"])


async def test_running_out_of_memory_tells_oom_before_die(world: World) -> None:
    async with world.watching() as seen:
        container = await world.run(program=GREEDY)
        await seen.exactly(container, ["create", "start", "oom", "die(137)"])
    assert (await world.ended(container)).oom_killed


async def test_health_verdicts_are_told_and_seen(world: World) -> None:
    async with world.watching() as seen:
        container = await world.run(program=PROBED)
        assert (await world.look(container)).health is Health.STARTING
        await seen.until(lambda: "health_status: healthy" in seen.words(container))
        assert (await world.look(container)).health is Health.HEALTHY
        await world.sicken(container)
        await seen.until(lambda: "health_status: unhealthy" in seen.words(container))
        assert (await world.look(container)).health is Health.UNHEALTHY


async def test_calls_that_change_nothing_tell_nothing(world: World) -> None:
    running, ended = await world.run("running"), await world.stopped("ended")
    async with world.watching() as seen:
        await world.engine.start_container(running)
        await world.engine.stop_container(ended, 5)
        await seen.exactly(running, [])
        await seen.exactly(ended, [])


async def test_the_engines_own_restart_tells_die_and_start(world: World) -> None:
    container = await world.run(host={"RestartPolicy": {"Name": "always"}})
    async with world.watching() as seen:
        await world.crash(container)
        await seen.exactly(container, ["die(137)", "start"])


async def test_a_new_policy_and_a_new_name_are_told(world: World) -> None:
    container = await world.create()
    async with world.watching() as seen:
        await world.engine.update_restart_policy(container, "on-failure", 3)
        await world.engine.rename_container(container, world.name("other"))
        await seen.exactly(container, ["update", "rename"])
    found = await world.look(container)
    assert (found.engine_policy, found.name) == ("on-failure", world.name("other"))


async def test_events_carry_whose_they_are(world: World) -> None:
    async with world.watching() as seen:
        container = await world.create("db")
        await seen.until(lambda: bool(seen.words(container)))
        told = next(event for event in seen.events if event.container == container)
        assert (told.stack, told.service, told.name, told.oneoff) == (world.stack, "db", world.name("db"), False)
        assert told.time_nano > 1_000_000_000_000_000_000


@pytest.mark.parametrize("action", ["create", "destroy"])
async def test_networks_are_told_by_name(world: World, action: str) -> None:
    async with world.watching() as seen:
        network = await world.network()
        await world.engine.remove_network(network)
        name = f"{world.stack}_default"
        await seen.until(lambda: any((e.actor, e.action) == (name, action) for e in seen.events))


async def test_a_cancelled_stop_goes_on_in_the_engine(world: World) -> None:
    container = await world.run(program=POLITE)
    async with world.watching() as seen:
        stop = asyncio.create_task(world.engine.stop_container(container, 5))
        await seen.until(lambda: "kill(15)" in seen.words(container))
        stop.cancel()
        await asyncio.wait([stop])
        await seen.exactly(container, STOPPED)
