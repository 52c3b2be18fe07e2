"""The process: how it ends when it cannot begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd import daemon
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


def test_a_stacks_directory_that_cannot_be_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "setup", lambda *_args, **_options: None)
    file = tmp_path / "config.toml"
    file.write_text('stacks = ["/dev/null/stacks"]\n')
    assert main(file, {}) == 1
    assert capsys.readouterr().err == "stackd: the stacks directory /dev/null/stacks cannot be made: Not a directory\n"
