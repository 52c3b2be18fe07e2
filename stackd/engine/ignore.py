"""`.dockerignore`: which paths of a build context stay out, as moby's patternmatcher has it.

Law: the last rule that matches a path or a folder above it decides, `!` takes back. All rules run at once as one
automaton, a bit for each state: a path costs its length, whatever the rules are; nothing backtracks. Pure.
Not taken over are accidents of moby's translation to Go's regular expressions (`\\d` for a digit, `[*]`, a bare `^`).
What this module does NOT do: read files, or walk folders.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_TOKENS = re.compile(r"\*\*/?|\*|\?|\[|\\.|.", re.DOTALL)
_MOST_LETTERS = 4096  # remembered at once, each with what it may step over


class BadPattern(ValueError):
    """A rule that is none; the text says which one and in which line."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: a cleaned pattern, and whether it leaves out what it matches or takes it back."""

    pattern: str
    leaves_out: bool


def rules(text: str) -> Iterator[Rule]:
    """The rules of a file. Raises BadPattern."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        pattern = line.strip()
        if line.startswith("#") or not pattern:
            continue
        leaves_out = not pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip()
        if not pattern:
            raise BadPattern(f'line {number}: illegal exclusion pattern: "!"')
        pattern = _clean(pattern)
        try:
            list(_tokens(pattern))
        except BadPattern as error:
            raise BadPattern(f'line {number}: "{pattern}": {error}') from None
        yield Rule(pattern, leaves_out)


def _clean(pattern: str) -> str:
    """Without `.`, `..`, doubled and trailing slashes, and without a leading one."""
    return posixpath.normpath(pattern).lstrip("/") or "/"


@dataclass(frozen=True, slots=True)
class _Letters:
    """What one letter of a path may be: any but `/` (no ranges, negated), or a class of ranges."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def has(self, letter: str) -> bool:
        return any(low <= letter <= high for low, high in self.ranges) != self.negated


_ANY_IN_NAME = _Letters((("/", "/"),), negated=True)


def _tokens(pattern: str) -> Iterator[_Letters | str]:
    """The parts of a pattern: letters, and the words `*` (within a name), `**/` (any folders), `**` (anything).

    Raises BadPattern, with the text of Go's filepath.ErrBadPattern.
    """
    at = 0
    while found := _TOKENS.match(pattern, at):
        token, at = found[0], found.end()
        if token == "[":
            letters, at = _class(pattern, at)
            yield letters
        elif token.startswith("**"):
            yield "**" if at == len(pattern) else "**/"
        elif token == "?":
            yield _ANY_IN_NAME
        elif token == "*":
            yield token
        elif token == "\\":
            raise BadPattern("syntax error in pattern")
        else:
            letter = token[-1]
            yield _Letters(((letter, letter),))


