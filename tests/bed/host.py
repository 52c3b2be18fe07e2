"""The machine under the bed: its commands, its distribution, its package tool.

Law: installs only what is missing, never lets a package start a service, and takes package sources from the machine's
own apt settings. Nothing here knows about engines or images.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Puts a command into mount and pid namespaces of its own that end, with all in them, when this process does.
SEALED = ("setpriv", "--pdeathsig", "KILL", "unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc")
POLICY = Path("/usr/sbin/policy-rc.d")


class BedError(Exception):
    """The bed cannot do what was asked; the text says what to look at."""


def say(text: str) -> None:
    """One line of progress on standard error (standard output is for answers)."""
    sys.stderr.write(f"bed: {text}\n")
    sys.stderr.flush()


def run(*command: str | Path, **environment: str) -> str:
    """Run a command and return its output; raises BedError with the tail of what it printed when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PATH": search_path(), **environment},
        check=False,
    )
    if done.returncode != 0:
        shown = " ".join(str(word) for word in command)
        raise BedError(f"exit {done.returncode} from: {shown[:300]}\n{done.stdout[-3000:]}")
    return done.stdout


def succeeds(*command: str | Path) -> bool:
    """True when the command can be run and exits 0."""
    try:
        run(*command)
    except (BedError, OSError):
        return False
    return True


def search_path() -> str:
    """The caller's PATH with the system folders added: a user's PATH often lacks sbin."""
    return os.environ.get("PATH", "") + ":" + SYSTEM_PATH


def which(command: str) -> str | None:
    """Where a command is, looking in the system folders too."""
    return shutil.which(command, path=search_path())


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look at a condition until it holds (True) or `seconds` have passed (False)."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@dataclass(frozen=True, slots=True)
class Suite:
    """One source of packages, as the machine's apt has it: `deb uri release components`."""

    uri: str
    release: str
    components: tuple[str, ...]


def os_release() -> dict[str, str]:
    """The fields of /etc/os-release, unquoted."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def codename() -> str:
    """The machine's release name, as `bookworm`."""
    name = os_release().get("VERSION_CODENAME", "")
    if not name:
        raise BedError("/etc/os-release names no VERSION_CODENAME: the bed needs Debian 12 or later, or Ubuntu")
    return name


def suites() -> tuple[Suite, ...]:
    """The machine's own sources for its release (plain, -updates, -security), the plain one first."""
    name = codename()
    found: dict[tuple[str, str], list[str]] = {}
    lines = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    for line in lines.splitlines():
        uri, release, component = line.split()
        if release == name or release.startswith(f"{name}-"):
            components = found.setdefault((uri, release), [])
            if component not in components:
                components.append(component)
    if not any(release == name for _, release in found):
        raise BedError(f"no package source for {name} in `apt-get indextargets`: does /etc/apt/sources.list* name one?")
    listed = [Suite(uri, release, tuple(components)) for (uri, release), components in found.items()]
    return tuple(sorted(listed, key=lambda suite: suite.release != name))


@contextmanager
def services_kept_from_starting() -> Iterator[None]:
    """While inside, packages that are installed start no service (the distribution's policy-rc.d says 101)."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink(missing_ok=True)
        else:
            POLICY.write_bytes(before)


def apt_update_if_needed(package: str) -> None:
    """Fetch the package lists when they do not know `package` yet."""
    if not knows(package):
        say("apt-get update")
        run("apt-get", "update", "-q")
    if not knows(package):
        raise BedError(f"apt has no package {package!r}: is the distribution's main archive among its sources?")


def knows(package: str) -> bool:
    """True when apt could install `package` now."""
    policy = run("apt-cache", "policy", package, LC_ALL="C")
    return "Candidate:" in policy and "Candidate: (none)" not in policy


def ensure_commands(needed: Sequence[tuple[str, str]]) -> None:
    """Install the packages of the commands that are missing; `needed` holds (command, package) pairs."""
    missing = [package for command, package in needed if which(command) is None]
    if missing:
        install(missing)
    absent = [command for command, _ in needed if which(command) is None]
    if absent:
        raise BedError(f"still missing after installing {' '.join(missing)}: {' '.join(absent)}")


def install(packages: Sequence[str]) -> None:
    """Install packages from the distribution without recommendations, questions or started services."""
    for package in packages:
        apt_update_if_needed(package)
    say(f"apt-get install {' '.join(packages)}")
    command = ("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)
    with services_kept_from_starting():
        try:
            run(*command, DEBIAN_FRONTEND="noninteractive")
        except BedError:
            # Lists older than the mirror name versions that are gone.
            run("apt-get", "update", "-q")
            run(*command, DEBIAN_FRONTEND="noninteractive")


def unpacked_program(package: str, program: str, into: Path) -> Path:
    """A program of a distribution package, unpacked below a folder and not installed on the machine."""
    root = unpacked(package, into)
    # Which of these it is changed with Debian 13.
    for folder in ("usr/bin", "bin", "usr/sbin", "sbin"):
        if (root / folder / program).is_file():
            return root / folder / program
    raise BedError(f"package {package} holds no program {program}")


def unpacked(package: str, into: Path) -> Path:
    """The files of a distribution package below a folder, without installing it on the machine."""
    target = into / package
    if target.is_dir():
        return target
    apt_update_if_needed(package)
    say(f"unpack {package}")
    scratch = into / f".{package}.{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "deb").mkdir(parents=True)
    download = [
        "sh",
        "-c",
        'cd "$1" && apt-get download -q -o APT::Sandbox::User=root "$2"',
        "sh",
        str(scratch / "deb"),
        package,
    ]
    try:
        run(*download)
    except BedError:
        run("apt-get", "update", "-q")
        run(*download)
    (archive,) = (scratch / "deb").glob("*.deb")
    run("dpkg-deb", "-x", archive, scratch / "root")
    (scratch / "root").rename(target)
    shutil.rmtree(scratch)
    return target


def apt_proxy_settings() -> str:
    """The machine's proxy for apt as lines of an apt.conf; empty without one."""
    dump = run("apt-config", "dump").splitlines()
    lines = [line for line in dump if line.lower().startswith(("acquire::http::proxy", "acquire::https::proxy"))]
    for scheme in ("http", "https"):
        proxy = os.environ.get(f"{scheme}_proxy") or os.environ.get(f"{scheme.upper()}_PROXY")
        if proxy and not any(line.lower().startswith(f"acquire::{scheme}::proxy ") for line in lines):
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return "".join(f"{line}\n" for line in lines)


def resolv_conf() -> Path:
    """The machine's resolver settings; behind systemd's stub, those with the real servers."""
    real = Path("/run/systemd/resolve/resolv.conf")
    plain = Path("/etc/resolv.conf")
    return real if real.is_file() and "127.0.0.53" in plain.read_text(encoding="utf-8") else plain


def overlay_works(folder: Path) -> bool:
    """True when an overlay can be mounted on the file system of `folder`."""
    probe = folder / "overlay-probe"
    shutil.rmtree(probe, ignore_errors=True)
    for part in ("lower", "upper", "work", "merged"):
        (probe / part).mkdir(parents=True)
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
    works = succeeds("unshare", "-m", "mount", "-t", "overlay", "overlay", "-o", options, probe / "merged")
    shutil.rmtree(probe, ignore_errors=True)
    return works
