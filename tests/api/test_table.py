"""A table takes the room that its reader has."""

from __future__ import annotations

from stackd.api.table import Cell, Paint, indented, table

HEAD = ("NAME", "PORTS", "DETAIL")
REASON = "asked for by somebody who wanted to say at length why this service is to stay as it is, for whoever finds it"


def rows(detail: str = REASON) -> list[list[Cell]]:
    return [[("web", "name"), ("80->80/tcp", ""), (detail, "dim")], [("db", "name"), ("", ""), ("", "")]]


def test_a_long_last_cell_goes_on_within_the_terminal() -> None:
    lines = table(HEAD, rows(), Paint(width=60))
    assert max(map(len, lines)) <= 60
    assert len(lines) > 3
    assert " ".join(line[18:].strip() for line in lines[1:-1]) == REASON


def test_a_colour_takes_no_room() -> None:
    bare = table(HEAD, rows(), Paint(width=60))
    assert [line.count("\x1b[2m") for line in table(HEAD, rows(), Paint(colours=True, width=60))][1:-1] == [1] * (
        len(bare) - 2
    )


def test_without_a_terminal_a_long_cell_is_folded_at_a_fixed_width() -> None:
    assert max(map(len, table(HEAD, rows()))) > 100
    assert len(table(HEAD, rows())) == 4


def test_a_terminal_too_narrow_for_the_others_leaves_the_last_column_a_few_words() -> None:
    lines = table(HEAD, rows(), Paint(width=10))
    assert len(lines) < 10
    assert max(map(len, lines)) <= 18 + 24


def test_an_indented_table_ends_where_the_terminal_ends() -> None:
    assert max(map(len, indented(HEAD, rows(), Paint(width=60)))) <= 60


def test_what_has_no_blanks_is_never_broken() -> None:
    assert any("/a/b" * 20 in line for line in table(HEAD, rows("/a/b" * 20), Paint(width=40)))
