"""The daemon's own configuration: TOML text -> `Config`.

Law: pure. Text, file name and environment are arguments; nothing is read, looked up or created here. Every key has a
default, every key is described where it stands, and an unknown key is an error that names the nearest known one.
What this module does NOT do: read the file, apply command-line options (`with_options` only merges them), or say
anything about stack files.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from stackd.errors import ConfigError
from stackd.model.spec import RestartCondition, RestartPolicy, UnhealthyAction
from stackd.toml_places import not_toml, place_of
from stackd.values import AbsolutePath, Duration, ExitCodes


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LogConfig(_Section):
    """What the daemon says on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important message still written."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""


class UnhealthyConfig(_Section):
    """What a failing health check leads to, where a stack file does not say otherwise."""

    action: Literal["restart", "alert", "none"] = "restart"
    """Restart the container, only report it as degraded, or ignore the check."""

    grace: Duration = 0.0
    """How long it must stay unhealthy before anything is done (seconds)."""

    limit: int = Field(default=5, ge=1)
    """At most this many restarts for bad health within `window`."""

    window: Duration = Field(default=300.0, gt=0)
    """The window that `limit` counts in (seconds)."""


class SupervisionConfig(_Section):
    """Who is restarted, how often and how fast, where a stack file does not say otherwise."""

    default_restart: Literal["no", "on-failure", "always"] = "on-failure"
    """What a service without `restart:` gets. (Compose itself says "no".)"""

    on_external_stop: Literal["hold", "restart"] = "hold"
    """A container stopped by another hand (`docker stop`): leave it and say so, or start it again."""

    on_external_remove: Literal["recreate", "hold"] = "recreate"
    """A container removed by another hand (`docker rm`): make it again, or leave it and say so."""

    hold_for: Duration = 0.0
    """A hold made for another hand ends after this long and the service is started; 0 = when released (seconds)."""

    handover: bool = False
    """When stackd is stopped, let the engine restart containers as their files say until stackd is back."""

    base_delay: Duration = Field(default=1.0, gt=0)
    """The wait after the second failure within the window; the first is answered at once (seconds)."""

    factor: float = Field(default=2.0, ge=1)
    """Each further wait is this many times longer."""

    max_delay: Duration = Field(default=60.0, gt=0)
    """No wait is longer than this (seconds)."""

    jitter: float = Field(default=0.2, ge=0, le=1)
    """The part of a wait that varies, so that services do not restart in step."""

    reset_after: Duration = Field(default=600.0, gt=0)
    """Running (and healthy) for this long forgets earlier failures (seconds)."""

    crashloop_after: int = Field(default=5, ge=1)
    """This many failures within `crashloop_window` make a service `crash_looping`."""

    crashloop_window: Duration = Field(default=600.0, gt=0)
    """The window that `crashloop_after` counts in (seconds)."""

    slow_delay: Duration = Field(default=300.0, gt=0)
    """While crash looping, and for what time alone can mend, one try this often. stackd never gives up (seconds)."""

    success_exit_codes: ExitCodes = ()
    """Exit codes that are a success, beside 0: what ends so has completed."""

    no_restart_exit_codes: ExitCodes = ()
    """Exit codes after which a service is left as it is; they go before `force_restart_exit_codes`."""

    force_restart_exit_codes: ExitCodes = ()
    """Exit codes after which a service is started again whatever its `restart:` says."""

    unhealthy: UnhealthyConfig = UnhealthyConfig()
    """What a failing health check leads to."""

    def policy(self) -> RestartPolicy:
        """The policy of a service whose file says nothing about restarts."""
        return RestartPolicy(
            condition=RestartCondition(self.default_restart),
            base_delay=self.base_delay,
            factor=self.factor,
            max_delay=self.max_delay,
            jitter=self.jitter,
            reset_after=self.reset_after,
            crashloop_after=self.crashloop_after,
            crashloop_window=self.crashloop_window,
            slow_delay=self.slow_delay,
            success_exit_codes=frozenset(self.success_exit_codes),
            no_restart_exit_codes=frozenset(self.no_restart_exit_codes),
            force_restart_exit_codes=frozenset(self.force_restart_exit_codes),
            unhealthy=UnhealthyAction(self.unhealthy.action),
            unhealthy_grace=self.unhealthy.grace,
            unhealthy_limit=self.unhealthy.limit,
            unhealthy_window=self.unhealthy.window,
        )


