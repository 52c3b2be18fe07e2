"""The bed's commands: up, exec, status, restart-engine, down, clean, fresh.

Law: every command may be repeated; without root it runs itself again through sudo. `exec` replaces this process, so
exit code and signals are the command's own.
"""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bed import engine, fresh, images, processes, registry, unixhttp
from tests.bed.api import Bed
from tests.bed.host import BedError, search_path
from tests.bed.places import REPOSITORY, Places, cache_dir, known, places


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    options, words = _parsed(arguments)
    if os.geteuid() != 0:
        _become_root(arguments)
    try:
        return _dispatch(options, words)
    except BedError as error:
        sys.stderr.write(f"bed: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bed", description=__doc__)
    parser.add_argument("--name", help="which engine (default: $STACKD_BED_NAME, else 'default')")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="install, start, load the images; prints the socket")
    up.add_argument("--only", metavar="IMAGE,...", default="", help="load only these, as busybox,redis")
    up.add_argument("--systemd", action="store_true", help="the image stackd-systemd:latest too")
    run = commands.add_parser("exec", help="run a command inside the bed's network namespace")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="[--] CMD...")
    commands.add_parser("registry", help="start the bed's registries; prints their addresses")
    commands.add_parser("status", help="what runs; exit 0 when the engine answers")
    restart = commands.add_parser("restart-engine", help="stop the engine by a signal and start it again")
    restart.add_argument("--signal", choices=("TERM", "KILL"), default="TERM")
    commands.add_parser("down", help="stop the engine and all it started; images stay cached")
    clean = commands.add_parser("clean", help="down, and delete what the engine stored")
    clean.add_argument("--all", action="store_true", help="every engine and the cache of images")
    clean_system = commands.add_parser("fresh", help="run a command in a clone inside a clean system")
    clean_system.add_argument("release", choices=fresh.RELEASES)
    clean_system.add_argument("--user", choices=fresh.USERS, default="root")
    clean_system.add_argument("--with", dest="extra", default="", metavar="PACKAGE,...", help="also installed there")
    janitor = commands.add_parser("fresh-janitor", help=argparse.SUPPRESS)
    janitor.add_argument("folder", type=Path)
    for command in commands.choices.values():
        command.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the command to run: what follows `--` (which `exec` may leave out)."""
    cut = list(arguments).index("--") if "--" in arguments else len(arguments)
    options = _parser().parse_args(arguments[:cut])
    words = list(arguments[cut + 1 :])
    early: list[str] = getattr(options, "words", [])
    return options, [*early, *arguments[cut:]] if early else words


def _dispatch(options: argparse.Namespace, words: list[str]) -> int:
    bed = places(options.name)
    match options.command:
        case "up":
            _up(bed, options)
        case "exec":
            return _exec(bed, _wanted(words))
        case "fresh":
            extra = [package for package in options.extra.split(",") if package]
            return fresh.run_clean(options.release, options.user, extra, _wanted(words))
        case "fresh-janitor":
            return fresh.wait_and_remove(options.folder)
        case "registry":
            return _registry(bed)
        case "status":
            return _status()
        case "restart-engine":
            engine.stop(bed, signal.Signals[f"SIG{options.signal}"])
            engine.start_again(bed)
        case "down":
            engine.down(bed)
        case "clean":
            for one in known() if options.all else (bed,):
                engine.remove(one)
            if options.all:
                fresh.sweep()
                shutil.rmtree(cache_dir(), ignore_errors=True)
        case other:
            raise BedError(f"unknown command {other!r}")
    return 0


def _up(bed: Places, options: argparse.Namespace) -> None:
    engine.install()
    registry.install()
    if engine.start(bed):
        engine.sweep(bed)
    wanted = images.standard([name for name in options.only.split(",") if name])
    if options.systemd:
        wanted.append(images.systemd())
    images.ensure(bed, wanted)
    sys.stdout.write(f"unix://{bed.socket}\n")


def _exec(bed: Places, words: list[str]) -> int:
    if not unixhttp.answers(bed.socket):
        raise BedError(f"no engine answers on {bed.socket}: run `python3 -m tests.bed up` first")
    os.execvpe("nsenter", [*engine.nsenter(bed), *words], {**os.environ, **Bed(bed).environment()})


def _wanted(words: list[str]) -> list[str]:
    if not words:
        raise BedError("a command is missing: ... -- CMD...")
    return words


def _registry(bed: Places) -> int:
    if not engine.inside(bed):
        here = [sys.executable, "-m", "tests.bed", "--name", bed.name, "registry"]
        os.execvpe("nsenter", [*engine.nsenter(bed), *here], {**os.environ, "PYTHONPATH": str(REPOSITORY)})
    for one in (registry.open_registry(bed), registry.private_registry(bed)):
        sys.stdout.write(f"{one.address} {one.user} {one.password}".rstrip() + "\n")
    return 0


def _status() -> int:
    answering = 0
    for bed in known():
        pid = processes.engine_pid(bed)
        if pid is None:
            state = "down"
        elif unixhttp.answers(bed.socket):
            state, answering = f"pid {pid}", answering + 1
        else:
            state = f"pid {pid}, no answer"
        sys.stdout.write(f"{bed.name}: {state}, unix://{bed.socket}, netns {bed.netns}\n")
    return 0 if answering else 1


def _become_root(arguments: Sequence[str]) -> None:
    """Run this command again as root; asks for a password only on a terminal."""
    quiet = [] if sys.stdin.isatty() else ["-n"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "PATH": search_path()}
    try:
        os.execvpe("sudo", ["sudo", *quiet, "-E", sys.executable, "-m", "tests.bed", *arguments], environment)
    except FileNotFoundError:
        raise SystemExit("bed: needs root, and there is no sudo") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
