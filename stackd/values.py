"""What a value of the configuration may be (durations, paths, exit codes), and how long a text may be.

Law: pure; text in, value out, ValueError with what is wanted. What this module does NOT do: know the keys.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

MOST_TEXT = 4096
"""Bytes of UTF-8 that one message, log line or shown value may have."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


def shortened(text: str, limit: int = MOST_TEXT) -> str:
    """`text` in at most `limit` bytes of UTF-8; what is cut off is named by the size and the digest of the whole.

    `"x" * 5000` becomes `xxx... (5000 bytes, sha256 8a5bf4a1b6aabe14)`. A lone surrogate (a file name that is not
    UTF-8) is written as its escape, `\\udce9`: neither JSON nor SQLite can hold it.
    """
    if len(text) * 4 <= limit and text.isascii():
        return text
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    mark = f"... ({len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]})"
    return data[: max(0, limit - len(mark))].decode("utf-8", "ignore") + mark


def seconds(value: object) -> float:
    """A duration: a number of seconds, or text such as "10m", "1h30m", "50ms". Raises ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('a duration is a number of seconds or text such as "10m"')
    if not isinstance(value, str):
        return float(value)
    text = value.strip()
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError('a duration is a number of seconds or text such as "90s", "10m", "1h30m" (units ms s m h d)')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _path(value: object) -> object:
    """Only an absolute path, or one under the home folder, means the same wherever the daemon is started."""
    if isinstance(value, str) and not value.startswith(("/", "~/", "$HOME/")):
        raise ValueError("a path must be absolute or begin with ~/")
    return value


Duration = Annotated[float, BeforeValidator(seconds), Field(ge=0)]
AbsolutePath = Annotated[Path, BeforeValidator(_path)]
ExitCodes = tuple[Annotated[int, Field(ge=0, le=255, strict=True)], ...]
