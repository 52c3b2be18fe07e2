"""The structs of docker compose v5.6.1, field by field, in the order that its config hash depends on.

Law: this order is a fact about the real binary (compose.md 3.7), held by the oracle tests; change nothing here without
them.
What this module does NOT do: decode.
"""

from __future__ import annotations

from dataclasses import replace

from stackd.compose.decode import (
    Field,
    anything,
    boolean,
    command,
    count,
    device_count,
    duration,
    env_files,
    file_mode,
    health_test,
    hosts,
    integer,
    many,
    options,
    pairs,
    pairs_or_null,
    pause,
    port,
    rate,
    record,
    single,
    size,
    ssh_keys,
    table,
    text,
    texts,
    ulimit,
    weight,
)

_DEVICE_REQUEST = (
    Field("capabilities", texts), Field("driver", text), Field("count", device_count), Field("device_ids", texts),
    Field("options", pairs),
)  # fmt: skip
_FILE_MOUNT = (
    Field("source", text), Field("target", text), Field("uid", text), Field("gid", text), Field("mode", file_mode,
    keep=True)
)  # fmt: skip
_HOOK = (
    Field("command", command, always=True), Field("image", text), Field("user", text), Field("privileged", boolean),
    Field("working_dir", text), Field("environment", pairs_or_null), Field("per_replica", boolean),
)  # fmt: skip
# These two have no names of their own in Go's JSON.
_PATH = Field("path", text, always=True, empty="", shown="Path")
_THROTTLE = many(record((_PATH, Field("rate", rate, always=True, empty="0", shown="Rate"))))
_BLKIO = (
    Field("weight", weight),
    Field("weight_device", many(record((_PATH, Field("weight", weight, always=True, empty=0, shown="Weight"))))),
    Field("device_read_bps", _THROTTLE), Field("device_read_iops", _THROTTLE),
    Field("device_write_bps", _THROTTLE), Field("device_write_iops", _THROTTLE),
)  # fmt: skip
_UPDATE = (
    Field("parallelism", count, keep=True), Field("delay", pause),
    Field("failure_action", text), Field("monitor", pause),
    Field("max_failure_ratio", single), Field("order", text),
)  # fmt: skip
_RESOURCE = (
    Field("cpus", single), Field("memory", size), Field("pids", integer), Field("devices",
    many(record(_DEVICE_REQUEST, closed=True))),
    Field("generic_resources", many(record((
        Field("discrete_resource_spec", record((Field("kind", text, always=True, empty=""),
        Field("value", integer, always=True, empty=0))),
        keep=True),
    )))),
)  # fmt: skip
_DEPLOY = (
    Field("mode", text),
    Field("replicas", integer, keep=True),
    Field("labels", pairs),
    Field("update_config", record(_UPDATE), keep=True),
    Field("rollback_config", record(_UPDATE), keep=True),
    Field("resources", record((Field("limits", record(_RESOURCE), keep=True), Field("reservations", record(_RESOURCE),
    keep=True))),
          always=True, empty={}),
    Field("restart_policy", record((
        Field("condition", text), Field("delay", duration, keep=True), Field("max_attempts", count, keep=True),
        Field("window", duration, keep=True),
    )), keep=True),
    Field("placement", record((
        Field("constraints", texts), Field("preferences", many(record((Field("spread", text),)))),
        Field("max_replicas_per_node", count),
    )), always=True, empty={}),
    Field("endpoint_mode", text),
)  # fmt: skip
_BUILD = (
    Field("context", text), Field("dockerfile", text), Field("dockerfile_inline", text), Field("entitlements", texts),
    Field("args", pairs_or_null), Field("provenance", text), Field("sbom", text), Field("ssh", ssh_keys),
    Field("labels", pairs),
    Field("cache_from", texts), Field("cache_to", texts), Field("no_cache", boolean), Field("no_cache_filter", texts),
    Field("additional_contexts", pairs), Field("pull", boolean), Field("extra_hosts", hosts, keep=True),
    Field("isolation", text), Field("network", text), Field("target", text),
    Field("secrets", many(record(_FILE_MOUNT))), Field("shm_size", size),
    Field("tags", texts), Field("ulimits", table(ulimit)), Field("platforms", texts), Field("privileged", boolean),
)  # fmt: skip
_HEALTH = (
    Field("test", health_test), Field("timeout", duration, keep=True), Field("interval", duration, keep=True),
    Field("retries", count, keep=True), Field("start_period", duration, keep=True),
    Field("start_interval", duration, keep=True), Field("disable", boolean),
)  # fmt: skip
_SERVICE_NETWORK = (
    Field("aliases", texts), Field("driver_opts", pairs), Field("gw_priority", integer), Field("interface_name", text),
    Field("ipv4_address", text), Field("ipv6_address", text), Field("link_local_ips", texts), Field("mac_address",
    text),
    Field("priority", integer),
)  # fmt: skip
_PORT = (
    Field("name", text), Field("mode", text), Field("host_ip", text), Field("target", port), Field("published",
    text),
    Field("protocol", text), Field("app_protocol", text),
)  # fmt: skip
BIND = (
    Field("selinux", text), Field("propagation", text), Field("create_host_path", boolean, keep=True),
    Field("recursive", text)
)  # fmt: skip