def _class(pattern: str, at: int) -> tuple[_Letters, int]:
    """A class of letters whose `[` ends at `at`, and where it ends."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", at)):
        low, at = _letter(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _letter(pattern, at + 1)
        if high < low:
            raise BadPattern("syntax error in pattern")
        ranges.append((low, high))
    return _Letters(tuple(ranges), negated), at + 1


def _letter(pattern: str, at: int) -> tuple[str, int]:
    escaped = pattern.startswith("\\", at)
    at += escaped
    if at >= len(pattern) or (not escaped and pattern[at] in "-]"):
        raise BadPattern("syntax error in pattern")
    return pattern[at], at + 1


def _suffix(parts: list[_Letters | str]) -> bool:
    """Whether this is `**` before plain text, which moby compares with the end of the path, within a name even."""
    plain = all(isinstance(part, _Letters) and part is not _ANY_IN_NAME and _plain(part) for part in parts[1:])
    return parts[:1] == ["**/"] and plain


def _plain(part: _Letters) -> bool:
    return not part.negated and len(part.ranges) == 1 and part.ranges[0][0] == part.ranges[0][1]


@dataclass(slots=True)
class _Automaton:
    """The states of all rules, a bit each, in the order of the rules; a rule's last one is its end.

    `free` are states that the next one follows without a letter, `names` those that stay at any letter but `/`,
    `whole` those that stay at any; `folders` begin `**/`: what stays in it is the same bit `size` further up.
    """

    size: int = 0
    begin: int = 0
    free: int = 0
    names: int = 0
    whole: int = 0
    folders: int = 0
    ends: int = 0
    plain: dict[str, int] = field(default_factory=dict)
    classes: list[tuple[_Letters, int]] = field(default_factory=list)

    def add(self, pattern: str) -> int:
        """Add a pattern; the bit of its end."""
        self.begin |= 1 << self.size
        parts = list(_tokens(pattern))
        if _suffix(parts) and not pattern.startswith("**/"):
            parts[0] = "**"
        before: _Letters | str | None = None
        for part in parts:
            if not (isinstance(part, str) and part == before):  # once more says the same
                self._state(part)
            before = part
        end = 1 << self.size
        self.ends |= end
        self.size += 1
        return end

    def _state(self, part: _Letters | str) -> None:
        bit = 1 << self.size
        self.size += 1
        if isinstance(part, _Letters):
            if _plain(part):
                letter = part.ranges[0][0]
                self.plain[letter] = self.plain.get(letter, 0) | bit
            else:
                self.classes.append((part, bit))
            return
        self.free |= bit
        self.names |= bit if part == "*" else 0
        self.whole |= bit if part == "**" else 0
        self.folders |= bit if part == "**/" else 0

    def steps(self, letter: str) -> int:
        """The states that this letter leads on from."""
        found = self.plain.get(letter, 0)
        for letters, bit in self.classes:
            if letters.has(letter):
                found |= bit
        return found


@dataclass(frozen=True, slots=True)
class Trail:
    """How far the rules have come along a path: the states after it, and the ends met at it or above it."""

    states: int
    met: int = 0


class Ignore:
    """The rules of a `.dockerignore`. A path is gone along name by name: `root`, then `enter` for each name."""

    def __init__(self, lines: Iterable[Rule], always: Iterable[str] = ()) -> None:
        """`always` are paths that no rule leaves out."""
        self._machine = machine = _Automaton()
        self._backs = 0
        for rule in lines:
            end = machine.add(rule.pattern)
            self._backs |= 0 if rule.leaves_out else end
        self._always = frozenset(always)
        self._letters: dict[str, tuple[int, int]] = {}
        self.root = Trail(self._closed(machine.begin))

    def enter(self, trail: Trail, name: str) -> Trail:
        """The trail of `name` in the folder of `trail` (a name, or a path of several)."""
        states, met = trail.states, trail.met
        if trail is not self.root:
            states = self._after(states, "/")
        for letter in name:
            if letter == "/":
                met |= states & self._machine.ends
            states = self._after(states, letter)
        return Trail(states, met | (states & self._machine.ends))

    def leaves_out(self, path: str, trail: Trail | None = None) -> bool:
        """Whether the path stays out of the context; `trail` is its trail where that is known."""
        met = (trail or self.enter(self.root, path)).met
        last = 1 << met.bit_length() >> 1
        return bool(last) and not last & self._backs and path not in self._always

    def prunes(self, folder: str, trail: Trail | None = None) -> bool:
        """Whether nothing within the folder can be wanted."""
        needed = any(path.startswith(folder + "/") for path in self._always)
        return not self._backs and not needed and self.leaves_out(folder, trail)

    def _after(self, states: int, letter: str) -> int:
        steps, stays = self._letter(letter)
        machine = self._machine
        found = ((states & steps) << 1) | (states & stays)
        if letter == "/":
            found |= ((states >> machine.size) & machine.folders) << 1
        return self._closed(found)

    def _closed(self, states: int) -> int:
        """With all states that follow without a letter. The sum carries along each row of free states."""
        machine = self._machine
        states |= (machine.free + (states & machine.free)) ^ machine.free
        return states | (states & machine.folders) << machine.size

    def _letter(self, letter: str) -> tuple[int, int]:
        """The states that a letter leads on from, and those that stay at it."""
        known = self._letters.get(letter)
        if known is None:
            if len(self._letters) >= _MOST_LETTERS:
                self._letters.clear()
            machine = self._machine
            stays = machine.names if letter != "/" else 0
            if letter != "\n":  # Go's `.` is any letter but this
                stays |= machine.whole | machine.folders << machine.size
            known = self._letters[letter] = machine.steps(letter), stays
        return known
