"""What the engine's list and inspect answers say, as values of the model.

Law: pure and forgiving: a field that is missing reads as empty. Instants are Unix seconds, Go's zero time is 0.0. Equal
engine states give equal values: nothing that merely ages is kept. What this module does not do: ask, or judge.
"""

from __future__ import annotations

import re
from datetime import datetime

from stackd.model.ids import ContainerId, ImageId, NetworkId, ServiceName, StackName
from stackd.model.observed import (
    ContainerRow,
    ContainerState,
    Health,
    HealthProbe,
    ObservedContainer,
    ObservedMount,
    ObservedNetwork,
    ObservedVolume,
)
from stackd.translate import labels as label
from stackd.translate.carried import carried
from stackd.translate.node import Node

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_STATES = frozenset(state.value for state in ContainerState)
_HEALTH_OUTPUT_LIMIT = 400


def instant(text: str) -> float:
    """An RFC 3339 time with up to nanoseconds as Unix seconds; Go's zero time and nonsense are 0.0."""
    match = _INSTANT.match(text)
    if match is None or text.startswith("0001-"):
        return 0.0
    whole, fraction, zone = match.groups()
    offset = "+00:00" if zone == "Z" else zone
    return datetime.fromisoformat(whole + offset).timestamp() + float(fraction or 0)


def nanoseconds(text: str) -> int:
    """The same as whole nanoseconds; 0 for Go's zero time and nonsense."""
    match = _INSTANT.match(text)
    if match is None or text.startswith("0001-"):
        return 0
    whole, fraction, zone = match.groups()
    seconds = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone)).timestamp()
    return round(seconds) * 1_000_000_000 + int((fraction or ".0")[1:].ljust(9, "0")[:9])


def container_rows(answer: Node) -> tuple[ContainerRow, ...]:
    """The answer of `GET /containers/json`, without those that only inherit a project's labels from their image."""
    return tuple(container_row(row) for row in answer.items() if label.is_of_a_project(row.strings("Labels")))


def container_row(row: Node) -> ContainerRow:
    """One entry of `GET /containers/json`."""
    labels = row.strings("Labels")
    names = row.texts("Names")
    return ContainerRow(
        id=ContainerId(row.text("Id")),
        name=_own_name(names),
        stack=StackName(labels.get(label.PROJECT, "")),
        instance=labels.get(label.INSTANCE, ""),
        signature=_signature(row, names),
        service=ServiceName(labels.get(label.SERVICE, "")),
        number=label.number(labels.get(label.NUMBER, "")),
        working_dir=labels.get(label.WORKING_DIR, ""),
        config_files=labels.get(label.CONFIG_FILES, ""),
        oneoff=label.is_oneoff(labels),
        running=row.text("State") == "running",
    )


def health_log(inspected: Node) -> tuple[HealthProbe, ...]:
    """The health check's newest runs in an inspect answer, oldest first."""
    runs = inspected["State"]["Health"]["Log"].items()
    return tuple(
        HealthProbe(instant(run.text("Start")), run.integer("ExitCode"), run.text("Output")[:_HEALTH_OUTPUT_LIMIT])
        for run in runs
    )


def _signature(row: Node, names: tuple[str, ...]) -> str:
    """What must be equal for a row's inspect to be skipped.

    The list tells no StartedAt, only an age ("Up 5 seconds"). An age falls back with every restart; while it is told in
    seconds a restart whose events were lost could show the same one by chance, and then the next second tells it.
    """
    status = row.text("Status")
    networks = sorted(f"{name}={node.text('NetworkID')}" for name, node in row["NetworkSettings"]["Networks"].entries())
    return "|".join((row.text("State"), status, ",".join(sorted(names)), ",".join(networks)))


def _own_name(names: tuple[str, ...]) -> str:
    """A linked container is listed with `/other/alias` too: its own name is the one with a single slash."""
    own = [name for name in names if name.count("/") == 1] or list(names)
    return own[0].removeprefix("/") if own else ""


