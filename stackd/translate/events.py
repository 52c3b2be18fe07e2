"""The engine's events, as values of the model: which ones we ask for, and what they say.

Law: pure; whatever is not asked for, not understood, or about a container of no Compose project is None. An event only
says "look again": nothing here judges who caused it. Podman's words (`remove`, `died`) are read as the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping

from stackd.model.evidence import EngineEvent, EventKind
from stackd.model.ids import ContainerId, ServiceName, StackName
from stackd.translate import labels as label
from stackd.translate.node import Node

_CONTAINER = (
    "create", "start", "restart", "die", "kill", "stop", "oom", "destroy", "pause", "unpause", "rename", "update",
)  # fmt: skip
_OTHERS = (
    "connect", "disconnect", "remove", "pull", "tag", "untag", "delete", "load", "import", "prune",
)  # fmt: skip

FILTERS: Mapping[str, tuple[str, ...]] = {
    "type": ("container", "network", "volume", "image"),
    "event": (*_CONTAINER, "health_status", *_OTHERS),
}
"""What to ask of `GET /events`: without it, 32 of the 38 events of a probed container are the probes' own execs."""

_KINDS: Mapping[str, EventKind] = {name: EventKind(name) for name in (*_CONTAINER, "health_status")} | {
    "remove": EventKind.DESTROY,
    "died": EventKind.DIE,
}


def event(document: Node) -> EngineEvent | None:
    """One line of the stream; None for what means nothing to us."""
    match document.text("Type"):
        case "container":
            return _container_event(document)
        case "network":
            return _other_event(document, EventKind.NETWORK)
        case "volume":
            return _other_event(document, EventKind.VOLUME)
        case "image":
            return _other_event(document, EventKind.IMAGE)
        case _:
            return None


def _container_event(document: Node) -> EngineEvent | None:
    action = document.text("Action")
    kind = _KINDS.get(action.partition(":")[0])
    if kind is None:
        return None
    actor = document["Actor"]
    told = actor.strings("Attributes")
    if not label.is_of_a_project(told):
        return None
    return EngineEvent(
        kind=kind,
        actor=actor.text("ID"),
        action=action,
        stack=StackName(told.get(label.PROJECT, "")),
        time_nano=document.integer("timeNano"),
        service=ServiceName(told.get(label.SERVICE, "")),
        container=ContainerId(actor.text("ID")),
        name=told.get("name", ""),
        exit_code=_whole(told.get("exitCode", told.get("containerExitCode", ""))),
        signal=_whole(told.get("signal", "")),
        oneoff=label.is_oneoff(told),
    )


def _other_event(document: Node, kind: EventKind) -> EngineEvent:
    """A network's event names it (its project is not told, except by engines that send the labels)."""
    actor = document["Actor"]
    told = actor.strings("Attributes")
    return EngineEvent(
        kind=kind,
        actor=told.get("name", "") or actor.text("ID"),
        action=document.text("Action"),
        stack=StackName(told.get(label.PROJECT, "")),
        time_nano=document.integer("timeNano"),
        container=ContainerId(told.get("container", "")),
    )


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
