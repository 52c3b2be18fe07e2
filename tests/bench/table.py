"""The figures as a table of docs/performance.md: medians, what lies around them, and ratios.

Law: only what stands between the markers of the page is written anew.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measures import Measure, Rest

BEGIN, END = "<!-- bench: made by `make bench` -->", "<!-- bench: end -->"

Figures = Mapping[Measure, Mapping[str, Sequence[float]]]
"""Seconds, by measure and side."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how it was measured, in lines of text."""

    lines: tuple[str, ...]


def table(figures: Figures, sides: Sequence[str], rests: Sequence[Rest], setting: Setting) -> str:
    """The whole piece between the markers."""
    first = sides[0]
    head = ["milliseconds: median (least - most)", *sides, *(f"{first} : {other}" for other in sides[1:])]
    rows = [head, ["---", *["---:" for _ in head[1:]]]]
    for measure in Measure:
        by_side = figures.get(measure, {})
        if first in by_side:
            ratios = [_ratio(by_side[first], by_side.get(other, ())) for other in sides[1:]]
            rows.append([measure.value, *(_cell(by_side.get(side, ())) for side in sides), *ratios])
    idle = [["the daemon at rest", "CPU, of one core", "resident memory"], ["---", "---:", "---:"]]
    idle += [[f"{one.containers} containers", f"{one.cpu:.2%}", f"{one.memory / 2**20:.0f} MiB"] for one in rests]
    blocks = ["\n".join(setting.lines), _lines(rows), *([_lines(idle)] if rests else [])]
    return "\n\n".join(blocks)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle, low, high = (f"{value * 1000:.0f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} - {high})"


def _ratio(mine: Sequence[float], others: Sequence[float]) -> str:
    return f"{statistics.median(mine) / statistics.median(others):.2f}" if others else "-"


def put(page: Path, piece: str) -> None:
    """Put the piece between the page's markers. Raises ValueError when they are not there."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} has no markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{piece}\n{END}{after}", encoding="utf-8")
