"""A machine with a real systemd and a lingering user `dev`, as a container on the bed's engine.

Law: the machine has this checkout and this environment's packages read-only, run by its own Python; it reaches the
bed's engine through the mounted socket.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bed.api import Bed
from tests.e2e.engine import Engine
from tests.e2e.world import REPOSITORY, until

IMAGE = "stackd-systemd:latest"
SESSION = ("-e", "XDG_RUNTIME_DIR=/run/user/1000", "-e", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus")
PROGRAM = """#!/bin/sh
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/stackd:/opt/packages \
exec /usr/bin/python3 -c 'from stackd.cli.main import main; main()' "$@"
"""
SOCKET = "/run/user/1000/stackd/stackd.sock"


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine and the instance name that its stackd has."""

    container: str
    instance: str
    engine: Engine

    def root(self, *words: str) -> str:
        """Run a command as root of the machine."""
        return self.engine.docker("exec", self.container, *words)

    def dev(self, script: str, *, check: bool = True) -> str:
        """Run a shell script as `dev`, in its session."""
        words = ("exec", "-u", "dev", "-w", "/home/dev", *SESSION, self.container, "sh", "-c", script)
        return self.engine.docker(*words, check=check)

    def write(self, path: str, text: str) -> None:
        """A file of dev's, below its home."""
        self.dev(f"mkdir -p $(dirname {path}) && cat > {path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE")

    def property(self, name: str, unit: str = "stackd.service") -> str:
        """A property of a unit."""
        return self.dev(f"systemctl --user show -P {name} {unit}")

    def active(self) -> bool:
        """Whether stackd is started, as it told systemd itself."""
        return self.property("ActiveState") == "active"

    def curl(self, path: str) -> dict[str, object] | None:
        """An answer by the socket; None when there is none."""
        text = self.dev(f"curl -s -m 20 --unix-socket {SOCKET} http://stackd{path}", check=False)
        with contextlib.suppress(json.JSONDecodeError, http.client.HTTPException):
            body = json.loads(text)
            return body if isinstance(body, dict) else None
        return None

    def journal(self) -> str:
        """What stackd and systemd said about it."""
        return self.dev("journalctl --user -u stackd --no-pager -o cat", check=False)

    def install(self) -> None:
        """What the README tells a person to do, for a program that is mounted and not downloaded."""
        self.write(".local/bin/stackd", PROGRAM)
        self.dev("chmod 755 .local/bin/stackd")
        self.dev("mkdir -p .config/systemd/user && cp /opt/stackd/systemd/stackd.* .config/systemd/user/")
        self.write(".config/systemd/user/stackd.service.d/soon.conf", "[Service]\nWatchdogSec=3s\nRestartSec=100ms")
        self.write(".config/stackd/config.toml", f'engine = "unix:///engine.sock"\ninstance = "{self.instance}"')
        self.dev("mkdir -p .config/stackd/stacks && systemctl --user daemon-reload")


@contextlib.contextmanager
def machine(bed: Bed) -> Iterator[Machine]:
    """A machine with stackd installed for `dev` and not started."""
    name = f"m{secrets.token_hex(3)}"
    engine = Engine(bed.host)
    packages = sysconfig.get_path("platlib")
    engine.docker(
        *("run", "-d", "--name", name, "--runtime", "bounded", "--privileged", "--cgroupns=private"),
        *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"),
        *("-v", f"{REPOSITORY}:/opt/stackd:ro", "-v", f"{packages}:/opt/packages:ro"),
        *("-v", f"{bed.socket}:/engine.sock", IMAGE),
    )
    made = Machine(name, name, engine)
    try:
        until(
            lambda: made.root("sh", "-c", "systemctl is-system-running || true") in ("running", "degraded"), "systemd"
        )
        _let_in(made, bed.socket.stat().st_gid)
        until(lambda: made.dev("systemctl --user is-system-running", check=False) == "running", "dev's systemd")
        made.install()
        yield made
    finally:
        engine.docker("rm", "-f", "-v", name, check=False)
        engine.remove(f"{name}-stack")


def _let_in(made: Machine, group: int) -> None:
    """Put dev into the group that may use the engine, and start dev's session anew."""
    made.root("sh", "-c", f"getent group {group} >/dev/null || groupadd -g {group} engine; usermod -aG {group} dev")
    made.root("systemctl", "restart", "user@1000")
