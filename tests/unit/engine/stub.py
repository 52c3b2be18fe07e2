"""A server on a Unix socket that answers as an engine, or as a broken one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

VERSION = b'{"Version": "20.10.24", "ApiVersion": "1.41"}'

Answer = Callable[[str], bytes | None]
"""Request line -> raw response; None = never answer."""


def json_answer(body: bytes, status: str = "200 OK") -> bytes:
    """A whole JSON response."""
    return b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status.encode(), len(body), body,
    )  # fmt: skip


def stream_answer(body: bytes) -> bytes:
    """A response that ends with its connection."""
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body


def answers(told: Mapping[str, bytes | None]) -> Answer:
    """Answer by what the request line contains; the version is always known, all else is missing."""

    def answer(line: str) -> bytes | None:
        for part, response in told.items():
            if part in line:
                return response
        if "/version" in line:
            return json_answer(VERSION)
        return json_answer(b'{"message": "no such thing"}', "404 Not Found")

    return answer


class Stub:
    """The running server: its address, and the requests that came (line, headers and what has come of the body)."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.url = f"unix://{path}"
        self.requests: list[str] = []
        self.open = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; closed after one response."""
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line = head.partition("\r\n")[0]
            self.requests.append(head)
            response = self._answer(line)
            if response is None:
                await reader.read()
                return
            writer.write(response)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def serving(folder: Path, told: Mapping[str, bytes | None]) -> AsyncIterator[Stub]:
    """Serve these answers."""
    path = folder / "engine.sock"
    stub = Stub(path, answers(told))
    server = await asyncio.start_unix_server(stub.serve, path)
    try:
        yield stub
    finally:
        server.close()
        await server.wait_closed()
