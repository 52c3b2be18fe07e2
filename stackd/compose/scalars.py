"""Plain YAML scalars as go-yaml v4 reads and prints them: neither YAML 1.1 nor 1.2.

Law: the value is what the real docker compose makes of the same text (compose.md 4.6, probed): `yes` is text, `0440`
and `0o440` are octal, `1_000` is a number, `22:22` is text, a date is a date printed in Go's words. Numbers are
printed as Go's `fmt.Sprint` does.
What this module does NOT do: quoted scalars (always text) and tags.
"""

from __future__ import annotations

import calendar
import math
import re

from stackd.compose.tree import Plain

_WORDS: dict[str, Plain] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
    ".nan": math.nan, ".NaN": math.nan, ".NAN": math.nan,
    ".inf": math.inf, ".Inf": math.inf, ".INF": math.inf,
    "+.inf": math.inf, "+.Inf": math.inf, "+.INF": math.inf,
    "-.inf": -math.inf, "-.Inf": -math.inf, "-.INF": -math.inf,
}  # fmt: skip
_NUMERIC_START = frozenset("+-0123456789.")
_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]([0-7]+)|0([0-7]+)|(0|[1-9][0-9]*))\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_DATE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:(?:[Tt]| )(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d{1,9})?(Z|[-+]\d{2}:\d{2})?)?\Z"
)
_INT_MIN, _UINT_MAX = -(2**63), 2**64 - 1


class Date(str):
    """A date in Go's print, which is what a container gets to see; `iso` is how YAML and JSON show it."""

    __slots__ = ("iso",)
    iso: str


def resolve(text: str) -> Plain:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START:
        return text
    if text[0].isdigit() and len(text) >= 8 and text[4] == "-":
        date = _date(text)
        if date is not None:
            return date
    plain = text.replace("_", "") if text[0] != "." else text
    whole = _int(plain)
    if whole is not None:
        return -0.0 if whole == 0 and plain[0] == "-" else whole
    number = float(plain) if _FLOAT.match(plain) else math.inf
    return number if math.isfinite(number) else text


def _int(plain: str) -> int | None:
    found = _INT.match(plain)
    if found is None:
        return None
    sign, hexa, binary, octal, old_octal, decimal = found.groups()
    digits, base = next((d, b) for d, b in ((hexa, 16), (binary, 2), (octal, 8), (old_octal, 8), (decimal, 10)) if d)
    if len(digits) > 70:  # even in base 2 that is too big
        return None
    value = int(digits, base) * (-1 if sign == "-" else 1)
    return value if _INT_MIN <= value <= _UINT_MAX else None


def _date(text: str) -> str | None:
    """Go's print of a date, which is what ends up in the container (compose.md 4.6)."""
    found = _DATE.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if not (
        1 <= int(month) <= 12
        and 1 <= int(day) <= _days(int(year), int(month))
        and int(hour or 0) < 24
        and int(minute or 0) < 60
    ):
        return None
    if zone is not None and " " in text:
        return None
    clock = f"{int(hour or 0):02}:{int(minute or 0):02}:{int(second or 0):02}{(fraction or '').rstrip('0').rstrip('.')}"
    offset = "+0000 UTC" if zone in (None, "Z") else f"{zone.replace(':', '')} {zone.replace(':', '')}"
    day_text = f"{year}-{int(month):02}-{int(day):02}"
    date = Date(f"{day_text} {clock} {offset}")
    date.iso = f"{day_text}T{clock}{'Z' if zone in (None, 'Z') else zone}"
    return date


def _days(year: int, month: int) -> int:
    return calendar.monthrange(2000 if calendar.isleap(year) else 2001, month)[1]


def go_text(value: Plain) -> str:
    """`value` as Go's fmt.Sprint prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case str():
            return str(value)
        case int():
            return str(value)
        case float():
            return go_float(value)


def go_float(value: float, *, exponent_at: int = 6) -> str:
    """The shortest text of a float in Go's %v: an exponent below 1e-4 and from 1e6 on (compose v5.6.1, probed)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    digits, _, exponent = f"{float(value)!r}".partition("e")
    power = _power(digits, exponent)
    if power < -4 or power >= exponent_at:
        mantissa = _significant(digits)
        body = mantissa[0] + ("." + mantissa[1:] if len(mantissa) > 1 else "")
        return f"{'-' if value < 0 else ''}{body}e{'-' if power < 0 else '+'}{abs(power):02}"
    return f"{value:.{max(0, len(_significant(digits)) - power - 1)}f}"


def _significant(digits: str) -> str:
    return digits.lstrip("-").replace(".", "").strip("0") or "0"


def _power(digits: str, exponent: str) -> int:
    """The decimal exponent of the first significant digit."""
    whole, _, fraction = digits.lstrip("-").partition(".")
    shift = int(exponent or 0)
    if whole.strip("0"):
        return len(whole.lstrip("0")) - 1 + shift
    return -(len(fraction) - len(fraction.lstrip("0")) + 1) + shift
