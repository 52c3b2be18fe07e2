"""How the fake engine creates containers, networks and volumes: the checks, the refusals, what comes of a body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stackd.engine.base import CreateRequest
from stackd.errors import EngineErrorKind
from stackd.model.evidence import EventKind
from stackd.model.ids import ContainerId, NetworkId, StackName
from stackd.model.observed import ObservedMount, ObservedNetwork, ObservedVolume
from stackd.translate import labels as label
from stackd.translate.node import Json, Node
from tests.fake.bodies import Body, read_body
from tests.fake.machine import Machine, refuse
from tests.fake.values import FakeContainer, FakeImage

_SEVERAL_ENDPOINTS_SINCE = (1, 44)


def create_container(machine: Machine, request: CreateRequest) -> ContainerId:
    """`POST /containers/create` and the connects. Raises EngineError; then nothing is left behind."""
    body = read_body(request)
    image = _check(machine, request, body)
    container = FakeContainer(
        id=ContainerId(machine.fresh_id()),
        name=request.name,
        labels=label.container_labels(body.labels),
        raw_labels=body.labels,
        image=body.image,
        image_id=image.id,
        created_at=machine.wall(),
        env=body.env,
        has_healthcheck=body.has_healthcheck or (image.has_healthcheck and not body.no_healthcheck),
        stop_grace=body.stop_grace,
        stop_signal=body.stop_signal,
        policy=body.policy,
        policy_retries=body.policy_retries,
        networks={name: NetworkId("") for name in _networks(body)},
        mounts=tuple(_mounts(machine, body, image)),
        volumes_from=body.volumes_from,
        network_mode=_resolved(machine, body.network_mode) or (body.endpoints[0] if body.endpoints else "default"),
        ipc_mode=_resolved(machine, body.ipc_mode) or "private",
        pid_mode=_resolved(machine, body.pid_mode),
        host_ports=body.host_ports,
        platform=request.platform,
    )
    machine.containers[container.id] = container
    machine.emit(container, EventKind.CREATE)
    for network, endpoint in request.connects:
        found = find_network(machine, network)
        wants_address = Node(dict(endpoint))["IPAMConfig"].text("IPv4Address")
        if wants_address and (found is None or found.id not in machine.subnets):
            machine.forget(container, volumes=True)
            message = "user specified IP address is supported only on networks with user configured subnets"
            raise refuse(EngineErrorKind.BAD_REQUEST, message, 400)
        container.networks[found.name if found is not None else network] = NetworkId("")
    return container.id


def _check(machine: Machine, request: CreateRequest, body: Body) -> FakeImage:
    if len(request.name) < 2:
        raise refuse(EngineErrorKind.BAD_REQUEST, f"Invalid container name ({request.name})", 400)
    if any(container.name == request.name for container in machine.containers.values()):
        raise refuse(EngineErrorKind.CONFLICT, f'The container name "/{request.name}" is already in use', 409)
    if len(body.endpoints) > 1 and machine.dialect.api < _SEVERAL_ENDPOINTS_SINCE:
        raise refuse(EngineErrorKind.BAD_REQUEST, "Container cannot be connected to network endpoints", 400)
    for parent in body.volumes_from:
        machine.find(parent.partition(":")[0])
    image = find_image(machine, body.image)
    if image is None:
        raise refuse(EngineErrorKind.MISSING, f"No such image: {body.image}", 404)
    return image


def _resolved(machine: Machine, mode: str) -> str:
    """The engine resolves `container:<name>` to the id at create."""
    if mode.startswith("container:"):
        return f"container:{machine.find(mode.removeprefix('container:')).id}"
    return mode


def _networks(body: Body) -> tuple[str, ...]:
    if body.endpoints:
        return body.endpoints
    if body.network_mode.startswith("container:"):
        return ()
    return ("bridge",) if body.network_mode in ("", "default") else (body.network_mode,)


def _mounts(machine: Machine, body: Body, image: FakeImage) -> Iterator[ObservedMount]:
    taken = set()
    for mount in body.mounts:
        taken.add(mount.target)
        source = mount.source or (machine.fresh_id() if mount.kind == "volume" else "")
        if mount.kind == "volume":
            machine.volumes.setdefault(source, ObservedVolume(source, StackName("")))
        yield ObservedMount(mount.kind, source, mount.target)
    for parent in body.volumes_from:
        for inherited in machine.find(parent.partition(":")[0]).mounts:
            if inherited.target not in taken:
                taken.add(inherited.target)
                yield inherited
    for target in image.volumes:
        if target not in taken:
            source = machine.fresh_id()
            machine.volumes[source] = ObservedVolume(source, StackName(""))
            yield ObservedMount("volume", source, target)


def find_image(machine: Machine, ref: str) -> FakeImage | None:
    """A local image by reference or id."""
    if ref in machine.images:
        return machine.images[ref]
    return next((image for image in machine.images.values() if image.id == ref), None)


def find_network(machine: Machine, which: str) -> ObservedNetwork | None:
    """A network by exact name or id."""
    return next((n for n in machine.networks.values() if which in (n.name, n.id)), None)


def create_network(machine: Machine, body: Mapping[str, Json]) -> NetworkId:
    """A network; one of that name and project is success, one of that name and another project a conflict."""
    node = Node(dict(body))
    labels = node.strings("Labels")
    found = find_network(machine, node.text("Name"))
    if found is not None:
        if found.stack != labels.get(label.PROJECT, ""):
            raise refuse(EngineErrorKind.CONFLICT, f"network with name {found.name} already exists", 409)
        return found.id
    network = ObservedNetwork(
        id=NetworkId(machine.fresh_id()),
        name=node.text("Name"),
        stack=StackName(labels.get(label.PROJECT, "")),
        key=labels.get(label.NETWORK, ""),
        instance=labels.get(label.INSTANCE, ""),
        config_hash=labels.get(label.CONFIG_HASH, ""),
    )
    machine.networks[network.id] = network
    if node["IPAM"]["Config"]:
        machine.subnets.add(network.id)
    machine.emit_other(EventKind.NETWORK, network.name, "create")
    return network.id


def remove_network(machine: Machine, network: NetworkId) -> None:
    """Gone already is success; a conflict while a live container is on it."""
    found = machine.networks.get(network)
    if found is None:
        return
    if any(c.live and found.id in c.networks.values() for c in machine.containers.values()):
        raise refuse(EngineErrorKind.CONFLICT, f"network {found.name} has active endpoints", 403)
    del machine.networks[network]
    machine.emit_other(EventKind.NETWORK, found.name, "destroy")


def create_volume(machine: Machine, body: Mapping[str, Json]) -> None:
    """A named volume; there already is success."""
    node = Node(dict(body))
    name, labels = node.text("Name"), node.strings("Labels")
    if name in machine.volumes:
        return
    stack, key = labels.get(label.PROJECT, ""), labels.get(label.VOLUME, "")
    machine.volumes[name] = ObservedVolume(name, StackName(stack), key)
    machine.emit_other(EventKind.VOLUME, name, "create")
