"""The YAML dialect: go-yaml's values, and a place for every node and every mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.compose.report import Report
from stackd.compose.scalars import go_text, resolve
from stackd.compose.tree import Map, Scalar, Seq
from stackd.compose.yaml import NODE_BUDGET, Document, parse


def read(text: str) -> tuple[list[Document], list[str]]:
    report = Report()
    return parse(text.encode(), "f.yaml", report), [str(replace(found, hint="")) for found in report.all()]


def root(text: str) -> Map:
    documents, findings = read(text)
    assert findings == []
    node = documents[0].root
    assert isinstance(node, Map)
    return node


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("yes", "yes"), ("0440", "288"), ("0o440", "288"), ("012", "10"), ("08", "8"), ("0x10", "16"), ("0b11", "3"),
        ("1_000", "1000"), ("1e3", "1000"), ("1.10", "1.1"), ("1e30", "1e+30"), ("22:22", "22:22"), ("True", "true"),
        ("2024-01-02", "2024-01-02 00:00:00 +0000 UTC"), ("1000000.0", "1e+06"), ("-0", "-0"), (".5", "0.5"),
    ],
)  # fmt: skip
def test_a_plain_scalar_prints_as_docker_compose_prints_it(text: str, printed: str) -> None:
    assert go_text(resolve(text)) == printed


def test_every_node_knows_its_line_and_column() -> None:
    service = root("services:\n  web:\n    ports:\n      - '80:80'\n").get("services")
    assert isinstance(service, Map)
    web = service.get("web")
    assert isinstance(web, Map)
    ports = web.get("ports")
    assert isinstance(ports, Seq)
    assert str(ports.items[0].span) == "f.yaml:4:9"
    assert str(web.key_span("ports")) == "f.yaml:3:5"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: error[duplicate-key]: "a" stands here a second time (first in line 1)'),
        ("a:\n\tb: 1\n", "f.yaml:2:1: error[bad-yaml]: a tab indents this line; YAML wants spaces"),
        ("a: 'x\nb: 2\n", "f.yaml:1:4: error[bad-yaml]: the quotes opened here are never closed"),
        ("a: *x\n", "f.yaml:1:4: error[bad-yaml]: this * names no anchor that is defined above"),
        ("a: &x [*x]\n", "f.yaml:1:8: error[bad-yaml]: the anchor that is named here contains itself"),
        ("é: ü\na: é\x07\n", "f.yaml:2:5: error[bad-yaml]: the character U+0007 cannot stand in YAML"),
        ("# é\x85a: \x1b[1m\n", "f.yaml:2:4: error[bad-yaml]: the character U+001B cannot stand in YAML"),
        ("a: \ufffe\n", "f.yaml:1:4: error[bad-yaml]: the character U+FFFE cannot stand in YAML"),
        ("1: a\n", "f.yaml:1:1: error[bad-key]: a key must be text, found a number"),
        ("<<: 1\n", "f.yaml:1:5: error[bad-merge]: << wants a mapping or a list of mappings, found a number"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, finding: str) -> None:
    assert read(text) == ([], [finding])


@pytest.mark.parametrize("letter", ["\x7f", "\x80", "\x9f", "\ufeff", "\U000f0000"])
def test_a_letter_that_only_libyaml_refuses_is_read_as_it_stands(letter: str) -> None:
    found = root(f"a{letter}: \U000f0001b{letter}\nc: d\n")
    value = found.get(f"a{letter}")
    assert isinstance(value, Scalar)
    assert (value.value, str(found.key_span("c"))) == (f"\U000f0001b{letter}", "f.yaml:2:1")


def test_a_byte_order_mark_of_a_second_document_is_a_letter_of_its_first_key() -> None:
    documents, _ = read("\ufeffa: 1\n---\n\ufeffb: 2\n")
    assert [list(one.root.entries) for one in documents if isinstance(one.root, Map)] == [["a"], ["\ufeffb"]]


def test_text_that_is_not_utf8_is_told_with_its_place() -> None:
    report = Report()
    assert parse(b"a: 1\nb: \xff\n", "f.yaml", report) == []
    found = replace(report.all()[0], hint="")
    assert str(found) == "f.yaml:2:4: error[bad-encoding]: the byte 0xFF is not UTF-8 text"


def test_the_byte_that_is_not_utf8_is_found_behind_a_byte_order_mark_too() -> None:
    report = Report()
    assert parse("\ufeffa: é".encode() + b"\xfe", "f.yaml", report) == []
    assert str(report.all()[0]).startswith("f.yaml:1:5: error[bad-encoding]: the byte 0xFE")


def test_a_mapping_says_more_than_what_it_merges() -> None:
    node = root("x: &x {a: 1, b: 2}\ny: {<<: [*x, {c: 4, a: 9}], b: 3}\n").get("y")
    assert isinstance(node, Map)
    assert {key: item.value for key, item in node.entries.items() if isinstance(item, Scalar)} == {
        "b": 3,
        "a": 1,
        "c": 4,
    }


def test_an_anchor_may_be_given_again() -> None:
    node = root("a: &x 1\nb: &x 2\nc: *x\n").get("c")
    assert isinstance(node, Scalar)
    assert node.value == 2


def test_a_document_that_unfolds_without_bound_is_refused_quickly() -> None:
    rows = ["a0: &a0 [1]"] + [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 12)]
    documents, findings = read("\n".join(rows))
    assert documents == []
    assert f"more than {NODE_BUDGET} nodes" in findings[0]


def test_reset_and_override_are_noted_by_path() -> None:
    documents, _ = read("a:\n  b: !reset null\n  c: !override [1]\n")
    assert documents[0].resets == [("a", "b")]
    assert documents[0].overrides == [("a", "c")]
    assert isinstance(documents[0].root, Map)
    inner = documents[0].root.get("a")
    assert isinstance(inner, Map)
    assert list(inner.entries) == ["c"]
