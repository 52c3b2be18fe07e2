"""Which socket the daemon serves on: the one that the service manager passed, before any of its own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from stackd import daemon
from stackd.config import parse


@pytest.mark.parametrize("passed", [True, False])
def test_a_passed_socket_is_served_and_none_is_made_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passed: bool
) -> None:
    own = tmp_path / "own"
    config = parse(f'socket = "{own}"\n', "config.toml", {"HOME": str(tmp_path)})
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(tmp_path / "given"))
        given.listen()
        handed = (os.dup(given.fileno()),) if passed else ()
        monkeypatch.setattr(daemon, "listen_fds", lambda env, pid: handed)
        listener = daemon._listener(config)
        try:
            assert listener.socket.getsockname() == str(tmp_path / "given" if passed else own)
            assert own.exists() is not passed
        finally:
            listener.close()
