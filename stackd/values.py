"""What a value of the configuration may be: durations, paths, exit codes.

Law: pure; text in, value out, ValueError with what is wanted. What this module does NOT do: know the keys.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


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
