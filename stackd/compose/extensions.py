"""Names that begin with `x-` where a file gives names of its own: docker compose takes them for extension fields.

Law: in every table but those of services, dependencies and top-level resources, what such names hold ends up under the
one name `#extensions`, as in docker compose v5.6.1: its hash has that, so stackd does the same, and warns. A list of
NAME=VALUE is no table. What this module does NOT do: extension fields beside known keys, which mean nothing.
"""

from __future__ import annotations

from stackd.compose import rules
from stackd.compose.confidential import key_shown
from stackd.compose.report import Report
from stackd.compose.scalars import go_text
from stackd.compose.schema import Decoded, Either, ListOf, Record, Rule, Table
from stackd.compose.tree import EXTENSIONS, Map, Node, Path, Scalar, Seq

_REFUSING = ("storage_opt", "extra_hosts")
_NAMED = frozenset(("services", "volumes", "networks", "secrets", "configs"))


def fold(root: Map, report: Report) -> None:
    """Put what stands under `x-` names in a table under `#extensions`, in place."""
    _below(root, rules.TOP, (), report)


def _below(node: Node, rule: Rule | None, path: Path, report: Report) -> None:
    match rule:
        case Decoded():
            _below(node, rule.rule, path, report)
        case Either():
            chosen = rule.map if isinstance(node, Map) else rule.seq if isinstance(node, Seq) else None
            _below(node, chosen, path, report)
        case Record() if isinstance(node, Map):
            for key, item in node.entries.items():
                if not isinstance(item, Scalar):
                    _below(item, rule.fields.get(key), (*path, key), report)
        case Table() if isinstance(node, Map):
            if path[-1] != "depends_on" and not (len(path) == 1 and path[0] in _NAMED):
                _fold(node, path, report)
            for key, item in node.entries.items():
                if not isinstance(item, Scalar):
                    _below(item, rule.item, (*path, key), report)
        case ListOf() if isinstance(node, Seq):
            for at, item in enumerate(node.items):
                if not isinstance(item, Scalar):
                    _below(item, rule.item, (*path, str(at)), report)
        case rules.PreStart():
            _below(node, rules.BEFORE, path, report)
        case _:
            return


def _fold(node: Map, path: Path, report: Report) -> None:
    names = [key for key in node.entries if key.startswith("x-")]
    if not names:
        return
    extras = Map({}, node.key_span(names[0]))
    for name in names:
        message = f'docker compose takes the name "{key_shown(name, path)}" for an extension field'
        tell = report.error if path[-1] in _REFUSING else report.warning
        tell("extension-name", message, node.key_span(name), (*path, name))
        extras.put(name, node.entries[name], node.key_span(name))
        node.drop(name)
    node.put(EXTENSIONS, extras, extras.span)


def printed(node: Node) -> str:
    """`node` as Go's fmt.Sprint prints it."""
    match node:
        case Scalar():
            return go_text(node.value)
        case Seq():
            return "[" + " ".join(map(printed, node.items)) + "]"
        case Map():
            return "map[" + " ".join(f"{key}:{printed(node.entries[key])}" for key in sorted(node.entries)) + "]"
