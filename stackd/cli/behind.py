"""One warning: a database that cannot be written, or read, forgets what stackd was asked for.

What is asked for meanwhile is in force all the same; `readyz` tells the reason.
"""

from __future__ import annotations

from stackd.api.table import clean
from stackd.cli.client import Client, Refused


def warning(daemon: Client) -> str:
    """The warning, or "" when there is nothing to warn of."""
    try:
        daemon.get("/readyz")
    except Refused as refused:
        for part in refused.problem["errors"]:
            if part["pointer"] == "journal":
                text = "the database is not in order, so holds and stops may be forgotten"
                return clean(f"warning: {text}: {part['message']}")
    return ""
