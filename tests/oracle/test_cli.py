"""`stackd config --shell-env` prints what `docker compose config` prints, byte for byte, and ends with its code."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.golden.compose.folders import folders
from tests.oracle.cli import Ended, call
from tests.oracle.compose import HOME, run

pytestmark = pytest.mark.oracle

ENV = {"PATH": "/usr/bin:/bin", "HOME": HOME}
APART = {
    "alias-bomb": "the real one unfolds it for half a minute",
    "fig": "the real one knows no fig.yml",
    "nested-too-deeply": "stackd bounds how deep a definition may nest",
}
"""Cases that cannot be compared, by the beginning of their names."""
ONLY_WHOLE = frozenset(("container-name-twice",))
"""Cases that docker compose refuses to print, but takes lists and hashes from; stackd refuses them altogether."""
CASES = [folder for folder in folders() if not folder.name.startswith(tuple(APART))]
PAIRED = (
    ("--no-interpolate",), ("--no-normalize",), ("--hash", "*"), ("--services",), ("--variables",), ("--images",),
    ("--profile", "*"), ("--format", "json"),
)  # fmt: skip
WRITTEN = ("written-", "pre-start-", "extra-hosts-", "include-", "volumes-long", "ports-")
UNORDERED = ("--services", "--images", "--volumes", "--networks", "--models", "--environment")
"""What the real one prints in the order of a Go map, which is another one every time."""
AS_WRITTEN = ("--no-interpolate", "--format", "json")
LEFT_IN = (AS_WRITTEN, ("--no-interpolate", "--hash", "*"))
"""References stay in what is shown, and in what is made a project of as well."""
STEPS = ("--no-normalize", "--no-consistency", "--no-path-resolution", "--no-env-resolution")

OTHERWISE = {
    "build-contexts-without-place": "the real one takes the name for a path",
    "build-ssh-unknown": "the real one takes the name for a path",
    "merge-pairs-of-every-table": "the real one drops an earlier label of a name already",
    "scalars-": "the real one rounds a whole number of more than 64 bits",
}
"""Cases that are shown otherwise with their references left in them, by the beginning of their names."""

FILES = """\
name: words
services:
  web:
    image: "web:${TAG:-1}"
    depends_on: [db]
    profiles: [front]
    environment: {KEY: "${KEY?is needed}", OTHER: "${OTHER:+else}", EMPTY: "", BARE: , COST: "$$5"}
    env_file: [web.env]
    volumes: ["data:/data", "./here:/here:ro"]
    x-note: {b: 1, a10: "yes", a9: [on, "1:30", 0x10, 1e3]}
  db:
    image: db
    networks: {back: {aliases: [store]}}
    ports: ["${PORT:-80}:80", "90:90"]
    pre_start: [{image: hook, command: prepare}]
  made:
    build: {context: ./made, args: [BARE, SET=1]}
    depends_on: [db]
    command: "echo ${UNSET}"
  off:
    image: off
    profiles: [never]
    models: [small]
volumes: {data: {}, unused: {}}
networks: {back: {}, unused: {}}
models: {small: {model: ai/small}}
x-many: {b: 1, a10: [{d: 1, c: [2024-01-02]}], a9: {}, a8: []}
x-and: 1
x-top: "a text that is folded, because it is longer than eighty characters of one line of YAML, ${TAG:-1}"
"""

NEEDS = """\
services:
  held: {image: x, profiles: [one], links: [kept]}
  kept: {image: x, profiles: [two]}
  loose: {image: x, profiles: [one], depends_on: {kept: {condition: service_started, required: false}}}
