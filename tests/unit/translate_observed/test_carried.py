"""Which keys of a service an inspect answer shows to be in effect."""

from __future__ import annotations

import pytest

from stackd.model.observed import CARRIED_KEYS
from stackd.translate.carried import carried
from stackd.translate.node import Json, as_node

UNSAID: dict[str, Json] = {
    "CapAdd": None, "CapDrop": None, "Memory": 0, "NanoCpus": 0, "PidsLimit": None, "Devices": [],
    "DeviceRequests": None,
    "ReadonlyRootfs": False, "Privileged": False, "Dns": [], "ExtraHosts": None, "SecurityOpt": None, "UTSMode": "",
    "OomScoreAdj": 0, "OomKillDisable": None, "ShmSize": 67108864, "Runtime": "runc", "CgroupnsMode": "private",
    "LogConfig": {"Type": "json-file", "Config": {}}, "MaskedPaths": ["/proc/kcore"],
}  # fmt: skip
"""What engine 28.5 shows of a container that asks for none of it."""


def test_a_container_that_asks_for_nothing_has_none_of_the_keys() -> None:
    assert carried(as_node(UNSAID)) == frozenset()
    assert carried(as_node({})) == carried(as_node(None)) == frozenset()


@pytest.mark.parametrize(
    ("shown", "keys"),
    [
        ({"CapDrop": ["ALL"], "Memory": 67108864}, {"cap_drop", "mem_limit", "deploy.resources"}),
        ({"NanoCpus": 500000000}, {"cpus", "deploy.resources"}),
        ({"Devices": [{"PathOnHost": "/dev/fuse"}], "ReadonlyRootfs": True}, {"devices", "read_only"}),
        ({"Sysctls": {"net.core.somaxconn": "9"}, "GroupAdd": ["7"]}, {"sysctls", "group_add"}),
    ],
)
def test_what_the_engine_shows_is_in_effect(shown: dict[str, Json], keys: set[str]) -> None:
    assert carried(as_node({**UNSAID, **shown})) == keys <= {*CARRIED_KEYS}
