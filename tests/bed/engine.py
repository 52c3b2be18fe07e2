"""A private engine in a network namespace of its own: start, stop, restart, and cleaning up after a kill.

Law: every engine has its own data root, exec root, pid file, socket, configuration and namespaces. Two engines in one
network namespace would fight over docker0, so none ever shares one, least of all with the machine's own engine.
Starting first removes what a killed run left; stopping goes by the pid file. An engine reaches no outside network.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bed import processes, unixhttp
from tests.bed.host import BedError, ensure_commands, overlay_works, run, say, search_path, succeeds, wait_until
from tests.bed.places import Places

START_SECONDS = 60.0
NEEDED = (("dockerd", "docker.io"), ("iptables", "iptables"), ("ip", "iproute2"), ("nsenter", "util-linux"))
CONFIGURATION = {
    # Many small networks: the default pools end at 31 bridges.
    "default-address-pools": [{"base": "172.16.0.0/12", "size": 24}],
    # Engines from 29 on would keep images in containerd, away from the storage driver chosen here.
    "features": {"containerd-snapshotter": False},
}


def install() -> None:
    """Install the engine and its client from the distribution when they are missing."""
    ensure_commands(NEEDED)
    # The client is a package of its own from Debian 13 on, and part of docker.io before.
    ensure_commands((("docker", "docker-cli"),))


def start(bed: Places) -> bool:
    """Start the engine unless it runs and answers (False); BedError with the end of its log when it does not."""
    bed.home.mkdir(parents=True, exist_ok=True)
    with locked(bed.lock):
        if processes.engine_pid(bed) is not None and unixhttp.answers(bed.socket):
            return False
        _clean(bed)
        _ensure_netns(bed)
        _launch(bed)
        _await_answer(bed)
    return True


def sweep(bed: Places) -> None:
    """Remove the containers, networks and volumes of earlier runs: a bed starts empty but for its images."""
    for container in unixhttp.listed(bed.socket, "/containers/json?all=1"):
        unixhttp.request(bed.socket, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
    for network in unixhttp.listed(bed.socket, "/networks"):
        if network["Name"] not in ("bridge", "host", "none"):
            unixhttp.request(bed.socket, "DELETE", f"/networks/{network['Id']}")
    status, body = unixhttp.request(bed.socket, "GET", "/volumes")
    for volume in json.loads(body)["Volumes"] or ():
        unixhttp.request(bed.socket, "DELETE", f"/volumes/{volume['Name']}?force=1")
    if status != 200:
        raise BedError(f"the engine lists no volumes: {status}")


def start_again(bed: Places) -> None:
    """Start a stopped or killed engine as an init system would: its containers are left to the engine."""
    with locked(bed.lock):
        if processes.daemons(bed):
            raise BedError(f"the engine {bed.name} still runs: stop it first")
        # An engine takes the pid in containerd's file for a running one as long as nobody has reaped that process.
        containerd = bed.exec / "containerd" / "containerd.pid"
        for file in (bed.pid_file, bed.launch_file, bed.socket, containerd):
            file.unlink(missing_ok=True)
        _launch(bed)
        _await_answer(bed)


def stop(bed: Places, how: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> None:
    """Signal the engine and wait until it has ended; containers are left as the engine leaves them."""
    with locked(bed.lock):
        pid = processes.engine_pid(bed)
        if pid is None:
            return
        daemons = {pid, *processes.daemons(bed)}
        os.kill(pid, how)
        with suppress(ProcessLookupError):  # a SIGKILLed one may be gone already
            os.kill(pid, signal.SIGCONT)
        # A killed engine's containerd follows it a moment later; an engine started in between waits for it in vain.
        if not wait_until(lambda: not any(processes.alive(daemon) for daemon in daemons), seconds):
            raise BedError(f"engine {pid} still runs {seconds} s after {how.name}; see {bed.log}")


def down(bed: Places) -> None:
    """Stop the engine and everything it started, and remove its network namespace; images stay on disk."""
    if not bed.home.is_dir():
        return
    with suppress(BedError):
        stop(bed, seconds=5.0)
    with locked(bed.lock):
        _clean(bed)
        _remove_netns(bed)


def remove(bed: Places) -> None:
    """Take the engine down and delete all it stored."""
    down(bed)
    shutil.rmtree(bed.home, ignore_errors=True)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file: one process at a time starts, stops or builds."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def inside(bed: Places) -> bool:
    """True when this process is in the engine's network namespace."""
    try:
        return os.path.samestat(os.stat("/proc/self/ns/net"), bed.netns_file.stat())
    except OSError:
        return False


