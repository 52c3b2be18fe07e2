"""The kinds of values that many keys of a Compose file share: texts, numbers, sizes, lists, pairs.

Law: a kind accepts what docker compose v5.6.1 accepts wherever it is used (oracle tests compare the verdicts).
What this module does NOT do: know a key (`rules`).
"""

from __future__ import annotations

import re

from stackd.compose.schema import Anything, Decoded, Either, Leaf, ListOf, Parsed, Record, Rule, Table, Text
from stackd.compose.units import parse_bytes, parse_duration

TEXT = Text()
BOOL = Leaf(frozenset(("boolean", "string")), "true or false")
STRICT_BOOL = Leaf(frozenset(("boolean",)), "true or false")
INT = Leaf(frozenset(("integer", "string")), "a whole number")
NUMBER = Leaf(frozenset(("number", "string")), "a number")
NOTHING = Leaf(frozenset(("null",)), "nothing")
WORD_OR_NUMBER = Leaf(frozenset(("string", "number")), "a string or a number")
COUNT = Decoded(Leaf(frozenset(("integer",)), "a whole number, 0 or more", 0), INT)
TIMES = Decoded(Leaf(frozenset(("number",)), "a number, 0 or more", 0), NUMBER)
WEIGHT = Decoded(Leaf(frozenset(("integer",)), "a whole number, 0 or more", 0), INT)
WHOLE = Decoded(Leaf(frozenset(("whole", "string")), "a whole number without a point, or all"), INT)
PUBLISHED = Decoded(Leaf(frozenset(("string", "whole")), "a port or a range of ports"), INT)
WORD_OR_WHOLE = Leaf(frozenset(("string", "whole")), "a string or a whole number", dates=False)
_LIMIT = Leaf(frozenset(("whole",)), "a whole number")
MODE = Decoded(Leaf(frozenset(("whole", "octal")), "an octal mode like 0440"), WORD_OR_NUMBER)
TMPFS_MODE = Decoded(Leaf(frozenset(("number",)), "a mode like 0755, without quotes", 0), WORD_OR_NUMBER)
GROUP = Decoded(WORD_OR_WHOLE, WORD_OR_NUMBER)
OPTION = Leaf(frozenset(("string", "number", "boolean")), "a string, a number or a boolean")
ITEM = Leaf(frozenset(("string", "number", "boolean", "null")), "a string, a number, a boolean or nothing")
_DURATION_TEXT = Leaf(frozenset(("string",)), "a duration like 10s or 1m30s, in quotes if need be")
DURATION = Parsed(parse_duration, "bad-duration", _DURATION_TEXT)
_BYTES_WANTED = "a size like 512m or a whole number of bytes"
BYTES = Parsed(parse_bytes, "bad-size", Leaf(frozenset(("number", "string")), "a size like 512m or a number of bytes"))
WHOLE_BYTES = Parsed(parse_bytes, "bad-size", Leaf(frozenset(("integer", "string")), _BYTES_WANTED))
TMPFS_SIZE = Parsed(parse_bytes, "bad-size", Leaf(frozenset(("integer", "string")), _BYTES_WANTED, 0))
SIZE_TEXT = Parsed(parse_bytes, "bad-size", Leaf(frozenset(("string",)), "a size like 512m, in quotes if need be"))
TEXTS = ListOf(TEXT, unique=True)
PLAIN_TEXTS = ListOf(TEXT)
ASSIGNED = Text(pattern=re.compile("="), shape="NAME=VALUE")
KEY = Text(pattern=re.compile("^default$|="), shape="default, or NAME=PATH")
TEXT_OR_TEXTS = Either("a string or a list of strings", scalar=TEXT, seq=TEXTS)
COMMAND = Either(
    "a string or a list of strings",
    scalar=Leaf(frozenset(("string", "null")), "a string or a list of strings"),
    seq=PLAIN_TEXTS,
)
_NOT_EMPTY = re.compile(".")
PAIRS = Either("a mapping or a list of NAME=VALUE", map=Table(ITEM, _NOT_EMPTY), seq=TEXTS)
OPTIONS = Table(WORD_OR_NUMBER)
EXTRA_HOSTS = Either(
    "a mapping or a list of HOST=IP",
    map=Table(Either("an address or a list of addresses", scalar=TEXT, seq=PLAIN_TEXTS), _NOT_EMPTY),
    seq=TEXTS,
)
SSH = Either("a mapping or a list of keys", map=Table(ITEM, _NOT_EMPTY), seq=ListOf(KEY, unique=True))
CONTEXTS = Either("a mapping or a list of NAME=PLACE", map=Table(TEXT, _NOT_EMPTY), seq=ListOf(ASSIGNED, unique=True))
_STORED = Leaf(frozenset(("string", "whole", "null")), "a string or a whole number", dates=False)
STORAGE = Decoded(Table(_STORED), Table(Anything()))
PID_BEFORE = Leaf(frozenset(("string", "null")), "a string")
INTEGER = Leaf(frozenset(("integer",)), "a whole number")


def _limits(single: Rule, one: Rule) -> Rule:
    both = Record({"hard": one, "soft": one}, ("soft", "hard"))
    return Table(Either("a number or soft and hard", scalar=single, map=both), free=True)


LIMITS_BEFORE = _limits(INT, INT)
ULIMITS = Decoded(_limits(_LIMIT, _LIMIT), _limits(WORD_OR_WHOLE, INT))