def _mounts(bind: tuple[Field, ...]) -> Field:
    return Field("volumes", many(record((
        Field("type", text), Field("source", text), Field("target", text), Field("read_only", boolean),
        Field("consistency", text),
        Field("bind", record(bind), keep=True),
        Field("volume", record((Field("labels", pairs), Field("nocopy", boolean), Field("subpath", text))), keep=True),
        Field("tmpfs", record((Field("size", size), Field("mode", port))), keep=True),
        Field("image", record((Field("subpath", text),)), keep=True),
    ))))  # fmt: skip


_VOLUMES = _mounts(BIND)
_VOLUMES_BEFORE = _mounts(tuple(
    replace(one, always=True, empty=False) if one.name == "create_host_path" else one for one in BIND
))  # fmt: skip
"""Nothing is assumed of what runs before a service, not even that folders are made."""
_DEPENDENCY = (
    Field("condition", text),
    Field("restart", boolean),
    Field("required", boolean, always=True, empty=False),
)
_TRIGGER = (
    Field("path", text, always=True, empty=""), Field("action", text, always=True, empty=""), Field("target", text),
    Field("exec", record(_HOOK), always=True, empty={"command": None}), Field("include", texts), Field("ignore", texts),
    Field("initial_sync", boolean),
)  # fmt: skip

