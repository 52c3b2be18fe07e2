"""What a stack's files become, and what is said when they become nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stackd.compose.load import StackInputs, choose, load, stack_inputs
from stackd.errors import Severity
from stackd.model.ids import ServiceName
from stackd.model.spec import RestartCondition, RestartPolicy, UnhealthyAction
from tests.unit.compose.loading import FOLDER, load_with, read_from, service, web


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        (["docker-compose.yaml", "compose.yml", "compose.yaml"], ("compose.yaml",)),
        (["docker-compose.yaml", "docker-compose.yml"], ("docker-compose.yml",)),
        (["compose.yaml", "compose.override.yaml", "compose.override.yml"], ("compose.yaml", "compose.override.yml")),
        (["compose.yaml", "docker-compose.override.yml"], ("compose.yaml", "docker-compose.override.yml")),
        (["fig.yml", "compose.override.yml"], ("fig.yml",)),
        (["README", ".env"], ()),
    ],
)
def test_the_files_are_chosen_as_docker_compose_chooses_them(present: list[str], chosen: tuple[str, ...]) -> None:
    assert choose(present) == chosen


def test_the_project_is_named_after_its_folder() -> None:
    loaded = read_from({"compose.yaml": web()})
    assert loaded.project is not None
    assert loaded.project.name == "blog"


def test_the_name_in_the_file_beats_the_folder_and_env_beats_the_file() -> None:
    named = {"compose.yaml": "name: My Shop\n" + web()}
    loaded, again = read_from(named), read_from({**named, ".env": "COMPOSE_PROJECT_NAME=other\n"})
    assert loaded.project is not None
    assert again.project is not None
    assert (loaded.project.name, again.project.name) == ("myshop", "other")


def test_every_mistake_is_found_at_once() -> None:
    loaded = read_from(
        {"compose.yaml": web("port: ['1:1']", "tty: maybe", "ports: ['80:80:80:80']", "depends_on: [db]")}
    )
    assert loaded.project is None
    assert [found.code for found in loaded.diagnostics] == ["unknown-key", "bad-value", "bad-port", "undefined-service"]


def test_a_key_that_is_not_carried_out_is_warned_of_on_its_line_and_still_hashed() -> None:
    loaded = read_from({"compose.yaml": web("privileged: true")})
    assert [(found.code, found.severity, found.span.line) for found in loaded.diagnostics] == [
        ("unsupported-key", Severity.WARNING, 4)
    ]
    assert service(web("privileged: true")).config_hash != service(web()).config_hash


def test_every_file_that_was_looked_for_is_told_even_when_it_is_absent() -> None:
    loaded = read_from({"compose.yaml": web("env_file: [{path: x.env, required: false}]")})
    assert loaded.files == (FOLDER / ".env", FOLDER / "compose.yaml", FOLDER / "x.env")


def test_a_file_that_cannot_be_read_is_a_finding_and_no_exception() -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    inputs = stack_inputs(FOLDER, ["compose.yaml"])
    assert inputs is not None
    loaded = load(inputs, refuse, {})
    assert loaded.project is None
    assert "unreadable-file" in {found.code for found in loaded.diagnostics}


def test_a_broken_override_brings_no_errors_of_its_absence() -> None:
    loaded = read_from({"compose.yaml": "services:\n  web: {tty: true}\n", "compose.override.yaml": "services:\n\tx\n"})
    assert [found.code for found in loaded.diagnostics] == ["bad-yaml"]


def test_an_unset_variable_warns_but_forbids_where_emptiness_means_something_else() -> None:
    warned = read_from({"compose.yaml": web("hostname: h$NOPE")})
    assert warned.project is not None
    assert [found.code for found in warned.diagnostics] == ["unset-variable"]
    assert read_from({"compose.yaml": web("volumes: ['${NOPE}/data:/data']")}).project is None


def test_the_digest_changes_with_any_text_that_was_read() -> None:
    digests = set()
    for value in ("a", "b"):
        loaded = read_from({"compose.yaml": web("env_file: x.env"), "x.env": f"A={value}\n"})
        assert loaded.project is not None
        digests.add(loaded.project.digest)
    assert len(digests) == 2


def test_equal_text_gives_equal_services() -> None:
    assert service(web("ports: ['80:80']")) == service(web("ports: ['80:80']"))


def test_what_env_gave_never_appears_in_a_finding() -> None:
    loaded = read_from({"compose.yaml": web("ports: ['$PORT']", "scale: '$N'"), ".env": "PORT=hunter2\nN=hunter3\n"})
    assert loaded.project is None
    assert not any("hunter" in str(found) for found in loaded.diagnostics)


def test_secrets_have_no_printable_value() -> None:
    spec = service(
        web("environment: {DB_PASSWORD: hunter2, URL: 'redis://u:hunter2@h', A: $V}", "hostname: $V"),
        _env="V=hunter2\n",
    )
    assert spec.environment["DB_PASSWORD"] == "hunter2"
    assert not any("hunter2" in value for value in spec.values.values())
    assert "hunter2" not in str(spec.values)


@pytest.mark.parametrize(
    ("lines", "condition", "declared", "attempts"),
    [
        ([], RestartCondition.ON_FAILURE, False, None),
        (["restart: always"], RestartCondition.ALWAYS, True, None),
        (["restart: unless-stopped"], RestartCondition.ALWAYS, True, None),
        (["restart: 'no'"], RestartCondition.NO, True, None),
        (["restart: on-failure:3"], RestartCondition.ON_FAILURE, True, 3),
        (["deploy: {restart_policy: {condition: none}}", "restart: always"], RestartCondition.NO, True, None),
        (["deploy: {restart_policy: {condition: any}}"], RestartCondition.ALWAYS, True, None),
        (["deploy: {restart_policy: {max_attempts: 2, condition: on-failure}}"], RestartCondition.ON_FAILURE, True, 2),
    ],
)
def test_restart_maps_as_documented(
    lines: list[str], condition: RestartCondition, declared: bool, attempts: int | None
) -> None:
    policy = service(web(*lines)).restart
    assert (policy.condition, policy.declared, policy.max_attempts) == (condition, declared, attempts)


def test_a_one_shot_that_says_nothing_is_not_restarted() -> None:
    text = web("depends_on: {m: {condition: service_completed_successfully}}") + "  m: {image: m}\n"
    assert service(text, "m").restart.condition is RestartCondition.NO
    assert service(text).restart.condition is RestartCondition.ON_FAILURE


def test_a_service_of_a_profile_that_says_nothing_is_not_restarted() -> None:
    inputs = stack_inputs(FOLDER, ["compose.yaml"])
    assert inputs is not None
    loaded = load_with(dataclasses.replace(inputs, profiles=("p",)), {"compose.yaml": web("profiles: [p]")})
    assert loaded.project is not None
    assert loaded.project.services[ServiceName("web")].restart.condition is RestartCondition.NO


@pytest.mark.parametrize("said", ["", "restart: on-failure", "deploy: {restart_policy: {condition: any}}"])
def test_the_daemons_default_curve_holds_whatever_the_file_says_of_the_condition(said: str) -> None:
    default = RestartPolicy(RestartCondition.ALWAYS, max_delay=7, slow_delay=11)
    inputs = StackInputs(FOLDER, (FOLDER / "compose.yaml",), default_restart=default)
    loaded = load_with(inputs, {"compose.yaml": web(said)})
    assert loaded.project is not None
    policy = loaded.project.services[ServiceName("web")].restart
    assert (policy.max_delay, policy.slow_delay) == (7, 11)
    assert (policy.condition is RestartCondition.ALWAYS) == (said != "restart: on-failure")


def test_the_delay_and_window_that_compose_drops_are_honoured() -> None:
    policy = service(web("deploy: {restart_policy: {condition: any, delay: 5s, window: 2m}}")).restart
    assert (policy.first_delay, policy.base_delay, policy.factor, policy.reset_after) == (5.0, 5.0, 1.0, 120.0)


def test_knobs_under_x_stackd_are_taken_and_wrong_ones_refused() -> None:
    policy = service(
        web("x-stackd: {restart: {max_delay: 5m, crashloop_after: 3, unhealthy: {action: none, limit: 2}}}")
    ).restart
    assert (policy.max_delay, policy.crashloop_after, policy.unhealthy, policy.unhealthy_limit) == (
        300.0, 3, UnhealthyAction.NONE, 2,
    )  # fmt: skip
    loaded = read_from({"compose.yaml": web("x-stackd: {restart: {max_dela: 5m}}")})
    assert "did you mean max_delay?" in str(loaded.diagnostics[0])


def test_what_links_and_namespaces_imply_is_marked_as_implied() -> None:
    text = web("links: [db]", "depends_on: [cache]") + "  db: {image: d}\n  cache: {image: c}\n"
    marks = {str(one.service): one.implicit for one in service(text).depends_on}
    assert marks == {"db": True, "cache": False}


def test_the_primary_network_comes_first() -> None:
    text = web("networks: {a: , b: {priority: 5}, c: }") + "networks: {a: , b: , c: }\n"
    assert [one.network for one in service(text).networks] == ["b", "a", "c"]


def test_a_fig_file_becomes_services_with_their_places() -> None:
    loaded = read_from({"fig.yml": "web:\n  image: x\n  net: container:db\n  volumes: ['cache:/c']\ndb:\n  image: y\n"})
    assert loaded.project is not None
    spec = loaded.project.services[ServiceName("web")]
    assert spec.network_mode == "service:db"
    assert loaded.project.volumes["cache"].name == "cache"
    assert str(spec.spans["network_mode"]) == "/stacks/blog/fig.yml:3:8"


def test_a_secret_file_is_mounted_and_its_content_noticed_but_not_shown() -> None:
    text = web("secrets: [pw]") + "secrets: {pw: {file: ./pw.txt}}\n"
    specs = []
    for value in ("hunter2", "hunter3"):
        loaded = read_from({"compose.yaml": text, "pw.txt": value})
        assert loaded.project is not None
        specs.append(loaded.project.services[ServiceName("web")])
    first, second = specs
    assert (first.mounts[0].source, first.mounts[0].target) == ("/stacks/blog/pw.txt", "/run/secrets/pw")
    assert first.content.startswith("v1:")
    assert first.content != second.content
    assert first.hashes == second.hashes
    assert "hunter" not in repr(first)


def test_all_ranges_of_ports_together_have_a_bound() -> None:
    whole = "services: {a: {image: x, ports: ['1-65535:1-65535']}, b: {image: x, ports: ['1-65535/udp', '80']}}"
    found = read_from({"compose.yaml": whole}), read_from({"compose.yaml": whole.replace("'80'", "'80-90'")})
    assert [[one.code for one in loaded.diagnostics if one.severity is Severity.ERROR] for loaded in found] == [
        [], ["too-big"],
    ]  # fmt: skip


def test_a_mistake_is_told_at_the_value_that_won_the_merge() -> None:
    files = {
        "compose.yaml": web("network_mode: bridge"),
        "compose.override.yaml": "services:\n  web:\n\n    network_mode: service:nowhere\n",
    }
    (found,) = read_from(files).diagnostics
    assert (found.code, str(found.span)) == ("undefined-service", f"{FOLDER}/compose.override.yaml:4:19")


def test_more_than_a_thousand_includes_are_an_error_that_is_told_once() -> None:
    files = {"b.yaml": web()}
    good = read_from({**files, "compose.yaml": "include:\n" + "- b.yaml\n" * 1000})
    bad = read_from({**files, "compose.yaml": "include:\n" + "- b.yaml\n" * 1001})
    assert good.project is not None, good.diagnostics[:3]
    assert [(found.code, found.span.line) for found in bad.diagnostics] == [("too-big", 1002)]


def test_the_variables_of_a_file_have_a_bound_where_they_are_used() -> None:
    many = "x-a:\n" + "- $B\n" * 101
    good = read_from({"compose.yaml": web() + many, ".env": "B=" + "b" * 90_000})
    bad = read_from({"compose.yaml": web() + many, ".env": "B=" + "b" * 100_000})
    assert good.project is not None, good.diagnostics[:3]
    assert [found.code for found in bad.diagnostics] == ["too-big"]


def test_the_variables_of_an_env_file_have_a_bound_where_they_are_used() -> None:
    used = "".join(f"A{at}=$B\n" for at in range(101))
    good = read_from({"compose.yaml": web(), ".env": "B=" + "b" * 90_000 + "\n" + used})
    bad = read_from({"compose.yaml": web(), ".env": "B=" + "b" * 100_000 + "\n" + used})
    assert good.project is not None, good.diagnostics[:3]
    assert [found.code for found in bad.diagnostics] == ["bad-env-file"]


def test_the_refusal_of_a_remote_file_shows_no_user_of_an_address_and_nothing_of_the_dotenv_file() -> None:
    text = "include: ['https://joe:hunter2@host/x.git', '${PLACE}']\n" + web()
    found = read_from({"compose.yaml": text, ".env": "PLACE=oci://hidden/place\n"}).diagnostics
    assert [one.code for one in found] == ["remote-file", "remote-file"]
    assert [one.message.partition(";")[0] for one in found] == [
        '"https://***@host/x.git" is a git repository',
        "it is an OCI artifact",
    ]
