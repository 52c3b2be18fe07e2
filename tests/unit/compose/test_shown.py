"""What the API shows of a definition has no secret in it, and all the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackd.compose.canonical import as_yaml
from stackd.compose.load import canonical, stack_inputs
from stackd.compose.redact import Redaction
from stackd.compose.shown import redacted
from tests.unit.compose.loading import FOLDER

TEXT = """
services:
  web:
    image: shop/web:2
    command: ["serve", "--token", "hunter2", "--port=80", "${FROM_ENV_FILE}"]
    environment: {MODE: fast, DB_PASSWORD: hunter2, URL: "http://joe:hunter2@db/x", COPY: "${SHARED}"}
    labels: {my.token.of: hunter2, tier: front}
    hostname: ${SHARED}
    ports: ["${SHARED_PORT}:80", "8443:443"]
    healthcheck: {test: ["CMD", "check", "--password=hunter2"], interval: 7s}
    configs: [one]
    secrets: [two]
    x-own: hunter2
configs:
  one: {content: hunter2}
secrets:
  two: {file: ./two.txt}
networks:
  default: {driver_opts: {api_key: hunter2, com.example.mtu: "1400"}}
x-more: hunter2
"""


def shown(text: str = TEXT, **files: str) -> str:
    dotenv = "SHARED=hunter2\nFROM_ENV_FILE=hunter2\nSHARED_PORT=7777\n"
    given = {"compose.yaml": text, ".env": dotenv, **files}
    inputs = stack_inputs(FOLDER, list(given))
    assert inputs is not None

    def read(path: Path) -> bytes:
        name = str(path.relative_to(FOLDER))
        if name not in given:
            raise FileNotFoundError(path)
        return given[name].encode()

    values, loaded = canonical(inputs, read, {})
    assert values is not None, loaded.diagnostics
    assert loaded.project is not None
    assert "hunter2" in as_yaml(values)
    return as_yaml(redacted(values, loaded.project, Redaction()))


def test_no_secret_and_nothing_of_the_dotenv_file_is_shown() -> None:
    text = shown()
    assert "hunter2" not in text
    assert "7777" not in text
    assert "x-" not in text


@pytest.mark.parametrize(
    "line",
    [
        "image: shop/web:2",
        "MODE: fast",
        "DB_PASSWORD: (hidden)",
        "URL: (hidden)",
        "tier: (hidden)",
        "interval: 7s",
        'com.example.mtu: "1400"',
        "file: /stacks/blog/two.txt",
        'published: "8443"',
        "--password=***",
    ],
)
def test_all_the_rest_is_shown(line: str) -> None:
    assert line in shown()


def test_a_command_shows_its_words_but_not_what_its_secret_flags_are_given() -> None:
    text = shown("services: {web: {image: busybox, command: [run, --token, hunter2, --fast]}}\n")
    assert "command:\n      - run\n      - --token\n      - '***'\n      - --fast\n" in text


def test_nothing_of_a_command_that_the_dotenv_file_contributed_to_is_shown() -> None:
    text = shown("services: {web: {image: busybox, entrypoint: ['run', '${SHARED}'], labels: {secret: hunter2}}}\n")
    assert "entrypoint:\n      - (hidden)\n" in text


def test_an_environment_that_the_dotenv_file_gives_as_a_file_is_not_shown() -> None:
    text = shown("services: {web: {image: busybox, env_file: .env, labels: {secret: hunter2}}}\n")
    assert "FROM_ENV_FILE: (hidden)" in text
    assert "SHARED: (hidden)" in text


def test_no_secret_outside_of_services_is_shown_wherever_it_stands() -> None:
    text = shown(
        "services: {web: {image: busybox, configs: [one], volumes: ['data:/data'], labels: {secret: hunter2}}}\n"
        "configs: {one: {environment: SHARED}}\n"
        "volumes: {data: {driver_opts: {device: 'nfs://joe:hunter2@host/share'}, x-own: hunter2}}\n"
        "networks: {default: {ipam: {config: [{subnet: 10.1.0.0/24}]}}}\n"
    )
    assert "hunter2" not in text
    assert "SHARED" not in text
    assert "device: (hidden)" in text
    assert "subnet: 10.1.0.0/24" in text


def test_the_source_of_a_mount_that_the_dotenv_file_gave_is_not_shown() -> None:
    text = shown("services: {web: {image: busybox, volumes: ['/${SHARED}:/data'], labels: {secret: hunter2}}}\n")
    assert "hunter2" not in text
    assert "source: (hidden)" in text
