"""Fetching images: the pull call with the user's credentials, its progress, and the errors in its stream.

Law: 60 s (Deadlines.silence) without a line is a time-out. An error that comes in a stream begun with 200 is an error.
"""

from __future__ import annotations

from collections.abc import Callable

from stackd.engine.base import Progress
from stackd.engine.credentials import parse_reference, registry_auth
from stackd.engine.failures import refused
from stackd.engine.wire import Ask, Wire
from stackd.translate.node import Json, Node

_WEIGHTS = {"Downloading": (0.0, 0.7), "Extracting": (0.7, 0.3)}
_REACHED = {
    "Pulling fs layer": 0.0,
    "Waiting": 0.0,
    "Verifying Checksum": 0.7,
    "Download complete": 0.7,
    "Pull complete": 1.0,
    "Already exists": 1.0,
}


async def pull(wire: Wire, ref: str, platform: str, progress: Callable[[Progress], None], silence: float) -> None:
    """`POST /images/create`. Raises EngineError: missing (no such manifest), denied, failed (no registry)."""
    name = parse_reference(ref)
    auth = await registry_auth(name.registry)
    params: dict[str, Json] = {"fromImage": name.repository, "tag": name.tag}
    if platform:
        params["platform"] = platform
    headers = {"X-Registry-Auth": auth} if auth else {}
    doing = f"pull {ref}"
    progress(Progress(f"pulling {ref}"))
    meter = PullMeter(ref)
    async with wire.stream(Ask("POST", "images/create", doing, params, headers=headers), silence) as stream:
        while (line := await stream.document(silence)) is not None:
            if error := line.text("error") or line["errorDetail"].text("message"):
                raise refused(error, doing)
            if (seen := meter.take(line)) is not None:
                progress(seen)


class PullMeter:
    """How far a pull is, from its layers' lines: downloading counts for 70 %, unpacking for 30."""

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._layers: dict[str, float] = {}
        self._told: int | None = None

    def take(self, line: Node) -> Progress | None:
        """Progress, if this line changed its whole percent."""
        layer, status = line.text("id"), line.text("status")
        if layer and status in _WEIGHTS:
            base, weight = _WEIGHTS[status]
            total = line["progressDetail"].integer("total")
            part = line["progressDetail"].integer("current") / total if total else 0.0
            self._layers[layer] = base + weight * min(1.0, part)
        elif layer and status in _REACHED:
            self._layers[layer] = _REACHED[status]
        else:
            return None
        percent = int(100 * sum(self._layers.values()) / len(self._layers))
        if percent == self._told:
            return None
        self._told = percent
        return Progress(f"pulling {self._ref}", float(percent))
