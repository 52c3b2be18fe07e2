"""`config`: a definition as it is understood, in the words of `docker compose config`.

Law: with the same files and, under --shell-env, the same environment, standard output is docker compose's byte for
byte; where that one prints in no order, names are sorted here. Findings go to standard error, all at once. -f or
--shell-env end with docker compose's codes, 0 and 1; `config STACK` with those of every command here.
What this module does NOT do: find the files (`definitions`), or write YAML and JSON (`compose.canonical`).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from stackd.cli.common import client, complete_service, complete_stack
from stackd.cli.definitions import Asked, Definitions
from stackd.cli.exits import Exit, Stop
from stackd.cli.files import shown_findings, tally
from stackd.cli.render import err, out_text, paint_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stackd.compose.load import Resolved
    from stackd.compose.tree import Json
    from stackd.compose.variables import Reference

_LISTS = ("services", "volumes", "networks", "models", "profiles", "images", "variables", "environment")
_UNFILTERED = frozenset(("services", "volumes", "networks", "models", "hash"))
"""What is printed of the whole project, whatever services are named."""
_NEEDS_REGISTRY = ("resolve-image-digests", "lock-image-digests")
_TABLE = ("table", "pretty")
_COLUMN, _GAP = 20, 3


@dataclass(frozen=True, slots=True)
class _View:
    """What to print: a list by its name or hashes, else the project in `style`; `output`: into this file."""

    what: str
    style: str
    hashed: tuple[str, ...] = ()
    raw: bool = False
    quiet: bool = False
    output: str | None = None


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """First stacks, then the services of the one typed."""
    words = ctx.params.get("words") or ()
    if not words or ctx.params.get("files"):
        return complete_stack(ctx, param, incomplete)
    ctx.params["stack"] = words[0]
    return complete_service(ctx, param, incomplete)


def _flag(name: str, text: str) -> click.Option:
    return click.Option([f"--{name}"], is_flag=True, help=text)


class _Wrong(click.UsageError):
    """A wrong command line in docker compose's words."""

    exit_code = Exit.FAILED


