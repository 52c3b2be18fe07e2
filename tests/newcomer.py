"""`make fresh`: the README's commands, typed as printed, in clean systems.

Law: a clean system has git, make and certificates, and sudo for its user; everything else is what the README says or
what its commands do. Installing for real is tried as the user, up to the units, for which a clean system has no
systemd (the end-to-end tests have).
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.readme import commands

REPOSITORY = Path(__file__).resolve().parent.parent
SYSTEMS = (("bookworm", "root"), ("bookworm", "dev"), ("trixie", "root"), ("trixie", "dev"))


def main(chosen: list[str]) -> int:
    """Type the commands in each system (or only in those named, as `trixie/dev`); returns 0 when all went well."""
    outcomes = []
    for release, user in SYSTEMS:
        if chosen and f"{release}/{user}" not in chosen:
            continue
        began = time.monotonic()
        code = _type(release, user)
        outcomes.append((f"{release}/{user}", code, time.monotonic() - began))
    for name, code, seconds in outcomes:
        sys.stdout.write(f"{'ok  ' if code == 0 else 'FAIL'} {name:15}{seconds:6.0f} s\n")
    return int(any(code for _, code, _ in outcomes) or not outcomes)


def _type(release: str, user: str) -> int:
    lines = ["set -ex", *commands("Try it")]
    if user != "root":
        install = [line for line in commands("Install it") if not line.startswith(("systemctl", "sudo loginctl"))]
        lines += ["sudo apt-get update", *install, "~/.local/bin/stackd --version"]
    words = ("fresh", release, "--user", user, "--", "sh", "-c", "\n".join(lines))
    return subprocess.run(["python3", "-m", "tests.bed", *words], cwd=REPOSITORY, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
