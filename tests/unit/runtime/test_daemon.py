"""The process: how it ends when it cannot begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.cli.exits import Exit
from stackd.daemon import main


def test_a_wrong_configuration_ends_with_the_code_that_systemd_does_not_restart_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("bogus = 1\n")
    assert main(file, {}) == Exit.INVALID
    assert "unknown key bogus" in capsys.readouterr().err
    unit = (Path(__file__).parents[3] / "systemd" / "stackd.service").read_text()
    assert str(Exit.INVALID.value) in unit.partition("RestartPreventExitStatus=")[2].splitlines()[0].split()
