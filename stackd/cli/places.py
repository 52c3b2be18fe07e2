"""Where things are: the socket, the stacks directories, the configuration file. The daemon is told what is found here.

Order for the socket: --socket, $STACKD_SOCKET, `socket` in the configuration file, $XDG_RUNTIME_DIR/stackd/stackd.sock;
without that variable /run/stackd/stackd.sock for root, else the state directory (as `stackd.config` has it).
"""

from __future__ import annotations

import os
from pathlib import Path

from stackd.cli.exits import Exit, Stop


def config_file(given: str | None = None) -> Path:
    """The configuration file; it need not exist."""
    if given:
        return Path(given)
    return _xdg("XDG_CONFIG_HOME", ".config") / "stackd" / "config.toml"


def socket_path(given: str | None = None, config: str | None = None) -> Path:
    """Where the daemon listens."""
    named = given or os.environ.get("STACKD_SOCKET")
    if named:
        return Path(named).absolute()
    configured = _configured(config_file(config)).get("socket")
    if isinstance(configured, str):
        return _expanded(configured)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return Path(runtime, "stackd", "stackd.sock")
    if os.geteuid() == 0:
        return Path("/run/stackd/stackd.sock")
    return _xdg("XDG_STATE_HOME", ".local/state") / "stackd" / "stackd.sock"


def stacks_dirs(config: str | None = None) -> tuple[Path, ...]:
    """The stacks directories as configured, for when the daemon cannot be asked."""
    configured = _configured(config_file(config)).get("stacks")
    if isinstance(configured, list) and configured:
        return tuple(_expanded(str(entry)) for entry in configured)
    return (_xdg("XDG_CONFIG_HOME", ".config") / "stackd" / "stacks",)


def _xdg(variable: str, under_home: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / under_home


def _expanded(path: str) -> Path:
    return Path(path.replace("$HOME", "~", 1) if path.startswith("$HOME/") else path).expanduser()


def _configured(file: Path) -> dict[str, object]:
    """The top-level keys of the configuration file; {} without one. The daemon checks them, this only reads."""
    text = config_text(file)
    if not text:
        return {}
    import tomllib  # late: most users have no configuration file

    from stackd.toml_places import not_toml

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Stop(Exit.INVALID, not_toml(error, text, str(file))) from error


def config_text(file: Path) -> str:
    """The configuration file's text, "" without one. Raises `Stop` when it cannot be read."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Stop(Exit.INVALID, f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Stop(Exit.INVALID, f"{file}: not UTF-8: byte {error.start + 1}") from error
