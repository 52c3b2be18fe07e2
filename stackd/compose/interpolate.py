"""Resolving variables in a whole document, and turning text into numbers and booleans where a key wants them.

Law: values only, never keys; per file, before merge; the result is a fresh tree (anchors no longer share nodes). An
unset variable without default is a warning, and an error where "" would be taken for something else: image, volumes,
ports, secret and config files (`${HOME}/data` must never become `/data`). Casts as docker compose does (its list of
paths).
What this module does NOT do: validate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from stackd.compose.gonumbers import parse_float, parse_int
from stackd.compose.redact import secret_key
from stackd.compose.report import Report, quote
from stackd.compose.schema import named
from stackd.compose.template import TemplateError, Variables, substitute
from stackd.compose.tree import Map, Node, Path, Plain, Scalar, Seq, matches

_TRUE, _FALSE = frozenset(("true", "y", "yes", "on")), frozenset(("false", "n", "no", "off"))

_GIVEN = 10_000_000

_Cast: TypeAlias = Callable[[str], Plain]
_Trie: TypeAlias = "dict[str, _Trie | _Cast]"

MUST_BE_SET: tuple[Path, ...] = (
    ("services", "*", "image"),
    ("services", "*", "volumes", "*"),
    ("services", "*", "volumes", "*", "source"),
    ("services", "*", "volumes", "*", "target"),
    ("services", "*", "ports", "*"),
    ("services", "*", "ports", "*", "target"),
    ("services", "*", "ports", "*", "published"),
    ("services", "*", "ports", "*", "host_ip"),
    ("secrets", "*", "file"),
    ("configs", "*", "file"),
)


def _to_int(text: str) -> int | None:
    try:
        return parse_int(text)
    except ValueError:
        return None


def _to_float(text: str) -> float | None:
    try:
        return parse_float(text)
    except ValueError:
        return None


def to_bool(text: str) -> bool | None:
    """The boolean that `text` means (YAML 1.1 words included), None when it means none."""
    word = text.lower()
    return True if word in _TRUE else False if word in _FALSE else None


_WANTED: dict[_Cast, str] = {_to_int: "a whole number", _to_float: "a number", to_bool: "true or false"}

_SERVICE_CASTS: dict[_Cast, tuple[str, ...]] = {
    _to_int: (
        "cpu_count", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "oom_score_adj",
        "pids_limit", "scale", "deploy.replicas", "deploy.update_config.parallelism",
        "deploy.rollback_config.parallelism", "deploy.restart_policy.max_attempts",
        "deploy.placement.max_replicas_per_node", "healthcheck.retries", "ports.*.target",
        "ulimits.*", "ulimits.*.hard", "ulimits.*.soft",
    ),
    _to_float: (
        "cpus", "cpu_percent", "deploy.update_config.max_failure_ratio", "deploy.rollback_config.max_failure_ratio",
    ),
    to_bool: (
        "init", "depends_on.*.required", "depends_on.*.restart", "healthcheck.disable", "oom_kill_disable",
        "privileged",
        "read_only", "stdin_open", "tty", "volumes.*.read_only", "volumes.*.volume.nocopy",
    ),
}  # fmt: skip
_TOP_BOOLEANS = (
    "networks.*.external", "networks.*.internal", "networks.*.attachable", "networks.*.enable_ipv4",
    "networks.*.enable_ipv6", "volumes.*.external", "secrets.*.external", "configs.*.external",
)  # fmt: skip


def _casts() -> _Trie:
    root: _Trie = {}
    wanted = [(f"services.*.{path}", cast) for cast, paths in _SERVICE_CASTS.items() for path in paths]
    for path, cast in [*wanted, *((path, to_bool) for path in _TOP_BOOLEANS)]:
        *parents, last = path.split(".")
        here = root
        for part in parents:
            step = here.setdefault(part, {})
            if not isinstance(step, dict):
                # `ulimits.*` is a number or a mapping: the number's cast stands under "".
                step = here[part] = {"": step}
            here = step
        known = here.get(last)
        if isinstance(known, dict):
            known[""] = cast
        else:
            here[last] = cast
    return root


_CASTS = _casts()


def interpolate(root: Node, variables: Variables, report: Report, strict: tuple[Path, ...] = MUST_BE_SET) -> Node:
    """A copy of `root` with every reference resolved and every castable text cast; findings go to `report`.

    Under a path of `strict` an unset variable is an error, elsewhere a warning.
    """
    return _Walk(variables, report, strict).node(root, (), _CASTS)


class _Walk:
    def __init__(self, variables: Variables, report: Report, strict: tuple[Path, ...]) -> None:
        self._variables = variables
        self._report = report
        self._strict = strict
        self._shared: dict[int, Node] = {}
        self._given = 0

    def node(self, node: Node, path: Path, trie: _Trie | _Cast | None) -> Node:
        """A copy of `node`. Below an extension field at the top level what is shared stays shared."""
        if len(path) < 2 or not path[0].startswith("x-"):
            return self._copy(node, path, trie)
        known = self._shared.get(id(node))
        if known is None:
            known = self._shared[id(node)] = self._copy(node, path, None)
        return known

    def _copy(self, node: Node, path: Path, trie: _Trie | _Cast | None) -> Node:
        match node:
            case Map():
                under = trie if isinstance(trie, dict) else {}
                any_key = under.get("*")
                entries = {
                    key: self.node(item, (*path, key), under.get(key, any_key)) for key, item in node.entries.items()
                }
                return Map(entries, node.span, dict(node.keys))
            case Seq():
                each = trie.get("*") if isinstance(trie, dict) else None
                return Seq([self.node(item, (*path, str(at)), each) for at, item in enumerate(node.items)], node.span)
            case Scalar():
                return self._scalar(node, path, trie)

    def _scalar(self, node: Scalar, path: Path, trie: _Trie | _Cast | None) -> Scalar:
        cast = trie.get("") if isinstance(trie, dict) else trie
        if not isinstance(node.value, str):
            return Scalar(node.value, node.span)
        if "$" in node.value:
            node = self._substituted(node, path)
        if cast is None or isinstance(cast, dict) or not isinstance(node.value, str):
            return Scalar(node.value, node.span, node.secret)
        value = cast(node.value)
        if value is None:
            message = f"{named(path)} is {quote(node)}, wants {_WANTED[cast]}"
            self._report.error("bad-value", message, node.span, path)
            value = 0 if cast is not to_bool else False
        elif cast is to_bool and node.value.lower() not in ("true", "false"):
            word = "true" if value else "false"
            self._report.warning(
                "old-boolean", f"{quote(node)} is not a boolean in YAML 1.2, write {word}", node.span, path
            )
        return Scalar(value, node.span, node.secret)

    def _substituted(self, node: Scalar, path: Path) -> Scalar:
        try:
            result = substitute(str(node.value), self._variables)
        except TemplateError as broken:
            hidden = broken.code == "bad-variable" and bool(path) and secret_key(path[-1])
            message = "a reference in this value is broken; write $$ for a plain $" if hidden else broken.message
            self._report.error(broken.code, message, node.span, path)
            return Scalar("", node.span)
        for name in result.unset:
            if any(matches(path, strict) for strict in self._strict):
                message = f"the variable {name} is not set, and an empty text here would mean something else"
                self._report.error(
                    "unset-variable", message, node.span, path, f"set it in .env, or write ${{{name}:-}}"
                )
            else:
                message = f"the variable {name} is not set; an empty text stands in for it"
                self._report.warning("unset-variable", message, node.span, path)
        self._given += result.given
        if self._given > _GIVEN:
            message = f"the variables of this file have more than {_GIVEN} characters where they are used"
            self._report.error("too-big", message, node.span, path)
            return Scalar("", node.span)
        return Scalar(result.text, node.span, result.secret)
