"""What is wrong with a text that libyaml cannot read, in words that say what to do where that is known.

Law: the place is the one that helps most; a message shows no value, and of a text at most the letters that are wrong.
What this module does NOT do: read YAML (`yaml`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from stackd.errors import Span

_CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML does not allow anywhere."""
_BREAK = re.compile(r"\r\n|\r|\n|\x85|\u2028|\u2029")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a finding about the text says, where, and the hint ("" = none)."""

    message: str
    span: Span
    hint: str = ""


def control(text: str, file: str) -> Complaint:
    """The first character that YAML does not allow, by its code, and its place."""
    found = _CONTROL.search(text)
    if found is None:
        return Complaint("this is not YAML: it has a character that YAML does not allow", Span(file))
    before = _BREAK.split(text[: found.start()])
    code = ord(found.group())
    message = f"the character U+{code:04X} cannot stand in YAML"
    written = f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"
    hint = (
        f'take it out; if it is meant, write "{written}", in double quotes' if code else "save the file as UTF-8 text"
    )
    return Complaint(message, Span(file, len(before), len(before[-1]) + 1), hint)


def complaint(broken: yaml.MarkedYAMLError, text: str, file: str) -> Complaint:
    """libyaml's complaint in words that say what to do where that is known, and the place that helps most."""
    mark, opened = broken.problem_mark or broken.context_mark, broken.context_mark
    span = Span(file, mark.line + 1, mark.column + 1) if mark else Span(file)
    start = Span(file, opened.line + 1, opened.column + 1) if opened else span
    problem, context = str(broken.problem or broken.context or "broken text"), str(broken.context or "")
    line = _line(text, span.line)
    if "\t" in line[: len(line) - len(line.lstrip())] or "tab" in problem or "'\\t'" in problem:
        return Complaint(
            "a tab indents this line; YAML wants spaces", span, "set your editor to write spaces for the Tab key"
        )
    for words, found in SCALARS.items():
        if words in problem:
            letters = line[span.column - 1 : span.column + ("escape" in words)]
            return Complaint(found[0].format(letters or line.strip()[-1:]), span, found[1])
    if "while scanning a quoted scalar" in context:
        return Complaint("the quotes opened here are never closed", start)
    if "while parsing a flow" in context:
        message = f"the bracket opened here is not closed, or a comma is missing (noticed in line {span.line})"
        return Complaint(message, start)
    if "mapping values are not allowed" in problem:
        if ": " in line[: span.column - 1]:
            return Complaint(
                'a second ": " stands in this line', span, "quote the value, or put the key on a line of its own"
            )
        message = 'the line above has no ": " or a value of its own, so this key cannot stand under it'
        return Complaint(message, span, 'end the line above with ":", or give this one the same indentation')
    if "could not find expected ':'" in problem:
        return Complaint('this line is a key without ": "', start, 'write NAME: VALUE, with a blank after the ":"')
    if any(words in problem for words in ("expected key", "expected <block end>", "expected '-'")):
        if _AFTER_QUOTE.search(line[: span.column - 1]):
            return Complaint("text stands after the closing quote", span, "put the whole value into one pair of quotes")
        hint = "keys that belong together begin in the same column"
        return Complaint("the indentation of this line fits none of the lines above", span, hint)
    return Complaint(f"this is not YAML: {problem}{f' {context}' if context else ''}", span)


SCALARS = {
    "found unknown escape character": (
        '"{}" means nothing inside double quotes; \\n, \\t, \\\\ and \\" do',
        "use single quotes: nothing is special in them",
    ),
    "cannot start any token": ('a value cannot begin with "{}"', "put the value in quotes"),
    "did not find expected alphabetic or numeric character": (
        "* and & begin the name of an anchor, and no name follows",
        "put the value in quotes if it is plain text",
    ),
}
"""What libyaml says of a single value: our words for it ({} is the character found), and the hint."""
_AFTER_QUOTE = re.compile(r"""[:-]\s+("[^"]*"|'[^']*')\s*$""")


def _line(text: str, number: int) -> str:
    lines = _BREAK.split(text)
    return lines[number - 1] if 0 < number <= len(lines) else ""
