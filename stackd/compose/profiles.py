"""Which services of a definition run: those without a profile, and those with an enabled one.

Law: `*` enables every profile.
What this module does NOT do: complain about a dependency on a service left out (`check`).
"""

from __future__ import annotations

from collections.abc import Collection

from stackd.compose.normalise import items, services, text
from stackd.compose.tree import Map


def inactive(root: Map, enabled: Collection[str]) -> frozenset[str]:
    """The names of the services that the enabled profiles leave out."""
    if "*" in enabled:
        return frozenset()
    left_out = []
    for name, service in services(root):
        own = {text(item) for item in items(service.get("profiles"))}
        if own and own.isdisjoint(enabled):
            left_out.append(name)
    return frozenset(left_out)
