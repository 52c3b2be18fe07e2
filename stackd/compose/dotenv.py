"""`.env` and `env_file` texts, by docker compose's grammar (compose.md 4.3).

Law: what the real binary reads is what we read: `export`, `=` and `:`, bare names taken from the environment, quotes
over several lines, `\\`-escapes in double quotes only, variables resolved from the project's environment first and
then from earlier lines. `raw` is docker's own `--env-file` grammar. A mistake is a diagnostic with its line.
What this module does NOT do: decide which files are read or who wins.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass

from stackd.compose.report import Report
from stackd.compose.template import TemplateError, Variables, named_outright, substitute
from stackd.errors import Span

_EXPORT = re.compile(r"export(?=[\t\n\f\r ])")
_ESCAPE = re.compile(r"\\(?:[abcfnrtv$\"\\]|0\d{0,3})")
_PLAIN_ESCAPES = {"\\a": "\a", "\\b": "\b", "\\f": "\f", "\\n": "\n", "\\r": "\r", "\\t": "\t", "\\v": "\v",
                  '\\"': '"', "\\\\": "\\", "\\$": "$$"}  # fmt: skip
_BLANKS = "\t\v\f\r \x85\xa0"
_SPACES = (
    "\n"
    + _BLANKS
    + "\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""Go's blanks, within a line and altogether; Python has others."""
NAMELESS = ""
"""The name of what ends a file as a bare name without a line break: docker compose takes it for a value."""
NAMELESS_HINT = "write NAME=VALUE; a name alone that ends a file needs a line break behind it"
_STRAY_BYTE = re.compile("[\udc80-\udcff]")
_REPLACED = "\ufffd"
_GIVEN = 10_000_000


@dataclass(frozen=True, slots=True)
class EnvValue:
    """One variable of a file and its place; `secret` when its text may not be shown."""

    value: str
    span: Span
    secret: bool = False


