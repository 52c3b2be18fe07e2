"""The processes of an engine, found by what they are and not by broad names.

Law: a process belongs to an engine when its command line names the engine's folder and its program is one of the
engine's own, or when the runtime's state below the engine's exec root names it (pid and start time). Nothing else is
ever signalled.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.bed.host import BedError, wait_until
from tests.bed.places import Places

PROGRAMS = ("dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "runc", "docker-registry")


def alive(pid: int) -> bool:
    """True while the process runs; a zombie has ended."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


def stopped(pid: int) -> bool:
    """True when the process and all its threads stand still after a SIGSTOP, which takes a moment."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return bool(states) and all(state in "Tt" for state in states)


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def read_pid(file: Path) -> int | None:
    """The pid a file holds, if there is one."""
    try:
        return int(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def engine_pid(bed: Places) -> int | None:
    """The pid of the running engine, from its own pid file, checked against what that process is."""
    pid = read_pid(bed.pid_file)
    if pid is None or not alive(pid) or not _is_ours(pid, bed):
        return None
    return pid


def leftovers(bed: Places) -> set[int]:
    """Every process of the engine: itself, containerd, shims, registries, and the first process of each container."""
    own = {pid for pid in _all_pids() if _is_ours(pid, bed)}
    return own | set(_container_pids(bed))


def daemons(bed: Places) -> set[int]:
    """The engine and its containerd."""
    return {pid for pid in _all_pids() if _is_ours(pid, bed) and _program(pid) in ("dockerd", "containerd")}


def shims(bed: Places) -> list[int]:
    """The shims that a killed engine left; they live in the mount namespace it had."""
    return sorted(pid for pid in _all_pids() if _is_ours(pid, bed) and "-shim" in _program(pid))


def inhabitants(bed: Places) -> set[int]:
    """The processes in the engine's network namespace, whoever started them."""
    try:
        wanted = bed.netns_file.stat().st_ino
    except OSError:
        return set()
    found = set()
    for pid in _all_pids():
        with suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/net").st_ino == wanted:
                found.add(pid)
    return found


def kill_and_wait(pids: set[int], seconds: float = 10.0) -> None:
    """SIGKILL processes and wait until none of them runs."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not wait_until(lambda: not any(alive(pid) for pid in pids), seconds):
        left = {pid: command_line(pid)[:3] for pid in pids if alive(pid)}
        raise BedError(f"still running {seconds} s after SIGKILL: {left}")


def _is_ours(pid: int, bed: Places) -> bool:
    return _program(pid) in PROGRAMS and any(f"{bed.home}/" in word for word in command_line(pid)[1:])


def _program(pid: int) -> str:
    words = command_line(pid)
    return os.path.basename(words[0]) if words else ""


def _all_pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _container_pids(bed: Places) -> Iterator[int]:
    for file in bed.exec.glob("runtime-*/moby/*/state.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            state = json.loads(file.read_bytes())
            pid, started = int(state["init_process_pid"]), str(state["init_process_start"])
            fields = _stat(pid)
            if alive(pid) and fields[19] == started:
                yield pid


def _stat(pid: int) -> list[str]:
    """/proc/<pid>/stat from the state on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
