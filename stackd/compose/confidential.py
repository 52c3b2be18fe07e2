"""Which places of a definition hold values that no message shows.

Law: a message and its hint name keys, never a value of the environment, of labels, build arguments, driver options,
sysctls and their like: a finding goes to the log, to events and to the API. Pure functions of a path or a text.
What this module does NOT do: decide what plans, events and revisions show (`redact` does, and names the tables).
"""

from __future__ import annotations

import re

from stackd.compose.redact import REDACTED, TABLES, TEXTS

_KEYS = TABLES | TEXTS | {"env_file", "label_file", "log_opt"}
_NAMED = frozenset(("services", "networks", "volumes", "secrets", "configs", "models"))
_ASSIGNED = re.compile(r"([A-Za-z_][\w.-]*)=.", re.DOTALL)


def hides(path: tuple[str, ...]) -> bool:
    """Whether what stands at or below this path of a document is never shown: `services.web.environment.0` is not.

    Nor is an extension field (`x-env: &env {...}`), for any table may be made of it.
    """
    if any(key.startswith("x-") and key != "x-stackd" for key in path):
        return True
    keys = path[:1] + path[2:] if path[:1] and path[0] in _NAMED else path
    return not _KEYS.isdisjoint(keys)


def assigned(text: str) -> str:
    """The name of what is written as NAME=VALUE, "" for any other text."""
    found = _ASSIGNED.match(text)
    return found[1] if found else ""


def key_shown(key: str, path: tuple[str, ...] = ()) -> str:
    """A key without a value that got into it: `A=secret`, and where `path` hides values `A:secret` and `A secret`, as
    `A=***`."""
    end = min((at for mark in ("=: " if hides(path) else "=") if (at := key.find(mark)) >= 0), default=-1)
    return key if end < 0 else f"{key[: end + 1]}{REDACTED}"
