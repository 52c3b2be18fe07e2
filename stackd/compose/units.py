"""Durations, byte sizes and numbers, read and printed as docker compose does.

Law: what Go's parsers accept is accepted and printed back in Go's form (`90s` -> `1m30s`); ValueError says what is
wanted. Durations are integer nanoseconds inside, seconds (float) in the model.
What this module does NOT do: positions.
"""

from __future__ import annotations

import contextlib
import math
import re
import struct

from stackd.compose.gonumbers import INT64_MAX, int64, parse_float, parse_int
from stackd.compose.scalars import go_float

_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9,
       "h": 3600 * 10**9, "d": 24 * 3600 * 10**9, "w": 7 * 24 * 3600 * 10**9}  # fmt: skip
_PART = re.compile(r"([0-9]*\.?[0-9]*)(ns|us|µs|μs|ms|s|m|h|d|w)")
_SIZE = re.compile(r"(.*[0-9.]) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_duration(text: str) -> int:
    """Nanoseconds of `1m30s`, `1.5h`, `2d`; a bare number is refused. Raises ValueError."""
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    total, at = 0, 0
    while at < len(body):
        part = _PART.match(body, at)
        if part is None or part.group(1) in ("", "."):
            raise ValueError("wants a duration like 10s, 1m30s or 500ms")
        number, unit = part.groups()
        digits, _, fraction = number.partition(".")
        total += int(digits or 0) * _NS[unit] + int(fraction or 0) * _NS[unit] // 10 ** len(fraction)
        at = part.end()
    if not body:
        raise ValueError("wants a duration like 10s, 1m30s or 500ms")
    if total > INT64_MAX:
        raise ValueError("wants a duration of less than 292 years")
    return -total if text.startswith("-") else total


def go_duration(ns: int) -> str:
    """A duration as Go prints it: `1m30s`, `1.5s`, `100ms`, `0s`."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if ns >= size:
                return f"{sign}{_decimal(ns, size)}{unit}"
    hours, rest = divmod(ns, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    seconds = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).rjust(len(str(size)) - 1, '0').rstrip('0')}"


def parse_bytes(text: str) -> int:
    """Bytes of `10m`, `1.5gb`, `512`, `-1`; multiples are binary. Raises ValueError."""
    with contextlib.suppress(ValueError):
        return parse_int(text)
    found = _SIZE.fullmatch(text)
    try:
        number = parse_float(found[1]) if found else math.nan
    except ValueError:
        number = math.nan
    if found is None or not number >= 0:
        raise ValueError("wants a size like 512m, 1g or a number of bytes")
    return int64(number * 1024.0 ** _POWER[(found[2] or "").lower()])


def float32(value: float) -> float:
    """The nearest single-precision number, as the shortest decimal that means it (Go's JSON for float32)."""
    try:
        single: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    if not math.isfinite(single):
        return single
    for digits in range(1, 10):
        short = float(f"{single:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == single:
            return short
    return single


def go_json_float(value: float) -> str:
    """A float in Go's JSON: an exponent below 1e-6 and from 1e21 on."""
    if not math.isfinite(value):
        return go_float(value)
    if value != 0 and (abs(value) < 1e-6 or abs(value) >= 1e21):
        mantissa, _, exponent = go_float(value, exponent_at=-400).partition("e")
        sign, digits = exponent[0], exponent[1:].lstrip("0") or "0"
        return f"{mantissa}e{sign if sign == '-' else '+'}{digits if sign == '-' else digits.rjust(2, '0')}"
    return go_float(value, exponent_at=30) if abs(value) >= 1e-4 or value == 0 else f"{value:.20f}".rstrip("0")
