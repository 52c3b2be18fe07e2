"""What the fake engine's list, inspect and logs tell of a container."""

from __future__ import annotations

from collections.abc import AsyncIterator

from stackd.engine.base import LogLine
from stackd.model.observed import ContainerRow, ContainerState, ObservedContainer
from stackd.translate import labels as label
from tests.fake.starting import published
from tests.fake.values import FakeContainer


def row(container: FakeContainer) -> ContainerRow:
    """A line of the list; its signature changes with all that an inspect would show."""
    parts = (
        container.name,
        container.state.value,
        container.health.value,
        repr(container.started_at),
        repr(container.finished_at),
        container.policy,
        container.error,
        str(container.exit_code),
        repr(sorted(container.networks.items())),
    )
    return ContainerRow(
        container.id,
        container.name,
        container.labels.stack,
        container.labels.instance,
        "|".join(parts),
        container.labels.service,
        container.labels.number,
        container.labels.working_dir,
        container.raw_labels.get(label.CONFIG_FILES, ""),
        container.labels.oneoff,
        container.state is ContainerState.RUNNING,
    )


def observed(container: FakeContainer) -> ObservedContainer:
    """The answer to an inspect."""
    told = container.labels
    return ObservedContainer(
        id=container.id,
        name=container.name,
        stack=told.stack,
        service=told.service,
        number=told.number,
        state=container.state,
        health=container.health,
        exit_code=container.exit_code,
        oom_killed=container.oom_killed,
        error=container.error,
        created_at=container.created_at,
        started_at=container.started_at,
        finished_at=container.finished_at,
        pid=container.pid,
        image=container.image,
        image_id=container.image_id,
        config_hash=told.config_hash,
        content=told.content,
        instance=told.instance,
        root=told.root,
        working_dir=told.working_dir,
        oneoff=told.oneoff,
        hook=told.hook,
        replaces=told.replaces,
        engine_policy=container.policy,
        stop_grace=container.stop_grace,
        networks=dict(container.networks),
        mounts=tuple(sorted(container.mounts, key=lambda mount: (mount.target, mount.source))),
        volumes_from=container.volumes_from,
        network_mode=container.network_mode,
        ipc_mode=container.ipc_mode,
        pid_mode=container.pid_mode,
        depends_on=told.depends_on,
        ports=published(container),
        carried=container.carried,
    )


async def log_lines(container: FakeContainer, *, tail: int | None, since: int, follow: bool) -> AsyncIterator[LogLine]:
    """Its lines; with `follow` until the run ends."""
    position = 0 if tail is None else max(0, len(container.log) - tail)
    while True:
        container.grown.clear()
        while position < len(container.log):
            at, stream, text = container.log[position]
            position += 1
            if at >= since:
                yield LogLine(container.id, stream, text, at)
        if not follow or not container.live:
            return
        await container.grown.wait()
