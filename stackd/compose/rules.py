"""The keys of a Compose file: what each may hold, and which stackd does not carry out yet.

Law: the tables accept what the Compose schema of docker compose v5.6.1 accepts (oracle tests compare the verdicts).
`later` lists valid keys that have no effect here yet: each use is a warning on its line, never silence.
What this module does NOT do: check references, or turn values into anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from stackd.compose.advice import DEPLOY_KEYS, SERVICE_KEYS
from stackd.compose.kinds import (
    BOOL,
    BYTES,
    COMMAND,
    CONTEXTS,
    COUNT,
    DURATION,
    EXTRA_HOSTS,
    GROUP,
    INT,
    INTEGER,
    LIMITS_BEFORE,
    MODE,
    NOTHING,
    NUMBER,
    OPTION,
    OPTIONS,
    PAIRS,
    PID_BEFORE,
    PLAIN_TEXTS,
    PUBLISHED,
    SIZE_TEXT,
    SSH,
    STORAGE,
    STRICT_BOOL,
    TEXT,
    TEXT_OR_TEXTS,
    TEXTS,
    TIMES,
    TMPFS_MODE,
    TMPFS_SIZE,
    ULIMITS,
    WEIGHT,
    WHOLE,
    WHOLE_BYTES,
    WORD_OR_NUMBER,
    WORD_OR_WHOLE,
)
from stackd.compose.schema import Anything, Context, Either, Leaf, ListOf, Record, Rule, Table, Text
from stackd.compose.stray import Whole
from stackd.compose.tree import Node, Path

_Words: TypeAlias = "Mapping[str, str]"
_NAME = re.compile(r"^[a-zA-Z0-9._-]+$")


def _record(
    fields: dict[str, Rule], *required: str, later: str = "", extensions: bool = True, dropped: _Words | None = None
) -> Record:
    return Record(fields, required, frozenset(later.split()), extensions, dropped=dropped or {})


PORT = Either(
    "a port, HOST:CONTAINER text or a mapping",
    scalar=WORD_OR_NUMBER,
    map=_record({"name": TEXT, "mode": TEXT, "host_ip": TEXT, "target": COUNT, "published": PUBLISHED, "protocol": TEXT,
                 "app_protocol": TEXT}),
)  # fmt: skip
VOLUME = Either(
    "SOURCE:TARGET text or a mapping",
    scalar=TEXT,
    map=_record(
        {
            "type": Text(("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
            "source": TEXT,
            "target": TEXT,
            "read_only": BOOL,
            "consistency": TEXT,
            "bind": _record(
                {"propagation": TEXT, "create_host_path": BOOL, "selinux": Text(("z", "Z")),
                 "recursive": Text(("enabled", "disabled", "writable", "readonly"))},
                later="recursive",
            ),
            "volume": _record({"labels": PAIRS, "nocopy": BOOL, "subpath": TEXT}, later="labels subpath"),
            "tmpfs": _record({"size": TMPFS_SIZE,
                              "mode": TMPFS_MODE}),
            "image": _record({"subpath": TEXT}, later="subpath"),
        },
        "type",
        later="consistency",
    ),
)  # fmt: skip
HEALTHCHECK = _record(
    {"disable": BOOL, "interval": DURATION, "retries": TIMES,
     "test": Either("a string or a list of strings", scalar=TEXT, seq=PLAIN_TEXTS),
     "timeout": DURATION, "start_period": DURATION, "start_interval": DURATION}
)  # fmt: skip
FILE_MOUNTS = ListOf(
    Either(
        "a name or a mapping",
        scalar=TEXT,
        map=_record({"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": MODE}, later="uid gid mode"),
    )
)
DEVICE_REQUEST = {"capabilities": TEXTS, "count": WHOLE, "device_ids": TEXTS, "driver": TEXT, "options": PAIRS}
BUILD = Either(
    "a folder or a mapping",
    scalar=TEXT,
    map=_record(
        {
            "context": TEXT, "dockerfile": TEXT, "dockerfile_inline": TEXT, "entitlements": PLAIN_TEXTS, "args": PAIRS,
            "ssh": SSH, "labels": PAIRS, "cache_from": PLAIN_TEXTS, "cache_to": PLAIN_TEXTS, "no_cache": BOOL,
            "no_cache_filter": TEXT_OR_TEXTS, "additional_contexts": CONTEXTS, "network": TEXT, "provenance": BOOL,
            "sbom": BOOL, "pull": BOOL, "target": TEXT, "shm_size": WHOLE_BYTES, "extra_hosts": EXTRA_HOSTS,
            "isolation": TEXT, "privileged": BOOL, "secrets": FILE_MOUNTS, "tags": PLAIN_TEXTS, "ulimits": ULIMITS,
            "platforms": PLAIN_TEXTS,
        },
        later="entitlements ssh cache_from cache_to no_cache no_cache_filter additional_contexts network "
        "provenance sbom pull shm_size extra_hosts isolation privileged secrets tags ulimits platforms",
    ),
)  # fmt: skip
DEPENDS_ON = Either(
    "a list of services or a mapping",
    seq=TEXTS,
    map=Table(
        _record(
            {"restart": BOOL, "required": STRICT_BOOL,
             "condition": Text(("service_started", "service_healthy", "service_completed_successfully"))},
            "condition",
        ),
        _NAME,
    ),
)  # fmt: skip
SERVICE_NETWORKS = Either(
    "a list of networks or a mapping",
    seq=TEXTS,
    map=Table(
        Either(
            "a mapping or nothing",
            scalar=NOTHING,
            map=_record(
                {"aliases": TEXTS, "interface_name": TEXT, "ipv4_address": TEXT, "ipv6_address": TEXT,
                 "link_local_ips": TEXTS, "mac_address": TEXT, "driver_opts": OPTIONS,
                 "priority": Leaf(frozenset(("number",)), "a number"), "gw_priority": Leaf(frozenset(("number",)),
                 "a number")},
                later="interface_name driver_opts gw_priority",
            ),
        ),
        _NAME,
    ),
)  # fmt: skip
ENV_FILE = Either(
    "a path or a list of paths",
    scalar=TEXT,
    seq=ListOf(
        Either(
            "a path or a mapping",
            scalar=TEXT,
            map=_record({"path": TEXT, "format": TEXT, "required": BOOL}, "path", extensions=False),
        )
    ),
)
_UPDATE = _record(
    {"parallelism": COUNT, "delay": DURATION, "failure_action": TEXT, "monitor": DURATION, "max_failure_ratio": NUMBER,
     "order": Text(("start-first", "stop-first"))}
)  # fmt: skip
DEPLOY = Either(
    "a mapping",
    scalar=NOTHING,
    map=_record(
        {
            "mode": TEXT,
            "endpoint_mode": TEXT,
            "replicas": INT,
            "labels": PAIRS,
            "rollback_config": _UPDATE,
            "update_config": _UPDATE,
            "resources": _record(
                {
                    "limits": _record({"cpus": NUMBER, "memory": SIZE_TEXT, "pids": INT}),
                    "reservations": _record(
                        {
                            "cpus": NUMBER,
                            "memory": SIZE_TEXT,
                            "generic_resources": ListOf(
                                _record({"discrete_resource_spec": _record({"kind": TEXT, "value": NUMBER})})
                            ),
                            "devices": ListOf(_record(DEVICE_REQUEST, "capabilities")),
                        }
                    ),
                }
            ),
            "restart_policy": _record(
                {"condition": TEXT, "delay": DURATION, "max_attempts": COUNT, "window": DURATION}
            ),
            "placement": _record(
                {
                    "constraints": PLAIN_TEXTS,
                    "preferences": ListOf(_record({"spread": TEXT})),
                    "max_replicas_per_node": COUNT,
                }
            ),
        },
        later="mode endpoint_mode labels rollback_config update_config resources placement",
        dropped=DEPLOY_KEYS,
    ),
)
_HOOK_FIELDS: dict[str, Rule] = {
    "command": COMMAND, "user": TEXT, "privileged": BOOL, "working_dir": TEXT, "environment": PAIRS
}  # fmt: skip
HOOKS = ListOf(_record(_HOOK_FIELDS, "command"))
_TRIGGER = _record(
    {
        "path": TEXT, "target": TEXT, "ignore": TEXT_OR_TEXTS, "include": TEXT_OR_TEXTS, "initial_sync": STRICT_BOOL,
        "action": Text(("rebuild", "sync", "restart", "sync+restart", "sync+exec")),
        "exec": _record(_HOOK_FIELDS, "command"),
    },
    "path", "action",
)  # fmt: skip
_NOT_BEFORE = (
    "develop", "deploy", "attach", "build", "container_name", "depends_on", "expose", "extends", "provider",
    "external_links", "healthcheck", "links", "ports", "pre_start", "post_start", "pre_stop", "profiles", "restart",
    "scale", "stdin_open", "tty",
)  # fmt: skip
"""What a container that runs before the service cannot have."""


class PreStart(Rule):
    """A container that runs before the service: almost a service itself."""

    def check(self, node: Node, path: Path, context: Context) -> bool:
        return BEFORE.check(node, path, context)


_BLKIO = ListOf(_record({"path": TEXT, "rate": INT}, extensions=False))
_PULL = re.compile(r"^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)\Z")
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

SERVICE_MODELS = Either(
    "a list of models or a mapping",
    seq=TEXTS,
    map=Table(
        Either("a mapping or nothing", scalar=NOTHING, map=_record({"endpoint_var": TEXT, "model_var": TEXT})),
        _NAME,
    ),
)
SERVICE = _record(
    {
        "develop": Either("a mapping", scalar=NOTHING, map=_record({"watch": ListOf(_TRIGGER)})),
        "deploy": DEPLOY,
        "annotations": PAIRS,
        "attach": BOOL,
        "build": BUILD,
        "blkio_config": _record(
            {"device_read_bps": _BLKIO, "device_read_iops": _BLKIO, "device_write_bps": _BLKIO,
            "device_write_iops": _BLKIO,
             "weight": WEIGHT,
             "weight_device": ListOf(_record({"path": TEXT, "weight": WEIGHT}, extensions=False))},
            extensions=False,
        ),
        "cap_add": TEXTS, "cap_drop": TEXTS, "cgroup": Text(("host", "private")), "cgroup_parent": TEXT,
        "command": COMMAND,
        "configs": FILE_MOUNTS,
        "container_name": Text(pattern=_CONTAINER, shape="letters, digits, _ . - (two or more)"),
        "cpu_count": Leaf(frozenset(("integer", "string")), "a whole number", 0),
        "cpu_percent": Leaf(frozenset(("integer", "string")), "a whole number", 0, 100),
        "cpu_shares": NUMBER, "cpu_quota": NUMBER, "cpu_period": NUMBER, "cpu_rt_period": NUMBER,
        "cpu_rt_runtime": NUMBER,
        "cpus": NUMBER, "cpuset": TEXT,
        "credential_spec": _record({"config": TEXT, "file": TEXT, "registry": TEXT}),
        "depends_on": DEPENDS_ON,
        "device_cgroup_rules": TEXTS,
        "devices": ListOf(
            Either("a string or a mapping", scalar=TEXT,
                   map=_record({"source": TEXT, "target": TEXT, "permissions": TEXT}, "source", "target"))
        ),
        "dns": TEXT_OR_TEXTS, "dns_opt": TEXTS, "dns_search": TEXT_OR_TEXTS, "domainname": TEXT,
        "entrypoint": COMMAND,
        "env_file": ENV_FILE,
        "label_file": Either("a path or a list of paths", scalar=TEXT, seq=PLAIN_TEXTS),
        "environment": PAIRS,
        "expose": ListOf(WORD_OR_WHOLE, unique=True),
        "extends": Either("a service name or a mapping", scalar=TEXT,
                          map=_record({"service": TEXT, "file": TEXT}, "service", extensions=False)),
        "provider": _record({"type": TEXT, "options": Table(Either("a value or a list of values", scalar=OPTION,
                                                                          seq=ListOf(OPTION)))}, "type"),
        "external_links": TEXTS,
        "extra_hosts": EXTRA_HOSTS,
        "gpus": Either("all or a list", scalar=Text(("all",)), seq=ListOf(Record(DEVICE_REQUEST, lenient=True))),
        "group_add": ListOf(GROUP, unique=True),
        "healthcheck": HEALTHCHECK,
        "hostname": TEXT, "image": TEXT, "init": BOOL, "ipc": TEXT, "isolation": TEXT,
        "labels": PAIRS,
        "links": TEXTS,
        "logging": _record({"driver": TEXT,
                            "options": Table(Leaf(frozenset(("string", "number", "null")), "a string or a number"))}),
        "mac_address": TEXT,
        "mem_limit": BYTES, "mem_reservation": WHOLE_BYTES, "mem_swappiness": WHOLE_BYTES, "memswap_limit": BYTES,
        "network_mode": TEXT,
        "models": SERVICE_MODELS,
        "networks": SERVICE_NETWORKS,
        "oom_kill_disable": BOOL,
        "oom_score_adj": Leaf(frozenset(("integer", "string")), "a whole number", -1000, 1000),
        "pid": TEXT,
        "pids_limit": NUMBER,
        "platform": TEXT,
        "ports": ListOf(PORT),
        "pre_start": ListOf(PreStart()),
        "post_start": HOOKS, "pre_stop": HOOKS,
        "privileged": BOOL,
        "profiles": TEXTS,
        "pull_policy": Text(pattern=_PULL, shape="always, never, missing, build, daily, weekly or every_DURATION"),
        "pull_refresh_after": TEXT,
        "read_only": BOOL, "restart": TEXT, "runtime": TEXT, "scale": INT, "security_opt": TEXTS, "shm_size": BYTES,
        "secrets": FILE_MOUNTS,
        "sysctls": PAIRS, "stdin_open": BOOL,
        "stop_grace_period": DURATION,
        "stop_signal": TEXT, "storage_opt": STORAGE, "tmpfs": TEXT_OR_TEXTS, "tty": BOOL, "ulimits": ULIMITS,
        "use_api_socket": STRICT_BOOL, "user": TEXT, "uts": TEXT, "userns_mode": TEXT,
        "volumes": ListOf(VOLUME, unique=True),
        "volumes_from": TEXTS,
        "working_dir": TEXT,
    },
    later="develop annotations blkio_config cap_add cap_drop cgroup cgroup_parent cpu_count cpu_percent "
    "cpu_shares cpu_quota cpu_period cpu_rt_period cpu_rt_runtime cpus cpuset credential_spec device_cgroup_rules "
    "devices dns dns_opt dns_search domainname provider extra_hosts gpus group_add isolation logging "
    "mem_limit mem_reservation mem_swappiness memswap_limit models oom_kill_disable oom_score_adj pids_limit "
    "pre_start post_start pre_stop privileged pull_refresh_after read_only runtime security_opt shm_size "
    "sysctls storage_opt ulimits use_api_socket uts userns_mode",
    dropped=SERVICE_KEYS,
)  # fmt: skip

BEFORE = _record(
    {
        **{key: rule for key, rule in SERVICE.fields.items() if key not in _NOT_BEFORE},
        "ulimits": LIMITS_BEFORE,
        "pid": PID_BEFORE,
        "per_replica": BOOL,
    }
)
"""What runs before a service (`pre_start`)."""

_EXTERNAL = Either("true or false", scalar=BOOL, map=_record({"name": TEXT}))
NETWORK = Either(
    "a mapping or nothing",
    scalar=NOTHING,
    map=_record(
        {
            "name": TEXT, "driver": TEXT, "driver_opts": OPTIONS,
            "ipam": _record({
                "driver": TEXT,
                "config": ListOf(_record({"subnet": TEXT, "ip_range": TEXT, "gateway": TEXT,
                "aux_addresses": Table(TEXT)})),
                "options": Table(TEXT),
            }, later="options"),
            "external": _EXTERNAL, "internal": BOOL, "enable_ipv4": BOOL, "enable_ipv6": BOOL, "attachable": BOOL,
            "labels": PAIRS,
        },
        later="enable_ipv4",
    ),
)  # fmt: skip
VOLUME_DEFINITION = Either(
    "a mapping or nothing",
    scalar=NOTHING,
    map=_record({"name": TEXT, "driver": TEXT, "driver_opts": OPTIONS, "external": _EXTERNAL, "labels": PAIRS}),
)
_FILE_OBJECT: dict[str, Rule] = {
    "name": TEXT, "environment": TEXT, "file": TEXT, "external": Either("true or false", scalar=BOOL, map=Anything()),
    "labels": PAIRS, "template_driver": TEXT,
}  # fmt: skip
_NOT_FILES = "environment content external driver driver_opts template_driver"

TOP = Whole(
    {
        "version": Leaf(frozenset(("string",)), "a string"),
        "name": TEXT,
        "include": ListOf(
            Either("a path or a mapping", scalar=TEXT,
                   map=Record({"path": TEXT_OR_TEXTS, "env_file": TEXT_OR_TEXTS, "project_directory": WORD_OR_WHOLE},
                   extensions=False, lenient=True))
        ),
        "services": Table(SERVICE, _NAME),
        "models": Table(_record({"name": TEXT, "model": TEXT, "context_size": INTEGER, "runtime_flags": PLAIN_TEXTS},
        "model")),
        "networks": Table(NETWORK, _NAME),
        "volumes": Table(VOLUME_DEFINITION, _NAME),
        "secrets": Table(_record({**_FILE_OBJECT, "driver": TEXT, "driver_opts": OPTIONS}, later=_NOT_FILES), _NAME),
        "configs": Table(_record({**_FILE_OBJECT, "content": TEXT}, later=_NOT_FILES), _NAME),
    },
    later=frozenset(("models",)),
    dropped={key: f'"{key}" is a key of a service: indent it below one' for key in SERVICE.fields},
)  # fmt: skip
