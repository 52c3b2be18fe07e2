"""What the daemon gets of a definition: typed services, networks and volumes; and what stays hidden on the way."""

from __future__ import annotations

import pytest

from stackd.model.ids import ServiceName
from stackd.model.spec import Loaded, NetworkSpec, PullPolicy, VolumesFrom, VolumeSpec
from tests.unit.compose.loading import read_from, service, web


def project(text: str, **files: str) -> Loaded:
    found = read_from({"compose.yaml": text, **{key.replace("_", "."): value for key, value in files.items()}})
    assert found.project is not None, [str(one) for one in found.diagnostics]
    return found


def network(line: str) -> NetworkSpec:
    found = project(web("networks: [n]") + f"networks: {{n: {line}}}\n").project
    assert found is not None
    return found.networks["n"]


def volume(line: str) -> VolumeSpec:
    found = project(web("volumes: ['data:/v']") + f"volumes: {{data: {line}}}\n").project
    assert found is not None
    return found.volumes["data"]


def test_the_pools_of_a_network_are_flat_and_hold_only_what_is_said() -> None:
    pools = "[{subnet: 10.0.0.0/8, gateway: 10.0.0.1, aux_addresses: {a: 10.0.0.2}}, {ip_range: 10.0.1.0/24}]"
    assert network(f"{{ipam: {{driver: d, config: {pools}}}}}").ipam_config == (
        {"subnet": "10.0.0.0/8", "gateway": "10.0.0.1", "aux:a": "10.0.0.2"},
        {"ip_range": "10.0.1.0/24"},
    )


def test_a_network_or_volume_of_others_has_no_hash_and_one_of_its_own_has() -> None:
    assert network("{external: true}").config_hash == volume("{external: true}").config_hash == ""
    assert network("{driver: bridge}").config_hash != network("{driver: other}").config_hash
    assert volume("{driver: x}").config_hash != volume("{driver: y}").config_hash
    assert volume("{driver: local}").config_hash != ""


def test_the_services_mac_address_goes_to_its_primary_network_that_has_none() -> None:
    text = web("mac_address: '02:42:ac:11:65:44'", "networks: {a: {priority: 1}, b: {priority: 5}}")
    spec = service(text + "networks: {a: , b: }\n")
    assert [(one.network, one.mac_address) for one in spec.networks] == [("b", "02:42:ac:11:65:44"), ("a", "")]


def test_the_primary_networks_own_mac_address_stands() -> None:
    text = web("mac_address: '02:42:ac:11:65:44'", "networks: {a: {mac_address: '02:42:ac:11:65:43'}}")
    assert service(text + "networks: {a: }\n").networks[0].mac_address == "02:42:ac:11:65:43"


@pytest.mark.parametrize(
    ("bind", "short"),
    [("{}", True), ("{create_host_path: false}", False), ("{propagation: rslave}", False), ("{selinux: z}", True)],
)
def test_a_bind_mount_is_of_the_short_kind_unless_the_short_form_could_not_say_it(bind: str, short: bool) -> None:
    spec = service(web(f"volumes: [{{type: bind, source: /a, target: /b, bind: {bind}}}]"))
    assert spec.mounts[0].short is short


def test_a_tmpfs_mount_has_its_size_in_bytes_and_its_mode() -> None:
    text = "volumes: [{type: tmpfs, target: /a, tmpfs: {size: 1k, mode: 0700}}, {type: tmpfs, target: /b}]"
    mounts = service(web(text)).mounts
    assert [(one.tmpfs_size, one.tmpfs_mode, one.source) for one in mounts] == [(1024, 0o700, ""), (None, None, "")]


def test_a_mount_of_a_kind_that_is_not_carried_out_is_warned_of_and_left_out() -> None:
    found = project(web("volumes: [{type: npipe, source: x, target: /a}, {type: tmpfs, target: /b}]"))
    assert found.project is not None
    mounts = found.project.services[ServiceName("web")].mounts
    assert [one.target for one in mounts] == ["/b"]
    assert [one.code for one in found.diagnostics] == ["unsupported-value"]


def test_a_mount_that_is_declared_wins_over_a_secret_of_the_same_place() -> None:
    spec = service(web("volumes: ['/own:/run/secrets/s']", "secrets: [s]") + "secrets: {s: {file: ./s}}\n", s="x")
    assert [(one.source, one.target) for one in spec.mounts] == [("/own", "/run/secrets/s")]


