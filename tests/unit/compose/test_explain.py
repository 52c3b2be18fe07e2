"""An edit is explained by field, old and new value, and place; a secret only as changed."""

from __future__ import annotations

import pytest

from stackd.compose.explain import changed_fields
from tests.unit.compose.loading import service, web


def explained(old: str, new: str) -> list[str]:
    return [str(change) for change in changed_fields(service(old), service(new))]


def test_an_edited_variable_is_named_with_both_values_and_its_line() -> None:
    old, new = web("environment:", "  MODE: a"), web("environment:", "  MODE: b")
    assert explained(old, new) == ["environment.MODE: a -> b (/stacks/blog/compose.yaml:5:7)"]


def test_what_came_and_what_went_are_told() -> None:
    changes = explained(web("user: joe"), web("hostname: h"))
    assert changes == [
        "hostname: absent -> h (/stacks/blog/compose.yaml:4:15)",
        "user: joe -> absent (/stacks/blog/compose.yaml:4:11)",
    ]


def test_a_changed_secret_is_told_without_its_value() -> None:
    changes = explained(web("environment: {DB_PASSWORD: one}"), web("environment: {DB_PASSWORD: two}"))
    assert changes == ["environment.DB_PASSWORD: changed (/stacks/blog/compose.yaml:4:19)"]


def test_a_value_from_env_is_told_without_its_value() -> None:
    text = web("hostname: $H")
    changes = changed_fields(service(text, _env="H=one\n"), service(text, _env="H=two\n"))
    assert [(one.field, one.before, one.after) for one in changes] == [("hostname", "(hidden)", "(hidden)")]


def test_ports_and_commands_are_shown_as_people_write_them() -> None:
    assert explained(web("ports: ['8080:80']", "command: sleep 1"), web("ports: ['8081:80']", "command: sleep 2")) == [
        "ports.80/tcp: 8080 -> 8081 (/stacks/blog/compose.yaml:4:13)",
        "command: sleep 1 -> sleep 2 (/stacks/blog/compose.yaml:5:14)",
    ]


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("[redis-server, --requirepass, {}]", "redis-server --requirepass ***"),
        ("redis-server --requirepass {} --save ''", "redis-server --requirepass *** --save ''"),
        ("[app, '--api-token={}', --port, '80']", "app '--api-token=***' --port 80"),
        ("[sh, -c, 'DB_PASSWORD={} exec app --password \"{} x\"']", "sh -c 'DB_PASSWORD=*** exec app --password ***'"),
    ],
)
def test_what_a_secret_flag_of_a_command_is_given_is_not_shown(command: str, shown: str) -> None:
    old, new = web(f"command: {command.replace('{}', 'one')}"), web(f"command: {command.replace('{}', 'two')}")
    assert explained(old, new) == [f"command: changed, a hidden part of {shown} (/stacks/blog/compose.yaml:4:14)"]


def test_nothing_changed_explains_nothing() -> None:
    assert explained(web("tty: true"), web("tty: true")) == []
