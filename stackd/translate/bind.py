"""Binding a definition to what was observed: the bodies of create requests.

Law: PURE; the same spec, bindings and API version give the same body, and it is the body that docker compose v5 sends
for the same file (compose.md 2; oracle tests), but for the engine's restart policy, which is always "no", and stackd's
labels.
What this module does NOT do: look anything up; what a symbol stands for comes in `Bindings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stackd.compose import hash as config_hash
from stackd.model.ids import ContainerId, ImageId, InstanceName, NetworkId, ServiceName
from stackd.model.spec import NetworkAttachment, NetworkSpec, Project, ServiceSpec, VolumeSpec
from stackd.translate import labels, mounts
from stackd.translate.node import Json

SEVERAL_NETWORKS = (1, 44)
"""From this API on a create names all networks, gives each a MAC address, knows a health check's start_interval."""


@dataclass(frozen=True, slots=True)
class Bindings:
    """What a spec's symbols stand for on this engine, now.

    `name`: the name to create under; `image_id`: the local image's id, "" when unknown; `networks`: engine ids by
    key (names are used for keys left out); `parents`: containers, lowest number first, of the services that
    volumes_from, a shared namespace or links refer to, as (id, name); `inherited`: anonymous volumes taken over,
    by target path; `replaces`: the id of the container that this one replaces.
    """

    name: str
    instance: InstanceName
    root: str
    image_id: ImageId = ImageId("")
    networks: Mapping[str, NetworkId] = field(default_factory=dict)
    parents: Mapping[ServiceName, tuple[tuple[ContainerId, str], ...]] = field(default_factory=dict)
    inherited: Mapping[str, str] = field(default_factory=dict)
    replaces: ContainerId | None = None


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """A create request; the same fields as the engine seam's. `connects`: networks to connect afterwards, in order."""

    name: str
    body: Mapping[str, Json]
    platform: str = ""
    connects: tuple[tuple[str, Mapping[str, Json]], ...] = ()


def create_body(
    spec: ServiceSpec, project: Project, number: int, bindings: Bindings, api: tuple[int, int]
) -> ContainerRequest:
    """The request that creates container `number` of a service."""
    links = _links(spec, project, number, bindings)
    names = (spec.container_name or f"{project.name}-{spec.name}-{number}", str(spec.name))
    endpoints = {_network(project, one.network): _endpoint(names, one, links, api) for one in spec.networks}
    first = dict(list(endpoints.items())[:1])
    named = endpoints if api >= SEVERAL_NETWORKS else first
    body = _config(spec, api)
    body["Labels"] = dict[str, Json](container_labels(spec, project, number, bindings))
    body["HostConfig"] = _host_config(spec, project, bindings, links, api)
    if named:
        body["NetworkingConfig"] = {"EndpointsConfig": dict[str, Json](named)}
    later = [one for one in spec.networks if _network(project, one.network) not in named]
    connects = tuple(
        (
            bindings.networks.get(one.network) or _network(project, one.network),
            endpoints[_network(project, one.network)],
        )
        for one in later
    )
    return ContainerRequest(bindings.name, body, spec.platform, connects)


def known_hashes(spec: ServiceSpec, parents: Mapping[ServiceName, ContainerId]) -> tuple[str, ...]:
    """The config hashes by which a container of this service is recognised, ours first.

    A service that refers to another's container is hashed with that container's id (docker compose does so on
    `up`); the hash of the bare text is known too, because `docker compose config --hash` shows it.
    """
    ids = {str(name): str(container) for name, container in parents.items()}
    resolved = [config_hash.digest(config_hash.bound(text, ids)) for text in spec.canonical]
    return tuple(dict.fromkeys([*resolved, *spec.hashes]))


def container_labels(spec: ServiceSpec, project: Project, number: int, bindings: Bindings) -> dict[str, str]:
    """The user's labels, Compose's and stackd's."""
    parents = {name: found[0][0] for name, found in bindings.parents.items() if found}
    waits = ",".join(f"{one.service}:{one.condition.value}:{str(one.restart).lower()}" for one in spec.depends_on)
    out = {
        **spec.labels,
        labels.PROJECT: project.name,
        labels.SERVICE: spec.name,
        labels.NUMBER: str(number),
        labels.ONEOFF: "False",
        labels.CONFIG_HASH: known_hashes(spec, parents)[0],
        labels.IMAGE: bindings.image_id,
        labels.DEPENDS_ON: waits,
        labels.CONFIG_FILES: ",".join(map(str, project.config_files)),
        labels.WORKING_DIR: str(project.working_dir),
        labels.INSTANCE: bindings.instance,
        labels.ROOT: bindings.root,
    }
    if spec.content:
        out[labels.CONTENT] = spec.content
    if bindings.replaces is not None:
        out[labels.REPLACE] = f"{spec.name}-{number}"
    return out


