"""What a create body asks of the fake engine: read once, so that the machine works on values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stackd.engine.base import CreateRequest
from stackd.translate.node import Json, Node

_SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15, "WINCH": 28}


@dataclass(frozen=True, slots=True)
class WantedMount:
    """A mount as asked for: `source` "" = an anonymous volume."""

    kind: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Body:
    """A create body. `host_ports` as (ip, port, protocol, target), port "" = of the engine's choice."""

    image: str
    labels: Mapping[str, str]
    env: tuple[str, ...]
    has_healthcheck: bool
    no_healthcheck: bool
    stop_grace: float | None
    stop_signal: int
    policy: str
    policy_retries: int
    endpoints: tuple[str, ...]
    mounts: tuple[WantedMount, ...]
    volumes_from: tuple[str, ...]
    network_mode: str
    ipc_mode: str
    pid_mode: str
    host_ports: tuple[tuple[str, str, str], ...]


def read_body(request: CreateRequest) -> Body:
    """Parse a `POST /containers/create` body."""
    node = Node(dict(request.body))
    host = node["HostConfig"]
    test = node["Healthcheck"].texts("Test")
    return Body(
        image=node.text("Image"),
        labels=node.strings("Labels"),
        env=node.texts("Env"),
        has_healthcheck=bool(test) and test[0] != "NONE",
        no_healthcheck=bool(test) and test[0] == "NONE",
        stop_grace=node.seconds("StopTimeout"),
        stop_signal=signal_number(node.text("StopSignal") or "SIGTERM"),
        policy=host["RestartPolicy"].text("Name") or "no",
        policy_retries=host["RestartPolicy"].integer("MaximumRetryCount"),
        endpoints=node["NetworkingConfig"]["EndpointsConfig"].names(),
        mounts=(*_binds(host), *_mounts(host), *(WantedMount("volume", "", path) for path in node["Volumes"].names())),
        volumes_from=host.texts("VolumesFrom"),
        network_mode=host.text("NetworkMode"),
        ipc_mode=host.text("IpcMode"),
        pid_mode=host.text("PidMode"),
        host_ports=tuple(_ports(host)),
    )


def signal_number(text: str) -> int:
    """`SIGTERM`, `TERM` or `15`."""
    word = text.upper().removeprefix("SIG")
    return int(word) if word.isdigit() else _SIGNALS[word]


def network_labels(body: Mapping[str, Json]) -> dict[str, str]:
    """The labels of a network's or a volume's create body."""
    return Node(dict(body)).strings("Labels")


def _binds(host: Node) -> Iterator[WantedMount]:
    for bind in host.texts("Binds"):
        source, _, rest = bind.partition(":")
        target = rest.partition(":")[0]
        yield WantedMount("bind" if source.startswith("/") else "volume", source, target)


def _mounts(host: Node) -> Iterator[WantedMount]:
    for mount in host["Mounts"].items():
        yield WantedMount(mount.text("Type"), mount.text("Source"), mount.text("Target"))


def _ports(host: Node) -> Iterator[tuple[str, str, str]]:
    for target, bindings in host["PortBindings"].entries():
        for binding in bindings.items():
            yield binding.text("HostIp") or "0.0.0.0", binding.text("HostPort"), target
