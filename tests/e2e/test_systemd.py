"""stackd as a user service of a real systemd."""

from __future__ import annotations

import pytest

from tests.e2e import machine as machines
from tests.e2e.machine import Machine
from tests.e2e.stacks import forever
from tests.e2e.world import until

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(240)]


def test_it_is_started_keeps_a_stack_and_leaves_it_running_at_the_end(machine: Machine) -> None:
    name = f"{machine.instance}-stack"
    machine.write(f".config/stackd/stacks/{name}/compose.yaml", forever("one"))
    machine.dev("systemctl --user start stackd")
    assert machine.active()
    until(lambda: [one for one in machine.engine.containers(name) if one.good], f"the stack\n{machine.journal()}")
    before = machine.engine.containers(name)
    machine.dev("systemctl --user restart stackd")
    machine.dev("systemctl --user stop stackd stackd.socket")
    assert machine.property("Result") == "success"
    assert machine.engine.containers(name) == before


def test_it_is_restarted_after_sigkill(machine: Machine) -> None:
    machine.dev("systemctl --user start stackd")
    first = machine.property("MainPID")
    machine.dev("systemctl --user kill -s KILL stackd")
    until(lambda: machine.active() and machine.property("MainPID") != first, "another process")
    assert machine.property("NRestarts") == "1"
    assert machine.curl("/livez") == {"alive": True}


def test_it_is_restarted_when_its_loop_hangs(machine: Machine) -> None:
    machine.dev("systemctl --user start stackd")
    first = machine.property("MainPID")
    machine.dev("systemctl --user kill -s STOP stackd")
    until(lambda: machine.active() and machine.property("MainPID") != first, "another process")
    assert "watchdog" in machine.journal().lower()
    assert machine.curl("/livez") == {"alive": True}


def test_the_first_request_on_the_socket_starts_it(machine: Machine) -> None:
    machine.dev("systemctl --user start stackd.socket")
    assert machine.property("ActiveState") == "inactive"
    assert machine.curl("/livez") == {"alive": True}
    assert machine.active()
    assert machine.dev(f"stat -c %a {machines.SOCKET} $(dirname {machines.SOCKET})").split() == ["600", "700"]


def test_the_command_that_starts_it_by_the_socket_is_answered_with_what_the_files_say(machine: Machine) -> None:
    name = f"{machine.instance}-stack"
    machine.write(f".config/stackd/stacks/{name}/compose.yaml", forever("one"))
    machine.dev("systemctl --user start stackd")
    until(lambda: [one for one in machine.engine.containers(name) if one.good], f"the stack\n{machine.journal()}")
    for command in ("ps", f"stop {name} one", f"plan {name}"):
        machine.dev("systemctl --user stop stackd")
        found = machine.dev(f".local/bin/stackd {command}")
        assert "one" in found or "nothing to do" in found
        assert "not decided yet" not in found
        assert machine.active()


def test_the_unit_raises_the_limit_of_open_files(machine: Machine) -> None:
    machine.dev("systemctl --user start stackd")
    limits = machine.dev("cat /proc/$(systemctl --user show -P MainPID stackd.service)/limits")
    (files,) = (line.split() for line in limits.splitlines() if line.startswith("Max open files"))
    assert files[3:5] == ["16384", "16384"]


def test_a_reload_checks_the_configuration_and_keeps_the_process(machine: Machine) -> None:
    machine.dev("systemctl --user start stackd")
    first = machine.property("MainPID")
    machine.dev("systemctl --user reload stackd")
    until(lambda: "reload" in machine.journal().lower(), f"the reload\n{machine.journal()}")
    assert machine.curl("/livez") == {"alive": True}
    assert (machine.property("MainPID"), machine.property("NRestarts")) == (first, "0")


def test_systemd_understands_every_line_of_the_units(machine: Machine) -> None:
    assert machine.dev("systemd-analyze --user verify .config/systemd/user/stackd.service 2>&1; true") == ""