_SERVICE: tuple[Field, ...] = (
    Field("profiles", texts),
    Field("annotations", pairs),
    Field("attach", boolean, keep=True),
    Field("build", record(_BUILD), keep=True),
    Field("develop", record((Field("watch", many(record(_TRIGGER))),)), keep=True),
    Field("blkio_config", record(_BLKIO), keep=True),
    Field("cap_add", texts), Field("cap_drop", texts), Field("cgroup_parent", text), Field("cgroup", text),
    Field("cpu_count", integer), Field("cpu_percent", single), Field("cpu_period", integer), Field("cpu_quota",
    integer),
    Field("cpu_rt_period", integer), Field("cpu_rt_runtime", integer), Field("cpus", single), Field("cpuset", text),
    Field("cpu_shares", integer),
    Field("command", command, always=True),
    Field("configs", many(record(_FILE_MOUNT))),
    Field("container_name", text),
    Field("credential_spec", record((Field("config", text), Field("file", text), Field("registry", text))), keep=True),
    Field("depends_on", table(record(_DEPENDENCY))),
    Field("deploy", record(_DEPLOY), keep=True),
    Field("device_cgroup_rules", texts),
    Field("devices", many(record((Field("source", text), Field("target", text), Field("permissions", text))))),
    Field("dns", texts), Field("dns_opt", texts), Field("dns_search", texts), Field("dockerfile", text),
    Field("domainname", text),
    Field("entrypoint", command, always=True),
    Field("provider", record((Field("type", text), Field("options", options))), keep=True),
    Field("environment", pairs_or_null),
    Field("env_file", env_files),
    Field("expose", texts),
    Field("extends", record((Field("file", text), Field("service", text))), keep=True),
    Field("external_links", texts), Field("extra_hosts", hosts, keep=True), Field("group_add", texts),
    Field("gpus", many(record(_DEVICE_REQUEST, closed=True))),
    Field("hostname", text),
    Field("healthcheck", record(_HEALTH), keep=True),
    Field("image", text), Field("init", boolean, keep=True), Field("ipc", text), Field("isolation", text),
    Field("labels", pairs), Field("label_file", texts), Field("links", texts),
    Field("logging", record((Field("driver", text), Field("options", pairs))), keep=True),
    Field("mem_limit", size), Field("mem_reservation", size), Field("memswap_limit", size), Field("mem_swappiness",
    size),
    Field("mac_address", text),
    Field("models", table(record((Field("endpoint_var", text), Field("model_var", text))))),
    Field("network_mode", text),
    Field("networks", table(record(_SERVICE_NETWORK))),
    Field("oom_kill_disable", boolean), Field("oom_score_adj", integer), Field("pid", text), Field("pids_limit",
    integer),
    Field("platform", text),
    Field("ports", many(record(_PORT))),
    Field("privileged", boolean), Field("pull_policy", text), Field("pull_refresh_after", text),
    Field("read_only", boolean), Field("restart", text),
    Field("runtime", text), Field("scale", integer, keep=True), Field("secrets", many(record(_FILE_MOUNT))),
    Field("security_opt", texts), Field("shm_size", size), Field("stdin_open", boolean),
    Field("stop_grace_period", duration, keep=True), Field("stop_signal", text), Field("storage_opt", pairs),
    Field("sysctls", pairs), Field("tmpfs", texts), Field("tty", boolean), Field("ulimits", table(ulimit)),
    Field("use_api_socket", boolean), Field("user", text), Field("userns_mode", text), Field("uts", text),
    _VOLUMES, Field("volumes_from", texts), Field("working_dir", text),
)  # fmt: skip
SERVICE: tuple[Field, ...] = (
    *_SERVICE,
    Field(
        "pre_start",
        many(
            record((*(_VOLUMES_BEFORE if one is _VOLUMES else one for one in _SERVICE), Field("per_replica", boolean)))
        ),
    ),
    Field("post_start", many(record(_HOOK))),
    Field("pre_stop", many(record(_HOOK))),
)

_POOL = (
    Field("subnet", text), Field("gateway", text), Field("ip_range", text), Field("aux_addresses", pairs)
)  # fmt: skip
NETWORK: tuple[Field, ...] = (
    Field("name", text), Field("driver", text), Field("driver_opts", pairs),
    Field("ipam", record((
        Field("driver", text), Field("config", many(record(_POOL, closed=True))), Field("options", pairs),
    )),
          always=True, empty={}),
    Field("external", boolean), Field("internal", boolean), Field("attachable", boolean), Field("labels", pairs),
    Field("enable_ipv4", boolean, keep=True), Field("enable_ipv6", boolean, keep=True),
)  # fmt: skip
VOLUME: tuple[Field, ...] = (
    Field("name", text), Field("driver", text), Field("driver_opts", pairs), Field("external", boolean),
    Field("labels", pairs)
)  # fmt: skip
FILE_OBJECT: tuple[Field, ...] = (
    Field("name", text), Field("file", text), Field("environment", text), Field("content", text), Field("external",
    boolean),
    Field("labels", pairs), Field("driver", text), Field("driver_opts", pairs), Field("template_driver", text),
)  # fmt: skip
MODEL: tuple[Field, ...] = (
    Field("name", text), Field("model", text), Field("context_size", integer), Field("runtime_flags", texts)
)  # fmt: skip
EXTENSION = anything
