"""From canonical values to the frozen model: ServiceSpec, NetworkSpec, VolumeSpec.

Law: only what stackd carries out enters the model; the rest was warned about and lives on in the hash alone.
What this module does NOT do: validate, or resolve a name against the engine (`translate.bind`).
"""

from __future__ import annotations

from dataclasses import dataclass

from stackd.compose import hash as config_hash
from stackd.compose.describe import describe
from stackd.compose.files import FileMounts
from stackd.compose.normalise import IMPLICIT
from stackd.compose.pick import Obj, flag, maybe, maybe_strings, number, objects, seconds, strings, sub, texts, txt
from stackd.compose.redact import Redaction
from stackd.compose.report import Report
from stackd.compose.tree import Json, Map, Scalar
from stackd.errors import Span
from stackd.model.ids import ServiceName
from stackd.model.spec import (
    BuildSpec,
    Dependency,
    DependencyCondition,
    HealthCheck,
    Link,
    MountKind,
    MountSpec,
    NetworkAttachment,
    NetworkSpec,
    PortSpec,
    PullPolicy,
    RestartPolicy,
    ServiceSpec,
    VolumesFrom,
    VolumeSpec,
)

_PULL = {policy.value: policy for policy in PullPolicy}


@dataclass(frozen=True, slots=True)
class Source:
    """What a service is built from: its tree, its canonical values, and the names around it."""

    project: str
    name: str
    tree: Map
    values: dict[str, Json]
    restart: RestartPolicy
    files: FileMounts
    unsupported: tuple[str, ...] = ()
    redaction: Redaction = Redaction()


def service_spec(source: Source, report: Report) -> ServiceSpec:
    """The service, typed."""
    values = source.values
    told = describe(source.tree, source.redaction)
    texts_to_hash = config_hash.dialects(values)
    tmpfs = dict(entry.partition(":")[::2] for entry in strings(values, "tmpfs"))
    return ServiceSpec(
        name=ServiceName(source.name),
        image=txt(values, "image") or f"{source.project}-{source.name}",
        hashes=tuple(map(config_hash.digest, texts_to_hash)),
        canonical=texts_to_hash,
        content=source.files.content,
        build=_build(values),
        pull_policy=_pull_policy(source, report),
        container_name=txt(values, "container_name"),
        command=maybe_strings(values, "command"),
        entrypoint=maybe_strings(values, "entrypoint"),
        environment=_environment(sub(values, "environment")),
        labels=texts(values, "labels"),
        ports=tuple(_port(port) for port in objects(values, "ports")),
        expose=strings(values, "expose"),
        mounts=_mounts(source, report),
        tmpfs=tmpfs,
        unsupported=source.unsupported,
        volumes_from=tuple(_volumes_from(entry) for entry in strings(values, "volumes_from")),
        networks=_attachments(values),
        network_mode=txt(values, "network_mode"),
        ipc=txt(values, "ipc"),
        pid=txt(values, "pid"),
        links=tuple(_link(entry) for entry in strings(values, "links")),
        external_links=strings(values, "external_links"),
        depends_on=_dependencies(source),
        healthcheck=_health(values),
        restart=source.restart,
        hostname=txt(values, "hostname"),
        user=txt(values, "user"),
        working_dir=txt(values, "working_dir"),
        stop_signal=txt(values, "stop_signal"),
        stop_grace_period=seconds(values, "stop_grace_period"),
        init=maybe(values, "init"),
        tty=flag(values, "tty"),
        stdin_open=flag(values, "stdin_open"),
        platform=txt(values, "platform"),
        profiles=strings(values, "profiles"),
        scale=number(values, "scale", number(sub(values, "deploy"), "replicas", 1)),
        span=source.tree.span,
        spans=told.spans,
        values=told.values,
    )


def _environment(table: Obj) -> dict[str, str | None]:
    return {name: value if isinstance(value, str) else None for name, value in table.items()}


def _build(values: Obj) -> BuildSpec | None:
    build = sub(values, "build")
    if not build:
        return None
    return BuildSpec(
        context=txt(build, "context"),
        dockerfile=txt(build, "dockerfile"),
        dockerfile_inline=txt(build, "dockerfile_inline"),
        args=_environment(sub(build, "args")),
        target=txt(build, "target"),
        labels=texts(build, "labels"),
    )


def _pull_policy(source: Source, report: Report) -> PullPolicy:
    word = txt(source.values, "pull_policy")
    if word in _PULL or not word:
        return _PULL.get(word, PullPolicy.MISSING)
    node = source.tree.get("pull_policy") or source.tree
    message = f'stackd does not carry out "pull_policy: {word}" yet; it pulls when the image is missing'
    report.warning("unsupported-value", message, node.span, ("services", source.name, "pull_policy"))
    return PullPolicy.MISSING


def _port(port: Obj) -> PortSpec:
    return PortSpec(
        number(port, "target"), txt(port, "published"), txt(port, "host_ip"), txt(port, "protocol") or "tcp"
    )


