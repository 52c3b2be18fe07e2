"""Which keys of a Compose service an inspect answer shows to be in effect on a container.

Law: only keys of `CARRIED_KEYS`, whose effect stands in the answer of every engine (API 1.41 and later) and whose
absence has one form. A key not named here may be in effect as well. What this module does NOT do: compare.
"""

from __future__ import annotations

from stackd.model.observed import CARRIED_KEYS
from stackd.translate.node import Node

_FIELDS = {
    "blkio_config": (
        "BlkioWeight BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps"
    ),
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "cgroup_parent": "CgroupParent",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
    "cpus": "NanoCpus CpuQuota",
    "cpuset": "CpusetCpus",
    "deploy.resources": "Memory MemoryReservation NanoCpus CpuQuota PidsLimit DeviceRequests",
    "device_cgroup_rules": "DeviceCgroupRules",
    "devices": "Devices DeviceRequests",
    "dns": "Dns",
    "dns_opt": "DnsOptions",
    "dns_search": "DnsSearch",
    "extra_hosts": "ExtraHosts",
    "gpus": "DeviceRequests",
    "group_add": "GroupAdd",
    "mem_limit": "Memory",
    "mem_reservation": "MemoryReservation",
    "oom_kill_disable": "OomKillDisable",
    "oom_score_adj": "OomScoreAdj",
    "pids_limit": "PidsLimit",
    "privileged": "Privileged",
    "read_only": "ReadonlyRootfs",
    "security_opt": "SecurityOpt",
    "storage_opt": "StorageOpt",
    "sysctls": "Sysctls",
    "userns_mode": "UsernsMode",
    "uts": "UTSMode",
}
"""By key, the fields of `HostConfig` that it sets: empty, zero or null where it says nothing."""


def carried(host_config: Node) -> frozenset[str]:
    """The keys in effect: `{"HostConfig": {"CapDrop": ["ALL"], "Memory": 0}}` gives `{"cap_drop"}`."""
    return frozenset(key for key in CARRIED_KEYS if any(host_config[field] for field in _FIELDS[key].split()))
