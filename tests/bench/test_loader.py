"""The loader's figures are of what they say they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.compose.load import load, stack_inputs
from tests.bench.loader import Loading, text


def test_the_large_file_has_fifty_services_and_three_thousand_lines() -> None:
    assert 3000 <= text(50).count("\n") <= 3100
    assert 300 <= text(5).count("\n") <= 320


@pytest.mark.parametrize(("count", "lines"), [(50, 60), (5, 12)])
def test_the_measured_file_is_read_without_a_finding(tmp_path: Path, count: int, lines: int) -> None:
    (tmp_path / "compose.yaml").write_text(text(count, lines))
    inputs = stack_inputs(tmp_path, ["compose.yaml"])
    assert inputs is not None
    loaded = load(inputs, Path.read_bytes, {})
    assert loaded.project is not None
    assert len(loaded.project.services) == count


def test_the_ratio_and_the_growth_stand_in_the_rows() -> None:
    lines = Loading(large=0.05, theirs=0.2, tenth=0.005, many=0.6).lines()
    assert lines[2] == "| 50 services, 3,000 lines | 50 | 0.25 of docker compose's |"
    assert lines[4] == "| 5 services, 300 lines | 5 | 10x the services: 10.0x |"
