"""Counts that become a loop have a bound: replicas, ranges of ports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.compose.load import stack_inputs
from stackd.errors import Severity
from stackd.model.ids import ServiceName
from stackd.model.spec import Loaded
from tests.unit.compose.loading import FOLDER, load_with, read_from, web


def errors(loaded: Loaded) -> list[str]:
    return [one.code for one in loaded.diagnostics if one.severity is Severity.ERROR]


@pytest.mark.parametrize(
    ("line", "place", "pointer"),
    [
        ("deploy: {replicas: 1000000000}", "4:24", "services.web.deploy.replicas"),
        ("scale: 1000000000", "4:12", "services.web.scale"),
        ("scale: 1e9", "4:12", "services.web.scale"),
    ],
)
def test_more_replicas_than_the_bound_are_refused_with_the_place_and_the_key_to_raise(
    line: str, place: str, pointer: str
) -> None:
    (found,) = read_from({"compose.yaml": web(line)}).diagnostics
    assert str(found) == (
        f'{FOLDER}/compose.yaml:{place}: error[too-many]: "web" is scaled to 1000000000 containers; wanted are at most '
        '1000 in a stack (correct the number, or raise "replicas" below [limits] in config.toml)'
    )
    assert found.pointer == pointer


def test_the_bound_is_that_of_the_configuration() -> None:
    files = {"compose.yaml": web("scale: 1001")}
    inputs = stack_inputs(FOLDER, ["compose.yaml"])
    assert inputs is not None
    assert errors(load_with(inputs, files)) == ["too-many"]
    project = load_with(replace(inputs, replicas=1001), files).project
    assert project is not None and project.services[ServiceName("web")].scale == 1001


def test_the_replicas_of_all_services_count_together_and_single_containers_do_not() -> None:
    def stack(*scales: int) -> Loaded:
        lines = [f"  s{at}: {{image: x, scale: {scale}}}\n" for at, scale in enumerate(scales)]
        return read_from({"compose.yaml": "services:\n" + "".join(lines)})

    assert errors(stack(500, 500, 1, 0)) == []
    assert errors(stack(*[1] * 1001)) == []
    (found,) = stack(500, 2, 499, 500).diagnostics
    assert (found.code, found.span.line) == ("too-many", 4)
    assert "scaled to 499 containers, 1001 with those before it" in found.message


def test_for_a_shell_the_verdict_is_docker_composes() -> None:
    inputs = stack_inputs(FOLDER, ["compose.yaml"])
    assert inputs is not None
    loaded = load_with(replace(inputs, shell=True), {"compose.yaml": web("scale: 1001")})
    assert [(one.code, one.severity) for one in loaded.diagnostics] == [("too-many", Severity.WARNING)]


def test_a_service_that_no_profile_asks_for_is_not_counted() -> None:
    text = web() + "  big:\n    image: x\n    scale: 5000\n    profiles: [rare]\n"
    assert errors(read_from({"compose.yaml": text})) == []


def test_the_ranges_of_ports_of_everything_included_count_together() -> None:
    files = {f"b{at}.yaml": f"services: {{s{at}: {{image: x, ports: ['1-65535']}}}}" for at in range(3)}
    include = "include:\n" + "".join(f"- {name}\n" for name in files)
    found = [one for one in read_from({"compose.yaml": include, **files}).diagnostics if one.code == "too-big"]
    assert [(one.span.file, one.span.line) for one in found] == [(f"{FOLDER}/b2.yaml", 1)]


@pytest.mark.parametrize("entry", ["1-99999999999", "80-79", "70000", "80/all", "0-65536"])
def test_an_exposed_range_that_is_none_is_refused(entry: str) -> None:
    assert errors(read_from({"compose.yaml": web(f"expose: ['{entry}']")})) == ["bad-port"]


def test_all_exposed_ranges_have_a_bound() -> None:
    def stack(*entries: str) -> list[str]:
        return errors(read_from({"compose.yaml": web(f"expose: {list(entries)}")}))

    assert stack("1-65535", "1-65535/udp", "80/TCP") == []
    assert stack("1-65535", "1-65535/udp", "1-65534") == ["too-big"]
