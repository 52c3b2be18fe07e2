"""Substituting `$NAME` and `${NAME...}` in one text, exactly as docker compose does (compose.md 4.1, 57 probes).

Law: pure text in, pure text out; the first operator after the name counts, braces are balanced, a `$` that begins no
reference is itself, an unset name gives "" and is reported back, never printed. Values that must stay secret taint the
result.
What this module does NOT do: walk trees or know which fields an unset name must not be used in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_NAMED = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_BRACED = re.compile(r"\{([_a-zA-Z][_a-zA-Z0-9]*)(?:(:?[-+?])(.*))?\}")
_BRACES = re.compile(r"\}|\{.?", re.DOTALL)
DEPTH = 100
GIVEN = 1_000_000


class TemplateError(Exception):
    """A reference that cannot be resolved; the text says why. Never leaves `stackd.compose`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Variables:
    """What a name stands for: `shown` (wins), then `hidden` (from `.env`: usable, never printed)."""

    shown: Mapping[str, str]
    hidden: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> tuple[str, bool] | None:
        """The value of `name` and whether it is secret; None when unset."""
        if name in self.shown:
            return self.shown[name], False
        if name in self.hidden:
            return self.hidden[name], True
        return None


@dataclass(slots=True)
class Substituted:
    """The outcome: the text, whether it is secret, the names that were unset and had no default, and the number of
    characters that came from variables.
    """

    text: str
    secret: bool = False
    unset: list[str] = field(default_factory=list)
    given: int = 0


def substitute(template: str, variables: Variables) -> Substituted:
    """Resolve every reference in `template`. Raises TemplateError."""
    if "$" not in template:
        return Substituted(template)
    out = Substituted("")
    out.text = _expand(template, variables, out)
    return out


def _expand(template: str, variables: Variables, out: Substituted) -> str:
    parts: list[str] = []
    at, line_end, last = 0, -1, -1
    while (dollar := template.find("$", at)) >= 0:
        parts.append(template[at:dollar])
        after = template[dollar + 1 : dollar + 2]
        named = _NAMED.match(template, dollar + 1)
        if after == "$":
            parts.append("$")
            at = dollar + 2
        elif named is not None:
            parts.append(_plain(named.group(), variables, out))
            at = named.end()
        elif after == "{":
            if dollar > line_end:  # a reference ends in the line that it begins in
                found = template.find("\n", dollar)
                line_end = found if found >= 0 else len(template)
                last = template.rfind("}", 0, line_end)
            end = closing_brace(template, dollar + 1, last + 1)
            at = (end if end >= 0 else last) + 1
            parts.append(_braced(template[dollar + 1 : at] or template[dollar + 1 : line_end], variables, out))
        else:
            parts.append("$")
            at = dollar + 1
    parts.append(template[at:])
    return "".join(parts)


def named_outright(name: str, template: str) -> bool:
    """Whether a text names a variable on purpose: in braces, or alone. `pa$word` may be a password with a `$` in it."""
    return f"${{{name}" in template or template.rpartition("=")[2] == f"${name}"


def _excerpt(text: str) -> str:
    """How a broken reference begins; what follows may be a value."""
    found = _NAMED.match(text, 2)
    return f'"${{{found.group()}..."' if found else '"${..."'


def _plain(name: str, variables: Variables, out: Substituted) -> str:
    found = variables.find(name)
    if found is None:
        out.unset.append(name)
        return ""
    return _given(found, out)


def _given(found: tuple[str, bool], out: Substituted) -> str:
    """A variable's value; together they are bounded."""
    out.secret = out.secret or found[1]
    out.given += len(found[0])
    if out.given > GIVEN:
        raise TemplateError("too-big", f"the variables of one text have more than {GIVEN} characters")
    return found[0]


def _braced(text: str, variables: Variables, out: Substituted) -> str:
    """`text` runs from a brace to the one that closes it, or to the last of the line."""
    found = _BRACED.fullmatch(text)
    if found is None:
        raise TemplateError(
            "bad-variable", f"{_excerpt('$' + text)} is not a variable reference; write $$ for a plain $"
        )
    name, operator, word = found.groups()
    if operator is None:
        return _plain(name, variables, out)
    return _operated(name, operator, word, variables, out)


def _operated(name: str, operator: str, word: str, variables: Variables, out: Substituted) -> str:
    found = variables.find(name)
    present = found is not None and (found[0] != "" or not operator.startswith(":"))
    kind = operator[-1]
    if kind == "+":
        if present:
            return _expand(word, variables, out)
    elif not present:
        if kind == "?":
            why = substitute(word, variables)
            reason = f": {why.text}" if why.text and not why.secret else ""
            raise TemplateError("missing-variable", f"required variable {name} is missing a value{reason}")
        return _expand(word, variables, out)
    return "" if found is None else _given(found, out)


def closing_brace(text: str, start: int = 0, end: int | None = None) -> int:
    """The index of the brace that closes the one at `start`; -1 when none before `end` does. A character after `{` is
    never looked at. Raises TemplateError when they stand in each other too deeply.
    """
    depth = 0
    for found in _BRACES.finditer(text, start, len(text) if end is None else end):
        depth += 1 if found.group() != "}" else -1
        if depth == 0:
            return found.start()
        if depth > DEPTH:
            raise TemplateError("too-big", f"references stand in each other more than {DEPTH} deep")
    return -1
