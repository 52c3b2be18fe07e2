"""`python -m tests.oracle.probe`: every key of a Compose file with a value of every kind, judged by both sides.

Law: the keys come from `rules`, so a new key is probed without a line here. The verdicts of the real one are kept in
`probed.txt`, which a test compares with ours without the oracle; `--write` makes the file anew.
What this module does NOT do: combine keys (`test_generated` does).
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stackd.compose import rules
from stackd.compose.load import StackInputs, canonical
from stackd.compose.schema import Decoded, Either, ListOf, Record, Rule, Table
from stackd.compose.tree import Json
from tests.oracle.compose import HOME, run, unescaped

TABLE = Path(__file__).parent / "probed.txt"
ENV = {"PATH": "/usr/bin:/bin", "HOME": HOME}
VALUES: dict[str, Json] = {
    "null": None, "bool": True, "int": 7, "zero": 0, "negative": -7, "float": 1.5, "whole-float": 3.0, "big": 10**12,
    "text": "text", "empty": "", "digits": "12", "size": "1m", "duration": "10s", "path": "/a/b", "pair": "a=b",
    "no": "no", "list": [], "texts": ["a", "b"], "twice": ["a", "a"], "ints": [1, 2], "int-twice": [1, 1],
    "nulls": [None], "floats": [1.5], "bools": [True], "empties": [""], "lists": [["a"]], "maps": [{"a": "b"}],
    "map": {}, "map-text": {"a": "b"}, "map-int": {"a": 1}, "map-null": {"a": None}, "map-bool": {"a": True},
    "map-list": {"a": ["b"]}, "map-map": {"a": {"b": "c"}}, "map-empty": {"a": ""}, "map-x": {"x-a": 1},
    "map-x-map": {"x-a": {"b": "c"}}, "map-float": {"a": 1.5},
}  # fmt: skip
Step: TypeAlias = "str | int"


@dataclass(frozen=True, slots=True)
class Probe:
    """One place in a file, and how to put a value there: the steps to it, and what must stand beside each."""

    name: str
    steps: tuple[Step, ...]
    beside: tuple[tuple[tuple[Step, ...], Json], ...] = ()

    def document(self, value: Json) -> dict[str, Json]:
        """A file that holds `value` at this place, and is right elsewhere."""
        root: dict[str, Json] = {}
        for steps, item in self.beside:
            _put(root, steps, copy.deepcopy(item))
        _put(root, self.steps, value)
        return root


def _put(root: dict[str, Json], steps: tuple[Step, ...], value: Json) -> None:
    """Set one place; mappings and lists on the way are made."""
    here: Json = root
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        new: Json = value if last else ([] if steps[at + 1] == 0 else {})
        if isinstance(here, list):
            if not here:
                here.append(new)
            elif last:
                here[0] = new
            here = here[0]
        elif isinstance(here, dict):
            if last or str(step) not in here:
                here[str(step)] = new
            here = here[str(step)]


_VALID: dict[str, Json] = {
    "type": "bind", "path": "./p", "command": ["true"], "capabilities": ["gpu"], "condition": "service_started",
    "action": "rebuild", "service": "base", "model": "m", "source": "/s", "target": "/t", "soft": 1, "hard": 2,
}  # fmt: skip


def probes() -> Iterator[Probe]:
    """Every key of every record, every item of every list and every entry of every table."""
    base: tuple[tuple[tuple[Step, ...], Json], ...] = ((("services", "web"), {"image": "x"}),)
    for key, rule in rules.TOP.fields.items():
        if key == "services":
            yield Probe("services", ("services",))
            yield Probe("services.*", ("services", "web"))
            for name, field in rules.SERVICE.fields.items():
                yield from _below(field, ("services", "web", name), base, f"services.*.{name}")
        else:
            yield from _below(rule, (key,), base, key)


def _below(
    rule: Rule, steps: tuple[Step, ...], beside: tuple[tuple[tuple[Step, ...], Json], ...], name: str
) -> Iterator[Probe]:
    if isinstance(rule, Decoded):
        yield from _below(rule.rule, steps, beside, name)
        return
    yield Probe(name, steps, beside)
    match rule:
        case Either():
            for one in (rule.seq, rule.map):
                if one is not None:
                    yield from _inside(one, steps, beside, name)
        case _:
            yield from _inside(rule, steps, beside, name)


def _inside(
    rule: Rule, steps: tuple[Step, ...], beside: tuple[tuple[tuple[Step, ...], Json], ...], name: str
) -> Iterator[Probe]:
    match rule:
        case ListOf():
            yield from _below(rule.item, (*steps, 0), beside, f"{name}[]")
        case Table():
            yield from _below(rule.item, (*steps, "k"), beside, f"{name}.*")
        case Record():
            needed = tuple(((*steps, key), _VALID[key]) for key in rule.required)
            for key, field in rule.fields.items():
                yield from _below(field, (*steps, key), (*beside, *needed), f"{name}.{key}")
        case rules.PreStart():
            for key in rules.BEFORE.fields:
                yield Probe(f"{name}.{key}", (*steps, key), beside)
        case _:
            return


def theirs(folder: Path) -> dict[str, Json] | None:
    """The real one's model, None when it refuses; {} where it can write its own model as YAML only."""
    answer = run(folder, "config", "--format", "json")
    if "types.SSHKey" in answer.stderr:
        return {}
    if answer.returncode != 0:
        return None
    return {key: unescaped(value) for key, value in json.loads(answer.stdout).items() if not key.startswith("x-")}


