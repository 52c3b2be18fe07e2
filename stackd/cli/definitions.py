"""Reading definitions on the command line exactly as the daemon would: same files, same variables, same rules."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stackd.cli.client import Client, Refused
from stackd.cli.exits import Exit, Stop
from stackd.cli.places import config_file, stacks_dirs
from stackd.compose.inputs import FILE_NAMES, OVERRIDE_NAMES, StackInputs, stack_inputs
from stackd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stackd.model.spec import Loaded


class Definitions:
    """Loads definitions with the daemon's configuration."""

    def __init__(self) -> None:
        from stackd.config import parse

        file = config_file()
        try:
            config = parse(file.read_text() if file.is_file() else "", str(file), os.environ)
        except (ConfigError, OSError) as error:
            raise Stop(Exit.INVALID, str(error)) from error
        self._env_files = config.env_files
        self._restart = config.supervision.policy()
        self.env: Mapping[str, str] = {name: os.environ[name] for name in config.pass_env if name in os.environ}

    def load(self, inputs: StackInputs) -> Loaded:
        """Read one definition."""
        from stackd.compose.load import load

        return load(self._configured(inputs), Path.read_bytes, self.env)

    def _configured(self, inputs: StackInputs) -> StackInputs:
        return replace(inputs, env_files=self._env_files, default_restart=self._restart)

    def canonical(self, inputs: StackInputs) -> tuple[object, Loaded]:
        """One definition in its canonical form, None when errors forbid it."""
        from stackd.compose.load import canonical

        return canonical(self._configured(inputs), Path.read_bytes, self.env)


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
