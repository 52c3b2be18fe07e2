"""What can go wrong, as data and as exceptions.

A user's file never raises across layers: it yields `Diagnostic`s, all found at once, each with its place.
Exceptions are for what the caller must handle now: an engine that refuses, a configuration that cannot be used.
This module imports nothing of stackd and decides nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a file: 1-based line and column; line 0 stands for the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return self.file if self.line == 0 else f"{self.file}:{self.line}:{self.column}"


class Severity(enum.StrEnum):
    """How much a diagnostic matters: an error keeps the file from coming into force, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about a user's file: what was found there and what is wanted.

    `code` is a stable kebab-case word (`bad-port`, `unknown-key`); `message` says found and wanted in one line and
    never holds a secret; `pointer` is the path in the document (`services.web.ports.0`), empty when there is none.
    """

    code: str
    message: str
    span: Span
    severity: Severity = Severity.ERROR
    pointer: str = ""
    hint: str = ""

    def __str__(self) -> str:
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.span}: {self.severity}[{self.code}]: {self.message}{tail}"


class StackdError(Exception):
    """Root of all exceptions that stackd raises on purpose."""


class ConfigError(StackdError):
    """The daemon's own configuration cannot be used; the text names file, key, found and wanted."""


class StateError(StackdError):
    """The state directory or database cannot be used (locked by another daemon, not private, not writable)."""


class RequestError(StackdError):
    """A request over the API that cannot be carried out, with the problem's `code` and the HTTP `status`."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class EngineErrorKind(enum.StrEnum):
    """The answers of an engine that matter to a decision."""

    CONFLICT = "conflict"
    MISSING = "missing"
    DENIED = "denied"
    BAD_REQUEST = "bad_request"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    FAILED = "failed"
    UNSTARTABLE = "unstartable"


class EngineError(StackdError):
    """An engine call that did not succeed. Raised by `stackd.engine` only, mapped there in one function.

    `unavailable` and `timeout` say nothing about the outcome: look again, never guess.
    `failed` is the engine's 500: the call was understood and went wrong (a port is taken, a mount is missing).
    `unstartable`: no start of this container will ever succeed, though nothing of it runs (see `engine.failures`).
    """

    def __init__(self, kind: EngineErrorKind, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