def ours(text: str, folder: Path) -> dict[str, Json] | None:
    """Our model, as `stackd config --shell-env` sees it."""
    path = folder / "compose.yaml"

    def read(asked: Path) -> bytes:
        return text.encode() if asked == path else asked.read_bytes()

    inputs = StackInputs(folder, (path,), folder / ".env", shell=True, explicit=True)
    return canonical(inputs, read, ENV)[0]


def document_text(probe: Probe, kind: str) -> str:
    """The file that holds a value of this kind. JSON is YAML."""
    return json.dumps(probe.document(VALUES[kind]))


def judged(probe: Probe, kind: str) -> tuple[bool, str]:
    """The real one's verdict, and how ours differs ("" = it does not)."""
    text = document_text(probe, kind)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root).resolve() / "stack"
        folder.mkdir()
        (folder / "compose.yaml").write_text(text)
        real = theirs(folder)
        try:
            mine = ours(text, folder)
        except Exception as broken:
            return real is not None, f"stackd failed: {type(broken).__name__}: {broken}"
    if (mine is None) != (real is None):
        return real is not None, "accepted here only" if real is None else "refused here only"
    return real is not None, "" if real in ({}, mine) else "another model"


def main() -> int:
    """Probe; the number of differences decides the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.probe", description=__doc__)
    parser.add_argument("prefixes", nargs="*", default=[""], help="only names that begin so")
    parser.add_argument("--write", action="store_true", help="keep the verdicts in probed.txt")
    options = parser.parse_args()
    wanted = [probe for probe in probes() if probe.name.startswith(tuple(options.prefixes))]
    asked = [(probe, kind) for probe in wanted for kind in VALUES]
    lines: dict[str, str] = {}
    differ = 0
    with ThreadPoolExecutor(2) as pool:
        for (probe, kind), (accepted, why) in zip(asked, pool.map(lambda one: judged(*one), asked), strict=True):
            lines[probe.name] = lines.get(probe.name, "") + ("+" if accepted else "-")
            if why:
                differ += 1
                text = json.dumps(probe.document(VALUES[kind]))
                sys.stdout.write(f"{probe.name} = {json.dumps(VALUES[kind])}: {why}: {text}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{len(asked)} probes of {len(wanted)} places, {differ} differ\n")
    if options.write:
        TABLE.write_text(written({**kept(), **lines}))
    return int(differ != 0)


def kept() -> dict[str, str]:
    """The verdicts by place, as the table has them."""
    lines = TABLE.read_text().splitlines()[1:] if TABLE.exists() else []
    return {name: marks for marks, _, name in (line.partition(" ") for line in lines)}


def written(lines: dict[str, str]) -> str:
    """The table as text: a column for each kind of value, a line for each place."""
    return "".join(
        [" ".join(VALUES) + "\n", *(f"{lines[one.name]} {one.name}\n" for one in probes() if one.name in lines)]
    )


if __name__ == "__main__":
    sys.exit(main())