def nsenter(bed: Places) -> list[str]:
    """The words that put a command into the engine's network namespace."""
    return ["nsenter", f"--net={bed.netns_file}", "--"]


def _clean(bed: Places) -> None:
    """Remove what a killed run left: processes, mounts, runtime state, pid files, and a namespace nobody is in."""
    stale = processes.leftovers(bed)
    if stale:
        say(f"killing {len(stale)} processes left by an earlier engine")
        processes.kill_and_wait(stale)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted((point for point in mounts if point.startswith(f"{bed.home}/")), reverse=True):
        run("umount", "-l", mount)
    shutil.rmtree(bed.exec, ignore_errors=True)
    for file in (bed.pid_file, bed.launch_file, bed.socket):
        file.unlink(missing_ok=True)
    if not processes.inhabitants(bed):
        _remove_netns(bed)


def _remove_netns(bed: Places) -> None:
    """Delete the namespace; processes still in it keep it alive without a name."""
    if bed.netns_file.exists() and not succeeds("ip", "netns", "delete", bed.netns):
        with suppress(OSError):
            bed.netns_file.unlink()


def _ensure_netns(bed: Places) -> None:
    if not succeeds(*nsenter(bed), "true"):
        _remove_netns(bed)
        run("ip", "netns", "add", bed.netns)
    run("ip", "-n", bed.netns, "link", "set", "lo", "up")


def _launch(bed: Places) -> None:
    """Start dockerd so that no process of ours is its parent; its pid stands in the launch file."""
    bed.data.mkdir(parents=True, exist_ok=True)
    bounded = bed.home / "bounded.sh"
    bounded.write_text(Path(__file__).with_name("bounded.sh").read_text(encoding="utf-8"), encoding="utf-8")
    bounded.chmod(0o755)
    configuration = bed.home / "daemon.json"
    runtimes = {"runtimes": {"bounded": {"path": str(bounded)}}}
    configuration.write_text(json.dumps(CONFIGURATION | runtimes), encoding="utf-8")
    dockerd = [
        "dockerd",
        f"--config-file={configuration}",
        f"--data-root={bed.data}",
        f"--exec-root={bed.exec}",
        f"--pidfile={bed.pid_file}",
        f"--host=unix://{bed.socket}",
        # vfs is slow and works everywhere, also where the data root stands on an overlay itself.
        f"--storage-driver={'overlay2' if overlay_works(bed.home) else 'vfs'}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
    ]
    note_pid = 'echo $$ > "$1"; shift; exec "$@"'
    with bed.log.open("wb") as log:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", note_pid, "sh", str(bed.launch_file), *_namespaces(bed), *dockerd],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": _engine_path(bed), "HOME": "/root", "LANG": "C.UTF-8"},
            check=True,
        )


def _namespaces(bed: Places) -> list[str]:
    """The namespaces an engine starts in: those of the shims a killed one left, or else fresh ones."""
    for shim in processes.shims(bed):
        return ["nsenter", f"--target={shim}", "--mount", "--net", "--"]
    script = Path(__file__).with_name("sysns.sh")
    return [*nsenter(bed), "unshare", "-m", "--propagation", "slave", "sh", str(script)]


def _await_answer(bed: Places) -> None:
    def launched_and_gone() -> bool:
        pid = processes.read_pid(bed.launch_file)
        return pid is not None and not processes.alive(pid)

    wait_until(lambda: launched_and_gone() or unixhttp.answers(bed.socket), START_SECONDS)
    if launched_and_gone() or not unixhttp.answers(bed.socket):
        tail = bed.log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise BedError(f"the engine did not come up; the end of {bed.log}:\n{tail}")
    bed.socket.chmod(0o666)


def _engine_path(bed: Places) -> str:
    """PATH for the engine; where the kernel has no nf_tables, with the legacy iptables in front."""
    if succeeds(*nsenter(bed), "iptables", "-t", "nat", "-L", "-n"):
        return search_path()
    legacy = bed.home / "legacy"
    legacy.mkdir(exist_ok=True)
    for name in ("iptables", "ip6tables"):
        link = legacy / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/usr/sbin/{name}-legacy")
    return f"{legacy}:{search_path()}"
