"""What may be shown of a definition: the one place that decides it.

Law: a value in a table of free names (`environment`, `labels`, `args`, `driver_opts`, `sysctls`, `options`, ...) is
hidden unless it is known to be harmless: nothing, a switch, a number or size, an image under a name like `APP_IMAGE`, a
key of the allow list, or a key that the file lists in `x-stackd: show:`. What `.env` contributed is hidden, too.
Everything else (commands, health checks, images, ports, mounts) is shown without the parts that look like secrets. A
hidden value is shown as a short keyed digest, so that a change is visible and nothing can be guessed from it.
What this module does NOT do: walk a definition (`describe`, `shown`, `hidden`), keep the key (`runtime.digest_key`).

>>> Redaction(b"k").entry("environment", "POSTGRES_DB", "shop")
'(hidden 66fc)'
>>> Redaction(b"k").entry("environment", "PUID", "1000")
'1000'
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import quote, quote_plus

REDACTED = "***"
"""Stands for a part of a text that is not shown."""
HIDDEN = "(hidden"
"""How a value begins that is not shown as a whole: `(hidden 3f9a)`, or `(hidden)` where there is no key."""
TABLES = frozenset(
    ("environment", "labels", "annotations", "args", "driver_opts", "sysctls", "options", "storage_opt")
)  # fmt: skip
"""Keys below which a file gives names of its own to values that may be secret."""
TEXTS = frozenset(("content", "dockerfile_inline", "environment"))
"""Keys whose value is a file, or names where one comes from: hidden as a whole."""
LEAST = 4
"""Characters of the shortest value that is looked for in a message of the engine."""
_LOOSE = 8
"""A value of fewer characters is looked for as a word of its own only."""
_LONGEST = 4096
"""Of a longer value no encoded forms are looked for."""

_HINT = (
    r"(?:pass|pwd|secret|token|key|cred|dsn|auth(?!or(?!i))|jwt|bearer|conn(?:ection)?[_.-]?str|private|cookie|session|salt"
    r"|signature|signing|webhook|licen[cs]e|mnemonic|(?<![a-z])(?:pat|pw|pin|otp|sas|seed|psk)(?![a-z]))"
)
_SECRET_KEY = re.compile(_HINT, re.IGNORECASE)
_NAME = r"(?P<name>[\w.-]++)"
_FLAG = re.compile(rf"--?{_NAME}")
_VALUE = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"]+""")
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_WORD = re.compile(r"[^\s'\"]+")


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a text that looks like a secret: what leads to it stays. Each is matched in linear time."""

    lead: re.Pattern[str]
    value: re.Pattern[str] = _VALUE
    mark: str = REDACTED

    def parts(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it stands in `text`."""
        at = 0
        while (lead := self.lead.search(text, at)) is not None:
            at = max(lead.end(), at + 1)
            if "name" in self.lead.groupindex and not secret_key(lead["name"]):
                continue
            if (value := self.value.match(text, lead.end())) is not None:
                yield value.span()
                at = max(value.end(), at)


_USERINFO = _Part(
    re.compile(r"(?<![a-zA-Z0-9+.-])[a-zA-Z0-9+.-]++://"),
    re.compile(r"[^/\s'\"]+(?=@)|[^/:\s'\"]*+:[^\s'\"]+(?=@)"),  # a password may hold a slash, though it should not
)
_ASSIGNED = _Part(re.compile(rf"(?<![\w.-]){_NAME}="))
_PARTS = (
    _USERINFO,
    _Part(
        re.compile(r"\b(?:x-registry-|proxy-)?auth(?:orization)?\s*:\s*", re.IGNORECASE),
        re.compile(r"(?:(?:basic|bearer|digest|token)\s+)?[^\s'\"]+", re.IGNORECASE),
    ),
    _Part(re.compile(r"\b(?:bearer\s+|basic\s+(?=[\w+/]*[\d=]))", re.IGNORECASE), re.compile(r"[\w.~+/=-]{6,}")),
    _Part(re.compile(rf"""["']{_NAME}["']\s*:\s*"""), _QUOTED, f'"{REDACTED}"'),
    _ASSIGNED,
    _Part(
        re.compile(r"(?<![\w-])(?=eyJ|gh[opsu]_|github_pat_|glpat-|xox|sk-|AKIA)"),
        re.compile(
            r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?|(?:gh[opsu]_|github_pat_|glpat-|xox[abprs]-|sk-|AKIA)[\w-]{10,}"
        ),
    ),
)
_GIVEN = _Part(re.compile(rf"""(?<![^\s'"])--?{_NAME}\s+"""))
_PARTS_OF_COMMANDS = (_GIVEN, _Part(re.compile(rf"(?<![\w.-]){_NAME}:\s*"), _WORD))

