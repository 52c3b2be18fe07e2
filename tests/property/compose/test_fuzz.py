"""No input makes the loader raise, hang or unfold without bounds: bytes, and files that were right before a change.

`FUZZ_EXAMPLES=20000 pytest tests/property/compose/test_fuzz.py` goes on for longer. Time is not asserted: what is, is
that the work is bounded by the number of nodes, which has a limit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackd.compose.load import StackInputs, canonical, load
from stackd.compose.report import Report
from stackd.compose.tree import Node, Scalar, Seq
from stackd.compose.yaml import NODE_BUDGET, SHARED_BUDGET, parse
from tests.golden.compose.folders import folders

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
FOLDER = Path("/srv/stacks/fuzz")
SEEDS = [path.read_bytes() for folder in folders() for path in sorted(folder.glob("*.y*ml"))]
_PIECES = [b"&a ", b"*a", b"<<: *a", b"!reset ", b"!override ", b"{", b"}", b"[", b"]", b": ", b"- ", b"? ",
           b"|\n",
           b"\n---\n", b"${", b"}", b"$", b"\t", b"\x00", b"\xff", b"\xef\xbb\xbf", b"!!binary ",
           b"'", b'"', b"#", b"~",
           b"1e999", b"0x", b"-", b"x-", b"null", b"2024-01-02", b"\xe2\x80\xa8"]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A golden file after some cuts, copies and insertions."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        at, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
        piece = draw(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=4), st.just(data[at:end][:200])))
        data = data[:at] + piece + data[draw(st.sampled_from([at, min(end, at + 40)])) :]
    return data


def loads(files: dict[str, bytes]) -> None:
    """Both readers come to an end with a project or with diagnostics."""

    def read(path: Path) -> bytes:
        if path.name not in files:
            raise FileNotFoundError(path)
        return files[path.name]

    for shell in (False, True):
        inputs = StackInputs(FOLDER, (FOLDER / "compose.yaml",), FOLDER / ".env", shell=shell)
        found = load(inputs, read, {"HOME": "/root"})
        assert found.project is not None or found.diagnostics
        shown, loaded = canonical(inputs, read, {"HOME": "/root"})
        assert shown is not None or loaded.diagnostics


def unfolded(node: Node, known: dict[int, int]) -> int:
    """The number of nodes of a tree; what is shared is counted each time, and looked at once."""
    if id(node) not in known:
        below = [] if isinstance(node, Scalar) else node.items if isinstance(node, Seq) else [*node.entries.values()]
        known[id(node)] = 1 + sum(unfolded(item, known) for item in below)
    return known[id(node)]


@given(data=st.binary(max_size=200), env=st.binary(max_size=60))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_bytes_raise(data: bytes, env: bytes) -> None:
    loads({"compose.yaml": data, ".env": env})


@given(data=mutated(), env=mutated())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_change_of_a_good_file_raises(data: bytes, env: bytes) -> None:
    loads({"compose.yaml": data, ".env": env, "e.env": env, "other.yaml": env})


@pytest.mark.parametrize("count", [99, 101, 5000])
@pytest.mark.parametrize(
    "text",
    [
        lambda n: "x-a: " + "[" * n + "]" * n,
        lambda n: "x-a: " + "{a: " * n + "1" + "}" * n,
        lambda n: "x-a:\n  " + "- " * n + "1",
        lambda n: "x-0: &a0 [1]\n" + "\n".join(f"x-{at}: &a{at} [*a{at - 1}]" for at in range(1, n)),
    ],
)
def test_what_is_nested_too_deeply_is_refused_and_raises_nothing(count: int, text: Callable[[int], str]) -> None:
    data = (text(count) + "\nservices: {a: {image: x}}\n").encode()
    loads({"compose.yaml": data})
    report = Report()
    parse(data, "compose.yaml", report)
    assert report.failed == (count > 100)


def test_a_long_row_of_services_that_extend_each_other_is_refused_and_raises_nothing() -> None:
    lines = ["services:", *(f"  s{at}: {{extends: s{at + 1}}}" for at in range(2000)), "  s2000: {image: x}"]
    loads({"compose.yaml": "\n".join(lines).encode()})


def test_a_long_row_of_files_that_include_each_other_is_refused_and_raises_nothing() -> None:
    loads({"compose.yaml": b"include: [sub/compose.yaml]\nservices: {a: {image: x}}\n"})


@given(fan=st.integers(2, 40), depth=st.integers(1, 12), merged=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_aliases_unfold_to_more_than_the_limit(fan: int, depth: int, merged: bool) -> None:
    lines = ["x-0: &a0 {k: v}"]
    for level in range(1, depth + 1):
        inside = ", ".join(f"k{at}: *a{level - 1}" if merged else f"*a{level - 1}" for at in range(fan))
        lines.append(f"x-{level}: &a{level} " + (f"{{{inside}}}" if merged else f"[{inside}]"))
    report = Report()
    text = "\n".join([*lines, "services: {a: {image: x}}", ""]).encode()
    documents = parse(text, "compose.yaml", report)
    assert documents or report.failed
    assert all(unfolded(document.root, {}) <= NODE_BUDGET + SHARED_BUDGET for document in documents)
    loads({"compose.yaml": text})