def _mounts(source: Source, report: Report) -> tuple[MountSpec, ...]:
    found: list[MountSpec] = []
    for mount in objects(source.values, "volumes"):
        kind = txt(mount, "type")
        if kind not in MountKind.__members__.values():
            node = source.tree.get("volumes") or source.tree
            message = f'stackd does not carry out mounts of type "{kind}" yet; this one has no effect'
            report.warning("unsupported-value", message, node.span, ("services", source.name, "volumes"))
            continue
        bind, volume, tmpfs = sub(mount, "bind"), sub(mount, "volume"), sub(mount, "tmpfs")
        found.append(
            MountSpec(
                kind=MountKind(kind),
                target=txt(mount, "target"),
                source=txt(mount, "source") if kind != "tmpfs" else "",
                read_only=flag(mount, "read_only"),
                short=flag(bind, "create_host_path", True) and not txt(bind, "propagation"),
                create_host_path=flag(bind, "create_host_path", True),
                propagation=txt(bind, "propagation"),
                selinux=txt(bind, "selinux"),
                nocopy=flag(volume, "nocopy"),
                tmpfs_size=int(txt(tmpfs, "size")) if txt(tmpfs, "size") else None,
                tmpfs_mode=number(tmpfs, "mode") or None,
            )
        )
    taken = {mount.target for mount in found}
    return (*found, *(mount for mount in source.files.mounts if mount.target not in taken))


def _volumes_from(entry: str) -> VolumesFrom:
    parts = entry.split(":")
    if parts[0] == "container":
        return VolumesFrom(None, parts[1] if len(parts) > 1 else "", parts[2:3] == ["ro"])
    return VolumesFrom(ServiceName(parts[0]), "", parts[1:2] == ["ro"])


def _attachments(values: Obj) -> tuple[NetworkAttachment, ...]:
    """The networks of a service, the primary one first: highest priority, then by name."""
    table = sub(values, "networks")
    found = []
    for key in table:
        options = sub(table, key)
        found.append(
            NetworkAttachment(
                network=key,
                aliases=strings(options, "aliases"),
                ipv4=txt(options, "ipv4_address"),
                ipv6=txt(options, "ipv6_address"),
                link_local_ips=strings(options, "link_local_ips"),
                mac_address=txt(options, "mac_address"),
                priority=number(options, "priority"),
            )
        )
    found.sort(key=lambda one: (-one.priority, one.network))
    own = txt(values, "mac_address")
    if own and found and not found[0].mac_address:
        first = found[0]
        found[0] = NetworkAttachment(
            first.network, first.aliases, first.ipv4, first.ipv6, first.link_local_ips, own, first.priority
        )
    return tuple(found)


def _link(entry: str) -> Link:
    name, colon, alias = entry.partition(":")
    return Link(ServiceName(name), alias if colon else name)


def _dependencies(source: Source) -> tuple[Dependency, ...]:
    tree = source.tree.get("depends_on")
    found = []
    for name in sub(source.values, "depends_on"):
        options = sub(sub(source.values, "depends_on"), name)
        node = tree.get(name) if isinstance(tree, Map) else None
        implicit = isinstance(node, Map) and isinstance(mark := node.get(IMPLICIT), Scalar) and mark.value is True
        found.append(
            Dependency(
                service=ServiceName(name),
                condition=DependencyCondition(txt(options, "condition") or "service_started"),
                restart=flag(options, "restart"),
                required=flag(options, "required"),
                implicit=implicit,
            )
        )
    return tuple(found)


def _health(values: Obj) -> HealthCheck | None:
    if not isinstance(values.get("healthcheck"), dict):
        return None
    health = sub(values, "healthcheck")
    return HealthCheck(
        test=("NONE",) if flag(health, "disable") else maybe_strings(health, "test"),
        interval=seconds(health, "interval"),
        timeout=seconds(health, "timeout"),
        start_period=seconds(health, "start_period"),
        start_interval=seconds(health, "start_interval"),
        retries=number(health, "retries") if "retries" in health else None,
    )


def network_spec(key: str, values: Obj, span: Span) -> NetworkSpec:
    """A top-level network, typed."""
    ipam = sub(values, "ipam")
    pools = []
    for pool in objects(ipam, "config"):
        flat = {name: txt(pool, name) for name in ("subnet", "gateway", "ip_range") if txt(pool, name)}
        flat.update({f"aux:{name}": address for name, address in texts(pool, "aux_addresses").items()})
        pools.append(flat)
    return NetworkSpec(
        key=key,
        name=txt(values, "name"),
        external=flag(values, "external"),
        driver=txt(values, "driver"),
        driver_opts=texts(values, "driver_opts"),
        internal=flag(values, "internal"),
        attachable=flag(values, "attachable"),
        enable_ipv6=maybe(values, "enable_ipv6"),
        ipam_driver=txt(ipam, "driver"),
        ipam_config=tuple(pools),
        labels=texts(values, "labels"),
        config_hash="" if flag(values, "external") else config_hash.digest(config_hash.go_json(dict(values))),
        span=span,
    )


def volume_spec(key: str, values: Obj, span: Span) -> VolumeSpec:
    """A top-level volume, typed."""
    hashed = {"name": txt(values, "name"), "driver": txt(values, "driver") or "local", **values}
    return VolumeSpec(
        key=key,
        name=txt(values, "name"),
        external=flag(values, "external"),
        driver=txt(values, "driver"),
        driver_opts=texts(values, "driver_opts"),
        labels=texts(values, "labels"),
        config_hash="" if flag(values, "external") else config_hash.digest(config_hash.go_json(hashed)),
        span=span,
    )
