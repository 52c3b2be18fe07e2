"""Tables for people, and the words that they are made of.

Law: pure and light (the CLI imports it); every text that comes from elsewhere loses its control characters; a cell is
aligned before it is coloured. What this module does not do: know what is shown, or where.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Cell = tuple[str, str]
"""(text, style). Styles: good, busy, bad, dim, head, name."""
WIDE, WIDEST = 60, 100
"""Characters after which a cell goes on in the next line: in any column, and in the last one if no width is known."""
NARROW = 24
"""Characters that the last column has in a terminal that is too narrow for the others."""

_CODES = {"good": "32", "busy": "33", "bad": "31", "dim": "2", "head": "1", "name": "36"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Paint:
    """What the lines are for: `paint(style, text)` is the text, coloured if the reader has colours.

    `width`: the columns of the reader's terminal; 0 if it is none, or not known.
    """

    colours: bool = False
    width: int = 0

    def __call__(self, style: str, text: str) -> str:
        code = _CODES.get(style) if self.colours else None
        return f"\x1b[{code}m{text}\x1b[0m" if code else text


plain = Paint()
"""No colour, no width."""


def clean(text: str) -> str:
    """One line without control characters: what a container or an engine says must not steer a terminal."""
    return _CONTROL.sub(" ", text)


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], paint: Paint = plain) -> list[str]:
    """Left-aligned columns, two blanks apart; a column that is empty in every row is left out.

    A cell of many words goes on below itself, so that one long reason does not push the rest off the screen; the last
    column takes what the terminal leaves it.
    """
    cells = [[(clean(text), style) for text, style in row] for row in rows]
    shown = [index for index in range(len(head)) if index == 0 or any(row[index][0] for row in cells)]
    kept = [[row[index] for index in shown] for row in cells]
    limits = [*[WIDE] * (len(shown) - 1), WIDEST]
    lines = [[(head[index], "head") for index in shown], *(line for row in kept for line in _folded(row, limits))]
    if paint.width:
        limits[-1] = max(NARROW, paint.width - sum(width + 2 for width in _widths(lines)[:-1]))
        lines = [lines[0], *(line for row in kept for line in _folded(row, limits))]
    widths = _widths(lines)
    return [_line(line, widths, paint) for line in lines]


def indented(head: Sequence[str], rows: Iterable[Sequence[Cell]], paint: Paint = plain) -> list[str]:
    """A table that belongs to the line above it."""
    return [f"  {line}" for line in table(head, rows, Paint(paint.colours, max(paint.width - 2, 0)))]


def _widths(lines: Sequence[Sequence[Cell]]) -> list[int]:
    return [max(len(text) for text, _ in column) for column in zip(*lines, strict=True)]


def _folded(row: Sequence[Cell], limits: Sequence[int]) -> list[list[Cell]]:
    """A row as the lines that it takes; what has no blanks (a path, a digest) is never broken."""
    columns = [_wrapped(text, limit) for (text, _), limit in zip(row, limits, strict=True)]
    height = max(map(len, columns), default=1)
    padded = [lines + [""] * (height - len(lines)) for lines in columns]
    return [[(padded[column][line], row[column][1]) for column in range(len(row))] for line in range(height)]


def _wrapped(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _line(cells: Sequence[Cell], widths: Sequence[int], paint: Paint) -> str:
    last = max((index for index, (text, _) in enumerate(cells) if text), default=0)
    parts = []
    for index, (text, style) in enumerate(cells[: last + 1]):
        padding = "" if index == last else " " * (widths[index] - len(text))
        parts.append((paint(style, text) if text else "") + padding)
    return "  ".join(parts)
