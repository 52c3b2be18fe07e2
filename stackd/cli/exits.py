"""How commands end: exit codes in one table, and errors that carry one."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """The exit codes, the same for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_DAEMON = 3
    TIMEOUT = 4
    NOT_FOUND = 5
    INVALID = 6
    DENIED = 7
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "done, or nothing to do",
    Exit.FAILED: "it was asked for and came to nothing; the reason is on standard error",
    Exit.USAGE: "the command line is wrong",
    Exit.NO_DAEMON: "stackd is not running, or does not answer",
    Exit.TIMEOUT: "not done in time; it goes on",
    Exit.NOT_FOUND: "there is no such stack, service, operation, crash or revision",
    Exit.INVALID: "a definition or the configuration has errors",
    Exit.DENIED: "not permitted",
    Exit.INTERRUPTED: "interrupted (Ctrl-C); what was asked for goes on",
}


def table() -> str:
    """The codes for the help text."""
    return "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANING.items())


class Stop(Exception):
    """End the command: lines for standard error, and the exit code."""

    def __init__(self, code: Exit, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.code = code
        self.lines = lines