def container(document: Node) -> ObservedContainer:
    """The answer of `GET /containers/{id}/json`."""
    state, config, host = document["State"], document["Config"], document["HostConfig"]
    told = label.container_labels(config.strings("Labels"))
    started_at = instant(state.text("StartedAt"))
    return ObservedContainer(
        id=ContainerId(document.text("Id")),
        name=document.text("Name").removeprefix("/"),
        stack=told.stack,
        service=told.service,
        number=told.number,
        state=container_state(state.text("Status")),
        health=_health(state["Health"]),
        exit_code=state.integer("ExitCode"),
        oom_killed=state.flag("OOMKilled"),
        error=state.text("Error"),
        created_at=instant(document.text("Created")),
        started_at=started_at,
        finished_at=instant(state.text("FinishedAt")),
        pid=state.integer("Pid"),
        image=config.text("Image"),
        image_id=ImageId(document.text("Image")),
        config_hash=told.config_hash,
        content=told.content,
        instance=told.instance,
        root=told.root,
        working_dir=told.working_dir,
        oneoff=told.oneoff,
        hook=told.hook,
        replaces=told.replaces,
        engine_policy=host["RestartPolicy"].text("Name") or "no",
        stop_grace=config.seconds("StopTimeout"),
        networks=_networks(document),
        mounts=_mounts(document["Mounts"]),
        volumes_from=host.texts("VolumesFrom"),
        network_mode=host.text("NetworkMode"),
        ipc_mode=host.text("IpcMode"),
        pid_mode=host.text("PidMode"),
        depends_on=told.depends_on,
        ports=_ports(document["NetworkSettings"]["Ports"]),
        health_output=_health_output(state["Health"], started_at),
        carried=carried(host),
    )


def container_state(text: str) -> ContainerState:
    """The engine's word for a state. Podman's own words are read as the nearest; another one is UNKNOWN: hands off."""
    match text:
        case "configured" | "initialized":
            return ContainerState.CREATED
        case "stopped":
            return ContainerState.EXITED
        case "stopping":
            return ContainerState.RUNNING
        case _:
            return ContainerState(text) if text in _STATES else ContainerState.UNKNOWN


def _health(node: Node) -> Health:
    match node.text("Status"):
        case "starting":
            return Health.STARTING
        case "healthy":
            return Health.HEALTHY
        case "unhealthy":
            # An engine that stops probing (pause) writes this without any probe having failed, until the next one.
            return Health.UNHEALTHY if node.integer("FailingStreak") else Health.STARTING
        case _:
            return Health.NONE


def _health_output(node: Node, started_at: float) -> str:
    """What this run's last failed probe printed; the log outlives a restart, so older entries are passed over."""
    latest = ""
    for entry in node["Log"].items():
        if entry.integer("ExitCode") != 0 and instant(entry.text("Start")) >= started_at:
            latest = entry.text("Output").strip()
    return latest[-_HEALTH_OUTPUT_LIMIT:]


def _networks(document: Node) -> dict[str, NetworkId]:
    """Name -> id; the id is "" until the container's first start, when the engine resolves the name."""
    networks = document["NetworkSettings"]["Networks"]
    return {name: NetworkId(node.text("NetworkID")) for name, node in networks.entries()}


def _mounts(node: Node) -> tuple[ObservedMount, ...]:
    """Sorted by target: the engine lists them in random order."""
    found = (
        ObservedMount(kind=mount.text("Type"), source=_source(mount), target=mount.text("Destination"))
        for mount in node.items()
    )
    return tuple(sorted(found, key=lambda mount: (mount.target, mount.source)))


def _source(mount: Node) -> str:
    return mount.text("Name") if mount.text("Type") == "volume" else mount.text("Source")


def _ports(node: Node) -> tuple[str, ...]:
    """What is published right now, as `127.0.0.1:8080->80/tcp`; nothing while it does not run."""
    found = {
        f"{_host(binding.text('HostIp'))}:{binding.text('HostPort')}->{target}"
        for target, bindings in node.entries()
        for binding in bindings.items()
    }
    return tuple(sorted(found))


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address or "0.0.0.0"


def network(document: Node) -> ObservedNetwork:
    """An entry of `GET /networks`, or the answer of `GET /networks/{id}`."""
    labels = document.strings("Labels")
    return ObservedNetwork(
        id=NetworkId(document.text("Id")),
        name=document.text("Name"),
        stack=StackName(labels.get(label.PROJECT, "")),
        key=labels.get(label.NETWORK, ""),
        instance=labels.get(label.INSTANCE, ""),
        config_hash=labels.get(label.CONFIG_HASH, ""),
    )


def volume(document: Node) -> ObservedVolume:
    """An entry of `GET /volumes`, or the answer of `GET /volumes/{name}`."""
    labels = document.strings("Labels")
    return ObservedVolume(
        name=document.text("Name"),
        stack=StackName(labels.get(label.PROJECT, "")),
        key=labels.get(label.VOLUME, ""),
    )
