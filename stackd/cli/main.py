"""The entry point: global options, the list of commands, and the one place where errors become exit codes.

Commands are imported when they are used: `stackd ps` never pays for `stackd run`.
"""

from __future__ import annotations

import importlib
import sys

import click

from stackd import __version__
from stackd.cli.exits import Exit, Stop, table

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("daemon", "Run the daemon in the foreground."),
    "ps": ("look", "List services."),
    "status": ("look", "Show how stacks fare, or all of one stack."),
    "plan": ("look", "Show what is to be done now, and why."),
    "up": ("act", "Make it as its files say; release stops and holds."),
    "down": ("act", "Stop and remove containers and networks; volumes stay."),
    "start": ("act", "Start what is stopped or held."),
    "stop": ("act", "Stop; it stays stopped until started or edited."),
    "restart": ("act", "Stop and start."),
    "pull": ("act", "Fetch newer images and use them."),
    "hold": ("act", "Leave as it is: neither start nor stop it."),
    "resume": ("act", "Release a hold or a stop."),
    "logs": ("follow", "Show log lines."),
    "events": ("follow", "Show what happened, and why."),
    "why": ("past", "Say why a service is as it is."),
    "crashes": ("past", "List crashes, or show all of one."),
    "history": ("past", "List applied revisions, or what one changed."),
    "rollback": ("past", "Put an earlier revision in force."),
    "wait": ("follow", "Wait until a stack is as asked."),
    "add": ("folders", "Have stackd keep the stack in a folder."),
    "remove": ("folders", "Have stackd give up a stack."),
    "adopt": ("owner", "Have stackd keep what runs beside it, or what was released."),
    "release": ("owner", "Give a stack back to the engine, running."),
    "config": ("config", "Print a definition as stackd understands it."),
    "validate": ("files", "Check definitions; says file, line and column."),
    "socket": ("daemon", "Print where the daemon listens."),
    "version": ("daemon", "Print the versions."),
    "completion": ("daemon", "Print the completion script for a shell."),
}
"""Every command: the module that has it, and what it does."""


class Commands(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one that is wanted."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"stackd.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command for one that is not there."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else "; see stackd --help"
            ctx.fail(f'no command "{args[0]}"{hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that help imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes."""
        with formatter.section("Exit codes"):
            formatter.write(table() + "\n")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--socket", metavar="PATH", help="Where the daemon listens (default: $STACKD_SOCKET, else as `stackd socket`)."
)
@click.version_option(__version__, message="stackd %(version)s")
@click.pass_context
def stackd(ctx: click.Context, socket: str | None) -> None:
    """Keep Docker Compose stacks running.

    Every command has --help, and most have --json. Text goes to standard output, errors to standard error; with --json
    a command that fails prints a problem object as well, on standard output.
    """
    ctx.obj = socket


def main() -> None:
    """Run the command line; ends the process with one of the codes of `exits`."""
    from stackd.cli import render

    render.open_closed()
    words = sys.argv[1:]
    as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    try:
        code = stackd(prog_name="stackd", standalone_mode=False)
    except Stop as stop:
        code = render.ended(stop, as_json=as_json)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
        if as_json:
            render.ended(Stop(Exit.USAGE, problem={"detail": error.format_message()}), as_json=True)
    except OSError as error:
        if error.filename is None and error.errno not in render.UNWRITABLE:
            raise
        if error.filename is None:
            render.discard()
            error.filename = "standard output"
        code = render.ended(Stop(Exit.FAILED, f"{error.filename}: {error.strerror}"), as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        code = Exit.INTERRUPTED
    sys.exit(int(code) if isinstance(code, int) else 0)
