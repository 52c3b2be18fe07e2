"""Operations in words, for history, status and logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from stackd.model.plan import (
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Op,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    StopContainer,
    UpdateRestartPolicy,
)


@dataclass(frozen=True, slots=True)
class Words:
    """One operation: its event type, what was done, what was tried."""

    type: str
    text: str
    attempt: str


def happened(op: Op) -> Words:
    """The words for an operation."""
    match op:
        case CreateContainer():
            return Words("container.created", f"created {op.name}", f"creating {op.name}")
        case StartContainer():
            return Words("container.started", f"started {op.service}", f"starting {op.service}")
        case StopContainer():
            return Words("container.stopped", f"stopped {op.service}", f"stopping {op.service}")
        case RemoveContainer():
            short = op.container[:12]
            return Words("container.removed", f"removed {short} of {op.service}", f"removing {short} of {op.service}")
        case RenameContainer():
            return Words("container.renamed", f"renamed to {op.name}", f"renaming to {op.name}")
        case PullImage():
            return Words("image.pulled", f"pulled {op.ref}", f"pulling {op.ref}")
        case BuildImage():
            return Words("image.built", f"built {op.ref}", f"building {op.ref}")
        case CreateNetwork():
            return Words("network.created", f"created network {op.name}", f"creating network {op.name}")
        case RemoveNetwork():
            return Words("network.removed", f"removed network {op.name}", f"removing network {op.name}")
        case CreateVolume():
            return Words("volume.created", f"created volume {op.name}", f"creating volume {op.name}")
        case UpdateRestartPolicy():
            text = f"engine restart policy {op.policy}"
            return Words("container.adopted", f"{op.service}: {text}", f"setting {text} for {op.service}")
        case _:
            assert_never(op)
