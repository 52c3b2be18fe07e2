"""The types of history entries: what `stackd events --type` and `GET /v1/events?type=` may ask for.

Law: every type that stackd records stands here once (a test reads the code). A family is the part before the dot.
"""

from __future__ import annotations

from collections.abc import Iterable

EVENT_TYPES: tuple[str, ...] = (
    "container.adopted", "container.created", "container.exited", "container.gone", "container.health",
    "container.paused", "container.removed", "container.renamed", "container.restarted", "container.started",
    "container.stopped", "container.unpaused",
    "definition.error", "definition.warning",
    "host.resumed", "host.storm", "host.storm_over",
    "image.built", "image.pulled",
    "journal.behind",
    "network.created", "network.removed",
    "notify.failed",
    "operation.cancelled", "operation.failed", "operation.requested", "operation.succeeded", "operation.superseded",
    "override.released", "override.set", "override.unreadable",
    "revision.applied", "revision.failed", "revision.recovered",
    "service.crash_looping", "service.crashed", "service.recovered", "service.state",
    "volume.created",
)  # fmt: skip
"""Every type of an entry."""


def families(types: Iterable[str] = EVENT_TYPES) -> tuple[str, ...]:
    """`container.exited, container.gone` -> `container`."""
    return tuple(dict.fromkeys(one.partition(".")[0] for one in types))


def is_of_type(kind: str, wanted: str) -> bool:
    """Whether an entry of type `kind` is asked for: by its type, its family, or no type at all."""
    return not wanted or kind == wanted or kind.startswith(wanted.rstrip(".") + ".")
