"""Reading definitions on the command line exactly as the daemon would: same files, same variables, same rules.

With --shell-env as docker compose would: its files, the caller's environment, COMPOSE_FILE and the like.
What this module does NOT do: print.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stackd.cli.client import Client, Refused
from stackd.cli.exits import Exit, Stop
from stackd.cli.places import config_file, config_text, stacks_dirs
from stackd.compose.inputs import FILE_NAMES, OVERRIDE_NAMES, StackInputs, stack_inputs
from stackd.errors import ConfigError
from stackd.regular_file import read_bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stackd.compose.load import Resolved
    from stackd.model.spec import Loaded

_STDIN = Path("/dev/stdin")
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
"""What docker compose takes for COMPOSE_DISABLE_ENV_FILE: Go's words, not those of a file (`no`, `off`, `fAlse`), and
not the empty one (probed on v5.6.1)."""


class Definitions:
    """Loads definitions with the daemon's configuration."""

    def __init__(self) -> None:
        from stackd.config import parse

        file = config_file()
        try:
            config = parse(config_text(file), str(file), os.environ)
        except ConfigError as error:
            raise Stop(Exit.INVALID, str(error)) from error
        self._env_files = config.env_files
        self._restart = config.supervision.policy()
        self._replicas = config.limits.replicas
        self.env: Mapping[str, str] = {name: os.environ[name] for name in config.pass_env if name in os.environ}

    def load(self, inputs: StackInputs) -> Loaded:
        """Read one definition."""
        from stackd.compose.load import load

        return load(self._configured(inputs), read_bounded, self.env)

    def _configured(self, inputs: StackInputs) -> StackInputs:
        env_files = (*self._env_files, *inputs.env_files)
        return replace(inputs, env_files=env_files, default_restart=self._restart, replicas=self._replicas)

    def asked(self, asked: Asked, daemon: Callable[[], Client], wrong: Exit) -> tuple[StackInputs, Mapping[str, str]]:
        """What the command line asks for: the definition, and the variables to see. Raises `Stop` with `wrong`."""
        if asked.stack:
            inputs = replace(of_stack_or_path(asked.stack, daemon()), shell=asked.shell)
            env = _shell() if asked.shell else self.env
        elif asked.shell:
            env = _shell()
            inputs = _as_compose(asked, env, wrong)
        else:
            env, inputs = self.env, _as_daemon(asked, wrong)
        inputs = replace(inputs if asked.shell else self._configured(inputs), default_restart=self._restart)
        given: dict[str, bool] = dict.fromkeys(asked.left_out, False)
        chosen = replace(inputs, name=asked.name, profiles=asked.profiles, services=asked.services)
        return replace(chosen, **given), env  # type: ignore[arg-type]

    def resolve(self, inputs: StackInputs, env: Mapping[str, str]) -> Resolved:
        """One definition, and what became of its files."""
        from stackd.compose.load import resolve

        return resolve(inputs, read_bounded, env)


@dataclass(frozen=True, slots=True)
class Asked:
    """What `config` is asked for, in docker compose's words; `stack` the name or folder of `config STACK`.

    `left_out` are the steps of a load to leave out, by their names in `StackInputs`.
    """

    stack: str = ""
    files: tuple[str, ...] = ()
    directory: str | None = None
    env_files: tuple[str, ...] = ()
    name: str = ""
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    shell: bool = False
    left_out: frozenset[str] = frozenset()


def _shell() -> dict[str, str]:
    """The caller's environment as docker compose sees it: without what Python itself adds in the C locale."""
    env = {"PWD": str(Path.cwd()), **os.environ}
    with contextlib.suppress(OSError):
        if env.get("LC_CTYPE") == "C.UTF-8" and b"LC_CTYPE=" not in Path("/proc/self/environ").read_bytes():
            del env["LC_CTYPE"]
    return env


def _as_daemon(asked: Asked, wrong: Exit) -> StackInputs:
    """The files that were named, else those of the nearest folder that has some; `.env` beside them."""
    folder = Path(asked.directory).absolute() if asked.directory else None
    files = _named(asked.files) if asked.files else _nearest(folder or Path.cwd(), wrong)
    folder = folder or _folder_of(files)
    env_files = _env_files(asked.env_files, wrong)
    own = folder / ".env"
    inputs = StackInputs(folder.resolve(), files, None if env_files or not own.exists() else own, env_files)
    return replace(inputs, explicit=bool(asked.files))