def network_body(spec: NetworkSpec, project: Project, instance: InstanceName, root: str) -> dict[str, Json]:
    """The body that creates a network."""
    body: dict[str, Json] = {
        "Name": spec.name,
        "CheckDuplicate": True,
        "Driver": spec.driver,
        "Options": dict[str, Json](spec.driver_opts),
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "EnableIPv6": spec.enable_ipv6,
        "Labels": {
            **spec.labels, labels.NETWORK: spec.key, labels.PROJECT: project.name, labels.CONFIG_HASH: spec.config_hash,
            labels.INSTANCE: instance, labels.ROOT: root,
        },
    }  # fmt: skip
    if spec.ipam_driver or spec.ipam_config:
        body["IPAM"] = {"Driver": spec.ipam_driver or "default", "Config": [_pool(pool) for pool in spec.ipam_config]}
    return {key: value for key, value in body.items() if value not in ("", {}, None)}


def _pool(pool: Mapping[str, str]) -> Json:
    names = {"subnet": "Subnet", "gateway": "Gateway", "ip_range": "IPRange"}
    out: dict[str, Json] = {names[key]: value for key, value in pool.items() if key in names}
    spare: dict[str, Json] = {key.removeprefix("aux:"): value for key, value in pool.items() if key.startswith("aux:")}
    return {**out, "AuxiliaryAddresses": spare} if spare else out


def volume_body(spec: VolumeSpec, project: Project, instance: InstanceName, root: str) -> dict[str, Json]:
    """The body that creates a named volume."""
    body: dict[str, Json] = {
        "Name": spec.name,
        "Driver": spec.driver,
        "DriverOpts": dict[str, Json](spec.driver_opts),
        "Labels": {
            **spec.labels, labels.VOLUME: spec.key, labels.PROJECT: project.name, labels.CONFIG_HASH: spec.config_hash,
            labels.INSTANCE: instance, labels.ROOT: root,
        },
    }  # fmt: skip
    return {key: value for key, value in body.items() if value not in ("", {}, None)}


def _config(spec: ServiceSpec, api: tuple[int, int]) -> dict[str, Json]:
    """The container's own part of the body; what the file leaves open is left out, so the image decides."""
    env = [name if value is None else f"{name}={value}" for name, value in spec.environment.items()]
    exposed = {f"{port.target}/{port.protocol}" for port in spec.ports}
    exposed.update(one for entry in spec.expose for one in _exposed(entry))
    body: dict[str, Json] = {
        "Image": spec.image,
        "Hostname": spec.hostname,
        "User": spec.user,
        "Env": list[Json](env),
        "WorkingDir": spec.working_dir,
        "ExposedPorts": {port: {} for port in sorted(exposed)},
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": spec.stop_signal,
        "Healthcheck": _health(spec, api),
    }
    body = {key: value for key, value in body.items() if value not in ("", {}, [], None, False)}
    # An empty command or entrypoint says something: it clears the image's.
    if spec.command is not None:
        body["Cmd"] = list[Json](spec.command)
    if spec.entrypoint is not None:
        body["Entrypoint"] = list[Json](spec.entrypoint)
    if spec.stop_grace_period is not None:
        body["StopTimeout"] = int(spec.stop_grace_period)
    if api < SEVERAL_NETWORKS and spec.networks and spec.networks[0].mac_address:
        body["MacAddress"] = spec.networks[0].mac_address
    return body


def _exposed(entry: str) -> list[str]:
    ports, _, protocol = entry.partition("/")
    low, _, high = ports.partition("-")
    if not low.isdigit() or not (high or low).isdigit():
        return []
    return [f"{port}/{protocol or 'tcp'}" for port in range(int(low), int(high or low) + 1)]


