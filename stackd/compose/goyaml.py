"""Writing YAML as go-yaml v4 does: the text that `docker compose config` prints, byte for byte.

Law: block style, two spaces, lists indented under their key, lines folded at a space beyond column 80; a text that
would be read as something else stands in double quotes, an old boolean or a base-60 number in single ones. Mappings
keep their order: sort with `go_sorted` what Go holds in a map.
What this module does NOT do: know Compose, or double any `$`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cmp_to_key

from stackd.compose.scalars import Date, go_float, resolve
from stackd.compose.tree import Json

_WIDTH = 80
_SIMPLE_KEY = 128
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_OLD_BOOLEANS = frozenset(
    ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"]
)  # fmt: skip
_BREAKS = "\r\n\x85\u2028\u2029"
_ESCAPES = {
    "\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e", '"': '"',
    "\\": "\\", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
}  # fmt: skip
_FIRST_INDICATORS = frozenset("#,[]{}&*!|>'\"%@`")


def dump(value: Json) -> str:
    """One document, with its last line break."""
    writer = _Writer()
    writer.root(value)
    return "".join(writer.parts)


def go_sorted(keys: Iterable[str]) -> list[str]:
    """Keys as go-yaml sorts those of a map: letters after other characters, numbers by their value."""
    return sorted(keys, key=cmp_to_key(_compare))


def sorted_deeply(value: Json) -> Json:
    """`value` with every mapping as go-yaml sorts it."""
    match value:
        case dict():
            return {key: sorted_deeply(value[key]) for key in go_sorted(value)}
        case list():
            return [sorted_deeply(item) for item in value]
        case _:
            return value


def _compare(one: str, other: str) -> int:
    digits = False
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left == right:
            digits = _is_digit(left)
            continue
        letters = left.isalpha(), right.isalpha()
        if all(letters):
            return -1 if left < right else 1
        if any(letters):
            return -1 if letters[0 if digits else 1] else 1
        return _compare_numbers(one, other, at)
    return len(one) - len(other)


def _is_digit(character: str) -> bool:
    return unicodedata.category(character) == "Nd"


def _compare_numbers(one: str, other: str, at: int) -> int:
    """Two texts that first differ at `at`, where neither has a letter."""
    start = 0
    if "0" in (one[at], other[at]):
        before = at - 1
        while before >= 0 and _is_digit(one[before]):
            if one[before] != "0":
                start = 1
                break
            before -= 1
    left, right = _run(one, at), _run(other, at)
    numbers = _number(start, left), _number(start, right)
    if numbers[0] != numbers[1]:
        return -1 if numbers[0] < numbers[1] else 1
    if len(left) != len(right):
        return len(left) - len(right)
    return -1 if one[at] < other[at] else 1


def _run(text: str, at: int) -> str:
    end = at
    while end < len(text) and _is_digit(text[end]):
        end += 1
    return text[at:end]


def _number(start: int, digits: str) -> int:
    for digit in digits:
        start = start * 10 + ord(digit) - ord("0")
    return start


class _Writer:
    """Writes one document; `_column` is how many characters the line holds."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._column = 0

    def root(self, value: Json) -> None:
        """The whole document."""
        if isinstance(value, dict) and value:
            self._mapping(value, 0, first=True)
        elif isinstance(value, list) and value:
            self._sequence(value, 0, first=True)
        else:
            self._scalar(value, 0)
            self._break()

    def _put(self, text: str) -> None:
        self.parts.append(text)
        self._column += len(text)

    def _break(self, indent: int = 0) -> None:
        self.parts.append("\n" + " " * indent)
        self._column = indent

    def _mapping(self, values: Mapping[str, Json], indent: int, *, first: bool) -> None:
        """Every entry on a line of its own; `first`: the line is already begun."""
        for at, (key, value) in enumerate(values.items()):
            if at or not first:
                self.parts.append(" " * indent)
                self._column = indent
            simple = len(key.encode("utf-8", "surrogatepass")) <= _SIMPLE_KEY and not _multiline(key)
            if simple:
                self._text(key, indent, key=True)
                self._put(":")
            else:
                self._put("? ")
                self._text(key, indent + 2)
                self._line_end()
                self.parts.append(" " * indent + ":")
                self._column = indent + 1
            self._value(value, indent, simple=simple)

    def _value(self, value: Json, indent: int, *, simple: bool) -> None:
        """What follows a key."""
        if isinstance(value, dict | list) and value:
            if simple:
                self._break()
                self._collection(value, indent + 2, first=False)
            else:
                self._put(" ")
                self._collection(value, indent + 2, first=True)
            return
        self._put(" ")
        self._scalar(value, indent + 2)
        self._line_end()

    def _collection(self, value: dict[str, Json] | list[Json], indent: int, *, first: bool) -> None:
        if isinstance(value, dict):
            self._mapping(value, indent, first=first)
        else:
            self._sequence(value, indent, first=first)

    def _sequence(self, values: list[Json], indent: int, *, first: bool) -> None:
        for at, value in enumerate(values):
            if at or not first:
                self.parts.append(" " * indent)
                self._column = indent
            self._put("- ")
            if isinstance(value, dict | list) and value:
                self._collection(value, indent + 2, first=True)
            else:
                self._scalar(value, indent + 2)
                self._line_end()

    def _line_end(self) -> None:
        """Unless the text that was just written ended its line itself."""
        if self._column:
            self._break()

    def _scalar(self, value: Json, indent: int) -> None:
        match value:
            case None:
                self._put("null")
            case bool():
                self._put("true" if value else "false")
            case Date():
                self._put(value.iso)
            case str():
                self._text(value, indent)
            case int():
                self._put(str(value))
            case float():
                self._put({"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf"}.get(text := go_float(value), text))
            case dict():
                self._put("{}")
            case list():
                self._put("[]")

    def _text(self, text: str, indent: int, *, key: bool = False) -> None:
        style = _style(text, key=key)
        match style:
            case "|":
                self._literal(text, indent)
            case '"':
                self._double(text, indent, fold=not key)
            case "'":
                self._put("'")
                self._line(text.replace("'", "''"), indent, quoted=True, fold=not key)
                self._put("'")
            case _:
                self._line(text, indent, quoted=False, fold=not key)

    def _line(self, text: str, indent: int, *, quoted: bool, fold: bool) -> None:
        if (fold and " " in text) or _multiline(text):
            self._folded(text, indent, quoted)
        else:
            self._put(text)

    def _folded(self, text: str, indent: int, quoted: bool) -> None:
        """A plain or single-quoted text; a lone space beyond the width becomes a line break."""
        last, spaces, broken = len(text) - 1, False, False
        for at, character in enumerate(text):
            if character == " ":
                lone = not spaces and text[at + 1 : at + 2] != " "
                if self._column > _WIDTH and lone and (not quoted or 0 < at < last):
                    self._break(indent)
                else:
                    self._put(" ")
                spaces = True
            elif character in _BREAKS:
                self.parts.append(character)
                self._column, broken = 0, True
            else:
                self._put(" " * indent + character if broken else character)
                spaces = broken = False

    def _double(self, text: str, indent: int, *, fold: bool) -> None:
        self._put('"')
        everything = text.startswith("\ufeff")  # go-yaml then takes every character for a byte order mark
        last, spaces = len(text) - 1, False
        for at, character in enumerate(text):
            if everything or not _printable(character) or character in _BREAKS or character in '"\\':
                self._put("\\" + (_ESCAPES.get(character) or _escaped(character)))
                spaces = False
            elif character == " ":
                if fold and not spaces and self._column > _WIDTH and 0 < at < last:
                    self._break(indent)
                    if text[at + 1] == " ":
                        self._put("\\")
                else:
                    self._put(" ")
                spaces = True
            else:
                self._put(character)
                spaces = False
        self._put('"')

    def _literal(self, text: str, indent: int) -> None:
        hint = "2" if text[0] == " " else ""
        chomp = "" if text[-1] in _BREAKS else "-"
        if text[-1] in _BREAKS and (len(text) == 1 or text[-2] in _BREAKS):
            chomp = "+"
        self._put(f"|{hint}{chomp}")
        self._break()
        begins = True
        for character in text:
            if character in _BREAKS:
                self.parts.append(character)
                self._column = 0
                begins = True
            else:
                if begins:
                    self._put(" " * indent)
                self._put(character)
                begins = False


