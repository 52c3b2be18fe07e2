"""What a stack's files ask for, after interpolation, merge and normalisation: the desired side.

Made only by `stackd.compose`; references to other services, networks and volumes are symbolic (their key in the
file), resolved against what was observed by `stackd.translate.bind`. Equal text gives equal values.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackd.errors import Diagnostic, Span
from stackd.model.ids import ServiceName, StackName


class PullPolicy(enum.StrEnum):
    """When an image is fetched (Compose's `pull_policy`). BUILD: never pulled, built when missing."""

    ALWAYS = "always"
    NEVER = "never"
    MISSING = "missing"
    BUILD = "build"


class RestartCondition(enum.StrEnum):
    """Which ends of a process are answered by a start."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class UnhealthyAction(enum.StrEnum):
    """What an `unhealthy` verdict leads to."""

    RESTART = "restart"
    ALERT = "alert"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Who is started again, how often and how fast; durations in seconds (supervision.md, Back-off).

    `max_attempts` None = no limit; `declared` False = the file said nothing and stackd's default stands.
    `engine_name`/`engine_retries` are what the file says in the engine's own words, for handing over. The exit codes
    are systemd's trio (SuccessExitStatus=, RestartPreventExitStatus=, RestartForceExitStatus=): `success_exit_codes`
    count as success beside 0, `no_restart_exit_codes` are never answered by a start, `force_restart_exit_codes` always.
    """

    condition: RestartCondition = RestartCondition.ON_FAILURE
    declared: bool = False
    max_attempts: int | None = None
    first_delay: float = 0.0
    base_delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.2
    reset_after: float = 600.0
    crashloop_after: int = 5
    crashloop_window: float = 600.0
    slow_delay: float = 300.0
    unhealthy: UnhealthyAction = UnhealthyAction.RESTART
    unhealthy_grace: float = 0.0
    unhealthy_limit: int = 5
    unhealthy_window: float = 300.0
    engine_name: str = "no"
    engine_retries: int = 0
    success_exit_codes: frozenset[int] = frozenset()
    no_restart_exit_codes: frozenset[int] = frozenset()
    force_restart_exit_codes: frozenset[int] = frozenset()


class DependencyCondition(enum.StrEnum):
    """Compose's `depends_on` conditions."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Dependency:
    """One `depends_on` entry, or one implied by links, volumes_from or a shared namespace (`implicit`)."""

    service: ServiceName
    condition: DependencyCondition = DependencyCondition.STARTED
    restart: bool = False
    required: bool = True
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A health check; `test` in the engine's form (`["CMD", ...]`, `["CMD-SHELL", ...]`, `["NONE"]`), None = image's.

    Durations in seconds.
    """

    test: tuple[str, ...] | None = None
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    start_interval: float | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One published port. `published` is "" for a port of the engine's choice, or "8080" or a range "7000-7005"."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: str = "tcp"


class MountKind(enum.StrEnum):
    """Kinds of mounts, in the engine's words."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"


@dataclass(frozen=True, slots=True)
class MountSpec:
    """One mount. `source`: absolute host path (bind), key of the top-level volume (volume), "" = anonymous volume.

    `short` marks Compose's short syntax: the engine makes a missing host folder.
    """

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    short: bool = True
    create_host_path: bool = True
    propagation: str = ""
    selinux: str = ""
    nocopy: bool = False
    tmpfs_size: int | None = None
    tmpfs_mode: int | None = None


@dataclass(frozen=True, slots=True)
class VolumesFrom:
    """Mounts taken over from another service (`service`) or a foreign container (`container`): one of the two."""

    service: ServiceName | None
    container: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A legacy link to another service of the stack."""

    service: ServiceName
    alias: str


@dataclass(frozen=True, slots=True)
class NetworkAttachment:
    """A service's place on one network (key of the top-level `networks`)."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """How a service's image is built; `context` is an absolute path."""

    context: str
    dockerfile: str = "Dockerfile"
    dockerfile_inline: str = ""
    args: Mapping[str, str | None] = field(default_factory=dict)
    target: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.context, self.dockerfile, self.target))


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A top-level network. `name` is the engine's name; `external` ones are looked up, never made or removed."""

    key: str
    name: str
    external: bool = False
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool | None = None
    ipam_driver: str = ""
    ipam_config: tuple[Mapping[str, str], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    config_hash: str = field(default="", compare=False)
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A top-level volume. `name` is the engine's name; `external` ones are looked up; none is ever removed."""

    key: str
    name: str
    external: bool = False
    driver: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    config_hash: str = field(default="", compare=False)
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service, normalised. `hashes[0]` is the hash we write; the others are known dialects of the same text.

    `content` is "" or `v1:` + digest of the contents of configs and secrets. `spans` maps a field's path within the
    service (`environment.MODE`, `image`) to its place in the winning file, `values` to its printable, redacted value:
    the two explain an edit and take no part in equality.
    `tmpfs` maps a path to its mount options; `unsupported` are the keys that are read and not carried out, sorted;
    `canonical` holds the texts behind `hashes` (they contain secrets), for a
    service whose hash depends on the ids of its parents' containers.
    """

    name: ServiceName
    image: str
    hashes: tuple[str, ...]
    content: str = ""
    build: BuildSpec | None = None
    pull_policy: PullPolicy = PullPolicy.MISSING
    container_name: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PortSpec, ...] = ()
    expose: tuple[str, ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    volumes_from: tuple[VolumesFrom, ...] = ()
    networks: tuple[NetworkAttachment, ...] = ()
    network_mode: str = ""
    ipc: str = ""
    pid: str = ""
    links: tuple[Link, ...] = ()
    external_links: tuple[str, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    healthcheck: HealthCheck | None = None
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    hostname: str = ""
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    stop_grace_period: float | None = None
    init: bool | None = None
    tty: bool = False
    stdin_open: bool = False
    platform: str = ""
    profiles: tuple[str, ...] = ()
    scale: int = 1
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    canonical: tuple[str, ...] = field(default=(), compare=False, repr=False)
    span: Span | None = field(default=None, compare=False)
    spans: Mapping[str, Span] = field(default_factory=dict, compare=False, repr=False)
    values: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash((self.name, self.hashes, self.content))

    @property
    def config_hash(self) -> str:
        """The hash written to the label `com.docker.compose.config-hash`."""
        return self.hashes[0]


@dataclass(frozen=True, slots=True)
class Project:
    """One stack's definition in force: `services` the active ones in file order, `inactive` what profiles leave out.

    `working_dir` is the real folder; `config_files` are absolute, in merge order; `digest` changes with any text that
    was read for it (the "edit" that releases an override). `hidden` are the values that may stand in no message, `show`
    the keys whose values may (`x-stackd: show:` of the file).
    """

    name: StackName
    working_dir: Path
    config_files: tuple[Path, ...]
    services: Mapping[ServiceName, ServiceSpec]
    networks: Mapping[str, NetworkSpec]
    volumes: Mapping[str, VolumeSpec]
    inactive: frozenset[ServiceName] = frozenset()
    digest: str = ""
    hidden: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    show: frozenset[str] = field(default=frozenset(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The outcome of reading a stack's files: a project (None when an error forbids it), findings, and every file read.

    `files` lists all that a change of which must be noticed, absent ones that were looked for included.
    """

    project: Project | None
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[Path, ...]