def _health(spec: ServiceSpec, api: tuple[int, int]) -> dict[str, Json]:
    check = spec.healthcheck
    if check is None:
        return {}
    out: dict[str, Json] = {} if check.test is None else {"Test": list[Json](check.test)}
    durations = {"Interval": check.interval, "Timeout": check.timeout, "StartPeriod": check.start_period}
    if api >= SEVERAL_NETWORKS:
        durations["StartInterval"] = check.start_interval
    out.update({key: round(value * 1e9) for key, value in durations.items() if value is not None})
    return out if check.retries is None else {**out, "Retries": check.retries}


def _host_config(
    spec: ServiceSpec, project: Project, bindings: Bindings, links: list[str], api: tuple[int, int]
) -> dict[str, Json]:
    binds, mounted = mounts.mounts(spec, project, bindings.inherited, api)
    host: dict[str, Json] = {
        "RestartPolicy": {"Name": "no"},
        "NetworkMode": _network_mode(spec, project, bindings),
        "IpcMode": _shared(spec.ipc, bindings),
        "PidMode": _shared(spec.pid, bindings),
        "Binds": list[Json](binds),
        "Mounts": list[Json](mounted),
        "Tmpfs": dict[str, Json](spec.tmpfs),
        "PortBindings": _port_bindings(spec),
        "VolumesFrom": list[Json](_volumes_from(spec, bindings)),
        "Links": list[Json](links),
    }
    host = {key: value for key, value in host.items() if value not in ("", {}, [])}
    return host if spec.init is None else {**host, "Init": spec.init}


def _port_bindings(spec: ServiceSpec) -> dict[str, Json]:
    found: dict[str, list[Json]] = {}
    for port in spec.ports:
        found.setdefault(f"{port.target}/{port.protocol}", []).append(
            {"HostIp": port.host_ip, "HostPort": port.published}
        )
    return dict[str, Json](found)


def _network_mode(spec: ServiceSpec, project: Project, bindings: Bindings) -> str:
    if spec.network_mode or not spec.networks:
        return _shared(spec.network_mode, bindings) or "none"
    return _network(project, spec.networks[0].network)


def _shared(mode: str, bindings: Bindings) -> str:
    """A namespace in the engine's words: `service:NAME` is the id of that service's container."""
    if not mode.startswith("service:"):
        return mode
    parent = bindings.parents.get(ServiceName(mode.removeprefix("service:")))
    return f"container:{parent[0][0]}" if parent else mode


def _volumes_from(spec: ServiceSpec, bindings: Bindings) -> list[str]:
    found = []
    for one in spec.volumes_from:
        parent = bindings.parents.get(one.service) if one.service is not None else None
        source = parent[0][0] if parent else one.container or str(one.service)
        # Docker compose drops the `:ro` here; the file says it, so it counts.
        found.append(f"{source}:ro" if one.read_only else source)
    return found


def _links(spec: ServiceSpec, project: Project, number: int, bindings: Bindings) -> list[str]:
    """Three aliases for each container of a linked service, and the external ones."""
    found = []
    for link in spec.links:
        for _, name in bindings.parents.get(link.service, ()):
            full = f"{project.name}-{link.service}-{number}"
            found += [f"{name}:{link.alias}", f"{name}:{link.service}-{number}", f"{name}:{full}"]
    for entry in spec.external_links:
        target, colon, alias = entry.partition(":")
        found.append(f"{target}:{alias if colon else target}")
    return found


def _network(project: Project, key: str) -> str:
    known = project.networks.get(key)
    return known.name if known is not None else f"{project.name}_{key}"


def _endpoint(
    names: tuple[str, str], place: NetworkAttachment, links: list[str], api: tuple[int, int]
) -> dict[str, Json]:
    """The settings of one network endpoint. `names`: the container's own and its service's."""
    out: dict[str, Json] = {"Aliases": [*names, *place.aliases]}
    addresses: dict[str, Json] = {
        "IPv4Address": place.ipv4,
        "IPv6Address": place.ipv6,
        "LinkLocalIPs": [*place.link_local_ips],
    }
    fixed = {key: value for key, value in addresses.items() if value not in ("", [])}
    if fixed:
        out["IPAMConfig"] = fixed
    if links:
        out["Links"] = list[Json](links)
    if place.mac_address and api >= SEVERAL_NETWORKS:
        out["MacAddress"] = place.mac_address
    return out
