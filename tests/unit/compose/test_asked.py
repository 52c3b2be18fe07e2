"""What `stackd config` may ask of a load: some services only, other names and files, a step left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackd.compose.canonical import json_of, raw_json, raw_yaml
from stackd.compose.load import Resolved, StackInputs, load, resolve, stack_inputs
from stackd.errors import Severity
from tests.unit.compose.loading import FOLDER

SHOP = """\
services:
  web: {image: "web:$TAG", depends_on: [db], networks: [front], profiles: [shop], ports: ["80:80"]}
  db: {image: db, networks: [back], volumes: ["data:/d", "./x:/x"], env_file: db.env, environment: [V, W=1]}
  job: {image: job, profiles: [later, ""], depends_on: [db]}
  off: {image: off, profiles: [never]}
networks: {front: , back: , unused: }
volumes: {data: , none: }
"""
FILES = {"compose.yaml": SHOP, ".env": "TAG=1\nV=v\n", "db.env": "F=$TAG\n"}


def asked(files: dict[str, str] | None = None, **wanted: object) -> Resolved:
    held = {FOLDER / name: text.encode() for name, text in (files or FILES).items()}
    inputs = stack_inputs(FOLDER, list(files or FILES))
    assert inputs is not None

    def read(path: Path) -> bytes:
        if path not in held:
            raise FileNotFoundError(path)
        return held[path]

    return resolve(replace(inputs, **wanted), read, {"HOME": "/home/joe"})  # type: ignore[arg-type]


def errors(found: Resolved) -> list[str]:
    return [str(one) for one in found.loaded.diagnostics if one.severity is Severity.ERROR]


def kept(found: Resolved) -> list[str]:
    assert found.root is not None, errors(found)
    services = found.root.entries["services"]
    return sorted(set(getattr(services, "entries")) - found.left_out)  # noqa: B009


def section(found: Resolved, name: str) -> list[str]:
    assert found.root is not None
    table = found.root.get(name)
    return list(getattr(table, "entries", ()))


def test_a_service_asked_for_comes_with_what_it_needs_and_enables_its_profile() -> None:
    found = asked(services=("web",))
    assert kept(found) == ["db", "web"]
    assert section(found, "networks") == ["front", "back"]


def test_a_service_asked_for_does_not_bring_others() -> None:
    assert kept(asked(services=("db",))) == ["db"]
    assert section(asked(services=("db",)), "networks") == ["back"]


def test_an_enabled_profile_alone_does_not_bring_a_service_that_was_not_asked_for() -> None:
    assert kept(asked(services=("db",), profiles=("shop",))) == ["db"]


def test_an_unknown_service_asked_for_is_an_error_with_the_nearest_name() -> None:
    told = asked(services=("wed",)).loaded.diagnostics
    assert [(one.code, one.pointer, one.hint) for one in told] == [
        ("undefined-service", "services", "did you mean web?")
    ]
    assert told[0].span.file == str(FOLDER / "compose.yaml")


def test_every_profile_that_a_service_names_is_told() -> None:
    assert asked().profiles == {"shop", "later", "never"}


def test_a_star_enables_every_profile() -> None:
    assert kept(asked(profiles=("*",))) == ["db", "job", "off", "web"]


def test_an_empty_profile_is_always_enabled() -> None:
    assert kept(asked()) == ["db", "job"]


def test_the_environment_does_not_add_profiles_to_those_that_a_person_asked_for() -> None:
    files = {**FILES, ".env": "TAG=1\nCOMPOSE_PROFILES=never\n"}
    assert kept(asked(files, profiles=("shop",), shell=True)) == ["db", "job", "web"]
    assert kept(asked(files, profiles=("shop",))) == ["db", "job", "off", "web"]


def test_a_name_asked_for_wins_over_every_other_and_must_be_a_normal_one() -> None:
    files = {**FILES, "compose.yaml": f"name: file\n{SHOP}", ".env": "TAG=1\nCOMPOSE_PROJECT_NAME=env\n"}
    assert asked(files, name="asked").name == "asked"
    assert asked(files).name == "env"
    assert "the project name wants" in errors(asked(files, name="Not Normal"))[0]


def test_a_name_of_the_environment_must_be_a_normal_one_and_is_told_at_its_file() -> None:
    found = asked({**FILES, ".env": "COMPOSE_PROJECT_NAME=-Bad\nTAG=1\n"})
    assert errors(found)[0].startswith(f"{FOLDER}/.env: error[bad-project-name]: COMPOSE_PROJECT_NAME wants")


def test_a_folder_without_a_letter_gives_no_name() -> None:
    inputs = StackInputs(Path("/stacks/---"), (Path("/stacks/---/compose.yaml"),))
    found = load(inputs, lambda path: b"services: {a: {image: a}}", {})
    assert [one.code for one in found.diagnostics] == ["bad-project-name"]


def test_files_named_by_a_person_win_over_those_of_the_environment() -> None:
    files = {**FILES, ".env": "TAG=1\nCOMPOSE_FILE=other.yaml\n", "other.yaml": "services: {other: {image: o}}"}
    assert kept(asked(files)) == ["other"]
    assert kept(asked(files, explicit=True)) == ["db", "job"]


def test_an_empty_list_of_files_in_the_environment_says_nothing() -> None:
    assert kept(asked({**FILES, ".env": "TAG=1\nCOMPOSE_FILE=\n"})) == ["db", "job"]


def test_the_stacks_own_env_file_wins_over_those_of_the_configuration_and_the_later_of_these_over_the_earlier() -> None:
    files = {**FILES, "a.env": "TAG=a\nV=a\nX=a\n", "b.env": "V=b\nX=$TAG$V\n", "compose.yaml":
             "services: {web: {image: \"$TAG-$V-$X\"}}", ".env": "TAG=own\n"}  # fmt: skip
    found = asked(files, env_files=(FOLDER / "a.env", FOLDER / "b.env"))
    assert '"image": "own-b-aa"' in json_of(found)


def test_references_are_left_as_they_are_when_that_is_asked_for() -> None:
    files = {**FILES, "compose.yaml": SHOP + "x-a: {n: 1.5}\n"}
    found = asked(files, interpolate=False, decoded=False)
    assert '"image": "web:$TAG"' in raw_json(found)
    assert "image: web:$TAG" in raw_yaml(found)


def test_a_mistake_is_an_error_even_while_references_are_left() -> None:
    files = {**FILES, "compose.yaml": "services: {web: {image: [a]}}"}
    assert asked(files, interpolate=False, decoded=False).root is None


def test_names_defaults_and_the_project_name_are_left_out_when_that_is_asked_for() -> None:
    files = {**FILES, "compose.yaml": "services: {web: {image: a, environment: [V]}}\nvolumes: {v: }"}
    found = asked(files, normal=False)
    assert '"V": "v"' in json_of(found)
    assert "default" not in json_of(found)
    assert '"name": "blog_' not in json_of(found)
    assert found.loaded.project is None


def test_a_name_that_is_not_normal_stays_so_where_nothing_is_completed() -> None:
    assert asked({**FILES, "compose.yaml": "name: My Shop\n" + SHOP}, normal=False).name == "My Shop"


def test_a_value_that_no_field_can_hold_is_told_even_where_nothing_is_completed() -> None:
    files = {**FILES, "compose.yaml": 'services: {web: {image: a, command: "a \'b"}}'}
    assert asked(files, normal=False).root is None


def test_what_names_what_is_not_checked_when_that_is_asked_for() -> None:
    files = {**FILES, "compose.yaml": "services: {web: {image: a, networks: [nope]}}"}
    assert errors(asked(files, consistent=False)) == []
    assert errors(asked(files)) != []


def test_env_files_stay_apart_when_that_is_asked_for() -> None:
    assert '"F": "1"' in json_of(asked())
    assert '"env_file"' in json_of(asked(env_files_merged=False))
    assert '"F": "1"' not in json_of(asked(env_files_merged=False))


def test_paths_stay_as_they_are_written_when_that_is_asked_for() -> None:
    assert '"source": "/stacks/blog/x"' in json_of(asked())
    assert '"source": "./x"' in json_of(asked(paths_resolved=False, env_files_merged=False))


@pytest.mark.parametrize("shell", [True, False])
def test_a_variable_that_is_not_set_only_warns_a_person(shell: bool) -> None:
    files = {"compose.yaml": 'services: {web: {image: "a$NOPE"}}'}
    assert (errors(asked(files, shell=shell)) == []) is shell


def test_a_project_whose_one_file_is_broken_tells_what_the_others_say_by_themselves() -> None:
    files = {"compose.yaml": "services: {web: {imag: a}}", "compose.override.yaml": "services: [\n"}
    assert [one.code for one in asked(files).loaded.diagnostics] == ["bad-yaml", "unknown-key"]
    files = {"compose.yaml": "services: {web: {hostname: a}}", "compose.override.yaml": "services: [\n"}
    assert [one.code for one in asked(files).loaded.diagnostics] == ["bad-yaml"]
