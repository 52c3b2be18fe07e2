"""Files that are elsewhere: git repositories and OCI artifacts, which `include` and `extends` of docker compose fetch.

Law: stackd reads only what lies on this machine: a definition that can change while nobody edits it is no definition.
"""

from __future__ import annotations

import re

from stackd.compose.redact import readable
from stackd.compose.report import Report
from stackd.compose.tree import Path, Scalar

_GIT = re.compile(r"(?:https?|git|ssh)://|git@[\w.-]+:|github\.com/")


def is_remote(path: str) -> bool:
    """Whether docker compose would fetch this path from a network."""
    return path.startswith("oci://") or _GIT.match(path) is not None


def refuse(node: Scalar, path: Path, report: Report) -> None:
    """Say that it is not fetched."""
    what = "an OCI artifact" if str(node.value).startswith("oci://") else "a git repository"
    shown = "it" if node.secret else f'"{readable(str(node.value))}"'
    message = f"{shown} is {what}; stackd reads only files of this machine"
    report.error("remote-file", message, node.span, path, "fetch it beside this file, and name the copy")
