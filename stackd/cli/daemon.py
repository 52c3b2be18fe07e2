"""`run`, `socket`, `version`, `completion`: the daemon itself."""

from __future__ import annotations

import os
from pathlib import Path

import click

from stackd import __version__
from stackd.cli.client import Refused
from stackd.cli.common import as_json, client
from stackd.cli.exits import Exit, Stop
from stackd.cli.lingering import warning
from stackd.cli.places import socket_path
from stackd.cli.render import err, out, out_json

LEVELS = ("debug", "info", "warning", "error")


@click.command("run")
@click.option("--config", metavar="FILE", help="Configuration (default: $XDG_CONFIG_HOME/stackd/config.toml).")
@click.option("--stacks", metavar="DIR", multiple=True, help="A stacks directory; may be given more than once.")
@click.option("--socket", metavar="PATH", help="Where to listen.")
@click.option("--state-dir", metavar="DIR", help="Where overrides, counters and history are kept.")
@click.option("--engine", metavar="URL", help="The engine (unix:///run/docker.sock).")
@click.option("--instance", metavar="NAME", help="Which stackd this is: two on one engine need two names.")
@click.option("--log-level", type=click.Choice(LEVELS), help="The least important message still written.")
@click.option("--log-json", is_flag=True, help="Log JSON, one object a line.")
@click.pass_context
def run_command(
    ctx: click.Context,
    config: str | None,
    stacks: tuple[str, ...],
    socket: str | None,
    state_dir: str | None,
    engine: str | None,
    instance: str | None,
    log_level: str | None,
    log_json: bool,
) -> int:
    """Run the daemon in the foreground (systemd does it for you: systemctl --user start stackd)."""
    advice = warning(os.getpid)
    if advice:
        err(advice)
    from stackd.daemon import main as serve

    options: dict[str, object] = {
        "stacks": tuple(Path(entry).absolute() for entry in stacks) or None,
        "socket": socket_path(socket or ctx.find_root().obj, config),
        "state_dir": Path(state_dir).absolute() if state_dir else None,
        "engine": engine,
        "instance": instance,
        "log.level": log_level,
        "log.format": "json" if log_json else None,
    }
    return serve(Path(config) if config else None, options)


@click.command("socket")
@click.pass_context
def socket_command(ctx: click.Context) -> None:
    """Print where the daemon listens: curl --unix-socket "$(stackd socket)" http://stackd/v1/stacks"""
    out([str(socket_path(ctx.find_root().obj))])


@click.command("version")
@as_json
def version_command(as_json: bool) -> None:
    """Print the version of this command, of the daemon and of its engine."""
    try:
        daemon = client().version()
    except (Stop, Refused):
        daemon = None
    if as_json:
        out_json({"client": __version__, "daemon": daemon})
        return
    out([f"stackd {__version__}"])
    if daemon is None:
        out(["daemon: not running"])
        return
    engine = f"{daemon['engine']} (API {daemon['engine_api']})" if daemon["engine"] else "not reachable"
    out([f"daemon: {daemon['stackd']} (instance {daemon['instance']}, pid {daemon['pid']})", f"engine: {engine}"])


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")), required=False)
@click.pass_context
def completion_command(ctx: click.Context, shell: str | None) -> None:
    """Print the completion script: eval "$(stackd completion bash)"."""
    from click.shell_completion import get_completion_class

    name = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(name)
    if found is None:
        raise Stop(Exit.USAGE, f'no completion for the shell "{name}"; there is one for bash, zsh and fish')
    out([found(ctx.find_root().command, {}, "stackd", "_STACKD_COMPLETE").source()])