class _Broken(Exception):
    """The text cannot be read on from here. Never leaves this module."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message, self.at = message, at


def parse(
    data: bytes, file: str, variables: Variables, report: Report, earlier: Mapping[str, str] | None = None
) -> dict[str, EnvValue]:
    """The variables of an env file, later ones winning. What stands before a mistake is kept.

    `earlier`: what files read before this one gave, for references only.
    """
    text = data.decode("utf-8-sig", "surrogateescape")
    for line in sorted({text.count("\n", 0, stray.start()) + 1 for stray in _STRAY_BYTE.finditer(text)}):
        message = f"this line has a byte that is not UTF-8 text; {_REPLACED!r} stands in for it"
        report.warning("bad-encoding", message, Span(file, line, 1), hint="save the file with the encoding UTF-8")
    text = _STRAY_BYTE.sub(_REPLACED, text)
    reader = _Reader(text, file, variables, report, earlier or {})
    try:
        reader.run()
    except _Broken as broken_text:
        report.error("bad-env-file", broken_text.message, reader.span(broken_text.at))
    return reader.found


def parse_raw(data: bytes, file: str, variables: Variables, report: Report) -> dict[str, EnvValue]:
    """The variables of an `env_file` with `format: raw`: no quotes, no references."""
    found: dict[str, EnvValue] = {}
    for number, line in enumerate(data.decode("utf-8-sig", "surrogateescape").split("\n"), 1):
        if _STRAY_BYTE.search(line):
            report.error("bad-encoding", "this line has a byte that is not UTF-8 text", Span(file, number, 1))
            break
        line = line.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        span = Span(file, number, 1)
        if not name:
            report.error("bad-env-file", "a name must stand before the =", span)
        elif any(char.isspace() for char in name):
            report.error("bad-env-file", "a name cannot have a space in it; format: raw wants NAME=VALUE", span)
        elif equals:
            found[name] = EnvValue(value, span)
        elif (given := variables.find(name)) is not None:
            found[name] = EnvValue(given[0], span, given[1])
    return found


class _Reader:
    """One pass over a text; `found` grows as it goes."""

    def __init__(self, text: str, file: str, variables: Variables, report: Report, earlier: Mapping[str, str]) -> None:
        self._text, self._file, self._variables, self._report = text, file, variables, report
        self.found: dict[str, EnvValue] = {}
        self._hidden = dict(variables.hidden)
        self._earlier = dict(earlier)
        self._values: dict[str, str] = {}
        self._given = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def span(self, at: int) -> Span:
        line = bisect_right(self._lines, at)
        return Span(self._file, line, at - self._lines[line - 1] + 1)

    def _keep(self, name: str, value: EnvValue) -> None:
        self.found[name] = value
        self._values[name] = value.value

    def run(self) -> None:
        at = 0
        while (at := self._statement(at)) < len(self._text):
            start = at
            name, at, bare = self._name(at)
            if " " in name:
                raise _Broken("a name cannot have a space in it; a line is NAME=VALUE", start)
            if bare:
                given = self._variables.find(name)
                if given is not None:
                    self._keep(name, EnvValue(given[0], self.span(start), given[1]))
                continue
            value, secret, at = self._value(at)
            self._keep(name, EnvValue(value, self.span(start), secret))

    def _statement(self, at: int) -> int:
        """Where the next statement begins, past blanks and comments."""
        text = self._text
        while at < len(text):
            if text[at] in _SPACES:
                at += 1
            elif text[at] == "#":
                end = text.find("\n", at)
                at = len(text) if end < 0 else end
            else:
                break
        return at

    def _name(self, at: int) -> tuple[str, int, bool]:
        """The name at `at`, where its value begins, and whether it is a bare name."""
        exported = _EXPORT.match(self._text, at)
        start = self._past_blanks(exported.end()) if exported else at
        if start == len(self._text):
            raise _Broken("no name follows the word export", at)
        end = start
        while end < len(self._text):
            char = self._text[end]
            if char in "=:\n":
                break
            if not (char in _BLANKS or char in "_.-[]" or char.isalpha() or char.isnumeric()):
                raise _Broken(f'"{char}" cannot be part of a name; a line is NAME=VALUE', end)
            end += 1
        if end == len(self._text):
            return NAMELESS, start, False
        return self._text[start:end].rstrip(_SPACES), self._past_blanks(end + 1), self._text[end] == "\n"

    def _past_blanks(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in _BLANKS:
            at += 1
        return at

    def _value(self, at: int) -> tuple[str, bool, int]:
        quote = self._text[at : at + 1]
        if quote in ("'", '"') and quote:
            return self._quoted(at, quote)
        end = self._text.find("\n", at)
        end = len(self._text) if end < 0 else end
        raw = self._text[at:end].split(" #", 1)[0].rstrip(_SPACES)
        value, secret = self._expanded(raw, at)
        return value, secret, min(end + 1, len(self._text))

    def _quoted(self, at: int, quote: str) -> tuple[str, bool, int]:
        out: list[str] = []
        escaped = False
        for index in range(at + 1, len(self._text)):
            char = self._text[index]
            if char != quote:
                if char == "\\" and not escaped:
                    escaped = True
                    continue
                out.append("\\" + char if escaped else char)
                escaped = False
            elif escaped:
                out.append(char)
                escaped = False
            else:
                value = "".join(out)
                if quote == "'":
                    return value, False, index + 1
                value, secret = self._expanded(_ESCAPE.sub(_unescape, value), at)
                return value, secret, index + 1
        raise _Broken("the quotes opened here are never closed", at)

    def _expanded(self, raw: str, at: int) -> tuple[str, bool]:
        if "$" not in raw:
            return raw, False
        # The project's environment first, then what stands above in this file.
        known = Variables(self._variables.shown, ChainMap(self._hidden, self._values, self._earlier))
        try:
            result = substitute(raw, known)
        except TemplateError as broken:
            # The text of a value is never shown: it may be a secret.
            message = "a reference in this value is broken or required and unset; write $$ for a plain $"
            self._report.error(broken.code, message, self.span(at))
            return "", False
        self._given += result.given
        if self._given > _GIVEN:
            raise _Broken(f"the variables of this file have more than {_GIVEN} characters where they are used", at)
        for name in result.unset:
            shown = f"the variable {name}" if named_outright(name, raw) else "a variable in this value"
            hint = "" if named_outright(name, raw) else "write $$ for a plain $, or ${NAME} for a variable"
            message = f"{shown} is not set; an empty text stands in for it"
            self._report.warning("unset-variable", message, self.span(at), hint=hint)
        return result.text, result.secret


def _unescape(found: re.Match[str]) -> str:
    text = found.group()
    if text in _PLAIN_ESCAPES:
        return _PLAIN_ESCAPES[text]
    digits = text[2:] if text.startswith("\\0") else ""
    if len(digits) == 3 and all(digit in "01234567" for digit in digits) and int(digits, 8) < 256:
        return chr(int(digits, 8))
    return "\\" + digits if text.startswith("\\0") else text
