"""The line of a file below a finding: with a caret under its column, and never one that may hold a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.api.schemas import DiagnosticView
from stackd.api.text import diagnostic_lines
from stackd.cli.caret import shown, text_of
from tests.cli.world import Cli


def finding(file: str | Path = "compose.yaml", line: int = 2, column: int = 3) -> DiagnosticView:
    """An error at a place."""
    return DiagnosticView(
        severity="error", code="bad-value", message="wrong", file=str(file), line=line, column=column,
        pointer="services.web", hint="do it right",
    )  # fmt: skip


def test_the_caret_stands_under_the_column_and_the_hint_below() -> None:
    lines = diagnostic_lines(finding(), line="  web: 1")
    assert lines[1:] == ["  |   web: 1", "  |   ^", "  hint: do it right"]


@pytest.mark.parametrize(
    ("line", "column", "caret"),
    [("\tweb: 1", 2, "  |  ^"), ("名前: x", 5, "  |       ^"), ("é: x", 4, "  |    ^"), ("e\u0301: x", 5, "  |    ^")],
)
def test_the_caret_stands_under_its_letter_whatever_the_width_of_those_before(
    line: str, column: int, caret: str
) -> None:
    assert diagnostic_lines(finding(column=column), line=line)[2] == caret


def test_of_a_long_line_the_part_around_the_column_is_shown() -> None:
    lines = diagnostic_lines(finding(column=501), line="a" * 500 + "!" + "b" * 500)
    assert len(lines[1]) < 140
    assert lines[1][lines[2].index("^")] == "!"


def test_what_a_line_holds_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in "".join(diagnostic_lines(finding(), line="a: \x1b[31mred"))


@pytest.mark.parametrize(
    "line",
    [
        "      DB_PASSWORD: hunter2",
        "      - API_TOKEN=abc",
        '      "apikey": "abc"',
        "      URL: postgres://joe:hunter2@db/x",
        "    command: run --secret=abc",
        "    image: sha-of-the-env",
    ],
)
def test_a_line_that_may_hold_a_secret_is_not_shown(line: str) -> None:
    data = f"services:\n{line}\n".encode()
    assert text_of(finding(), data, b"OTHER='sha-of-the-env'\n") == ""


@pytest.mark.parametrize(
    "line", ["    secrets: [pw]", "      DB_PASSWORD: ${DB_PASSWORD}", "    image: busybox", "  token-server:"]
)
def test_a_line_without_a_secret_is_shown(line: str) -> None:
    assert text_of(finding(), f"services:\n{line}\n".encode(), b"A=true\nB=busy\n") == line


@pytest.mark.parametrize("name", [".env", "app.env", "secrets.txt"])
def test_no_line_of_an_env_file_is_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("A=1\nthis is wrong\n")
    assert shown(finding(tmp_path / name)) == diagnostic_lines(finding(tmp_path / name))


def test_a_file_that_cannot_be_read_or_has_fewer_lines_shows_none(tmp_path: Path) -> None:
    gone, short = tmp_path / "compose.yaml", tmp_path / "short.yaml"
    short.write_text("one: 1\n")
    for file in (gone, short):
        assert shown(finding(file, line=9)) == diagnostic_lines(finding(file, line=9))


async def test_people_see_the_line_and_programs_do_not(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    imgae: busybox\n")
    cli = Cli(tmp_path)
    for command in (("validate",), ("config",)):
        told = await cli(*command)
        assert "  |     imgae: busybox\n  |     ^\n" in told.out + told.err
    told = await cli("validate", "--json")
    assert "  | " not in told.out
    assert isinstance(told.json, list)
    found = told.json[0]["diagnostics"][0]
    assert (found["line"], found["column"], found["pointer"]) == (3, 5, "services.web.imgae")
    assert (found["code"], found["hint"]) == ("unknown-key", "did you mean image?")
