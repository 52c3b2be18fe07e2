"""Definitions that are made to cost more than they weigh: `python -m tests.property.compose.bombs NAME MEGABYTES`.

Law: run like that, one is loaded in this process under real limits: 1 s of CPU time and 100 MB of address space for
each megabyte of input (one, if it has less), above what the process used before. A breach ends the process: SIGXCPU,
or a MemoryError that nobody catches. RLIMIT_CPU counts whole seconds, and one is added, so up to two seconds more pass.
What this module does NOT do: judge what is said of them; a refusal is as good as a project.
"""

from __future__ import annotations

import math
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from stackd.compose.load import StackInputs, load, resolve
from stackd.compose.variables import references

FOLDER = Path("/srv/stacks/fuzz")
SECONDS, BYTES = 1.0, 100_000_000
_Files: TypeAlias = "dict[str, str]"

_WEB = "services: {a: {image: x}}\n"


def _one(text: str, **others: str) -> _Files:
    return {"compose.yaml": text, **{name.replace("_env", ".env"): value for name, value in others.items()}}


def _rows(first: str, row: Callable[[int], str], size: int, last: str = "") -> _Files:
    """As many rows as make `size` bytes."""
    count = max(1, size // len(row(size // 10)))
    return _one(first + "".join(map(row, range(1, count + 1))) + last.replace("LAST", str(count + 1)))


def _value(key: str, value: str) -> _Files:
    return _one(f"services: {{a: {{image: x, {key}: {value}}}}}\n")


def _aliases(fan: int, depth: int, item: str, around: str) -> str:
    lines = [f"x-0: &a0 {item}"]
    for level in range(1, depth):
        inside = ", ".join(f"k{at}: *a{level - 1}" if around == "{}" else f"*a{level - 1}" for at in range(fan))
        lines.append(f"x-{level}: &a{level} {around[0]}{inside}{around[1]}")
    return "\n".join(lines) + "\n"


_KEYS = ("image", "ports", "volumes", "environment", "labels", "networks", "depends_on", "build", "deploy",
         "healthcheck", "extends", "secrets", "configs", "command", "pre_start", "x-a", "develop", "ulimits", "logging",
         "extra_hosts", "env_file", "profiles", "services", "include", "file", "target", "source", "<<")  # fmt: skip
_LEAVES = ("1", "-1", "1e999", "~", "true", '""', '"${A:-b}"', '"a:b:c"', "2024-01-02", '"80:80/udp"', "*a", "!reset ~")


def _wild(size: int) -> _Files:
    """Known keys where they do not belong."""
    chance = random.Random(size)

    def node(depth: int) -> str:
        if depth == 0 or chance.random() < 0.3:
            return chance.choice(_LEAVES)
        if chance.random() < 0.4:
            return "[" + ", ".join(node(depth - 1) for _ in range(chance.randint(0, 4))) + "]"
        keys = chance.sample(_KEYS, chance.randint(0, 4))
        return "{" + ", ".join(f"{key}: {node(depth - 1)}" for key in keys) + "}"

    documents = ["services: &a {a: {image: x}}"]
    while sum(map(len, documents)) < min(size, 20_000):
        documents.append(f"x-b: &a {{k: v}}\nservices: {{a: {node(6)}, b: {node(6)}}}\n{chance.choice(_KEYS[:-1])}2: 1")
    return _one("\n---\n".join(documents))


_Many: TypeAlias = "Callable[[int], _Files]"

BOMBS: dict[str, _Many] = {
    "scalars": lambda n: _one("x-a:\n" + "- 1\n" * (n // 4) + _WEB),
    "variables": lambda n: _rows("services:\n a:\n  image: x\n  environment:\n", lambda at: f"   K{at}: v{at}\n", n),
    "one long text": lambda n: _value("command", "y " * (n // 2)),
    "defaults in defaults": lambda n: _value("hostname", '"' + "${a:-" * (n // 6) + "}" * (n // 6) + '"'),
    "defaults never closed": lambda n: _value("hostname", '"' + "${a:-" * (n // 5) + '"'),
    "references side by side": lambda n: _value("hostname", '"' + "${a:-b}" * (n // 7) + '"'),
    "a variable, many times": lambda n: _one(_WEB + 'x-a: "' + "$B" * (n // 4) + '"', _env="B=" + "b" * (n // 2)),
    "variables that double": lambda n: _one(
        "services: {a: {image: '$A60'}}",
        _env="A0=a\n" + "".join(f"A{k}=${{A{k - 1}}}$A{k - 1}\n" for k in range(1, 61))
    ),
    "variables that grow": lambda n: _one(
        _WEB, _env="".join(f"A{k}=${{A{k - 1}}}x\n" for k in range(1, n // 16))
    ),
    "env file of quotes": lambda n: _one(_WEB, _env="A='\n" * (n // 4)),
    "a long mount": lambda n: _value("volumes", '["' + "a" * n + '"]'),
    "a mount of colons": lambda n: _value("volumes", '["' + "a:" * (n // 2) + '"]'),
    "all ports": lambda n: _value("ports", '["1-65535:1-65535"]'),
    "all ports, many times": lambda n: _value("ports", "[" + '"1-65535:1-65535",' * (n // 18) + "]"),
    "digits": lambda n: _value("scale", "1" * (n // 2) + ", ports: [" + '"' + "1" * (n // 2) + '"]'),
    "aliases in aliases": lambda n: _one(_aliases(10, 9, "[a, b, c]", "[]") + _WEB),
    "mappings in mappings": lambda n: _one(_aliases(10, 9, "{a: b}", "{}") + _WEB),
    "aliases in a service": lambda n: _one(_aliases(9, 5, "{a: b}", "{}") + "services: {a: {image: x, x-y: *a4}}"),
    "one alias, many times": lambda n: _one("x-0: &a [1, 2, 3]\nx-b:\n" + "- *a\n" * (n // 5) + _WEB),
    "merge keys": lambda n: _one(
        "x-0: &a {" + ", ".join(f"k{at}: 1" for at in range(1000)) + "}\nx-b:\n" + "- {<<: *a}\n" * (n // 11) + _WEB
    ),
    "a list of merge keys": lambda n: _one(
        "x-0: &a {" + ", ".join(f"k{at}: 1" for at in range(1000)) + "}\n"
        "x-b: {<<: [" + "*a, " * (n // 4) + "]}\n" + _WEB
    ),
    "a chain of merge keys": lambda n: _rows(
        "x-0: &a0 {k: 1}\n", lambda at: f"x-{at}: &a{at} {{<<: *a{at - 1}, k{at}: 1}}\n", n, _WEB
    ),
    "a chain of anchors": lambda n: _rows("x-0: &a0 [1]\n", lambda at: f"x-{at}: &a{at} [*a{at - 1}]\n", n, _WEB),
    "anchors": lambda n: _rows("x-0:\n", lambda at: f"- &a{at} 1\n", n, _WEB),
    "lists in lists": lambda n: _one("x-0: " + "[" * (n // 2) + "]" * (n // 2)),
    "dashes": lambda n: _one("x-0:\n " + "- " * (n // 2)),
    "a chain of extends": lambda n: _rows(
        "services:\n", lambda at: f"  s{at}: {{extends: s{at + 1}}}\n", n, "  sLAST: {image: x}\n"
    ),
    "extends of one": lambda n: _rows(
        "services:\n  s: {image: x, environment: {" + ", ".join(f"A{at}: b" for at in range(200)) + "}}\n",
        lambda at: f"  s{at}: {{extends: s}}\n", n,
    ),
    "includes": lambda n: {"compose.yaml": "include:\n" + "- b.yaml\n" * (n // 9) + _WEB, "b.yaml": _WEB},
    "includes of includes": lambda n: {
        "compose.yaml": "include: [i0.yaml, i0.yaml, i0.yaml]\n" + _WEB,
        **{f"i{at}.yaml": f"include: [i{at + 1}.yaml, i{at + 1}.yaml, i{at + 1}.yaml]\n" + _WEB for at in range(12)},
        "i12.yaml": _WEB,
    },
    "unknown keys": lambda n: _rows(_WEB, lambda at: f"k{at}: 1\n", n),
    "documents": lambda n: _one(_WEB + "---\nx-a: 1\n" * (n // 11)),
    "documents over a large one": lambda n: _one(
        "x-0:\n" + "- 1\n" * (n // 8) + _WEB + "---\nx-a: 1\n" * (n // 22)
    ),
    "a quote in each line": lambda n: _one("a: 'b\n" * (n // 6)),
    "zero bytes": lambda n: _one("\0" * n),
    "known keys anywhere": _wild,
}  # fmt: skip


def explode(files: _Files) -> str:
    """Load `files` in every way; what was said last of them, or "" when they are in force."""
    data = {name: text.encode() for name, text in files.items()}

    def read(path: Path) -> bytes:
        if path.name not in data:
            raise FileNotFoundError(path)
        return data[path.name]

    inputs = StackInputs(FOLDER, (FOLDER / "compose.yaml",), FOLDER / ".env", shell=True)
    found = load(inputs, read, {"HOME": "/root"})
    return "" if found.project is not None else found.diagnostics[-1].code


def unchecked(files: _Files) -> None:
    """Look for the variables of `files`, in which anything may stand."""
    inputs = StackInputs(
        FOLDER, (FOLDER / "compose.yaml",), shell=True, interpolate=False, decoded=False, checked=False
    )
    found = resolve(inputs, lambda path: files[path.name].encode(), {})
    if found.root is not None:
        references(found.root)


def confine(weight: int) -> None:
    """Set the limits for an input of so many bytes."""
    share = max(1.0, weight / 1e6)
    with Path("/proc/self/statm").open() as pages:
        held = int(pages.read().split()[0]) * resource.getpagesize()
    space = held + int(BYTES * share)
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    # One more: on a virtual machine the kernel counts the time, too, that others have taken from it.
    seconds = math.ceil(time.process_time() + SECONDS * share) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def main(words: Iterable[str]) -> None:
    """Set off one of the bombs."""
    name, megabytes = words
    files = BOMBS[name](int(float(megabytes) * 1e6))
    explode(_one(_WEB))  # what is loaded once is no cost of the input
    confine(sum(map(len, files.values())))
    sys.stdout.write(explode(files) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
