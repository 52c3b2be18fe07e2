"""Warnings about what stands behind the daemon: no engine, and a database that forgets what stackd was asked for.

What is asked for meanwhile is in force all the same; `readyz` tells the reasons.
"""

from __future__ import annotations

from stackd.api.table import clean
from stackd.cli.client import Client, Refused

_JOURNAL = "the database is not in order, so holds and stops may be forgotten: "
_PARTS = {"engine": "", "journal": _JOURNAL}


def warnings(daemon: Client) -> list[str]:
    """One line for each part that is not in order."""
    try:
        daemon.get("/readyz")
    except Refused as refused:
        found = [(part["pointer"], part["message"]) for part in refused.problem["errors"]]
        return [clean(f"warning: {_PARTS[part]}{message}") for part, message in found if part in _PARTS]
    return []
