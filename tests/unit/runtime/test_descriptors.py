"""The limit of open files is raised as far as it may be."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from stackd.runtime.descriptors import raise_open_files
print(raise_open_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(100, 200, "200 200 200"), (100, 100, "100 100 100"), (100, 20_000, "16384 16384 20000")]
)
def test_the_soft_limit_rises_towards_the_hard_one(soft: int, hard: int, then: str) -> None:
    words = [sys.executable, "-c", SCRIPT, str(soft), str(hard)]
    found = subprocess.run(words, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == then