"""


def both(folder: Path, *words: str, **env: str) -> tuple[Ended, Ended]:
    """The same words for both: what stands before `config` there stands behind it here."""
    at = words.index("config") if "config" in words else 0
    before, after = words[:at], words[at + 1 :] if "config" in words else words
    real = run(folder, *before, "config", *after, **env)
    ours = call(folder, {**ENV, **env}, "config", "--shell-env", *before, *after)
    crashed = real.returncode == 2 and "goroutine " in real.stderr  # it refuses such a file by a fault of its own
    return ours, Ended(real.stdout, real.stderr, 1 if crashed else real.returncode)


def lines(text: str) -> list[str]:
    return sorted(text.splitlines())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "below" / "deeper").mkdir(parents=True)
    (folder / "compose.yaml").write_text(FILES)
    (folder / ".env").write_text("KEY=secret\nBARE=found\nNESTED=${KEY}1\n1ST=digit\n")
    (folder / "web.env").write_text("FROM_FILE=$KEY\n")
    (folder / "other.env").write_text("KEY=other\nTAG=9\n")
    (folder / "needs.yaml").write_text(NEEDS)
    (folder / "loose.yaml").write_text("services: {web: {image: x, env_file: web.env, networks: [nowhere]}}\n")
    (folder / "more.yaml").write_text("services: {db: {image: newer, x-more: 1}}\n")
    return folder


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_yaml_json_hashes_and_verdict_are_those_of_docker_compose(folder: Path) -> None:
    hashes = [("--hash", "*")] if folder.name not in ONLY_WHOLE else []
    for words in ((), ("--format", "json"), ("-q",), *hashes):
        ours, real = both(folder, *words)
        assert (ours.code, ours.out) == (real.code, real.out), (words, ours.err, real.err)


@pytest.mark.parametrize("folder", [one for one in CASES if one.name not in ONLY_WHOLE], ids=lambda folder: folder.name)
def test_the_lists_are_those_of_docker_compose(folder: Path) -> None:
    for word in ("--services", "--images", "--volumes", "--networks"):
        ours, real = both(folder, word)
        assert (ours.code, lines(ours.out)) == (real.code, lines(real.out)), (word, ours.err, real.err)


@pytest.mark.parametrize("word", UNORDERED)
def test_what_has_no_order_is_the_same_but_sorted(project: Path, word: str) -> None:
    ours, real = both(project, word, BARE="from the shell")
    assert (ours.code, lines(ours.out)) == (real.code, lines(real.out))


@pytest.mark.parametrize(
    "words",
    [
        ("--profile", "front", "config"),
        ("--profile", "*", "config", "--format", "json"),
        ("--profile", "front", "--profile", "never", "config", "--profiles"),
        ("-f", "compose.yaml", "-f", "more.yaml", "config"),
        ("-p", "named", "config"),
        ("-p", "Not-Normal", "config"),
        ("--env-file", "other.env", "config", "--no-env-resolution"),
        ("--env-file", "nowhere.env", "config"),
        ("--env-file", "below", "config"),
        ("--project-directory", "below", "-f", "compose.yaml", "--env-file", "other.env", "config"),
        ("-f", "nowhere.yaml", "config"),
        ("-f", "compose.yaml", "config", "off"),
        ("-f", "compose.yaml", "config", "made"),
        ("-f", "compose.yaml", "config", "nobody"),
        ("-f", "needs.yaml", "config", "held"),
        ("-f", "needs.yaml", "config", "held", "kept"),
        ("-f", "needs.yaml", "config", "loose"),
        ("config", "--hash", "db,made"),
        ("config", "--hash", "web"),
        ("config", "--hash", "made"),
        ("config", "--services", "-q"),
        ("config", "--variables", "--format", "json"),
        ("config", "--variables", "--format", "yaml"),
        ("config", "--variables", "--format", "foo"),
        ("config", "--variables", "--format", "YAML"),
        ("config", "--variables", "--format", "Json"),
        ("config", "--variables", "--format", "{{.Name}}"),
        ("config", "--no-such-flag"),
        ("config", "-Z"),
        ("config", "--hash"),
        ("--no-such-flag", "config"),
        ("config", "--format", "xml"),
        ("-f", "loose.yaml", "config"),
        *(("-f", "loose.yaml", "config", step) for step in STEPS),
        *(("config", step) for step in STEPS),
        *(("--profile", "front", "config", step) for step in STEPS),
        *(("config", step, "--format", "json") for step in STEPS),
        ("config", "--no-interpolate"),
        ("config", "--no-interpolate", "--format", "json"),
        ("config", "--no-interpolate", "--no-normalize"),
    ],
    ids=" ".join,
)
def test_the_words_mean_the_same(project: Path, words: tuple[str, ...]) -> None:
    ours, real = both(project, *words)
    assert (ours.code, ours.out) == (real.code, real.out), (ours.err, real.err)


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(PAIRED, 2)], ids=" ".join)
def test_two_words_mean_together_what_they_mean_there(
    project: Path, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    before = ("--profile", "*") if ("--profile", "*") in (one, other) else ()
    words = (word for part in (one, other) if part != before for word in part)
    ours, real = both(project, *before, "config", *words)
    assert (ours.code, lines(ours.out)) == (real.code, lines(real.out)), (ours.err, real.err)


@pytest.mark.parametrize(
    "folder", [one for one in CASES if one.name.startswith(WRITTEN)], ids=lambda folder: folder.name
)
def test_what_has_its_references_left_in_it_is_that_of_docker_compose(folder: Path) -> None:
    for words in LEFT_IN:
        ours, real = both(folder, *words)
        assert (ours.code, ours.out) == (real.code, real.out), (words, ours.err, real.err)


@pytest.mark.parametrize(
    "folder", [one for one in CASES if not one.name.startswith(tuple(OTHERWISE))], ids=lambda folder: folder.name
)
def test_every_case_as_it_is_written_is_that_of_docker_compose(folder: Path) -> None:
    ours, real = both(folder, *AS_WRITTEN)
    crashed = real.code == 2
    assert (ours.code, ours.out) == (1 if crashed else real.code, real.out), (ours.err, real.err)


@pytest.mark.parametrize(
    "folder", [one for one in CASES if one.name.startswith(("include-", "extends-"))], ids=lambda folder: folder.name
)
def test_paths_of_other_folders_left_as_they_are_written_are_those_of_docker_compose(folder: Path) -> None:
    for words in (("--no-path-resolution",), ("--no-path-resolution", "--no-interpolate")):
        ours, real = both(folder, *words)
        assert (ours.code, ours.out) == (real.code, real.out), (words, ours.err, real.err)


@pytest.mark.parametrize(
    "env",
    [
        {"COMPOSE_FILE": "compose.yaml:more.yaml"},
        {"COMPOSE_FILE": "compose.yaml;more.yaml", "COMPOSE_PATH_SEPARATOR": ";"},
        {"COMPOSE_FILE": "nowhere.yaml"},
        {"COMPOSE_PROJECT_NAME": "told"},
        {"COMPOSE_PROFILES": "front,never"},
        {"COMPOSE_ENV_FILES": "other.env"},
        {"COMPOSE_DISABLE_ENV_FILE": "1"},
        {"COMPOSE_DISABLE_ENV_FILE": "f"},
        {"COMPOSE_DISABLE_ENV_FILE": "no"},
        {"COMPOSE_DISABLE_ENV_FILE": ""},
        {"KEY": "from the shell"},
    ],
    ids=lambda env: " ".join(f"{key}={value}" for key, value in env.items()),
)
def test_the_environment_means_the_same(project: Path, env: dict[str, str]) -> None:
    ours, real = both(project, "--profile", "front", "config", **env)
    assert (ours.code, ours.out) == (real.code, real.out), (ours.err, real.err)


def test_the_nearest_folder_above_gives_the_files(project: Path) -> None:
    ours, real = both(project / "below" / "deeper")
    assert real.code == 0
    assert (ours.code, ours.out) == (real.code, real.out)


def test_no_file_anywhere_is_an_error_of_the_same_code(tmp_path: Path) -> None:
    ours, real = both(tmp_path)
    assert (ours.code, ours.out) == (real.code, real.out) == (1, "")


@pytest.mark.parametrize("style", [(), ("--format", "table"), ("--format", "PRETTY"), ("--format", "")], ids=" ".join)
def test_the_table_of_variables_has_the_same_lines(project: Path, style: tuple[str, ...]) -> None:
    ours, real = both(project, "--variables", *style)
    assert ours.out.splitlines()[0] == real.out.splitlines()[0]
    assert lines(ours.out) == lines(real.out)


def test_what_is_printed_is_also_what_is_written(project: Path) -> None:
    ours, real = both(project, "-o", "out.yaml")
    ours_text = (project / "out.yaml").read_text()
    assert (ours.code, ours.out, real.out) == (0, "", "")
    assert ours_text == both(project)[1].out


def test_services_come_after_those_that_they_need(project: Path) -> None:
    chain = "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [c]}, c: {image: x}}\n"
    (project / "chain.yaml").write_text(chain)
    ours, real = both(project, "-f", "chain.yaml", "config", "--services")
    assert ours.out.split() == real.out.split() == ["c", "b", "a"]


def test_json_is_json(project: Path) -> None:
    assert json.loads(both(project, "--format", "json")[0].out)["x-top"].endswith(", 1")
