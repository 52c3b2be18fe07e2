"""Output: colour on a terminal, plain text else; problems as short texts for people.

Law: results go to standard output, everything about them to standard error. NO_COLOR, TERM=dumb and a pipe mean no
colour.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from stackd.api.table import Paint, clean
from stackd.cli.exits import Exit, Stop

if TYPE_CHECKING:
    from stackd.api.schemas import Problem


UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF})
"""What a write to standard output may end with, beside a reader that has enough."""


def paint_for(stream: TextIO) -> Paint:
    """The painter for a stream: colours and a width only where a person looks at it."""
    if not stream.isatty():
        return Paint()
    colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Paint(colours, shutil.get_terminal_size().columns)


def out(lines: Iterable[str]) -> None:
    """Print results."""
    out_text("".join(f"{line}\n" for line in lines))


def out_text(text: str) -> None:
    """Print a result as it is. A reader that has enough (`| head`) ends the command, without complaint."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard()
        raise Stop(Exit.OK) from None


def discard() -> None:
    """Write no more to standard output, so that the last flush does not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_closed() -> None:
    """Give the process the outputs that its caller closed (`>&-`): what goes there is lost, as it was asked for."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def out_json(value: object) -> None:
    """Print a result for programs: indented on a terminal, one line else."""
    indent = 2 if sys.stdout.isatty() else None
    out_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")


def err(*lines: str) -> None:
    """Say something about the results."""
    sys.stderr.write("".join(f"{line}\n" for line in lines))


def failure(lines: Iterable[str]) -> None:
    """Say why the command ends: the first line is marked."""
    paint = paint_for(sys.stderr)
    for index, line in enumerate(lines):
        err(f"{paint('bad', 'error:')} {line}" if index == 0 else f"  {line}")


def ended(stop: Stop, *, as_json: bool) -> Exit:
    """Say why the command ends, with `--json` also as one problem object on standard output; the exit code."""
    failure(stop.lines)
    if as_json and stop.code is not Exit.OK and not stop.answered:
        with contextlib.suppress(Stop):  # nobody reads it any more
            out_json(stop.problem)
    return stop.code


def stop_for(problem: Problem) -> Stop:
    """A problem as a short text with its places, each told once, and its exit code."""
    lines = [clean(problem["detail"])]
    for entry in problem["errors"]:
        if entry["file"]:
            place = f"{entry['file']}:{entry['line']}:{entry['column']}" if entry["line"] else entry["file"]
            if place not in lines[0] or entry["message"].partition(" (")[0] not in lines[0]:
                lines.append(clean(f"{place}: {entry['message']}"))
    if problem["status"] == 500:
        lines.append(f"this is a defect; stackd's log tells more about {problem['instance']}")
    return Stop(_code_for(problem), *lines, problem=problem)


def _code_for(problem: Problem) -> Exit:
    match problem["status"], problem["code"]:
        case _, "no_definition" | "invalid_definition":
            return Exit.INVALID
        case 400 | 422, _:
            return Exit.USAGE
        case 403, _:
            return Exit.DENIED
        case 404, _:
            return Exit.NOT_FOUND
        case _, "starting" | "shutting_down":
            return Exit.NO_DAEMON
        case _, "wait_timeout":
            return Exit.TIMEOUT
        case _:
            return Exit.FAILED
