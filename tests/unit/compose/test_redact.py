"""What of a value may be shown, in one place: hidden unless known to be harmless."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from stackd.compose import rules
from stackd.compose.redact import TABLES, Redaction, name_shown, readable, readable_words, scrub, secret_key
from stackd.compose.schema import Decoded, Either, ListOf, Record, Rule, Table
from tests.unit.compose.loading import read_from, service, web
from tests.unit.runtime.planting import QUIET, SOUNDING

KEYED = Redaction(b"a key")
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*SOUNDING, *QUIET])
def test_a_value_under_any_name_is_hidden(name: str) -> None:
    assert KEYED.entry("environment", name, "hunter2").startswith("(hidden ")


@pytest.mark.parametrize("name", SOUNDING)
def test_a_name_that_sounds_like_a_secret_hides_even_a_number(name: str) -> None:
    assert secret_key(name)
    assert KEYED.entry("environment", name, "4711").startswith("(hidden ")


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ("environment", "ANY", ""), ("environment", "ANY", "true"), ("environment", "ANY_TOKEN", "off"),
        ("environment", "WORKERS", "8"), ("labels", "size", "512m"), ("environment", "TZ", "Europe/Berlin"),
        ("environment", "APP_IMAGE", "shop/app:1.2"), ("labels", "org.opencontainers.image.title", "shop"),
        ("driver_opts", "type", "cifs"), ("options", "max-size", "10m"),
    ],
)  # fmt: skip
def test_what_is_known_to_be_harmless_is_shown(table: str, name: str, value: str) -> None:
    assert KEYED.entry(table, name, value) == value


def test_a_digest_depends_on_the_key_the_place_and_the_value() -> None:
    first = KEYED.entry("environment", "A", "one")
    assert first == KEYED.entry("environment", "A", "one")
    others = (
        Redaction(b"another").entry("environment", "A", "one"), KEYED.entry("environment", "B", "one"),
        KEYED.entry("environment", "A", "two"),
    )  # fmt: skip
    assert first not in others
    assert Redaction().entry("environment", "A", "one") == "(hidden)"


def test_a_file_and_a_service_say_which_keys_may_be_shown() -> None:
    lines = ("environment: {A: one, B: two, C: three}", "x-stackd: {show: [A]}")
    spec = service(web(*lines) + "x-stackd: {show: [B]}\n")
    values = [spec.values[f"environment.{name}"] for name in "ABC"]
    assert values == ["one", "two", "(hidden)"]


def test_a_key_of_a_whole_file_that_means_nothing_is_a_warning() -> None:
    loaded = read_from({"compose.yaml": web() + "x-stackd: {restart: {max_delay: 5m}}\n"})
    assert loaded.project is not None
    assert [(one.code, one.hint) for one in loaded.diagnostics] == [
        ("unknown-key", "it stands under x-stackd of a service"),
    ]  # fmt: skip


def test_every_table_of_free_names_is_one_whose_values_are_hidden() -> None:
    shown = {
        "services", "models", "networks", "volumes", "secrets", "configs", "depends_on", "extra_hosts", "ulimits",
        "additional_contexts", "ssh", "aux_addresses", "external",
    }  # fmt: skip
    assert set(_tables(rules.TOP, "")) - shown <= TABLES


def _tables(rule: Rule | None, key: str, depth: int = 0) -> Iterator[str]:
    """The keys below which a file gives names of its own."""
    match rule:
        case Decoded():
            yield from _tables(rule.rule, key, depth)
        case Either():
            for one in (rule.map, rule.seq):
                yield from _tables(one, key, depth)
        case Record():
            for name, item in rule.fields.items():
                yield from _tables(item, name, depth + 1)
        case Table():
            yield key
            yield from _tables(rule.item, "", depth + 1)
        case ListOf():
            yield from _tables(rule.item, key, depth + 1)
        case _:
            return


@pytest.mark.parametrize(
    "text",
    [
        "Server=db;Password=hunter2;", "Authorization: Bearer hunter2xyz", "Authorization: Basic aHVudGVyMg==",
        "--verbose --token hunter2 --fast", "postgres://joe:hunter2@db/x", "addr=1,username=joe,password=hunter2",
        "curl -H 'X-Api-Key: hunter2'", "postgres://joe:hun/ter2hunter2@db/x", '{"jwt": "hunter2"}',
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_cut_out_of_a_command(text: str) -> None:
    (shown,) = readable_words([text])
    assert "hunter2" not in shown
    assert "aHVudGVy" not in shown
    assert "***" in shown


@pytest.mark.parametrize("text", ["serve --port 80", "http://h/p?a=b", "author: joe", "sleep 1; echo done", "a=b"])
def test_all_the_rest_of_a_command_is_shown(text: str) -> None:
    assert readable_words([text]) == [text]
    assert readable(text) == text


def test_an_engines_words_hold_no_value_quoted_or_encoded_or_not() -> None:
    value = 'hun"ter &2'
    forms = (value, 'hun\\"ter \\u00262', quote(value), base64.b64encode(value.encode()).decode())
    for form in forms:
        assert scrub(f"invalid: {form}: refused", frozenset({value})) == "invalid: ***: refused"


def test_a_short_value_is_looked_for_as_a_word_and_a_very_short_one_not_at_all() -> None:
    assert scrub("the latest test of 1", frozenset({"test", "1"})) == "the latest *** of 1"
    assert scrub("shop-shopping", frozenset({"shop", "shop-shopping"})) == "***"


def test_a_word_that_the_definition_shows_elsewhere_is_not_cut_out_unless_its_name_says_that_it_is_secret() -> None:
    project = read_from(
        {"compose.yaml": web("environment: {DB_NAME: web, DB_HOST: quiet, DB_PASSWORD: busybox}")}
    ).project
    assert project is not None
    assert {"quiet", "busybox"} <= project.hidden
    assert "web" not in project.hidden


def test_the_example_of_the_page_shows_what_it_names() -> None:
    block = PAGE.partition("```yaml\n")[2].partition("```")[0]
    loaded = read_from({"compose.yaml": block})
    assert loaded.diagnostics == ()
    assert loaded.project is not None
    (db,) = loaded.project.services.values()
    shown = {path: value for path, value in db.values.items() if path.startswith("environment.")}
    assert shown == {
        "environment.POSTGRES_DB": "shop", "environment.APP_REGION": "eu", "environment.POSTGRES_PASSWORD": "(hidden)",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "shown"), [("P hunter2", "P ***"), ("A", "A"), ("", ""), (" A\thunter2 ", "A ***")])
def test_what_follows_a_blank_in_a_name_is_not_shown(name: str, shown: str) -> None:
    assert name_shown(name) == shown


def test_a_value_behind_a_blank_stands_in_no_field_of_a_service() -> None:
    found = service("services: {web: {image: x, environment: [P hunter2], labels: [L hunter2]}}\n")
    assert found.values["environment.P ***"] == "unset"
    assert "hunter2" not in str((found.values, found.spans))
