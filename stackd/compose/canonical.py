"""The canonical project as text: what `stackd config` prints, byte for byte what `docker compose config` does.

Law: the text is a valid Compose file that means the same: every `$` is doubled, unless references are still in it.
Secrets are in it.
What this module does NOT do: load (`load.resolve` gives the values), or know how YAML is written (`goyaml`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from stackd.compose.goyaml import dump, go_sorted, sorted_deeply
from stackd.compose.load import Resolved, values
from stackd.compose.normalise import IMPLICIT
from stackd.compose.scalars import Date
from stackd.compose.tree import Json, Map, Node, Scalar, Seq
from stackd.compose.units import go_json_float

_TOP = ("name", "services", "networks", "volumes", "secrets", "configs", "models")
_FIRST = (
    "profiles", "deploy", "develop", "restart", "scale", "attach", "container_name", "provider", "extends",
    "external_links", "links", "pre_start", "post_start", "pre_stop",
)  # fmt: skip
_LAST = ("build", "depends_on", "expose", "healthcheck", "ports", "stdin_open", "tty")
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def json_of(found: Resolved) -> str:
    """Indented JSON, as `docker-compose config --format json` prints it, without a line break at its end."""
    return as_json({**values(found), **_extensions(found)})


def yaml_of(found: Resolved) -> str:
    """YAML, as `docker-compose config` prints it."""
    shown = values(found, whole=True)
    out = {key: shown[key] for key in _TOP if key in shown}
    extensions = _extensions(found)
    return as_yaml({**out, **{key: sorted_deeply(extensions[key]) for key in go_sorted(extensions)}})


def as_json(canonical: Mapping[str, Json]) -> str:
    """Canonical values as JSON, every `$` doubled."""
    out = _shown(canonical)
    for section in _TOP[2:]:
        table = out.get(section)
        if isinstance(table, dict):
            out[section] = {key: table[key] for key in sorted(table)}
    return _doubled(_indented({key: out[key] for key in sorted(out)}, 0))


def as_yaml(canonical: Mapping[str, Json]) -> str:
    """Canonical values as YAML, in their order, every `$` doubled."""
    return _doubled(dump(_brief(_shown(canonical))))


def _brief(value: Json) -> Json:
    """YAML leaves out that an env file is required, for that is what it is if nothing else is said; JSON tells it."""
    match value:
        case dict():
            out = {key: _brief(item) for key, item in value.items()}
            files = out.get("env_file")
            if isinstance(files, list):
                out["env_file"] = [_without_required(one) for one in files]
            return out
        case list():
            return [_brief(item) for item in value]
        case _:
            return value


def _without_required(file: Json) -> Json:
    if not isinstance(file, dict) or file.get("required") is not True:
        return file
    return {key: item for key, item in file.items() if key != "required"}


def raw_json(found: Resolved) -> str:
    """The tree as it is, references and all, as JSON."""
    return _indented(_sorted(_plain(found.root)), 0)


def raw_yaml(found: Resolved) -> str:
    """The tree as it is, references and all, as YAML."""
    return dump(sorted_deeply(_plain(found.root)))


def _shown(canonical: Mapping[str, Json]) -> dict[str, Json]:
    """The keys of every service in the order in which docker compose prints them; it hashes them in another one."""
    services = canonical.get("services")
    if not isinstance(services, dict):
        return dict(canonical)
    return {**canonical, "services": {name: _service(fields) for name, fields in services.items()}}


def _service(fields: Json) -> Json:
    if not isinstance(fields, dict):
        return fields
    ends = {*_FIRST, *_LAST}
    middle = [key for key in fields if key not in ends and not key.startswith("x-")]
    extensions = [key for key in fields if key.startswith("x-")]
    return {key: fields[key] for key in (*_FIRST, *middle, *_LAST, *extensions) if key in fields}


def _extensions(found: Resolved) -> dict[str, Json]:
    """The extension fields at the top level."""
    entries = found.root.entries if found.root is not None else {}
    return {key: _sorted(_plain(node)) for key, node in entries.items() if key.startswith("x-")}


def _plain(node: Node | None) -> Json:
    match node:
        case Map():
            return {key: _plain(item) for key, item in node.entries.items() if key != IMPLICIT}
        case Seq():
            return [_plain(item) for item in node.items]
        case Scalar():
            return node.value
        case None:
            return None


def _sorted(value: Json) -> Json:
    """`value` with every mapping sorted as Go's JSON does."""
    match value:
        case dict():
            return {key: _sorted(value[key]) for key in sorted(value)}
        case list():
            return [_sorted(item) for item in value]
        case _:
            return value


def _doubled(text: str) -> str:
    """`text` with every `$` doubled, so that it can be read again; folding and quoting came before, as in the real
    one."""
    return text.replace("$", "$$")


def _indented(value: Json, depth: int) -> str:
    """`value` as Go's json.MarshalIndent writes it, two spaces a level."""
    inside, end = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    match value:
        case dict() if value:
            items = [f"{_text(key)}: {_indented(item, depth + 1)}" for key, item in value.items()]
            return "{" + inside + f",{inside}".join(items) + end + "}"
        case list() if value:
            return "[" + inside + f",{inside}".join(_indented(item, depth + 1) for item in value) + end + "]"
        case str():
            return _text(value.iso if isinstance(value, Date) else value)
        case float():
            return go_json_float(value)
        case _:
            return json.dumps(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)
