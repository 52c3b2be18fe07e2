"""A container's log stream as lines: frames taken apart, pieces of long lines put together, timestamps split off.

Law: only complete lines come out (the last one of a container's life counts as complete). Bytes are decoded per stream,
so that stdout and stderr never mix within a character. What this module does not do: open the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from stackd.engine.base import LogLine
from stackd.model.ids import ContainerId
from stackd.translate.observed import nanoseconds

_HEADER = 8
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}


class Bytes(Protocol):
    """Where the bytes come from."""

    async def read(self) -> bytes:
        """The next bytes, b"" at the end."""


class LogLines:
    """The lines of one answer of `GET /containers/{id}/logs?timestamps=1`. Iterating raises EngineError."""

    def __init__(self, source: Bytes, container: ContainerId, *, tty: bool) -> None:
        self._source = source
        self._splitter = Splitter(container, tty=tty)
        self._ready: deque[LogLine] = deque()
        self._ended = False

    def __aiter__(self) -> LogLines:
        return self

    async def __anext__(self) -> LogLine:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            chunk = await self._source.read()
            self._ended = not chunk
            self._ready.extend(self._splitter.feed(chunk) if chunk else self._splitter.finish())
        return self._ready.popleft()


class Splitter:
    """Bytes in, complete lines out.

    Without a terminal each piece of output is a frame: stream number, length, timestamp, text. A line of more than
    16 KiB comes in several frames, each with a timestamp of its own: it is complete with the frame that ends it.
    """

    def __init__(self, container: ContainerId, *, tty: bool) -> None:
        self._container = container
        self._tty = tty
        self._raw = bytearray()
        self._lines: dict[str, tuple[int, bytearray]] = {}

    def feed(self, chunk: bytes) -> Iterator[LogLine]:
        """The lines that these bytes complete."""
        self._raw += chunk
        yield from self._plain() if self._tty else self._framed()

    def finish(self) -> Iterator[LogLine]:
        """What is left when the stream has ended."""
        if self._tty and self._raw:
            yield from self._piece("stdout", bytes(self._raw))
        for stream, (at, text) in self._lines.items():
            yield self._line(stream, at, text)
        self._raw.clear()
        self._lines.clear()

    def _framed(self) -> Iterator[LogLine]:
        start = 0
        while len(self._raw) - start >= _HEADER:
            end = start + _HEADER + int.from_bytes(self._raw[start + 4 : start + _HEADER], "big")
            if len(self._raw) < end:
                break
            stream = _STREAMS.get(self._raw[start], "stdout")
            yield from self._piece(stream, bytes(self._raw[start + _HEADER : end]))
            start = end
        del self._raw[:start]

    def _plain(self) -> Iterator[LogLine]:
        *complete, rest = bytes(self._raw).split(b"\n")
        self._raw = bytearray(rest)
        for line in complete:
            yield from self._piece("stdout", line + b"\n")

    def _piece(self, stream: str, piece: bytes) -> Iterator[LogLine]:
        stamp, _, text = piece.partition(b" ")
        at, line = self._lines.pop(stream, (0, bytearray()))
        line += text
        at = at or nanoseconds(stamp.decode("ascii", errors="replace"))
        if piece.endswith(b"\n"):
            yield self._line(stream, at, line)
        else:
            self._lines[stream] = (at, line)

    def _line(self, stream: str, at: int, text: bytearray) -> LogLine:
        return LogLine(self._container, stream, text.rstrip(b"\r\n").decode(errors="replace"), at)
