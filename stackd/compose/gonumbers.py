"""Numbers written as text, as Go's strconv reads them, and what Go makes of one that its type cannot hold.

Law: a text is a number here exactly when `ParseFloat` or `ParseInt` (base 10) takes it: ASCII digits only, hexadecimal
floats, `_` between the digits of a float, `inf` and `nan`, nothing out of range. ValueError otherwise.
What this module does NOT do: plain YAML scalars (`scalars`), or units.
"""

from __future__ import annotations

import math
import re

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_INT = re.compile(r"[-+]?[0-9]{1,400}")
_WORD = re.compile(r"[-+]?(?:inf|infinity)|nan", re.IGNORECASE)
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[-+]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[-+]?[0-9]+", re.IGNORECASE)
_HEXADECIMAL_START = re.compile(r"[-+]?0x", re.IGNORECASE)
_STRAY = re.compile(r"_(?![0-9a-f])|(?<![0-9a-f])_", re.IGNORECASE)
"""A `_` that does not stand between digits."""


def parse_int(text: str) -> int:
    """A decimal number of 64 bits with a sign. Raises ValueError."""
    if _INT.fullmatch(text) and INT64_MIN <= (value := int(text)) <= INT64_MAX:
        return value
    raise ValueError("wants a whole number")


def parse_float(text: str) -> float:
    """A number, which may be infinite or none when the text says so. Raises ValueError."""
    if _WORD.fullmatch(text):
        return float(text)
    start = _HEXADECIMAL_START.match(text)
    plain = text
    if "_" in text:
        digits = f"0{text[start.end() :]}" if start else text  # one may follow 0x
        if _STRAY.search(digits):
            raise ValueError("wants a number")
        plain = text.replace("_", "")
    if not (_HEXADECIMAL if start else _DECIMAL).fullmatch(plain):
        raise ValueError("wants a number")
    try:
        value = float.fromhex(plain) if start else float(plain)
    except OverflowError:
        value = math.inf
    if math.isinf(value):
        raise ValueError("wants a number")
    return value


def int64(value: int | float) -> int:
    """A number as Go converts it to 64 bits with a sign: bits that do not fit are lost, a float out of range is the
    least number."""
    if isinstance(value, float):
        return int(value) if -(2.0**63) <= value < 2.0**63 else INT64_MIN
    return (value + 2**63) % 2**64 - 2**63


def uint64(value: int | float) -> int:
    """A number as Go converts it to 64 bits without a sign."""
    if isinstance(value, float):
        return int(value) if 0 <= value < 2.0**64 else 2**63
    return value % 2**64
