"""`extends`: refused for now, on its line.

Law: a service that says `extends` is not what its own keys say, so running it without would be wrong: an error, and
the last good definition stays.
What this module does NOT do: resolve it (the Compose issue does).
"""

from __future__ import annotations

from stackd.compose.normalise import services
from stackd.compose.report import Report
from stackd.compose.tree import Map


def extend(root: Map, report: Report) -> None:
    """Report every `extends`."""
    for name, service in services(root):
        if "extends" in service.entries:
            message = '"extends" is valid Compose that stackd does not carry out yet; copy the keys into this service'
            report.error("unsupported-key", message, service.key_span("extends"), ("services", name, "extends"))
