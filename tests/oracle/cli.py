"""Running the command line in this process, as a caller in a folder with an environment of its own."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from stackd.cli.main import main


@dataclass(frozen=True, slots=True)
class Ended:
    """What a call printed, and its exit code."""

    out: str
    err: str
    code: int


def call(folder: Path, env: dict[str, str], *words: str) -> Ended:
    """`stackd WORDS` in `folder`. Nothing but this thread may use the working directory meanwhile."""
    out, err = io.StringIO(), io.StringIO()
    code: int | str | None = 0
    seen = mock.patch.dict(os.environ, env, clear=True), mock.patch("sys.argv", ["stackd", *words])
    with _in(folder), seen[0], seen[1], contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return Ended(out.getvalue(), err.getvalue(), code if isinstance(code, int) else 1)


@contextlib.contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