class LimitsConfig(_Section):
    """How much is done at once, over all stacks; and how much one stack may ask for."""

    starts: int = Field(default=4, ge=1)
    """Containers started at the same time. (More than 4 gains nothing on the machines measured.)"""

    creates: int = Field(default=4, ge=1)
    """Containers created at the same time."""

    stops: int = Field(default=16, ge=1)
    """Containers stopped at the same time."""

    pulls: int = Field(default=2, ge=1)
    """Images pulled at the same time."""

    builds: int = Field(default=1, ge=1)
    """Images built at the same time."""

    replicas: int = Field(default=1000, ge=1)
    """At most this many containers in one stack for all its services with more than one (`scale`, `replicas`)."""


class HistoryConfig(_Section):
    """How much of the past is kept."""

    max_events: int = Field(default=10_000, ge=100)
    """At most this many entries."""

    max_age: Duration = Field(default=30 * 86400.0, gt=0)
    """Nothing older than this, applied definitions excepted (seconds)."""

    max_crashes: int = Field(default=500, ge=10)
    """At most this many crashes with their evidence; of one service the newest 20."""

    max_revisions: int = Field(default=20, ge=2)
    """At most this many applied definitions of a stack, to go back to."""


class WatchConfig(_Section):
    """How changes of stack files are noticed."""

    step: Duration = Field(default=0.05, ge=0.01, le=5)
    """How often the kernel's notes are collected: an edit is seen after about this long (seconds)."""

    rescan: Duration = Field(default=60.0, ge=1)
    """All files are read again this often, whatever the kernel said (seconds)."""

    degraded_rescan: Duration = Field(default=30.0, ge=1)
    """The same while watching does not work at all (seconds)."""

    quiet: Duration = Field(default=0.3, ge=0, le=10)
    """A file that became invalid is reported only if still so after this long: it may be half written (seconds)."""


class FreezeConfig(_Section):
    """Removing asks for more than adding."""

    stack_grace: Duration = 10.0
    """A stack is removed only after its entry has been gone this long from a readable stacks directory (seconds)."""

    service_grace: Duration = 1.0
    """A service is removed only after two readings without it, this far apart (seconds)."""

    share: float = Field(default=0.5, gt=0, le=1)
    """If more than this part of all stacks is gone at once, nothing is removed until you confirm."""

    min_stacks: int = Field(default=2, ge=1)
    """Fewer stacks than this gone at once never freeze anything."""


