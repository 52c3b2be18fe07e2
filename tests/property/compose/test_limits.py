"""No definition takes more than 1 s of CPU time and 100 MB for each megabyte: the kernel ends the process that does.

`FUZZ_MB=1 pytest tests/property/compose/test_limits.py` makes each definition ten times as large.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.property.compose.bombs import BOMBS, unchecked

MEGABYTES = os.environ.get("FUZZ_MB", "0.1")


def exploded(name: str, megabytes: str) -> subprocess.CompletedProcess[str]:
    """The best of three: on a busy processor the same work takes more CPU time, a bomb takes too much every time."""
    command = [sys.executable, "-m", "tests.property.compose.bombs", name, megabytes]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    for _ in range(2):
        if ended.returncode == 0:
            break
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended


@pytest.mark.parametrize("name", BOMBS)
def test_no_definition_costs_more_than_it_may(name: str) -> None:
    ended = exploded(name, MEGABYTES)
    assert ended.returncode == 0, (ended.returncode, ended.stderr[-2000:])


@pytest.mark.parametrize("code", ["bytearray(300_000_000)", "[0 for _ in iter(int, 1)]"])
def test_what_costs_more_than_it_may_ends(code: str) -> None:
    whole = f"from tests.property.compose.bombs import confine; confine(1)\n{code}"
    assert subprocess.run([sys.executable, "-c", whole], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("written", ["${a:-b}", "${a:-", "${a:-}b ${a?", "$a", "${a", "${a:-{"])
def test_looking_for_the_variables_of_one_very_long_line_costs_no_more_than_it_may(written: str) -> None:
    code = (
        "from tests.property.compose.bombs import confine, _one, _value, unchecked\n"
        "files = _value('hostname', '\"' + WRITTEN * (1_000_000 // len(WRITTEN)) + '\"')\n"
        "unchecked(_one('services: {a: {image: x}}'))\nconfine(1_000_000)\nunchecked(files)\n"
    )
    command = [sys.executable, "-c", code.replace("WRITTEN", repr(written))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (ended.returncode, ended.stderr[-2000:])


@pytest.mark.parametrize("name", ["defaults in defaults", "references side by side", "known keys anywhere"])
def test_looking_for_the_variables_of_anything_raises_nothing(name: str) -> None:
    unchecked(BOMBS[name](20_000))
