"""Talking with systemd: real datagrams on a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackd.runtime.sdnotify import Notifier, listen_fds


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(5)
        channel.bind(address)
        yield channel, address


def test_every_message_arrives_as_systemd_wants_it(manager: tuple[socket.socket, str]) -> None:
    channel, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready("3 stacks\nrunning")
    assert channel.recv(4096) == b"READY=1\nSTATUS=3 stacks running"
    notifier.reloading()
    first, second = channel.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")
    notifier.stopping()
    notifier.alive()
    notifier.status("well")
    assert [channel.recv(4096) for _ in range(3)] == [b"STOPPING=1", b"WATCHDOG=1", b"STATUS=well"]


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(5)
        channel.bind("")  # The kernel chooses an abstract name.
        name = channel.getsockname()
        Notifier({"NOTIFY_SOCKET": "@" + name[1:].decode()}).stopping()
        assert channel.recv(4096) == b"STOPPING=1"


def test_without_a_manager_or_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()


@pytest.mark.parametrize(("usec", "wanted"), [("20000000", 20.0), ("0", None), ("", None), ("x", None)])
def test_the_watchdog_interval_comes_from_the_manager(usec: str, wanted: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": usec}).watchdog == wanted


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, (3, 4)),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, ()),
        ({"LISTEN_FDS": "1"}, ()),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "x"}, ()),
        ({}, ()),
    ],
)
def test_only_sockets_meant_for_this_process_are_taken(env: dict[str, str], wanted: tuple[int, ...]) -> None:
    assert listen_fds(env, 7) == wanted
