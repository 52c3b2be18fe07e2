"""A paused container is called dead only when it is certain that its process is."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.engine.docker import DockerEngine
from stackd.engine.processes import Processes
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.model.observed import ContainerState, ObservedContainer
from tests.unit.engine.stub import json_answer, serving

ONE, TWO = ContainerId("1" * 64), ContainerId("2" * 64)
KILLED = "State:\tD (disk sleep)\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000100\n"
WELL = "State:\tD (disk sleep)\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000004000\n"


def box(container: ContainerId, pid: int, state: ContainerState = ContainerState.PAUSED) -> ObservedContainer:
    return ObservedContainer(container, "a", StackName("a"), ServiceName("a"), 1, state, pid=pid)


class Machine:
    """A machine's /proc: processes, each with the container in whose cgroup it is, and its status."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hidden: set[int] = set()
        self.seen = Processes(folder, lambda pid: pid in self.hidden or (folder / str(pid)).exists())

    def put(self, pid: int, container: str, status: str = WELL) -> None:
        (self.folder / str(pid)).mkdir()
        (self.folder / str(pid) / "cgroup").write_text(f"0::/system.slice/docker-{container}.scope\n")
        (self.folder / str(pid) / "status").write_text(status)

    def is_dead(self, container: ContainerId, pid: int) -> bool:
        return self.seen.told(box(container, pid)).lost


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_frozen_process_that_only_waits_to_be_killed_is_dead_and_one_with_other_signals_is_not(
    machine: Machine,
) -> None:
    machine.put(7, ONE, KILLED)
    machine.put(8, TWO)
    assert (machine.is_dead(ONE, 7), machine.is_dead(TWO, 8)) == (True, False)


def test_a_process_that_is_gone_is_dead_once_another_has_shown_whose_the_numbers_are(machine: Machine) -> None:
    assert not machine.is_dead(ONE, 7)
    machine.put(8, TWO)
    machine.seen.told(box(TWO, 8, ContainerState.RUNNING))
    assert machine.is_dead(ONE, 7)
    machine.seen.forget()
    assert not machine.is_dead(ONE, 7)


def test_numbers_that_are_those_of_other_processes_prove_nothing(machine: Machine) -> None:
    machine.put(8, "f" * 64, KILLED)
    machine.seen.told(box(TWO, 8, ContainerState.RUNNING))
    assert (machine.is_dead(ONE, 7), machine.is_dead(ONE, 8)) == (False, False)


def test_a_process_that_cannot_be_read_is_not_called_dead(machine: Machine) -> None:
    machine.put(8, TWO)
    machine.seen.told(box(TWO, 8, ContainerState.RUNNING))
    machine.hidden.add(7)
    assert not machine.is_dead(ONE, 7)


def test_only_a_paused_container_is_called_dead(machine: Machine) -> None:
    machine.put(7, ONE, KILLED)
    running = box(ONE, 7, ContainerState.RUNNING)
    assert machine.seen.told(running) == running
    assert machine.seen.told(running) == running


def test_a_process_of_this_machine_exists_until_it_has_been_waited_for() -> None:
    seen = Processes()
    seen._ours = True
    with subprocess.Popen(["sleep", "100"]) as process:
        assert not seen.told(box(ONE, process.pid)).lost
        process.kill()
    assert seen.told(box(ONE, process.pid)).lost
    assert not seen.told(box(ONE, os.getpid())).lost


async def test_what_an_engine_tells_of_a_container_is_told_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "told", lambda self, one: replace(one, lost=one.pid == 7))
    body = b'{"Id": "%s", "State": {"Status": "paused", "Pid": 7}}' % ONE.encode()
    async with serving(tmp_path, {f"/containers/{ONE}/json": json_answer(body)}) as stub:
        engine = DockerEngine(stub.url)
        found = await engine.inspect_container(ONE)
        await engine.close()
    assert found is not None and found.lost


async def test_a_new_contact_with_an_engine_proves_its_numbers_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[Processes] = []
    monkeypatch.setattr(Processes, "forget", lambda self: forgotten.extend([self]))
    async with serving(tmp_path, {"/info": json_answer(b'{"ID": "an engine"}')}) as stub:
        engine = DockerEngine(stub.url)
        await engine.info()
        await engine.close()
    assert len(forgotten) == 1