class NotifyConfig(_Section):
    """Whom to tell when a service needs a person, and of what. Without command and webhook nobody is told."""

    command: tuple[str, ...] = ()
    """A program and its arguments (no shell): the message as JSON on its standard input, and as STACKD_ variables."""

    webhook: str = ""
    """An http:// or https:// address that takes the message as JSON by POST; it is a secret, and never shown."""

    on: tuple[Literal["crash_loop", "hold", "recovery", "storm"], ...] = ("crash_loop", "hold", "recovery", "storm")
    """What is told: a crash loop, a hold that another hand caused, their end, many services failing at once."""

    max_messages: int = Field(default=30, ge=1)
    """At most this many messages within `window`; what is more is told as one number afterwards."""

    window: Duration = Field(default=600.0, gt=0)
    """The window that `max_messages` counts in (seconds)."""

    @field_validator("command")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value and not value[0].startswith("/"):
            raise ValueError("the program must be given by its absolute path")
        return value

    @field_validator("webhook")
    @classmethod
    def _web(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("an address must begin with http:// or https:// and name a host")
        return value


class Config(_Section):
    """Everything that can be configured; paths absolute once made by `parse`."""

    stacks: tuple[AbsolutePath, ...] = ()
    """The stacks directories: every folder directly in one, and every link to a folder, is a stack."""

    socket: AbsolutePath = Path()
    """Where the REST API listens."""

    state_dir: AbsolutePath = Path()
    """Where overrides, counters and history are kept (mode 0700)."""

    engine: str = ""
    """The engine's address ("unix:///run/docker.sock"); "" = DOCKER_HOST, docker's current context, what is there."""

    instance: str = Field(default="default", pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")
    """Which stackd this is: two daemons on one engine need two names."""

    pass_env: tuple[str, ...] = ("HOME", "USER", "LOGNAME", "TZ", "DOCKER_DEFAULT_PLATFORM")
    """Variables of the daemon's own environment that stack files may use."""

    env_files: tuple[AbsolutePath, ...] = ()
    """Files of variables (NAME=value) for all stacks; a stack's own `.env` wins."""

    log: LogConfig = LogConfig()
    supervision: SupervisionConfig = SupervisionConfig()
    limits: LimitsConfig = LimitsConfig()
    history: HistoryConfig = HistoryConfig()
    watch: WatchConfig = WatchConfig()
    freeze: FreezeConfig = FreezeConfig()
    notify: NotifyConfig = NotifyConfig()


def default_file(env: Mapping[str, str]) -> Path:
    """The configuration file that is read when none is named: $XDG_CONFIG_HOME/stackd/config.toml."""
    return _xdg(env, "XDG_CONFIG_HOME", ".config") / "stackd" / "config.toml"


def default_socket(env: Mapping[str, str]) -> Path:
    """Where daemon and CLI meet: $XDG_RUNTIME_DIR/stackd/stackd.sock, without that variable the state directory."""
    runtime = env.get("XDG_RUNTIME_DIR", "")
    base = Path(runtime) / "stackd" if runtime.startswith("/") else _state_dir(env)
    return base / "stackd.sock"


def parse(text: str, file: str, env: Mapping[str, str]) -> Config:
    """The configuration in `text`, defaults filled in from `env` (HOME and the XDG variables).

    Raises ConfigError naming file, line where it is known, key, what was found and what is wanted.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(not_toml(error, text, file)) from error
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(one, text, file) for one in error.errors())) from error
    return _filled(config, env)


def with_options(config: Config, options: Mapping[str, object]) -> Config:
    """`config` with command-line options put over it; keys are dotted (`log.level`), None = not given.

    Raises ConfigError when an option's value cannot be used.
    """
    merged: dict[str, object] = config.model_dump()
    for key, value in options.items():
        if value is None:
            continue
        *sections, last = key.split(".")
        holder = merged
        for section in sections:
            inner = holder[section]
            assert isinstance(inner, dict)
            holder = inner
        holder[last] = value
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(one, "", "command line") for one in error.errors())) from error


def changed_settings(before: Config, after: Config) -> tuple[str, ...]:
    """The keys whose values differ, dotted (`log.level`), in order. Never a value: one may be secret."""
    return tuple(_differing(before.model_dump(), after.model_dump()))


def _differing(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """`{"a": {"b": 1}}` and `{"a": {"b": 2}}` -> `["a.b"]`."""
    found: list[str] = []
    for key, value in before.items():
        other = after[key]
        if isinstance(value, dict) and isinstance(other, dict):
            found += [f"{key}.{name}" for name in _differing(value, other)]
        elif value != other:
            found.append(key)
    return found


def _xdg(env: Mapping[str, str], variable: str, under_home: str) -> Path:
    value = env.get(variable, "")
    return Path(value) if value.startswith("/") else _home(env) / under_home


def _home(env: Mapping[str, str]) -> Path:
    home = env.get("HOME", "")
    if not home.startswith("/"):
        raise ConfigError("HOME is not set, so no default path can be made: set HOME or give all paths")
    return Path(home)


def _state_dir(env: Mapping[str, str]) -> Path:
    return _xdg(env, "XDG_STATE_HOME", ".local/state") / "stackd"


def _filled(config: Config, env: Mapping[str, str]) -> Config:
    """Paths that were not given, from the XDG rules; `~` replaced."""

    def full(path: Path) -> Path:
        return _home(env).joinpath(*path.parts[1:]) if path.parts[0] in ("~", "$HOME") else path

    unset = Path()
    stacks = tuple(full(path) for path in config.stacks) or (_xdg(env, "XDG_CONFIG_HOME", ".config") / "stackd/stacks",)
    return config.model_copy(
        update={
            "stacks": stacks,
            "socket": default_socket(env) if config.socket == unset else full(config.socket),
            "state_dir": _state_dir(env) if config.state_dir == unset else full(config.state_dir),
            "env_files": tuple(full(path) for path in config.env_files),
        }
    )


def _explain(error: ErrorDetails, text: str, file: str) -> str:
    keys = [str(part) for part in error["loc"]]
    named = [part for part in keys if not part.isdigit()]
    found_at = place_of(text, named)
    place = f"{file}:{found_at[0]}:{found_at[1]}" if found_at else file
    key = ".".join(keys)
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(named[-1], _known(named[:-1]), n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(_known(named[:-1]))}"
        return f"{place}: unknown key {key}; {hint}"
    wanted = error["msg"].removeprefix("Value error, ")
    found = "a secret" if named[-1] == "webhook" else repr(error["input"])
    return f"{place}: {key}: found {found}; {wanted[0].lower()}{wanted[1:]}"


def _known(sections: list[str]) -> list[str]:
    model: type[BaseModel] = Config
    for section in sections:
        field = model.model_fields.get(section)
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return []
        model = kind
    return list(model.model_fields)
