"""Every way in which a call to the engine can fail, as `EngineError`: the one place where that is decided.

Law: what the engine did not answer is `unavailable` or `timeout`, and says nothing about the outcome. What this module
does not do: retry, or turn a refusal into success (that is the call's own business).
"""

from __future__ import annotations

import re

import aiohttp

from stackd.engine.library import aiodocker
from stackd.errors import EngineError, EngineErrorKind

FAILURES = (aiodocker.DockerError, aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError)
"""All that the client library lets out."""

_CANNOT_CONNECT = 900
_KINDS = {
    400: EngineErrorKind.BAD_REQUEST,
    401: EngineErrorKind.DENIED,
    403: EngineErrorKind.DENIED,
    404: EngineErrorKind.MISSING,
    409: EngineErrorKind.CONFLICT,
    503: EngineErrorKind.UNAVAILABLE,
    _CANNOT_CONNECT: EngineErrorKind.UNAVAILABLE,
}
_WORDS = (
    ("has active endpoints", EngineErrorKind.CONFLICT),
    ("port is already allocated", EngineErrorKind.FAILED),
    ("manifest unknown", EngineErrorKind.MISSING),
    ("not found: ", EngineErrorKind.MISSING),
    ("no basic auth credentials", EngineErrorKind.DENIED),
    ("unauthorized", EngineErrorKind.DENIED),
    ("access denied", EngineErrorKind.DENIED),
    ("access is denied", EngineErrorKind.DENIED),
    ("access to the resource is denied", EngineErrorKind.DENIED),
)
_MOST_SAID = 65536
"""Characters that are kept of a message of the engine."""
_LEFT_TASK = re.compile(
    r"\btask [0-9a-f]{64}: already exists"  # a shim that has no task any more (20.10; containerd#11392)
    r"|failed to start shim: mkdir \S*/[0-9a-f]{64}: file exists"  # the folder of a task without shim (26; moby#50040)
)
"""The engine was killed between two steps of a start or an end, and its containerd takes what is left for a task of
that container: no process lives, and each start is refused. (One whose process still lives is refused in other words.)
"""


def failure(error: BaseException, doing: str) -> EngineError:
    """What went wrong while `doing` ("start web-1"). `error` is one of FAILURES."""
    match error:
        case EngineError():
            return error
        case aiodocker.DockerError():
            status = int(error.status)
            text = _said(doing, error.message)
            return EngineError(_kind(status, error.message), text, status=status)
        case TimeoutError():
            return EngineError(EngineErrorKind.TIMEOUT, f"{doing}: no answer in time")
        case aiohttp.ClientError() | OSError():
            return EngineError(EngineErrorKind.UNAVAILABLE, f"{doing}: the connection to the engine broke ({error})")
        case _:
            return EngineError(EngineErrorKind.FAILED, f"{doing}: an answer that cannot be read ({error})")


def refused(message: str, doing: str) -> EngineError:
    """An error that the engine put into a stream it had begun with status 200 (pull, build)."""
    return EngineError(_kind(500, message), _said(doing, message))


def _said(doing: str, message: str) -> str:
    """The engine's own words, which may hold secrets: whoever takes these out shortens the rest. No digest is made of
    them here, for it would be one of the secrets as well."""
    return f"{doing}: {message.strip()[:_MOST_SAID]}"


def _kind(status: int, message: str) -> EngineErrorKind:
    """Some refusals come with a status that tells less than their words: 403 for a network in use, 500 for a registry's
    403 and 404."""
    lowered = message.lower()
    if _LEFT_TASK.search(lowered):
        return EngineErrorKind.UNSTARTABLE
    if status in (403, 404, 500):
        for words, kind in _WORDS:
            if words in lowered:
                return kind
    return _KINDS.get(status, EngineErrorKind.FAILED)
