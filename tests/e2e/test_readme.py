"""Every command of the README works as printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.machine import Machine
from tests.e2e.webapp import copied
from tests.e2e.world import EXAMPLES, Daemon, World, until
from tests.readme import commands

BIN = Path(sys.executable).parent


@pytest.mark.engine
def test_the_commands_that_drive_it_work_as_printed(world: World, daemon: Daemon) -> None:
    clone = world.folder / "clone"
    clone.mkdir()
    copied(EXAMPLES, clone / "examples")
    world.names.add("webapp")
    environment = {**os.environ, "STACKD_SOCKET": str(daemon.socket), "PATH": f"{BIN}:{os.environ['PATH']}"}
    for command in [*commands("Use it"), *commands("When something goes wrong")]:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=clone, env=environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{daemon.tail()}"
        assert done.stdout + done.stderr or command.startswith("sed "), command
        assert "problem" not in done.stdout, done.stdout
    asked = [command for command in commands("Use it") if "http" in command]
    assert len(asked) >= 5


@pytest.mark.systemd
@pytest.mark.timeout(240)
def test_the_commands_that_install_it_work_as_printed(machine: Machine) -> None:
    """The program itself is mounted (no network here); `make fresh` has pipx install it."""
    machine.dev("rm -rf .config/systemd && systemctl --user daemon-reload")
    lines = [line for line in commands("Install it") if not line.startswith(("sudo", "pipx"))]
    assert [line.split()[0] for line in lines] == ["install", "systemctl", "systemctl"]
    machine.dev("cd /opt/stackd && set -e\n" + "\n".join(lines))
    until(machine.active, f"stackd active\n{machine.journal()}")
    assert machine.dev("systemctl --user is-enabled stackd.service stackd.socket").split() == ["enabled", "enabled"]
    assert machine.curl("/livez") == {"alive": True}
