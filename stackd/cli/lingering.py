"""One warning: a user service without lingering ends at logout and does not start at boot.

A user unit cannot order itself after docker.service; lingering (loginctl(1)) is what starts the user's manager at boot.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

_LINGER = Path("/var/lib/systemd/linger")


def warning(pid: Callable[[], int]) -> str:
    """The warning, or "" when there is nothing to warn of. `pid` is asked for the daemon only where it matters."""
    uid = os.getuid()
    if uid == 0 or not _LINGER.parent.is_dir():
        return ""
    try:
        user = pwd.getpwuid(uid).pw_name
        if (_LINGER / user).exists() or not _under_user_manager(pid(), uid):
            return ""
    except (KeyError, OSError):
        return ""
    return f"warning: lingering is off: after a reboot nothing runs until you log in; loginctl enable-linger {user}"


def _under_user_manager(pid: int, uid: int) -> bool:
    return f"/user@{uid}.service/" in Path(f"/proc/{pid}/cgroup").read_text()
