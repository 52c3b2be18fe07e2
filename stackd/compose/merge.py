"""Laying one file over another, by Compose's rules (compose.md 4.4).

Law: mappings merge by key, lists are appended but for what is there already, single values are replaced, an empty
value changes nothing; the exceptions stand in one table. The winning text keeps its span. Both trees belong to the
merge.
What this module does NOT do: drop repeated list items (`unique`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from stackd.compose.confidential import key_shown
from stackd.compose.extensions import printed
from stackd.compose.report import Report
from stackd.compose.scalars import Date
from stackd.compose.tree import EXTENSIONS, Map, Node, Path, Scalar, Seq, any_secret, is_null, kind, matches
from stackd.compose.unique import has_keys

_Merger: TypeAlias = "Callable[[Node, Node, Path, Report], Node]"


def merge(base: Map, over: Map, report: Report) -> Map:
    """`over` laid over `base`."""
    return _mappings(base, over, (), report)


def lay(base: Node, over: Node, path: Path, report: Report) -> Node:
    """`over` laid over `base`, both standing at `path`."""
    return _nodes(base, over, path, report)


def prepare(base: Map, over: Map, path: Path = ()) -> None:
    """Bring `over`, in place, into what of it is laid over `base`, whatever a key by itself may hold: a key without
    a value says nothing where `base` gives one, and what is laid on as a list is a list."""
    for key, item in list(over.entries.items()):
        old, here = base.entries.get(key), (*path, key)
        if old is None:
            continue
        merger = next((merger for pattern, merger in _SPECIAL if matches(here, pattern)), None)
        if merger in (_pairs, _hosts):
            over.entries[key] = Seq(_sequence(item), item.span)
        elif is_null(item):
            if merger not in _NULL_COUNTS and here not in _TABLES:
                over.drop(key)
        elif merger is _build:
            item = over.entries[key] = _with_context(item)
        if isinstance(old, Map) and isinstance(item, Map) and merger in (None, _build, _by_name):
            prepare(old, item, here)


def reset(root: Map, paths: list[Path]) -> None:
    """Forget what the given paths hold (`!reset`, and `!override` before the new value is laid on)."""
    for path in paths:
        here: Node | None = root
        for part in path[:-1]:
            here = here.get(part) if isinstance(here, Map) else None
        if isinstance(here, Map) and path:
            here.drop(path[-1])


def _nodes(base: Node, over: Node, path: Path, report: Report) -> Node:
    for pattern, merger in _SPECIAL:
        if matches(path, pattern):
            return merger(base, over, path, report)
    if is_null(over):
        return base
    match base:
        case Map() if isinstance(over, Map):
            return _mappings(base, over, path, report)
        case Seq() if isinstance(over, Seq):
            return Seq(_appended(base.items, over.items, path, report), over.span)
        case Map() | Seq():
            key = key_shown(path[-1], path)
            message = f'"{key}" is {kind(base)} in {base.span}, so {kind(over)} cannot be laid over it'
            report.error("bad-merge", message, over.span, path)
            return base
        case Scalar():
            return over


def _appended(base: list[Node], over: list[Node], path: Path, report: Report) -> list[Node]:
    """Both lists; items without keys (`unique` looks at keys) only if the first list has no equal one."""
    if report.repeats or has_keys(path):
        return [*base, *over]
    known = {_content(item) for item in base}
    new = [item for item in over if _content(item) not in known]
    report.repeated |= len(new) < len(over)
    return [*base, *new]


def _content(node: Node) -> object:
    """What a node says, without where; equal for what Go calls deeply equal."""
    match node:
        case Scalar():
            return type(node.value), node.value
        case Seq():
            return tuple(map(_content, node.items))
        case Map():
            return frozenset((key, _content(item)) for key, item in node.entries.items())


def _mappings(base: Map, over: Map, path: Path, report: Report) -> Map:
    for key, item in over.entries.items():
        old = base.entries.get(key)
        if old is None:
            base.put(key, item, over.keys.get(key))
            continue
        new = _nodes(old, item, (*path, key), report)
        base.put(key, new, base.keys.get(key) if new is old else over.keys.get(key))
    return base


def _replace(base: Node, over: Node, path: Path, report: Report) -> Node:
    return over


def _build(base: Node, over: Node, path: Path, report: Report) -> Node:
    return _mappings(_with_context(base), _with_context(over), path, report)


def _with_context(node: Node) -> Map:
    """A text is the context; what is neither text nor mapping says nothing."""
    if isinstance(node, Map):
        return node
    return Map({"context": node} if _is_text(node) else {}, node.span)


def _is_text(node: Node) -> bool:
    return isinstance(node, Scalar) and isinstance(node.value, str) and not isinstance(node.value, Date)


def _by_name(base: Node, over: Node, path: Path, report: Report) -> Node:
    return _mappings(_table(base, path), _table(over, path), path, report)


def _table(node: Node, path: Path) -> Map:
    """A list of names as the mapping that it abbreviates."""
    if isinstance(node, Map):
        return node
    table = Map({}, node.span)
    for item in node.items if isinstance(node, Seq) else ():
        if isinstance(item, Scalar):
            value: Node = Scalar(None, item.span)
            if path[-1] == "depends_on":
                value = Map(
                    {"condition": Scalar("service_started", item.span), "required": Scalar(True, item.span)}, item.span
                )
            table.put(str(item.value), value, item.span)
    return table


def _pairs(base: Node, over: Node, path: Path, report: Report) -> Node:
    return Seq(_appended(_sequence(base), _sequence(over), path, report), over.span)


def _sequence(node: Node) -> list[Node]:
    """A mapping as NAME=VALUE texts, sorted as texts (`h2=` before `h=`); a text as the only item; what is neither, nor
    a list, holds nothing.
    """
    match node:
        case Seq():
            return node.items
        case Scalar():
            return [node] if _is_text(node) else []
        case Map():
            return [*sorted(_assignments(node), key=lambda one: str(one.value))]


def _assignments(node: Map) -> Iterator[Scalar]:
    for key, item in node.entries.items():
        if isinstance(item, Map) and key == EXTENSIONS:  # among other names, its own are names like them
            yield from _assignments(item)
            continue
        for value in item.items if isinstance(item, Seq) else [item]:
            text = key if is_null(item) else f"{key}={printed(value)}"
            yield Scalar(text, value.span, any_secret(value))


def _hosts(base: Node, over: Node, path: Path, report: Report) -> Node:
    old = _sequence(base)
    known = {item.value for item in old if isinstance(item, Scalar)}
    return Seq(
        [*old, *(item for item in _sequence(over) if isinstance(item, Scalar) and item.value not in known)], over.span
    )


def _logging(base: Node, over: Node, path: Path, report: Report) -> Node:
    if not isinstance(base, Map) or not isinstance(over, Map):
        return base if is_null(over) else over
    old, new = base.get("driver"), over.get("driver")
    same = isinstance(old, Scalar) and isinstance(new, Scalar) and old.value == new.value
    return _mappings(base, over, path, report) if same or old is None or new is None else over


def _ipam(base: Node, over: Node, path: Path, report: Report) -> Node:
    if not isinstance(base, Seq) or not isinstance(over, Seq):
        return base if is_null(over) else over
    found: list[Map] = []
    for old in base.items:
        for new in over.items:
            if not isinstance(old, Map) or not isinstance(new, Map):
                continue
            if _subnet(old) != _subnet(new) and all(_subnet(known) != _subnet(new) for known in found):
                found.append(new)
                continue
            merged = _mappings(old, new, path, report)
            at = next((index for index, known in enumerate(found) if _subnet(known) == _subnet(merged)), None)
            if at is None:
                found.append(merged)
            else:
                found[at] = merged
    return Seq([*found], over.span)


def _subnet(pool: Map) -> object:
    node = pool.get("subnet")
    return node.value if isinstance(node, Scalar) else None


_SPECIAL: tuple[tuple[Path, _Merger], ...] = tuple(
    (tuple(text.split(".")), merger)
    for merger, texts in (
        (_ipam, ("networks.*.ipam.config",)),
        (_build, ("services.*.build",)),
        (_replace, ("services.*.command", "services.*.entrypoint", "services.*.healthcheck.test",
                   "services.*.ulimits.*")),
        (_by_name, ("services.*.depends_on", "services.*.models", "services.*.networks")),
        (_hosts, ("services.*.extra_hosts", "services.*.build.extra_hosts")),
        (_logging, ("services.*.logging",)),
        (
            _pairs,
            (
                "networks.*.labels", "volumes.*.labels", "services.*.annotations", "services.*.build.args",
                "services.*.build.additional_contexts", "services.*.build.labels", "services.*.deploy.labels",
                "services.*.dns", "services.*.dns_opt", "services.*.dns_search", "services.*.env_file",
                "services.*.label_file", "services.*.environment", "services.*.labels",
                "services.*.volumes.*.volume.labels", "services.*.sysctls", "services.*.tmpfs",
            ),
        ),
    )
    for text in texts
)  # fmt: skip
_NULL_COUNTS = (_replace, _ipam, _logging)
"""What lays an empty value over another one, or refuses it."""
_TABLES: tuple[Path, ...] = (("services",),)
"""What no file may leave empty."""
