"""The option `--seed N`: play that one story only."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="play the one story of this seed (tests/sim)")
