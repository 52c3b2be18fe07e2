"""The config hash in both dialects: those that docker compose v5.6.1 and v2.40.3 wrote for the same file.

Law: the digests are the labels that the real binaries put on the containers of a project in `/stacks/blog` (HOME is
`/home/joe`); `RECORDED` is never written from what stackd says.
"""

from __future__ import annotations

import pytest

from stackd.compose.hash import digest
from stackd.model.ids import ServiceName
from tests.unit.compose.loading import read_from, service, web

FILES = {"one_env": "Q=a b\nW=$Q<&>\n"}
CASES = {
    "no-bind": web("command: ['sleep', '1']", "volumes: ['kept:/kept', '/anonymous']") + "volumes: {kept: }\n",
    "short": web("volumes: ['./data:/data', '/srv/x:/x:ro', '~/home:/h', '../up:/u:z']"),
    "short-propagation": web("volumes: ['./data:/data:rshared,Z']"),
    "long": web("volumes: [{type: bind, source: ./data, target: /data}]"),
    "long-empty": web("volumes: [{type: bind, source: ./data, target: /data, bind: {}}]"),
    "long-options": web("volumes: [{type: bind, source: ., target: /d, bind: {propagation: rslave, selinux: z}}]"),
    "long-true": web("volumes: [{type: bind, source: ., target: /d, bind: {create_host_path: true}}]"),
    "long-false": web("volumes: [{type: bind, source: ., target: /d, bind: {create_host_path: false}}]"),
    "long-recursive": web("volumes: [{type: bind, source: ., target: /d, bind: {recursive: disabled}}]"),
    "with-floats": web("volumes: ['./data:/data']", "cpus: 1.5", "deploy: {replicas: 2}"),
    "env-file": web("env_file: one.env", "volumes: ['./data:/data']"),
    "refresh": web("pull_policy: refresh", "pull_refresh_after: 24h", "user: a"),
    "extended": "services:\n  web:\n    extends: base\n    volumes: ['./b:/b']\n  base:\n    image: busybox\n"
    "    volumes: ['./a:/a', {type: bind, source: ./b, target: /b}]\n",
}
RECORDED: dict[str, tuple[str, str]] = {
    "no-bind": (
        "6167c2cdef3453225528e9fbca8ce17400a094b0effedc14d4c76691118134ba",
        "6167c2cdef3453225528e9fbca8ce17400a094b0effedc14d4c76691118134ba",
    ),
    "short": (
        "301a5aae0f656da12af1d436b8cbec7972343f7c120a06b4684df107bf3e86d7",
        "1c3342f68bd6fa94a3e1af7b11f95817b87ed9905534bd0853b212004712103e",
    ),
    "short-propagation": (
        "372e7443bf5cf36d8d0b4d5636e2fa9c6a72f0ca83e506eba861d05af75dc1c8",
        "b7c6626af8d2cfd45ce13519c99f36d0d360a60a66092abda395a462621e6ae6",
    ),
    "long": (
        "6666300891ab7aa6c6d601579b7563ee093baae895438a32f405fea111a3cadf",
        "6666300891ab7aa6c6d601579b7563ee093baae895438a32f405fea111a3cadf",
    ),
    "long-empty": (
        "2f9eafb5b4eb5169998a98cd54dc15358cb29146a9e111efd6f057f04a8c683c",
        "2f9eafb5b4eb5169998a98cd54dc15358cb29146a9e111efd6f057f04a8c683c",
    ),
    "long-options": (
        "f6696d4ad72dc4992b008896157f77974e78e38bd80bbf27f5a5d37a6d1c3b84",
        "f6696d4ad72dc4992b008896157f77974e78e38bd80bbf27f5a5d37a6d1c3b84",
    ),
    "long-true": (
        "15950bb69d713fcd945a9f1ac6f28456a52bbf0a186105eebe21946137025f71",
        "9f9f3caa0fb7b826ac44c7a5036e9caf51ee14cb20f1f0b8273db7f71e6b0b44",
    ),
    "long-false": (
        "6dadda33d00137e58a83f5e6d203f1492d36b0386321b41c9716555b91b98f5b",
        "15950bb69d713fcd945a9f1ac6f28456a52bbf0a186105eebe21946137025f71",
    ),
    "long-recursive": (
        "88a6382e211a6a8fc517e18dd0c0fab906cb8615fe3934cf24ca20c28aecddf2",
        "88a6382e211a6a8fc517e18dd0c0fab906cb8615fe3934cf24ca20c28aecddf2",
    ),
    "with-floats": (
        "1e076f38b1f190ffaff0aa2c7c5a60f00579aa89100b30344b942ddc4eb6109a",
        "1de0eef18f362dfe4c54158da2ea2989023113e6c85246824c28c6e7264d6373",
    ),
    "env-file": (
        "a303ba9bec98acb5b51eb03c5914d66456cf3b63a1c1c476bcb218ba95bb55c4",
        "791c89c0c24ece3e2051679123461fa1c1632e8f8cddacbbceea127851d9c7aa",
    ),
    "refresh": (
        "b371da02d430a364e877dd04f206d57968749812e5b5dbd5b2d6889a9497383c",
        "2f103793716b02ba3a33976ea94ee6880c0e701b8985c626e35706fa12eb0756",
    ),
    "extended": (
        "bc5fcb911b73188222b3218a56b3c5ea114d7674453d577714d0a41d07a24352",
        "0d8471312ad9e60b1149232c61b0ffde0cd6f11f8ec412a0d52b3e702a697f77",
    ),
}
"""By case: the hash of v5.6.1, that of v2.40.3."""
LAID = {
    "compose.yaml": web(
        "volumes: ['./data:/data']", "post_start: [{command: [a]}, {command: [b]}]", "pre_stop: [{command: [a]}]",
        "gpus: [{count: 1}]", "develop: {watch: [{path: ./src, action: rebuild}]}",
        "deploy: {placement: {constraints: [a]}}",
    ),
    "compose.override.yaml": """services:
  web:
    post_start: [{command: [a]}, {command: [c]}]
    pre_stop: [{command: [a]}]
    gpus: [{count: 1}]
    develop: {watch: [{path: ./src, action: rebuild}]}
    deploy: {placement: {constraints: [a]}}
    volumes: ['./b:/data']
""",
}  # fmt: skip
LAID_RECORDED = (
    "c3c1f66026dd3f3c166d4d667aaaf804ed0847ce7ed3dbabbe3485ee516be3d4",
    "bffc1a64a412dd50219c33f1b095173e69b390fc1b9e32e038344974cdf5a3ed",
)


@pytest.mark.parametrize("case", CASES)
def test_a_service_has_the_hash_of_docker_compose_v5_and_that_of_v2(case: str) -> None:
    assert service(CASES[case], **FILES).hashes == RECORDED[case]


def test_records_that_an_override_repeats_count_twice_in_the_hash_of_v2_and_once_in_that_of_v5() -> None:
    project = read_from(LAID).project
    assert project is not None
    spec = project.services[ServiceName("web")]
    assert (spec.hashes, tuple(map(digest, spec.canonical))) == (LAID_RECORDED, LAID_RECORDED)


def test_a_repetition_that_v2_refuses_leaves_the_hash_as_it_is() -> None:
    over = "services: {web: {external_links: [r]}}\n"
    laid = read_from({"compose.yaml": web("external_links: [r]"), "compose.override.yaml": over}).project
    assert laid is not None
    assert laid.services[ServiceName("web")].hashes == service(web("external_links: [r]")).hashes
