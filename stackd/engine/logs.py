"""A container's log stream as lines: frames taken apart, pieces of long lines put together, timestamps split off.

Law: only complete lines come out (the last one of a container's life counts as complete), and the parts of a line that
is longer than LONGEST_LINE. Bytes are decoded per stream, so that stdout and stderr never mix within a character.
What this module does not do: open the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from stackd.engine.base import LogLine
from stackd.model.ids import ContainerId
from stackd.translate.observed import nanoseconds

LONGEST_LINE = 64 * 1024
"""Bytes of a line: a longer one comes in parts."""
CUT = b" [cut by stackd at 64 KiB; it goes on in the next line]"
"""What stands at the end of each part of a long line but the last."""
_HEADER = 8
_LONGEST_STAMP = 64
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


@dataclass(slots=True)
class _Open:
    """The line of one stream that is not complete yet: its text, and the instant (nanoseconds) at which it began.

    `stamp` is what has come of the timestamp before the text, None once the text has begun; `now` is that instant.
    """

    stamp: bytearray | None = field(default_factory=bytearray)
    now: int = 0
    at: int = 0
    text: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        """Take bytes of a frame or of a terminal's line; its timestamp comes first and ends with a space."""
        if self.stamp is not None:
            stamp, space, data = data.partition(b" ")
            self.stamp += stamp
            if not space and len(self.stamp) <= _LONGEST_STAMP:
                return
            self.now = nanoseconds(self.stamp.decode("ascii", errors="replace"))
            self.at = self.at or self.now
            self.stamp = None
        self.text += data

    def cut(self) -> bytes:
        """The first LONGEST_LINE bytes or a little less, at the end of a character; they are taken out."""
        end = LONGEST_LINE
        while end > LONGEST_LINE - 4 and self.text[end] & 0xC0 == 0x80:
            end -= 1
        found = bytes(self.text[:end])
        del self.text[:end]
        return found


class Splitter:
    """Bytes in, lines out.

    Without a terminal each piece of output is a frame: stream number, length, timestamp, text. A line of more than
    16 KiB comes in several frames, each with a timestamp of its own: it is complete with the frame that ends it. A line
    of more than LONGEST_LINE bytes comes out in parts, each but the last with the mark CUT: no more is ever held.
    """

    def __init__(self, container: ContainerId, *, tty: bool) -> None:
        self._container = container
        self._tty = tty
        self._header = bytearray()
        self._stream, self._left = "stdout", 0
        self._lines: dict[str, _Open] = {}

    @property
    def held(self) -> int:
        """How many bytes are kept of what has not come out yet."""
        return len(self._header) + sum(len(one.text) + len(one.stamp or b"") for one in self._lines.values())

    def feed(self, chunk: bytes) -> Iterator[LogLine]:
        """The lines, and the parts of long ones, that these bytes complete."""
        yield from self._plain(chunk) if self._tty else self._framed(chunk)

    def finish(self) -> Iterator[LogLine]:
        """What is left when the stream has ended."""
        for stream, line in self._lines.items():
            if line.at or line.text:
                yield self._line(stream, line, bytes(line.text))
        self._lines.clear()

    def _framed(self, chunk: bytes) -> Iterator[LogLine]:
        """A frame's text is taken as it comes: its length is only what the engine says."""
        rest = memoryview(chunk)
        while rest:
            if not self._left:
                missing = _HEADER - len(self._header)
                self._header += rest[:missing]
                rest = rest[missing:]
                if len(self._header) < _HEADER:
                    return
                self._stream = _STREAMS.get(self._header[0], "stdout")
                self._left = int.from_bytes(self._header[4:], "big")
                self._header.clear()
                self._begin(self._stream)
                continue
            piece = bytes(rest[: self._left])
            rest = rest[len(piece) :]
            self._left -= len(piece)
            yield from self._take(self._stream, piece, ends=not self._left and piece.endswith(b"\n"))

    def _begin(self, stream: str) -> None:
        """A frame begins, with a timestamp; perhaps in the middle of a line."""
        self._lines.setdefault(stream, _Open()).stamp = bytearray()

    def _plain(self, chunk: bytes) -> Iterator[LogLine]:
        start = 0
        while start < len(chunk):
            end = chunk.find(b"\n", start) + 1
            yield from self._take("stdout", chunk[start : end or len(chunk)], ends=end > 0)
            start = end or len(chunk)

    def _take(self, stream: str, piece: bytes, *, ends: bool) -> Iterator[LogLine]:
        line = self._lines.setdefault(stream, _Open())
        line.add(piece)
        while len(line.text) > LONGEST_LINE + 2:  # The end of a line, \r\n, is no part of it.
            yield self._line(stream, line, line.cut() + CUT)
            line.at = line.now
        if ends:
            yield self._line(stream, line, bytes(line.text))
            del self._lines[stream]

    def _line(self, stream: str, line: _Open, text: bytes) -> LogLine:
        return LogLine(self._container, stream, text.rstrip(b"\r\n").decode(errors="replace"), line.at)
