"""Logging: one line a record, with the stack and service it is about, in the form its reader wants.

Law: what looks like a secret is taken out of every line (`redact`), and a line that is too long is cut, before it is
written; the journal gets its priority prefix (sd-daemon(3)) and no time of its own. What this module does NOT do:
choose what is worth logging.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from stackd.compose.redact import readable
from stackd.values import shortened

STACK: ContextVar[str] = ContextVar("stack", default="")
SERVICE: ContextVar[str] = ContextVar("service", default="")


@contextmanager
def about(stack: str, service: str = "") -> Iterator[None]:
    """Within this block (and the tasks started in it) records are about this stack and service."""
    tokens = STACK.set(stack), SERVICE.set(service)
    try:
        yield
    finally:
        STACK.reset(tokens[0])
        SERVICE.reset(tokens[1])


def setup(level: str, *, as_json: bool, env: Mapping[str, str]) -> None:
    """Send all records of at least `level` (a word of the configuration) to standard error; replaces earlier setups."""
    handler = logging.StreamHandler(sys.stderr)
    journal = in_journal(env, sys.stderr.fileno())
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter(journal=journal))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their debug records tell of every poll and request.
    for noisy in ("watchfiles", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(root.level, logging.WARNING))


def in_journal(env: Mapping[str, str], fd: int) -> bool:
    """Whether the file descriptor is the stream that $JOURNAL_STREAM (device:inode) names."""
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return env.get("JOURNAL_STREAM", "") == f"{found.st_dev}:{found.st_ino}"


class TextFormatter(logging.Formatter):
    """`time level stack/service: message`; for the journal `<priority>stack/service: message`."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, each line of it a line of its own kind."""
        subject = "/".join(part for part in (STACK.get(), SERVICE.get()) if part)
        text = _message(self, record)
        text = f"{subject}: {text}" if subject else text
        if self._journal:
            prefix = f"<{_priority(record.levelno)}>"
            return "\n".join(prefix + line for line in text.splitlines() or [""])
        return f"{_time(record)} {record.levelname.lower():7} {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and stack and service where they are known."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "stack": STACK.get(),
            "service": SERVICE.get(),
            "message": _message(self, record),
        }
        return json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=False)


def _message(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """What the record says, without secrets; the message and each line of a traceback have a bounded length."""
    text = shortened(readable(record.getMessage()))
    if not record.exc_info:
        return text
    lines = readable(formatter.formatException(record.exc_info)).splitlines()
    return "\n".join((text, *map(shortened, lines)))


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _priority(level: int) -> int:
    """syslog's number for a level: error 3, warning 4, info 6, debug 7."""
    if level >= logging.CRITICAL:
        return 2
    if level >= logging.ERROR:
        return 3
    if level >= logging.WARNING:
        return 4
    return 6 if level >= logging.INFO else 7