def _style(text: str, *, key: bool) -> str:
    """The style of a text: "" is plain."""
    if "\n" in text:
        literal = len(text) > 1 and not text.isspace() and not key
        return "|" if literal and _block_allowed(text) else '"'
    if not text:
        return '"'
    if text == "<<" or text in _OLD_BOOLEANS or _BASE_60.match(text):
        return "'" if _single_allowed(text) else '"'
    if not isinstance(resolve(text), str) or _is_date(text):
        return '"'
    if _plain_allowed(text):
        return ""
    return "'" if _single_allowed(text) else '"'


def _is_date(text: str) -> bool:
    return text[0].isdigit() and resolve(text) != text


def _multiline(text: str) -> bool:
    return any(character in _BREAKS for character in text)


def _special(text: str) -> bool:
    return any(not _printable(character) and character != "\t" for character in text)


def _space_break(text: str) -> bool:
    return any(text[at] == " " and text[at + 1] in _BREAKS for at in range(len(text) - 1))


def _block_allowed(text: str) -> bool:
    return not (text.endswith(" ") or _space_break(text) or _special(text))


def _single_allowed(text: str) -> bool:
    break_space = any(text[at] in _BREAKS and text[at + 1] == " " for at in range(len(text) - 1))
    return not (break_space or _space_break(text) or "\t" in text or _special(text))


def _plain_allowed(text: str) -> bool:
    ends = text[0] + text[-1]
    if " " in ends or _multiline(text) or "\t" in text or _special(text):
        return False
    if text.startswith(("---", "...")) or text[0] in _FIRST_INDICATORS:
        return False
    if text[0] in "?:-" and (len(text) == 1 or text[1] == " "):
        return False
    return not (text.endswith(":") or ": " in text or " #" in text)


def _printable(character: str) -> bool:
    code = ord(character)
    return (
        code == 0x0A or 0x20 <= code <= 0x7E or 0xA0 <= code <= 0xD7FF or (0xE000 <= code <= 0xFFFD and code != 0xFEFF)
    )


def _escaped(character: str) -> str:
    code = ord(character)
    return f"x{code:02X}" if code <= 0xFF else f"u{code:04X}" if code <= 0xFFFF else f"U{code:08X}"