@pytest.mark.parametrize(
    ("entry", "taken"),
    [
        ("other", VolumesFrom(ServiceName("other"), "", False)),
        ("other:ro", VolumesFrom(ServiceName("other"), "", True)),
        ("container:x", VolumesFrom(None, "x", False)),
        ("container:x:ro", VolumesFrom(None, "x", True)),
    ],
)
def test_volumes_from_names_a_service_or_a_container_and_how(entry: str, taken: VolumesFrom) -> None:
    spec = service(web(f"volumes_from: ['{entry}']") + "  other: {image: o}\n")
    assert spec.volumes_from == (taken,)


def test_a_link_without_alias_is_known_by_the_services_name() -> None:
    spec = service(web("links: [other, 'other:o']") + "  other: {image: o}\n")
    assert [(one.service, one.alias) for one in spec.links] == [("other", "other"), ("other", "o")]


def test_a_health_check_is_told_as_it_is_said_and_none_when_nothing_is_said() -> None:
    assert service(web()).healthcheck is None
    check = service(web("healthcheck: {interval: 90s, start_interval: 500ms}")).healthcheck
    assert check is not None
    assert (check.test, check.interval, check.start_interval, check.retries) == (None, 90.0, 0.5, None)
    off = service(web("healthcheck: {disable: true}")).healthcheck
    assert off is not None
    assert off.test == ("NONE",)


def test_a_service_that_is_built_has_an_image_of_its_own_name_and_a_build_only_then() -> None:
    spec = service("services: {web: {build: {context: ., args: {A: , B: 1}, target: t}}}")
    assert spec.image == "blog-web"
    assert spec.build is not None
    assert (spec.build.context, spec.build.args, spec.build.target) == ("/stacks/blog", {"B": "1"}, "t")
    assert service(web()).build is None


def test_a_pull_policy_that_is_not_carried_out_is_warned_of_where_it_stands() -> None:
    found = project(web("pull_policy: daily"))
    assert [(one.code, one.span.line, one.span.column) for one in found.diagnostics] == [("unsupported-value", 4, 18)]
    assert found.project is not None
    assert found.project.services[ServiceName("web")].pull_policy is PullPolicy.MISSING


def test_replicas_count_where_no_scale_is_given() -> None:
    assert service(web("deploy: {replicas: 3}")).scale == 3
    assert service(web("scale: 2")).scale == 2
    assert service(web()).scale == 1


def test_only_an_implied_dependency_is_marked_as_one() -> None:
    spec = service(web("links: [a]", "depends_on: [b]") + "  a: {image: a}\n  b: {image: b}\n")
    assert {str(one.service): one.implicit for one in spec.depends_on} == {"a": True, "b": False}


@pytest.mark.parametrize("key", ["env_file", "label_file"])
def test_the_name_of_a_missing_file_stays_hidden_when_env_gave_it(key: str) -> None:
    hidden = read_from({"compose.yaml": web(f"{key}: '$V'"), ".env": "V=hunter2\n"})
    shown = read_from({"compose.yaml": web(f"{key}: plain")})
    assert "hunter2" not in str(hidden.diagnostics[0])
    assert '"plain"' in str(shown.diagnostics[0])


def test_what_the_stacks_own_env_file_gives_as_an_env_file_is_secret_and_what_another_gives_is_not() -> None:
    spec = service(web("env_file: [.env, other.env]"), _env="A=hunter2\n", other_env="B=2\n")
    assert (spec.values["environment.A"], spec.values["environment.B"]) == ("(hidden)", "2")


def test_what_the_stacks_own_env_file_gives_as_a_label_file_is_never_printed() -> None:
    spec = service(web("label_file: [.env]"), _env="a=hunter2\n")
    assert spec.labels["a"] == "hunter2"
    assert "hunter2" not in str(spec.values)


def test_a_label_stands_where_the_file_or_the_service_says_it() -> None:
    spec = service(web("label_file: l.label", "labels: {own: 1}"), l_label="\nx=1\n")
    assert str(spec.spans["labels.x"]).endswith("l.label:2:1")
    assert str(spec.spans["labels.own"]).endswith("compose.yaml:5:14")
