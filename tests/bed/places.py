"""Where the bed keeps its things: one cache directory for the machine, one folder and network namespace per engine.

Law: everything stands below `STACKD_BED_DIR` (default /var/cache/stackd-bed), never inside the repository; the name of
an engine fixes its folder, its socket and its namespace, so any process can find them again.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.bed.host import BedError

DEFAULT_NAME = "default"
REPOSITORY = Path(__file__).resolve().parent.parent.parent


def cache_dir() -> Path:
    """The bed's directory."""
    return Path(os.environ.get("STACKD_BED_DIR") or "/var/cache/stackd-bed")


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one engine; `home` holds all of them."""

    name: str
    home: Path

    @property
    def data(self) -> Path:
        """The engine's data root: images, containers, volumes."""
        return self.home / "data"

    @property
    def exec(self) -> Path:
        """The engine's exec root: containerd's and the runtime's state."""
        return self.home / "exec"

    @property
    def socket(self) -> Path:
        """The engine's API."""
        return self.home / "docker.sock"

    @property
    def pid_file(self) -> Path:
        """Written by the engine; the only pid that is ever signalled to stop it."""
        return self.home / "pid"

    @property
    def launch_file(self) -> Path:
        """The pid of the process that becomes the engine, known before the engine has written its own file."""
        return self.home / "launch"

    @property
    def log(self) -> Path:
        """What the engine printed since it last started."""
        return self.home / "engine.log"

    @property
    def lock(self) -> Path:
        """Held while the engine is started, stopped or cleaned."""
        return self.home / "lock"

    @property
    def netns(self) -> str:
        """The name of the network namespace."""
        return "stackd-bed" if self.name == DEFAULT_NAME else f"stackd-bed-{self.name}"

    @property
    def netns_file(self) -> Path:
        """The namespace as a file for nsenter."""
        return Path("/run/netns") / self.netns


def places(name: str | None = None) -> Places:
    """The places of an engine; without a name that of STACKD_BED_NAME (set by `exec`), else the default one."""
    chosen = name or os.environ.get("STACKD_BED_NAME") or DEFAULT_NAME
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", chosen):
        raise BedError(f"bad name of a bed: {chosen!r}; wanted: small letters, digits and dashes")
    return Places(chosen, cache_dir() / "engines" / chosen)


def known() -> tuple[Places, ...]:
    """Every engine that has a folder."""
    folder = cache_dir() / "engines"
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    return tuple(places(name) for name in names)
