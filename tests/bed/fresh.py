"""A clean system for one command: what a newcomer has after `git clone`, and nothing else of this machine.

Law: the smallest Debian of a release with git, certificates and make (and for user `dev` sudo without a password), the
committed state of the repository, and the way out that this machine has: its resolver, certificates, proxy and the
network settings of pip and npm. It runs in mount, pid, host-name and network namespaces of its own. Whatever ends this
process, a janitor that waits for its end removes mounts, network and files.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tests.bed import build, wayout
from tests.bed.engine import locked
from tests.bed.host import (
    SEALED,
    SYSTEM_PATH,
    BedError,
    Suite,
    codename,
    ensure_commands,
    run,
    say,
    succeeds,
    suites,
    wait_until,
)
from tests.bed.places import REPOSITORY, cache_dir

RELEASES = ("bookworm", "trixie")
USERS = ("root", "dev")
ALWAYS = ("git", "ca-certificates", "make")


@dataclass(frozen=True, slots=True)
class Clean:
    """A clean system on disk and its network; everything can be derived from `folder`."""

    folder: Path

    @property
    def root(self) -> Path:
        """The system's files."""
        return self.folder / "root"

    @property
    def number(self) -> int:
        """Its number, free among those that run."""
        return int(self.folder.name)

    @property
    def netns(self) -> str:
        """Its network namespace."""
        return f"stackd-fresh-{self.number}"

    @property
    def outer(self) -> str:
        """The machine's end of its cable."""
        return f"sfresh{self.number}"

    @property
    def subnet(self) -> str:
        """The first three numbers of its addresses."""
        return f"10.231.{self.number}"


def run_clean(release: str, user: str, extra: Sequence[str], words: Sequence[str]) -> int:
    """Run a command in the clone inside a clean system; returns its exit code (128 + n when a signal ended it)."""
    if release not in RELEASES or user not in USERS:
        raise BedError(f"no clean system {release!r} for {user!r}; there are {RELEASES} for {USERS}")
    ensure_commands((("iptables", "iptables"), ("ip", "iproute2"), ("git", "git"), ("setpriv", "util-linux")))
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    sweep()
    archive = _prepared(release, user, extra)
    with _reserved() as clean, _janitor(clean):
        clean.root.mkdir()
        run("tar", "--numeric-owner", "-C", clean.root, "-xzf", archive)
        home = "/root" if user == "root" else f"/home/{user}"
        _clone(clean.root / home.lstrip("/") / "stackd", clean.root / home.lstrip("/"))
        wayout.settings(clean.root)
        _connect(clean)
        return _enter(clean, user, home, words)


def sweep() -> None:
    """Remove clean systems whose owner has ended without a janitor (both were killed)."""
    folder = cache_dir() / "fresh"
    for one in folder.iterdir() if folder.is_dir() else ():
        if one.is_dir() and one.name.isdigit():
            with one.with_suffix(".lock").open("w", encoding="ascii") as handle:
                if _lock_at_once(handle):
                    remove(Clean(one))


def wait_and_remove(folder: Path) -> int:
    """The janitor: wait until the owner closes standard input, by ending or by dying; then remove everything."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(Clean(folder))
    return 0


def remove(clean: Clean) -> None:
    """Remove the network and the files of a clean system, whatever is there of them."""
    for pid in run("ip", "netns", "pids", clean.netns).split() if _exists(clean) else ():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    for rule in _rules(clean):
        while succeeds("iptables", *rule[:2], "-D", *rule[2:]):
            pass
    # The kernel takes the cable away with the namespace, a moment later.
    succeeds("ip", "netns", "delete", clean.netns)
    succeeds("ip", "link", "delete", clean.outer)
    # A killed owner's tar may still be writing for a moment.
    wait_until(lambda: _gone(clean.folder), 30.0)


def _gone(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _exists(clean: Clean) -> bool:
    return Path(f"/run/netns/{clean.netns}").exists()


def _lock_at_once(handle: IO[str]) -> bool:
    """Take the lock of a number; False when somebody has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _reserved() -> Iterator[Clean]:
    """A free number, held by a lock until the end."""
    parent = cache_dir() / "fresh"
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 250):
        with (parent / f"{number}.lock").open("w", encoding="ascii") as handle:
            if not _lock_at_once(handle):
                continue
            clean = Clean(parent / str(number))
            remove(clean)
            clean.folder.mkdir()
            yield clean
            return
    raise BedError("no number is free for a clean system")


