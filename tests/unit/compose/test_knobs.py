"""The knobs under `x-stackd`: the loader and the published JSON schema take and refuse the same."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from stackd.compose.knobs import RESTART, UNHEALTHY, schema
from stackd.model.spec import RestartPolicy, UnhealthyAction
from tests.unit.compose.loading import read_from, service, web

PUBLISHED = Path(__file__).resolve().parents[3] / "docs" / "x-stackd.schema.json"
Json = Any


def fits(value: Json, rule: Json) -> bool:
    """Whether a value obeys a JSON schema, as far as this one goes: what it does not know, it refuses to judge."""
    unknown = set(rule) - set(_CHECKS) - {"$schema", "$defs", "title", "description"}
    assert not unknown, unknown
    return all(_CHECKS[word](value, wanted, rule) for word, wanted in rule.items() if word in _CHECKS)


def _is(value: Json, kind: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kinds = {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "null": value is None,
        "number": number,
        "integer": number and float(value).is_integer(),
    }
    return kinds[kind]


def _number(value: Json) -> bool:
    return _is(value, "number")


_CHECKS: dict[str, Any] = {
    "type": lambda value, kinds, _: any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
    "enum": lambda value, known, _: value in known,
    "properties": lambda value, rules, _: (
        not isinstance(value, dict) or all(fits(one, rules[key]) for key, one in value.items() if key in rules)
    ),
    "additionalProperties": lambda value, _, rule: not isinstance(value, dict) or set(value) <= set(rule["properties"]),
    "items": lambda value, rule, _: not isinstance(value, list) or all(fits(one, rule) for one in value),
    "minimum": lambda value, bound, _: not _number(value) or value >= bound,
    "exclusiveMinimum": lambda value, bound, _: not _number(value) or value > bound,
    "maximum": lambda value, bound, _: not _number(value) or value <= bound,
    "minLength": lambda value, least, _: not isinstance(value, str) or len(value) >= least,
    "pattern": lambda value, pattern, _: not isinstance(value, str) or re.search(pattern, value) is not None,
    "not": lambda value, rule, _: not fits(value, rule),
    "anyOf": lambda value, rules, _: any(fits(value, rule) for rule in rules),
    "oneOf": lambda value, rules, _: sum(fits(value, rule) for rule in rules) == 1,
}


def loads(extension: Json) -> bool:
    """Whether the loader takes it."""
    return read_from({"compose.yaml": web(f"x-stackd: {json.dumps(extension)}")}).project is not None


def test_the_published_schema_is_that_of_the_table() -> None:
    made = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        PUBLISHED.write_text(made, encoding="utf-8")
    assert PUBLISHED.read_text(encoding="utf-8") == made


GOOD: dict[str, list[Json]] = {
    "first_delay": [0, "0", "0s", "1.5s"],
    "base_delay": [1, 0.5, "10ms"],
    "factor": [1, 1.5],
    "max_delay": ["5m", "1h30m", 60],
    "jitter": [0, 0.2, 1],
    "reset_after": ["10m"],
    "crashloop_after": [1, 3.0],
    "crashloop_window": ["1d"],
    "slow_delay": ["5m"],
    "success_exit_codes": [[], [3, 255]],
    "no_restart_exit_codes": [[78]],
    "force_restart_exit_codes": [[0]],
    "unhealthy": [
        "alert", {}, {"action": "none"}, {"grace": 0, "limit": 1, "window": "1m"}, {"action": "restart", "grace": "9s"},
    ],
}  # fmt: skip
BAD: list[Json] = [
    3, "restart", [], {"restrat": {}}, {"show": "A"}, {"show": [1]}, {"show": [""]}, {"show": {"A": 1}},
    {"restart": None}, {"restart": []}, {"restart": "always"},
]  # fmt: skip
BAD_KNOBS: list[Json] = [
    {"max_dela": 1}, {"first_delay": -1}, {"first_delay": "-1s"}, {"base_delay": 0}, {"base_delay": "0s"},
    {"factor": 0.5}, {"factor": "2"}, {"max_delay": "soon"}, {"max_delay": 0}, {"max_delay": "10"},
    {"max_delay": ""}, {"max_delay": "00"}, {"max_delay": True}, {"max_delay": None}, {"max_delay": [1]},
    {"jitter": 2}, {"jitter": -0.1}, {"reset_after": 0}, {"crashloop_after": 0}, {"crashloop_after": 1.5},
    {"crashloop_after": "3"}, {"crashloop_window": 0}, {"slow_delay": 0}, {"success_exit_codes": 3},
    {"success_exit_codes": [256]}, {"success_exit_codes": [-1]}, {"success_exit_codes": ["3"]},
    {"success_exit_codes": [1, True]}, {"success_exit_codes": [1.5]}, {"success_exit_codes": [None]},
    {"no_restart_exit_codes": {}}, {"force_restart_exit_codes": "0"}, {"unhealthy": "kill"}, {"unhealthy": None},
    {"unhealthy": []}, {"unhealthy": {"action": "kill"}}, {"unhealthy": {"limit": 0}}, {"unhealthy": {"window": 0}},
    {"unhealthy": {"grace": -1}}, {"unhealthy": {"graze": 1}},
]  # fmt: skip


def test_there_is_an_example_of_every_knob() -> None:
    assert set(GOOD) == {*RESTART, "unhealthy"}
    inner = {key for one in GOOD["unhealthy"] if isinstance(one, dict) for key in one}
    assert inner == set(UNHEALTHY)


@pytest.mark.parametrize(("knob", "value"), [(knob, value) for knob, values in GOOD.items() for value in values])
def test_what_is_right_is_taken_by_the_loader_and_by_the_schema(knob: str, value: Json) -> None:
    extension = {"restart": {knob: value}}
    assert (loads(extension), fits(extension, schema())) == (True, True)


@pytest.mark.parametrize("extension", [*BAD, *({"restart": one} for one in BAD_KNOBS)], ids=json.dumps)
def test_what_is_wrong_is_refused_by_the_loader_and_by_the_schema(extension: Json) -> None:
    assert (loads(extension), fits(extension, schema())) == (False, False)


@pytest.mark.parametrize("extension", [None, {}, {"restart": {}}, {"show": []}, {"show": ["A", "B"]}])
def test_nothing_said_is_no_mistake(extension: Json) -> None:
    assert (loads(extension), fits(extension, schema())) == (True, True)


def test_every_knob_reaches_the_policy() -> None:
    lines = [
        "x-stackd:", "  restart:", "    first_delay: 1s", "    base_delay: 2s", "    factor: 3", "    max_delay: 4m",
        "    jitter: 0.5", "    reset_after: 6m", "    crashloop_after: 7", "    crashloop_window: 8m",
        "    slow_delay: 9m", "    success_exit_codes: [10, 10]", "    no_restart_exit_codes: [11]",
        "    force_restart_exit_codes: [12]", "    unhealthy: {action: alert, grace: 13s, limit: 14, window: 15s}",
    ]  # fmt: skip
    assert service(web(*lines)).restart == RestartPolicy(
        first_delay=1, base_delay=2, factor=3, max_delay=240, jitter=0.5, reset_after=360, crashloop_after=7,
        crashloop_window=480, slow_delay=540, success_exit_codes=frozenset({10}), no_restart_exit_codes=frozenset({11}),
        force_restart_exit_codes=frozenset({12}), unhealthy=UnhealthyAction.ALERT, unhealthy_grace=13,
        unhealthy_limit=14, unhealthy_window=15,
    )  # fmt: skip


def test_a_mistake_names_its_place_what_was_found_and_what_is_wanted() -> None:
    loaded = read_from({"compose.yaml": web("x-stackd: {restart: {success_exit_codes: [300], reset_after: 0}}")})
    told = sorted(found.message for found in loaded.diagnostics)
    assert told[0] == '"reset_after" is 0, wants a duration above 0, like 10s'
    assert told[1].endswith("wants a list of exit codes, 0 to 255")


def test_a_deploy_window_of_zero_is_no_window() -> None:
    policy = service(web("deploy: {restart_policy: {condition: any, window: 0s}}")).restart
    assert policy.reset_after == RestartPolicy().reset_after
