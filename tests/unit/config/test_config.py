"""Configuration: what may be written, what it means, and how a mistake is told."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from stackd.config import Config, changed_settings, default_file, default_socket, parse, with_options
from stackd.errors import ConfigError
from stackd.values import seconds

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = (ROOT / "config.example.toml").read_text()
UNCOMMENTED = re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE, flags=re.MULTILINE)
ENV = {"HOME": "/home/dev", "XDG_RUNTIME_DIR": "/run/user/1000"}


def keys_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= keys_of(kind, f"{prefix}{name}.")
        else:
            found.add(prefix + name)
    return found


def keys_in(table: dict[str, object], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in table.items():
        found |= keys_in(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
    return found


def message(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse(text, "config.toml", ENV)
    return str(error.value)


def test_an_empty_file_gives_every_default_by_the_xdg_rules() -> None:
    config = parse("", "config.toml", ENV)
    assert config.stacks == (Path("/home/dev/.config/stackd/stacks"),)
    assert config.socket == Path("/run/user/1000/stackd/stackd.sock")
    assert config.state_dir == Path("/home/dev/.local/state/stackd")
    assert config.watch.step == 0.05
    assert config.limits.replicas == 1000
    assert config.limits.starts == 4


def test_xdg_variables_win_over_home() -> None:
    env = {**ENV, "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}
    config = parse("", "config.toml", env)
    assert config.stacks == (Path("/c/stackd/stacks"),)
    assert config.state_dir == Path("/s/stackd")
    assert default_file(env) == Path("/c/stackd/config.toml")


def test_without_a_runtime_directory_the_socket_is_in_the_state_directory() -> None:
    assert default_socket({"HOME": "/h"}) == Path("/h/.local/state/stackd/stackd.sock")


def test_a_relative_xdg_path_is_ignored_as_the_xdg_rules_want() -> None:
    assert default_file({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}) == Path("/h/.config/stackd/config.toml")


def test_without_home_the_message_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="HOME is not set"):
        parse("", "config.toml", {})


def test_the_example_loads_as_it_stands_and_equals_the_defaults() -> None:
    assert parse(EXAMPLE, "config.example.toml", ENV) == parse("", "config.toml", ENV)


def test_the_example_with_every_key_uncommented_equals_the_defaults() -> None:
    assert parse(UNCOMMENTED, "config.example.toml", ENV) == parse("", "config.toml", ENV)


def test_every_key_of_the_model_stands_in_the_example() -> None:
    assert keys_in(tomllib.loads(UNCOMMENTED)) == keys_of(Config)


def test_every_key_is_described_where_it_stands() -> None:
    def undescribed(model: type[BaseModel]) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found += undescribed(kind)
            elif not field.description:
                found.append(f"{model.__name__}.{name}")
        return found

    assert undescribed(Config) == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [(5, 5.0), (0.5, 0.5), ("50ms", 0.05), ("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("30d", 2592000.0)],
)
def test_a_duration_is_seconds_or_text_with_units(written: object, meant: float) -> None:
    assert seconds(written) == pytest.approx(meant)


@pytest.mark.parametrize("written", ["", "10", "m", "10x", "5m junk", "-5s", True, None, [1]])
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(written)


def test_a_mistyped_key_names_file_line_and_the_nearest_key() -> None:
    text = message('[watch]\nstep = "50ms"\nrescann = 3\n')
    assert text == "config.toml:3:1: unknown key watch.rescann; did you mean rescan?"


def test_an_unknown_key_without_a_near_one_lists_the_known_ones() -> None:
    assert "known here: level, format" in message("[log]\nzzzzzzzz = 1\n")


def test_an_unknown_section_is_refused_at_its_header() -> None:
    assert message("[limitz]\nstarts = 1\n") == "config.toml:1:2: unknown key limitz; did you mean limits?"


def test_a_wrong_value_says_what_was_found_and_what_is_wanted() -> None:
    text = message('[supervision]\non_external_stop = "fight"\n')
    assert text.startswith("config.toml:2:1: supervision.on_external_stop: found 'fight'; ")
    assert "'hold' or 'restart'" in text


def test_all_mistakes_are_told_at_once() -> None:
    assert len(message("[limits]\nstarts = 0\npulls = 0\n").splitlines()) == 2


def test_broken_toml_names_the_file_and_the_line() -> None:
    text = message("a = 1\nb = = 2\n")
    assert text == "config.toml:2:5: not valid TOML: Invalid value"
    assert message("a = [1,\n") == "config.toml:2:1: not valid TOML: Invalid value"


def test_changed_settings_are_named_by_their_dotted_keys_without_values() -> None:
    before = parse('[notify]\nwebhook = "https://x/hunter2"\n', "config.toml", ENV)
    after = parse(
        'engine = "unix:///e"\n[log]\nlevel = "debug"\n[supervision.unhealthy]\nlimit = 9\n', "config.toml", ENV
    )
    assert changed_settings(before, after) == ("engine", "log.level", "supervision.unhealthy.limit", "notify.webhook")
    assert changed_settings(after, after) == ()


def test_a_relative_path_is_refused() -> None:
    assert "absolute" in message('stacks = ["stacks"]')


def test_a_tilde_stands_for_home() -> None:
    assert parse('stacks = ["~/a", "/b"]', "config.toml", ENV).stacks == (Path("/home/dev/a"), Path("/b"))


def test_an_option_wins_over_the_file_and_an_absent_one_does_not() -> None:
    config = parse('[log]\nlevel = "error"\n', "config.toml", ENV)
    changed = with_options(config, {"log.level": "debug", "socket": None, "stacks": ["/x"]})
    assert (changed.log.level, changed.socket, changed.stacks) == ("debug", config.socket, (Path("/x"),))


def test_an_unusable_option_is_told() -> None:
    with pytest.raises(ConfigError, match=r"command line: log\.level: found 'loud'"):
        with_options(parse("", "config.toml", ENV), {"log.level": "loud"})


def test_a_configuration_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse("", "config.toml", ENV).instance = "other"


def test_exit_codes_reach_the_policy_and_others_are_refused() -> None:
    text = (
        "[supervision]\nsuccess_exit_codes = [3]\nno_restart_exit_codes = [78]\nforce_restart_exit_codes = [0, 255]\n"
    )
    policy = parse(text, "config.toml", ENV).supervision.policy()
    assert policy.success_exit_codes == {3}
    assert policy.no_restart_exit_codes == {78}
    assert policy.force_restart_exit_codes == {0, 255}
    for wrong in ("[256]", "[-1]", '["1"]', "[true]", "[1.5]"):
        assert "success_exit_codes" in message(f"[supervision]\nsuccess_exit_codes = {wrong}\n")


@pytest.mark.parametrize("knob", ["base_delay", "max_delay", "reset_after", "crashloop_window", "slow_delay"])
def test_a_length_of_nothing_is_refused_where_it_would_restart_without_end(knob: str) -> None:
    assert f"supervision.{knob}: found 0" in message(f"[supervision]\n{knob} = 0\n")