_SUSPECT = re.compile(r"[=:'\"\s]|eyJ|gh[opsu]_|github_pat_|glpat-|xox|sk-|AKIA")
"""What a text must hold to have any such part: most have not."""

_SWITCHES = frozenset(
    ("true", "false", "yes", "no", "on", "off", "enabled", "disabled", "none", "null", "auto", "y", "n", "t", "f")
)
_NUMBER = re.compile(r"[+-]?\d{1,10}(?:\.\d{1,6})?(?:ns|us|ms|[smhdw]|[kmgt]i?b?|b|%)?", re.IGNORECASE)
_IMAGE = re.compile(r"[a-z0-9][\w.-]*(?::\d+)?(?:/[\w.-]+)*(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")
_PLAIN = re.compile(r"[\w./:,@+ -]{1,200}")
_ENVIRONMENT = frozenset(
    (
        "TZ", "LANG", "LANGUAGE", "TERM", "PATH", "HOME", "PUID", "PGID", "UID", "GID", "UMASK", "MODE", "ENV", "DEBUG",
        "ENVIRONMENT", "APP_ENV", "NODE_ENV", "RAILS_ENV", "RACK_ENV", "FLASK_ENV", "GO_ENV", "VERBOSE", "LOG_LEVEL",
        "LOGLEVEL", "LOG_FORMAT", "PGDATA", "DEBIAN_FRONTEND",
    )
)  # fmt: skip
_LIKE = re.compile(r"LC_\w*|\w*_(?:LOG_LEVEL|PORT|TIMEOUT)")
_LABELS = ("org.opencontainers.image.", "com.docker.compose.", "io.stackd.")
_OPTIONS = frozenset(
    ("type", "mode", "parent", "compress", "max-size", "max-file", "max-buffer-size", "ipvlan_mode", "macvlan_mode")
)
"""Options of drivers and logging."""


def secret_key(name: str) -> bool:
    """Whether a variable, flag or member of this name holds a secret, as far as its name says."""
    return _SECRET_KEY.search(name) is not None


def readable(text: str) -> str:
    """`text` (a message, a line of the log) without what looks like a secret: `NAME=value` by its name, members of
    JSON, the user part of URLs, `Authorization:`, tokens of known makers."""
    return _without(_PARTS, text)


def readable_words(words: Iterable[str]) -> list[str]:
    """A command's words as `readable`, without what its secret flags and headers are given, be it in the next word."""
    shown: list[str] = []
    flagged = False
    for word in words:
        hidden = flagged and not word.startswith("-")
        shown.append(REDACTED if hidden else _without(_PARTS_OF_COMMANDS, readable(word)))
        flagged = (flag := _FLAG.fullmatch(word)) is not None and secret_key(flag["name"])
    return shown


def cut_parts(text: str) -> Iterator[str]:
    """The parts that `readable` takes out of a text, and of a command what its secret flags are given."""
    for part in (*_PARTS, _GIVEN) if _SUSPECT.search(text) else ():
        for begin, end in part.parts(text):
            found = text[begin:end].strip("'\"")
            yield from (found, found.partition(":")[2]) if part is _USERINFO else (found, *found.split()[1:])


def assigned(text: str) -> Iterator[str]:
    """What any name is given by `NAME=value` in a text."""
    for lead in _ASSIGNED.lead.finditer(text):
        if (value := _WORD.match(text, lead.end())) is not None:
            yield value[0]


def _without(parts: Iterable[_Part], text: str) -> str:
    for part in parts if _SUSPECT.search(text) else ():
        shown, at = list[str](), 0
        for begin, end in part.parts(text):
            shown += [text[at:begin], part.mark]
            at = end
        text = "".join((*shown, text[at:]))
    return text