class _Config(click.Command):
    """The command; its many flags are made of a table."""

    def __init__(self) -> None:
        params: list[click.Parameter] = [
            click.Argument(["words"], metavar="[STACK|DIR] [SERVICE]...", nargs=-1, shell_complete=_complete),
            click.Option(
                ["-f", "--file", "files"], multiple=True, metavar="FILE", help="A Compose file; several merge."
            ),
            click.Option(["-p", "--project-name", "name"], default="", metavar="NAME", help="The name of the project."),
            click.Option(["--profile", "enabled"], multiple=True, metavar="P", help="Enable a profile, * = all."),
            click.Option(["--env-file", "env_files"], multiple=True, metavar="F", help="Read this instead of .env."),
            click.Option(["--project-directory", "directory"], metavar="D", help="The folder that paths start from."),
            click.Option(["--format", "style"], metavar="yaml|json", help="The format, yaml unless told."),
            click.Option(["--json", "as_json"], is_flag=True, help="The same as --format json."),
            click.Option(
                ["--hash", "hashed"], default="", metavar="SERVICE|*", help="Print config hashes, one a line."
            ),
            click.Option(["-o", "--output"], metavar="FILE", help="Write into FILE."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Only check."),
            *(_flag(name, f"Print the {'variables used' if name == 'variables' else name}.") for name in _LISTS),
            _flag("shell-env", "See this shell's environment, as docker compose does."),
            _flag("no-interpolate", "Leave references as they are written."),
            _flag("no-normalize", "Leave defaults and names out."),
            _flag("no-consistency", "Do not check what names what."),
            _flag("no-path-resolution", "Leave paths as they are written."),
            _flag("no-env-resolution", "Do not merge env files into environment."),
            *(click.Option([f"--{name}"], is_flag=True, hidden=True) for name in _NEEDS_REGISTRY),
        ]
        text = "Print a definition as stackd understands it: of STACK, of DIR, or of -f FILE. Secrets are shown."
        super().__init__("config", params=params, callback=_config, help=text)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As every command does it; under docker compose's codes a wrong command line is a failure like any other."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as wrong:
            if any(word == "--shell-env" or word.startswith(("-f", "--file")) for word in given):
                raise _Wrong(wrong.format_message(), wrong.ctx) from wrong
            raise


def _config(**given: object) -> None:
    flags = {name.replace("_", "-") for name, value in given.items() if value is True}
    for name in _NEEDS_REGISTRY:
        if name in flags:
            raise Stop(Exit.FAILED, f"--{name} asks a registry, which stackd config never does")
    view, asked = _view(given, flags), _asked(given, flags)
    compose = asked.shell or bool(asked.files)
    definitions = Definitions()
    inputs, env = definitions.asked(asked, client, Exit.FAILED if compose else Exit.INVALID)
    found = definitions.resolve(inputs, env)
    shown = [] if view.what == "variables" else shown_findings(found.loaded, paint_for(sys.stderr))
    err(*shown)
    if found.root is None:
        raise Stop(Exit.FAILED if compose else Exit.INVALID, tally(found.loaded))
    text = _text(found, view)
    if view.output and not view.what:
        _write(Path(view.output), text)
    elif not view.quiet or view.what:
        out_text(text)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise Stop(Exit.FAILED, f"cannot write {file}: {error.strerror}") from error


def _view(given: dict[str, object], flags: set[str]) -> _View:
    first = next((name for name in _LISTS[:4] if name in flags), "")
    rest = next((name for name in _LISTS[4:] if name in flags), "")
    hashed = str(given["hashed"])
    what = first or ("hash" if hashed else rest)
    style = _style("json" if given["as_json"] else str(given["style"] or ""), what)
    wanted = () if hashed in ("", "*") else tuple(hashed.split(","))
    output = given["output"]
    raw = "no-interpolate" in flags
    return _View(what, style, wanted, raw, "quiet" in flags, str(output) if output else None)


def _style(asked: str, what: str) -> str:
    """The format in which the project, or the table of variables, is printed; lists have only one."""
    if what == "variables":
        word = asked.lower()
        if word not in ("", *_TABLE, "json") and asked != "yaml":
            raise Stop(Exit.FAILED, f'unsupported format "{asked}" of variables; there are table, yaml and json')
        return "" if word in _TABLE else word
    if not what and asked not in ("", "yaml", "json"):
        raise Stop(Exit.FAILED, f'unsupported format "{asked}"; there are yaml and json')
    return asked


def _asked(given: dict[str, object], flags: set[str]) -> Asked:
    def several(name: str) -> tuple[str, ...]:
        found = given[name]
        return tuple(map(str, found)) if isinstance(found, tuple) else ()

    words, files, directory = several("words"), several("files"), given["directory"]
    named = "" if files or directory or not words else words[0]
    services = words[1:] if named else words
    what = _view(given, flags).what
    whole = what in _UNFILTERED or what == "variables"
    written = "no-interpolate" in flags and what in ("", "services")
    return Asked(
        stack=named,
        files=files,
        directory=str(directory) if directory else None,
        env_files=several("env_files"),
        name=str(given["name"]),
        profiles=several("enabled"),
        services=() if whole else services,
        shell="shell-env" in flags,
        left_out=frozenset(
            step
            for flag, step in (
                ("no-interpolate", "interpolate"),
                ("no-normalize", "normal"),
                ("no-consistency", "consistent"),
                ("no-path-resolution", "paths_resolved"),
                ("no-env-resolution", "env_files_merged"),
            )
            if flag in flags
        )
        | ({"interpolate", "decoded", "checked"} if what == "variables" else {"decoded"} if written else set())
        | ({"env_files_merged"} if what in _LISTS[:4] else set()),
    )


def _text(found: Resolved, view: _View) -> str:
    """Everything that goes to standard output."""
    from stackd.compose import canonical

    match view.what:
        case "":
            as_json = view.style == "json"
            if view.raw:
                return canonical.raw_json(found) if as_json else canonical.raw_yaml(found)
            if not as_json:
                return canonical.yaml_of(found)
            _writable(found)
            return canonical.json_of(found)
        case "variables":
            return _variables(found, view.style)
        case _:
            return "".join(f"{line}\n" for line in _lines(found, view))


def _writable(found: Resolved, names: Iterable[str] | None = None) -> None:
    """Refuse what JSON cannot hold, as docker compose does. Raises `Stop`."""
    from stackd.compose import listing

    path = listing.unwritable(found, names)
    if path:
        raise Stop(Exit.FAILED, f"{path} is no number that JSON can hold, so it can be neither printed so nor hashed")


def _lines(found: Resolved, view: _View) -> Iterable[str]:
    from stackd.compose import listing

    match view.what:
        case "services":
            return listing.services_in_order(found)
        case "images":
            return listing.images(found)
        case "hash":
            hashes = listing.hashes(found)
            for name in view.hashed:
                if name not in hashes:
                    raise Stop(Exit.FAILED, f"no such service: {name}")
            _writable(found, view.hashed or hashes)
            return [f"{name} {hashes[name]}" for name in sorted(view.hashed or hashes)]
        case "profiles":
            return sorted(found.profiles)
        case "environment":
            both = {**found.variables.hidden, **found.variables.shown}
            return [f"{name}={both[name]}" for name in sorted(both)]
        case section:
            return listing.names(found, section)


def _variables(found: Resolved, style: str) -> str:
    from stackd.compose.variables import references

    used = references(found.root) if found.root is not None else {}
    fields: dict[str, Json] = {
        name: {"Name": name, "DefaultValue": one.default, "PresenceValue": one.alternate, "Required": one.required}
        for name, one in used.items()
    }
    if style == "json":
        return json.dumps(fields, indent=4, ensure_ascii=False) + "\n\n"
    if style == "yaml":
        from stackd.compose.goyaml import dump, go_sorted

        low: dict[str, Json] = {
            name: {key.lower(): value for key, value in table.items()}
            for name in go_sorted(fields)
            if isinstance(table := fields[name], dict)
        }
        return "".join(f"  {line}" if line.startswith(" ") else line for line in dump(low).splitlines(keepends=True))
    return _table(used.values())


def _table(used: Iterable[Reference]) -> str:
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    rows += [(one.name, str(one.required).lower(), one.default, one.alternate) for one in used]
    widths = [max(_COLUMN, *(len(row[at]) + _GAP for row in rows)) for at in range(3)]
    return "".join("".join(f"{row[at]:<{width}}" for at, width in enumerate(widths)) + row[3] + "\n" for row in rows)


config_command = _Config()
