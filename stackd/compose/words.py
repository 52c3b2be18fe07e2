"""Splitting a command line into words the way docker compose does, which is not a shell.

Law: blanks separate, quotes and backslashes protect, backquotes and `$(...)` hold together unrun, and an unprotected
`;`, `&`, `|`, `<` or `>` ends the command: the rest of the text is dropped (probed on v5.6.1). The caller is told.
What this module does NOT do: run or expand anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_ESCAPES = {"t": "\t", "n": "\n"}


@dataclass(slots=True)
class Split:
    """The words, and the position from which text was dropped (None: nothing was)."""

    words: list[str]
    cut_at: int | None = None


@dataclass(slots=True)
class _State:
    words: list[str] = field(default_factory=list)
    word: str = ""
    begun: bool = False
    escaped: bool = False
    single: bool = False
    double: bool = False
    back: bool = False
    dollar: bool = False

    @property
    def protected(self) -> bool:
        return self.single or self.double or self.back or self.dollar

    def finish(self) -> None:
        if self.begun:
            self.words.append(self.word)
        self.word, self.begun = "", False

    def add(self, char: str) -> None:
        self.word += char
        self.begun = True


def shell_words(text: str) -> Split:
    """The words of a command. Raises ValueError when a quote, bracket or backslash is left open."""
    state = _State()
    cut: int | None = None
    for at, char in enumerate(text):
        if state.escaped:
            state.add(_ESCAPES.get(char, char))
            state.escaped = False
        elif char == "\\" and not state.single:
            state.escaped = True
        elif char in " \t\r\n" and not state.protected:
            state.finish()
        elif char in " \t\r\n":
            state.word += char
        elif char in ";&|<>" and not state.protected:
            if char == ">" and state.word[:1].isdigit():
                state.begun = False
            cut = at
            break
        else:
            _step(state, char)
    state.finish()
    if state.escaped or state.protected:
        raise ValueError("has a quote, bracket or backslash that is never closed")
    return Split(state.words, cut)


def _step(state: _State, char: str) -> None:
    if char == '"' and not state.single and not state.dollar:
        state.begun = state.begun or state.double
        state.double = not state.double
        return
    if char == "'" and not state.double and not state.dollar:
        state.begun = state.begun or state.single
        state.single = not state.single
        return
    if char == "`" and not (state.single or state.double or state.dollar):
        state.back = not state.back
    elif char == ")" and not (state.single or state.double or state.back):
        state.dollar = not state.dollar
    elif char == "(" and not (state.single or state.double or state.back):
        if state.dollar or not state.word.endswith("$"):
            raise ValueError('has a "(" outside quotes, which only a shell understands')
        state.dollar = True
    state.add(char)
