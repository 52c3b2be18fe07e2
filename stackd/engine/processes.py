"""Whether a paused container is a dead one: the engine and its events do not tell, only its process does.

Law: said only when it is certain. The engine's process numbers are this machine's once one of its containers was seen
in the cgroup that bears its id; then a number that no process has any more, and a process that waits for nothing but
its thaw to be killed, are dead. Whatever else is read, or cannot be read, says nothing. What this module does not do:
judge, or touch a process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from stackd.model.observed import ContainerState, ObservedContainer

_SIGKILL = 1 << 8
_PENDING = ("SigPnd:", "ShdPnd:")


def _exists(pid: int) -> bool:
    """Whether there is such a process, also one that /proc hides from us."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Processes:
    """The processes of one engine's containers, as far as this machine shows them."""

    def __init__(self, proc: Path = Path("/proc"), exists: Callable[[int], bool] = _exists) -> None:
        self._proc = proc
        self._exists = exists
        self._ours = False

    def forget(self) -> None:
        """Another engine may answer now: its process numbers are to be proven anew."""
        self._ours = False

    def told(self, container: ObservedContainer) -> ObservedContainer:
        """The container with what its process tells of it. Reads files of /proc; raises nothing."""
        paused = container.state is ContainerState.PAUSED
        if container.pid <= 0 or not (paused or (container.running and not self._ours)):
            return container
        mine = container.id in self._read(container.pid, "cgroup")
        self._ours |= mine
        if not paused:
            return container
        dead = (
            _is_killed(self._read(container.pid, "status")) if mine else self._ours and not self._exists(container.pid)
        )
        return replace(container, lost=dead)

    def _read(self, pid: int, name: str) -> str:
        try:
            return (self._proc / str(pid) / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _is_killed(status: str) -> bool:
    """A frozen process that is sent SIGKILL does not end before its thaw; then it does."""
    fields = [line.split() for line in status.splitlines() if line.startswith(_PENDING)]
    return any(int(mask, 16) & _SIGKILL for _, mask in fields)
