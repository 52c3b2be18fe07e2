"""How commands end: exit codes in one table, and errors that carry one."""

from __future__ import annotations

import enum
from collections.abc import Mapping


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
    Exit.NO_DAEMON: "stackd is not running, does not answer, or is still starting",
    Exit.TIMEOUT: "not done in time; it goes on",
    Exit.NOT_FOUND: "there is no such stack, service, operation, crash or revision",
    Exit.INVALID: "a definition or the configuration has errors",
    Exit.DENIED: "not permitted",
    Exit.INTERRUPTED: "interrupted (Ctrl-C); what was asked for goes on",
}


_STATUS: dict[Exit, int] = {
    Exit.OK: 200,
    Exit.FAILED: 409,
    Exit.USAGE: 400,
    Exit.NO_DAEMON: 503,
    Exit.TIMEOUT: 409,
    Exit.NOT_FOUND: 404,
    Exit.INVALID: 422,
    Exit.DENIED: 403,
    Exit.INTERRUPTED: 409,
}
"""The HTTP status nearest to an exit code, for a problem that the command line found by itself."""


def table() -> str:
    """The codes for the help text."""
    return "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANING.items())


class Stop(Exception):
    """End the command: lines for standard error, the exit code, and what a problem for `--json` says beside them.

    `answered`: the command's own JSON says already what is wrong, so no problem follows it.
    """

    def __init__(
        self, code: Exit, *lines: str, problem: Mapping[str, object] | None = None, answered: bool = False
    ) -> None:
        super().__init__("\n".join(lines))
        self.code = code
        self.lines = lines
        self.answered = answered
        self._known = problem or {}

    @property
    def problem(self) -> dict[str, object]:
        """The failure as a problem object in the API's form; `instance` "" = it is not in the daemon's log."""
        code = self._known.get("code", self.code.name.lower())
        made = {
            "type": f"urn:stackd:problem:{code}", "title": MEANING[self.code], "status": _STATUS[self.code],
            "detail": "\n".join(self.lines), "instance": "", "code": code, "errors": [],
        }  # fmt: skip
        return {**made, **self._known}
