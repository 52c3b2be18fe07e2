"""The figures of a run as a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tests.chaos.judge import Cause


def table(causes: Sequence[Cause]) -> str:
    """Faults by kind: how many, and the seconds until all was right again."""
    kinds = sorted({cause.kind for cause in causes} - {"up"})
    rows = [("fault", "injected", "median", "max"), *(_row(kind, causes) for kind in kinds)]
    rows.append(_row("", causes))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(kind: str, causes: Sequence[Cause]) -> tuple[str, str, str, str]:
    found = [cause for cause in causes if kind in ("", cause.kind) and not cause.void and cause.kind != "up"]
    times = [cause.recovered - cause.at for cause in found if cause.recovered is not None]
    shown = (f"{median(times):.2f} s", f"{max(times):.2f} s") if times else ("-", "-")
    return kind or "all", str(len(found)), *shown
