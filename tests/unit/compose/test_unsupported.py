"""Which keys a service's container would not get: those that are read and not carried out yet."""

from __future__ import annotations

import pytest

from stackd.compose.rules import SERVICE
from stackd.compose.unsupported import not_carried_out
from stackd.model.observed import CARRIED_KEYS
from tests.unit.compose.loading import read_from, service, web


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["cap_drop: [ALL]", "mem_limit: 64m", "read_only: true"], ("cap_drop", "mem_limit", "read_only")),
        (["deploy: {resources: {limits: {memory: 64m}}, labels: {a: b}, placement: {}}"], ("deploy.resources",)),
        (["volumes: [{type: volume, source: x, target: /x, volume: {subpath: a}}]"], ("volumes.volume.subpath",)),
        (["volumes: [{type: image, source: busybox, target: /x}]"], ("volumes",)),
        (["networks: {default: {driver_opts: {a: b}, aliases: [c]}}"], ("networks.driver_opts",)),
        (["cap_drop: []", "read_only: false", "privileged: false", "mem_limit: 0", "sysctls: {}"], ()),
        (["develop: {}", "build: {context: ., no_cache: true, ulimits: {nofile: 9}}"], ()),
        (["environment: {A: b}", "ports: ['80']", "init: true", "user: me"], ()),
    ],
)
def test_what_its_container_would_not_have_is_named_and_nothing_else(lines: list[str], found: tuple[str, ...]) -> None:
    text = web(*lines) + "volumes: {x: }\n"
    assert service(text).unsupported == found


def test_a_secret_that_is_no_file_is_named_and_one_that_is_a_file_is_not() -> None:
    text = web("secrets: [a]") + "secrets: {a: {%s}}\n"
    assert service(text % "environment: HOME").unsupported == ("secrets",)
    assert service(text % "file: ./a").unsupported == ()


def test_a_key_of_a_base_or_an_override_counts_for_the_service_that_has_it_in_the_end() -> None:
    loaded = read_from(
        {
            "compose.yaml": "services:\n  base: {image: a, cap_add: [ALL]}\n  web: {extends: base}\n  db: {image: b}\n",
            "compose.override.yaml": "services:\n  db: {dns: [10.0.0.1]}\n",
        }
    )
    assert loaded.project is not None
    found = {str(name): spec.unsupported for name, spec in loaded.project.services.items()}
    assert found == {"base": ("cap_add",), "web": ("cap_add",), "db": ("dns",)}


def test_only_keys_that_are_not_carried_out_are_looked_for_on_containers() -> None:
    first = {key.partition(".")[0] for key in CARRIED_KEYS}
    assert first <= SERVICE.later | {"deploy"}
    assert not_carried_out.__doc__
