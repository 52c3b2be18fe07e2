"""Hints for what people write by habit: a string for a list, docker's own flags, keys of another level.

Law: a hint says how to write it right, and names keys; a value only where a message may show it (`confidential`). A
finding stands without its hint.
What this module does NOT do: find mistakes.
"""

from __future__ import annotations

import re

from stackd.compose.confidential import assigned, hides, key_shown
from stackd.compose.scalars import Date
from stackd.compose.tree import Map, Node, Path, Scalar, Seq, any_secret

_BELOW = 'a mapping is one "NAME: VALUE" in each line, indented below its key'
_GLUED = re.compile(r"^([\w.-]+):(?!//)(\S.*)$")
_EXAMPLES = {
    "healthcheck": 'write it below: test: ["CMD", ...]',
    "build": "write the folder alone, or context: FOLDER below",
    "deploy": "write replicas: NUMBER below, or leave the key out",
    "include": '"- FILE" below, one file in each line',
    "restart": "write no, always, unless-stopped or on-failure",
    "logging": "write driver: NAME below",
    "version": 'it has no meaning any more: remove "version"',
}

SERVICE_KEYS = {
    "env": "did you mean environment?",
    "envs": "did you mean environment?",
    "env-file": "did you mean env_file?",
    "cmd": "did you mean command?",
    "run": "did you mean command?",
    "name": "did you mean container_name?",
    "net": "did you mean network_mode?",
    "memory": "did you mean mem_limit?",
    "cpu": "did you mean cpus?",
    "volume_driver": 'give the volume its driver under the top-level "volumes"',
    "log_driver": 'write it below "logging" as driver: NAME',
    "log_opt": 'write it below "logging" as options: ...',
    "dockerfile": 'write it below "build", beside its context',
    "context": 'write it below "build"',
    "args": 'write it below "build"',
    "replicas": 'write it below "deploy"',
    "resources": 'write it below "deploy"',
    "restart_policy": 'write it below "deploy", or use "restart"',
    "test": 'write it below "healthcheck"',
    "interval": 'write it below "healthcheck"',
    "include": 'it belongs to the top level of the file, not into a service: take its indentation away',
    "version": 'it belongs to the top level of the file, where it has no meaning any more: remove it',
    "services": 'a service cannot hold others: give each the same indentation below the one "services:"',
}  # fmt: skip
"""What people write in a service that is no key of one."""

DEPLOY_KEYS = {
    **dict.fromkeys(("memory", "cpus", "pids"), 'write it below "resources: limits:"'),
    **dict.fromkeys(("limits", "reservations"), 'write it below "resources:"'),
}
"""What people write in `deploy` that is a key further below."""


def kind_hint(node: Node, path: Path, wanted: str) -> str:
    """How to write the value of another kind that is wanted under `path`, "" when nothing useful is known."""
    name = path[-1] if path else ""
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    match node:
        case Scalar(value=None) if len(path) == 2 and path[0] in ("secrets", "configs"):
            return f'write "file: PATH" below "{name}:"'
        case Scalar(value=None):
            return _BELOW if "mapping" in wanted else ""
        case Scalar():
            return _scalar_hint(node, path, wanted)
        case Seq() if "mapping" in wanted and "list" not in wanted and not name.isdigit():
            return f'{_BELOW}, without "- "'
        case Seq(items=[Scalar() as one]) if not any_secret(one):
            return "write it without the list" + ("" if _kept_back(one, path) else f": {one.value}")
        case Map() if name.isdigit():
            keys = list(node.entries)
            single = len(keys) == 1 and isinstance(node.entries[keys[0]], Scalar)
            return f'write "- {key_shown(keys[0], path)}=VALUE"' if single else ""
        case Map() if "list" in wanted and "mapping" not in wanted:
            return 'a list has "- " in front of each item'
        case _:
            return ""


def _kept_back(node: Scalar, path: Path) -> bool:
    """Whether a hint does not show the value."""
    return isinstance(node.value, str) and (hides(path) or bool(assigned(node.value)))


def _scalar_hint(node: Scalar, path: Path, wanted: str) -> str:
    if node.secret:
        return ""
    name = path[-1] if path else ""
    glued = _GLUED.match(node.value) if isinstance(node.value, str) else None
    if "list" in wanted:
        shown = "NAME=VALUE" if _kept_back(node, path) else node.value
        return f'write it as a list: {name}: ["{shown}"]' if not name.isdigit() else ""
    if "mapping" in wanted:
        if glued is None:
            return _BELOW
        return f'a blank is missing after the colon: "{glued[1]}: {"VALUE" if hides(path) else glued[2]}"'
    if isinstance(node.value, Date):
        return "it is a date: put it in quotes"
    if wanted == "a string" and not isinstance(node.value, str):
        return f'put it in quotes: "{str(node.value).lower()}"'
    if "duration" in wanted and isinstance(node.value, int | float):
        return f'for seconds write "{node.value}s"'
    return ""


def text_hint(code: str, value: str) -> str:
    """What may have been meant by a text that a parser refused."""
    if code == "bad-duration" and value.isascii() and value.isdigit():
        return f'for seconds write "{value}s"'
    return ""


def define(section: str, name: str) -> str:
    """How a network, volume, secret or config comes to be defined."""
    below = ", and below that where its content is: file: PATH" if section in ("secrets", "configs") else ""
    return f'define it: a line "{section}:" at the left edge, and below it "  {name}:"{below}'