def harmless(table: str, name: str, text: str) -> bool:
    """Whether the value `text` of `name` below `table` may be shown to everybody."""
    if not text or text.lower() in _SWITCHES:
        return True
    if secret_key(name):
        return False
    if _NUMBER.fullmatch(text) or ("IMAGE" in name.upper() and _IMAGE.fullmatch(text)):
        return True
    return _is_allowed(table, name) and _PLAIN.fullmatch(text) is not None and readable(text) == text


def _is_allowed(table: str, name: str) -> bool:
    if table in ("environment", "args"):
        return name in _ENVIRONMENT or _LIKE.fullmatch(name) is not None
    if table in ("labels", "annotations"):
        return name.startswith(_LABELS)
    return table in ("driver_opts", "options") and name in _OPTIONS


@dataclass(frozen=True, slots=True)
class Redaction:
    """How the values of one definition are shown. `key` makes the digests, b"" = there are none; `reveal`: all is shown
    as it is, to whoever asked for it and may read the files; `show`: the keys that the file says may be shown.
    """

    key: bytes = field(default=b"", repr=False)
    reveal: bool = False
    show: frozenset[str] = frozenset()

    def showing(self, keys: Iterable[str]) -> Redaction:
        """The same, with more keys that may be shown."""
        return replace(self, show=self.show | frozenset(keys))

    def entry(self, table: str, name: str, text: str, *, path: str = "", secret: bool = False) -> str:
        """The value of `name` below `table`; `path` is where it stands, `secret`: `.env` contributed to it."""
        if self.reveal or self.is_shown(table, name, text, secret=secret):
            return text
        return self.hide(path or f"{table}.{name}", text)

    def is_shown(self, table: str, name: str, text: str, *, secret: bool = False) -> bool:
        """Whether the value of `name` below `table` is shown as it is."""
        return name in self.show or (not secret and harmless(table, name, text))

    def text(self, path: str, text: str, *, key: str | None = None, secret: bool = False) -> str:
        """The value of any other key (the last part of `path`, unless given); one named like a secret is hidden."""
        if self.reveal:
            return text
        name = path.rpartition(".")[2] if key is None else key
        hidden = secret or name in TEXTS or (name and text and secret_key(name))
        return self.hide(path, text) if hidden else readable(text)

    def words(self, path: str, words: list[str], *, secret: bool = False) -> list[str]:
        """The words of a command."""
        if self.reveal:
            return words
        return [self.hide(path, "\0".join(words))] if secret else readable_words(words)

    def hide(self, path: str, text: str) -> str:
        """What stands for a hidden value: equal for the same value at the same path, as long as the key is the same."""
        if not self.key:
            return f"{HIDDEN})"
        digest = hmac.new(self.key, f"{path}\0{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"{HIDDEN} {digest.hexdigest()[:4]})"


def name_shown(name: str) -> str:
    """The name of an entry. What follows a blank is no part of a name and may be a value: `P ***` for `P hunter2`."""
    words = name.split(maxsplit=1)
    return f"{words[0]} {REDACTED}" if len(words) > 1 else name


def is_hidden(shown: str) -> bool:
    """Whether a shown value stands for one that is not shown, wholly or in part."""
    return HIDDEN in shown or REDACTED in shown


def scrub(text: str, values: frozenset[str]) -> str:
    """`text` (of the engine, of a fault) without any of `values`, be they quoted, escaped for a URL or in base64.

    Values of fewer than `LEAST` characters are not looked for.
    """
    for form, alone in _forms(values):
        if form not in text:
            continue
        text = (
            re.sub(rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])", REDACTED, text)
            if alone
            else text.replace(form, REDACTED)
        )
    return text


@lru_cache(maxsize=64)
def _forms(values: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    """What to look for, longest first, and whether only as a word of its own."""
    found: dict[str, bool] = {}
    for value in values:
        if len(value) < LEAST:
            continue
        for form in _encoded(value) if len(value) <= _LONGEST else (value,):
            found.setdefault(form, len(value) < _LOOSE)
        for line in value.splitlines() if "\n" in value else ():
            if len(line.strip()) >= _LOOSE:
                found.setdefault(line.strip(), False)
    return tuple(sorted(found.items(), key=lambda one: -len(one[0])))


def _encoded(value: str) -> Iterator[str]:
    yield value
    raw = value.encode("utf-8", "surrogatepass")
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield json.dumps(value)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    yield quote(raw, safe="")
    yield quote_plus(raw)
    yield base64.b64encode(raw).decode()
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