def _as_compose(asked: Asked, env: Mapping[str, str], wrong: Exit) -> StackInputs:
    """The files that docker compose reads in this environment: -f, COMPOSE_FILE, or the nearest; env files likewise."""
    folder = Path(asked.directory).absolute() if asked.directory else None
    named = asked.env_files or tuple(part for part in env.get("COMPOSE_ENV_FILES", "").split(",") if part)
    env_files = _env_files(named, wrong)
    disabled = env.get("COMPOSE_DISABLE_ENV_FILE", "0")
    if not env_files and disabled not in _TRUE | _FALSE:
        raise Stop(wrong, f'COMPOSE_DISABLE_ENV_FILE is "{disabled}", wants true or false')
    dotenv_too = not env_files and disabled not in _TRUE
    first = folder or (_folder_of(_named(asked.files)) if asked.files else Path.cwd())
    before = [first / ".env"] if dotenv_too and (first / ".env").is_file() else []
    if asked.files:
        files = _named(asked.files)
    else:
        seen = _seen(env_files or tuple(before), env)
        separator = seen.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        listed = seen.get("COMPOSE_FILE")
        files = _nearest(first, wrong) if listed is None else _named(tuple(listed.split(separator)))
    folder = folder or _folder_of(files)
    own = folder / ".env"
    if dotenv_too and own.is_file() and own not in before:
        before = [own, *before]
    return StackInputs(folder, files, None, env_files or tuple(before), shell=True, explicit=True)


def _seen(files: tuple[Path, ...], env: Mapping[str, str]) -> dict[str, str]:
    """The variables that env files and the environment give together."""
    from stackd.compose import dotenv
    from stackd.compose.report import Report
    from stackd.compose.template import Variables

    found: dict[str, str] = {}
    for file in files:
        values = dotenv.parse(file.read_bytes(), str(file), Variables(env, found), Report())
        found.update({name: held.value for name, held in values.items()})
    return {**found, **env}


def _env_files(names: tuple[str, ...], wrong: Exit) -> tuple[Path, ...]:
    files = tuple(Path(name).absolute() for name in names)
    for file in files:
        if not file.exists():
            raise Stop(wrong, f"couldn't find env file: {file}")
        if file.is_dir():
            raise Stop(wrong, f"the env file {file} is a directory")
    return files


def _named(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Files by their names, `-` is standard input."""
    return tuple(_STDIN if name == "-" else Path(os.path.abspath(name)) for name in names)


def _folder_of(files: tuple[Path, ...]) -> Path:
    return next((file.parent for file in files if file != _STDIN), Path.cwd())


def _nearest(folder: Path, wrong: Exit) -> tuple[Path, ...]:
    """The definition in `folder`, or in the nearest folder above it that has one."""
    looked_for = (*FILE_NAMES, *OVERRIDE_NAMES)
    for place in (folder, *folder.parents):
        inputs = stack_inputs(place, [name for name in looked_for if (place / name).exists()])
        if inputs is not None:
            return inputs.config_files
    raise Stop(wrong, f"no configuration file provided: there is none in {folder}", f"wanted: {', '.join(FILE_NAMES)}")


def of_path(path: Path) -> StackInputs:
    """The definition in a folder, or in one file. Raises `Stop` when there is none."""
    if path.is_dir():
        folder = path.resolve()
        looked_for = (*FILE_NAMES, *OVERRIDE_NAMES, ".env")
        inputs = stack_inputs(folder, [name for name in looked_for if (folder / name).exists()])
        if inputs is None:
            raise Stop(Exit.INVALID, f"there is no definition in {folder}", f"wanted: {', '.join(FILE_NAMES)}")
        return inputs
    if not path.exists():
        raise Stop(Exit.NOT_FOUND, f"there is no file or folder {path}")
    file = path.absolute()
    env = file.parent / ".env"
    return StackInputs(file.parent.resolve(), (file,), env if env.exists() else None)


def of_stack_or_path(name: str, daemon: Client) -> StackInputs:
    """The definition of a stack by its name; what looks like a path, or is no stack, is a path."""
    if "/" in name or name.startswith("."):
        return of_path(Path(name))
    try:
        return of_path(Path(daemon.stack(name)["folder"]))
    except (Stop, Refused):
        found = [directory / name for directory in stacks_dirs() if (directory / name).is_dir()]
        if not found and not Path(name).exists():
            raise Stop(Exit.NOT_FOUND, f'there is no stack, folder or file "{name}"') from None
        return of_path(found[0] if found else Path(name))
