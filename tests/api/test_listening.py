"""The socket: private from its first instant, one server, dead ones replaced, strangers refused."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stackd.api.listening import inherited, listen
from stackd.api.server import Server
from stackd.api.serving import Settings
from stackd.errors import StateError
from tests.api.world import serving
from tests.fake.control import FakeControl


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """The process's umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_socket_and_directory_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "run" / "stackd.sock"
    with umask(mask):
        listener = listen(path)
        assert os.umask(mask) == mask
    assert (mode(path), mode(path.parent), mode(path.with_name("stackd.sock.lock"))) == (0o600, 0o700, 0o600)
    listener.close()
    assert not path.exists()


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stackd.sock"
    listener = listen(path)
    with pytest.raises(StateError, match="another stackd serves"):
        listen(path)
    listener.close()
    listen(path).close()


def test_a_socket_that_somebody_else_serves_is_not_robbed(tmp_path: Path) -> None:
    path = tmp_path / "stackd.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        with pytest.raises(StateError, match="another server answers"):
            listen(path)
        with pytest.raises(StateError, match="another server answers"):
            listen(path)  # whose queue is full now
    assert path.exists()


def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "stackd.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = listen(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "stackd.sock"
    path.write_text("precious")
    with pytest.raises(StateError, match="is not a socket"):
        listen(path)
    assert path.read_text() == "precious"


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "run"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(StateError, match="not safe"):
        listen(open_to_all / "stackd.sock")
    open_to_all.chmod(0o1777)
    listen(open_to_all / "stackd.sock").close()


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="longer than 107 bytes"):
        listen(tmp_path / ("x" * 110))


async def test_a_socket_from_the_service_manager_is_used_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "stackd.sock"
    given = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    given.bind(str(path))
    given.listen()
    server = Server(FakeControl(), Settings())
    await server.start(inherited(given))
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(raw_get(path)))
    thread.start()
    await asyncio.to_thread(thread.join)
    await server.stop()
    assert answers[0].startswith(b"HTTP/1.1 200 OK")
    assert path.exists()


def test_only_a_listening_unix_socket_is_taken_from_the_service_manager() -> None:
    with socket.socket(socket.AF_UNIX) as deaf, pytest.raises(StateError, match="not a listening unix"):
        inherited(deaf)


def raw_get(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: stackd\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(65536), b""))


async def test_a_foreign_user_is_refused_before_anything_is_done() -> None:
    async with serving(settings=Settings(allowed_uids=frozenset({os.geteuid() + 1}))) as api:
        answer = await api.post("/v1/stacks/blog/down")
        assert answer.error() == (403, "not_permitted")
        assert (await api.get("/nowhere")).error() == (403, "not_permitted")
        assert not api.control.kept


@pytest.mark.xfail(os.geteuid() != 0, reason="only root can become somebody else", strict=True)
async def test_a_real_foreign_user_is_refused_though_the_socket_were_open() -> None:
    async with serving() as api:
        for place, bits in ((api.path, 0o666), (api.path.parent, 0o755), (api.path.parent.parent, 0o755)):
            place.chmod(bits)
        assert b'"not_permitted"' in (text := await stranger_asks(api.path))
        assert b"uid 65534" in text
        api.path.chmod(0o600)
        api.path.parent.chmod(0o700)
        assert await stranger_asks(api.path) == b"PermissionError"


ASK = """
import os, socket, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
try:
    client.connect(sys.argv[1])
except OSError as error:
    sys.exit(print(type(error).__name__, end=""))
client.sendall(b"GET /v1/stacks HTTP/1.1\\r\\nHost: stackd\\r\\nConnection: close\\r\\n\\r\\n")
while chunk := client.recv(4096):
    sys.stdout.write(chunk.decode())
"""


async def stranger_asks(path: Path) -> bytes:
    """What nobody (uid 65534) is answered."""
    stranger = await asyncio.create_subprocess_exec(
        *(sys.executable, "-ISc", ASK, str(path)),
        stdout=asyncio.subprocess.PIPE,
    )
    text, _ = await stranger.communicate()
    return text
