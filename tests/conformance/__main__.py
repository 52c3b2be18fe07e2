"""`python -m tests.conformance DIR`: every Compose file under DIR, read by stackd and by the real docker compose.

Law: a file counts as the same when both accept it and make the same model and the same hashes of it, or both refuse it.
Both are asked on the command line (`stackd config --shell-env`, in this process) and see the same environment. What the
real one takes but cannot print as JSON (`build.ssh`) is compared as YAML, whatever the order of its ssh keys, which the
real one draws anew each time. Prints a line per mismatch, and the count at the end; exit
code 1 when there is one.
What this module does NOT do: choose what is right: the real one is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from stackd.compose.tree import Json
from tests.oracle.cli import call
from tests.oracle.compose import BINARY, unescaped

HOME = "/home/someone"
ENV = {"PATH": "/usr/bin:/bin", "HOME": HOME}
TIMEOUT = 60.0
YAML = "as YAML"
"""The key of a model that is a text."""
SSH = re.compile(r"^( +ssh:\n)((?: +- .*\n)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one side says of a file: its model and hashes, or why it refuses it."""

    model: Json = None
    hashes: tuple[tuple[str, str], ...] = ()
    complaint: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it took the file."""
        return self.model is not None


def files(root: Path) -> Iterator[Path]:
    """Every file under `root` that is a Compose file: by its name, or because it has a top-level `services`."""
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".yml", ".yaml") or not path.is_file():
            continue
        if "compose" in path.name or _has_services(path):
            yield path


def _has_services(path: Path) -> bool:
    text = path.read_bytes()
    return text.startswith(b"services:") or b"\nservices:" in text


def theirs(path: Path) -> Outcome:
    """The verdict of the real one."""
    try:
        answer = _run(path, "--format", "json")
        if answer.returncode != 0:
            if _run(path, "-q").returncode != 0:
                return Outcome(complaint=answer.stderr.strip() or "refused")
            model: Json = {YAML: _ordered(_run(path).stdout)}
        else:
            model = json.loads(answer.stdout)
        lines = _run(path, "--hash", "*").stdout.split("\n")
    except subprocess.TimeoutExpired:
        return Outcome(complaint="the real one does not come to an end")
    hashes = tuple(sorted((name, digest) for name, _, digest in (line.partition(" ") for line in lines if line)))
    return Outcome(unescaped(model), hashes)


def _run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BINARY), "-f", path.name, "config", *arguments]
    return subprocess.run(
        command, cwd=path.parent, env=ENV, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def ours(path: Path, *, yaml: bool = False) -> Outcome:
    """The verdict of stackd, on the command line and in the same environment as the real one."""
    words = ("config", "--shell-env", "-f", path.name)
    answer = call(path.parent, ENV, *words, *(() if yaml else ("--format", "json")))
    if answer.code != 0:
        return Outcome(complaint=answer.err.strip() or "refused")
    model: Json = {YAML: _ordered(answer.out)} if yaml else json.loads(answer.out)
    lines = call(path.parent, ENV, *words, "--hash", "*").out.split("\n")
    hashes = tuple(sorted((name, digest) for name, _, digest in (line.partition(" ") for line in lines if line)))
    return Outcome(unescaped(model), hashes)


def _ordered(text: str) -> str:
    """A printed model whose lists of ssh keys are sorted."""
    return SSH.sub(lambda found: "".join([found[1], *sorted(found[2].splitlines(keepends=True))]), text)


def _as_yaml(real: Outcome) -> bool:
    return isinstance(real.model, dict) and YAML in real.model


def difference(mine: Outcome, real: Outcome) -> str:
    """In one line how they differ, "" = they do not."""
    if mine.accepted != real.accepted:
        return f"refused: {mine.complaint}" if real.accepted else f"accepted, but: {real.complaint}"
    if mine.model != real.model:
        return "model: " + _first(mine.model, real.model, "")
    changed = [name for name, _ in set(mine.hashes) ^ set(real.hashes)]
    return f"hash of {', '.join(sorted(set(changed)))}" if changed else ""


def _first(mine: Json, real: Json, path: str) -> str:
    if isinstance(mine, dict) and isinstance(real, dict):
        for key in sorted(mine.keys() | real.keys()):
            if mine.get(key) != real.get(key) or (key in mine) != (key in real):
                return _first(mine.get(key), real.get(key), f"{path}.{key}")
    if isinstance(mine, list) and isinstance(real, list) and len(mine) == len(real):
        for at, (one, other) in enumerate(zip(mine, real, strict=True)):
            if one != other:
                return _first(one, other, f"{path}[{at}]")
    return f"{path}: {json.dumps(mine)[:150]} is {json.dumps(real)[:150]} there"


def main() -> int:
    """Compare; the number of mismatches decides the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true", help="show every file")
    options = parser.parse_args()
    options.corpus = options.corpus.resolve()
    found = list(files(options.corpus))
    same = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, real in zip(found, pool.map(theirs, found), strict=True):
            try:
                differs = difference(ours(path, yaml=_as_yaml(real)), real)
            except Exception as broken:
                differs = f"stackd failed: {type(broken).__name__}: {broken}"
            same += not differs
            if differs or options.verbose:
                sys.stdout.write(f"{path.relative_to(options.corpus)}: {(differs or 'same')[:500]}\n")
    sys.stdout.write(f"same verdict, model and hash: {same} of {len(found)}\n")
    return int(same != len(found))


if __name__ == "__main__":
    sys.exit(main())