@contextmanager
def _janitor(clean: Clean) -> Iterator[None]:
    """While inside, a process waits to clean up; leaving waits for it."""
    command = [sys.executable, "-m", "tests.bed", "fresh-janitor", str(clean.folder)]
    janitor = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )
    try:
        yield
    finally:
        janitor.communicate()


def _prepared(release: str, user: str, extra: Sequence[str]) -> Path:
    """The archive of a release with what a newcomer has on it."""
    packages = (*ALWAYS, *(("sudo",) if user != "root" else ()), *sorted(extra))
    archive = cache_dir() / "base" / f"fresh-{release}-{user}-{'+'.join(packages)}.tar.gz"
    with locked(cache_dir() / f"fresh-{release}.lock"):
        if archive.is_file():
            return archive
        base = build.base_archive(release)
        with build.scratch(f"fresh-{release}") as folder:
            say(f"preparing a clean {release} for {user}")
            root = folder / "root"
            root.mkdir()
            run("tar", "--numeric-owner", "-C", root, "-xzf", base)
            build.connect(root, sources(release))
            wayout.resolver(root)
            script = Path(__file__).with_name("prepare.sh")
            run(*SEALED, "sh", script, root, user, *packages)
            run("tar", "--numeric-owner", "-C", root, "-I", "gzip -1", "-cf", folder / "archive", ".")
            (folder / "archive").rename(archive)
    return archive


def sources(release: str) -> list[Suite]:
    """The machine's package sources, for another release of its distribution."""
    own = codename()
    return [replace(suite, release=suite.release.replace(own, release)) for suite in suites()]


def _clone(target: Path, home: Path) -> None:
    """The committed state of the repository, owned by whose home it stands in."""
    run("git", "clone", "-q", "--no-hardlinks", REPOSITORY, target)
    run("git", "-C", target, "remote", "remove", "origin")
    owner = home.stat()
    run("chown", "-R", f"{owner.st_uid}:{owner.st_gid}", target)


def _rules(clean: Clean) -> list[list[str]]:
    """The machine's packet rules for a clean system, each as: table, then the rule."""
    network = f"{clean.subnet}.0/30"
    return [
        ["-t", "nat", "POSTROUTING", "-s", network, "-j", "MASQUERADE"],
        ["-t", "filter", "FORWARD", "-i", clean.outer, "-j", "ACCEPT"],
        ["-t", "filter", "FORWARD", "-o", clean.outer, "-j", "ACCEPT"],
    ]


def _connect(clean: Clean) -> None:
    """A network namespace that reaches what the machine reaches; what listens inside stays inside."""
    run("ip", "netns", "add", clean.netns)
    inner = ["-n", clean.netns]
    mtu = str(wayout.mtu())
    run("ip", "link", "add", clean.outer, "mtu", mtu, "type", "veth", "peer", "name", "eth0", "netns", clean.netns)
    run("ip", "address", "add", f"{clean.subnet}.1/30", "dev", clean.outer)
    run("ip", "link", "set", clean.outer, "up")
    run("ip", *inner, "address", "add", f"{clean.subnet}.2/30", "dev", "eth0")
    run("ip", *inner, "link", "set", "eth0", "mtu", mtu, "up")
    run("ip", *inner, "link", "set", "lo", "up")
    run("ip", *inner, "route", "add", "default", "via", f"{clean.subnet}.1")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    for rule in _rules(clean):
        run("iptables", *rule[:2], "-I", *rule[2:])


def _enter(clean: Clean, user: str, home: str, words: Sequence[str]) -> int:
    script = Path(__file__).with_name("enter.sh")
    path = SYSTEM_PATH if user == "root" else "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
    variables = {"PATH": path, "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb"), **wayout.environment()}
    command = [
        # When this process is killed, so is the whole pid namespace.
        *("setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/run/netns/{clean.netns}", "--"),
        *("unshare", "-m", "-u", "-p", "-f", "--kill-child", "--propagation", "private", "sh", str(script)),
        *(str(clean.root), user, home, f"{home}/stackd"),
        *(f"{name}={value}" for name, value in variables.items()),
        "--",
        *words,
    ]
    process = subprocess.Popen(command)
    try:
        code = process.wait()
    finally:
        process.kill()
        process.wait()
    return code if code >= 0 else 128 - code
