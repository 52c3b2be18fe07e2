"""The config hash: sha256 over Go's JSON of a service, in the dialects that are known.

Law: byte for byte what docker compose writes to the label `com.docker.compose.config-hash` (compose.md 3.7); dialect v5
first, v2 second: there a bind mount shows `create_host_path` where the file gives it or uses the short form, and
`pull_refresh_after` is accepted and not hashed. What this module does NOT do: resolve references to containers other
than by replacing them in the text it is given (`bound`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from stackd.compose.tree import Json
from stackd.compose.units import go_json_float

_NOT_HASHED = ("profiles", "build", "depends_on", "pull_policy", "scale")
_HASHED_LAST = "pull_refresh_after"
_WITH_FLOATS = frozenset(("cpus", "cpu_percent", "deploy"))
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_SERVICE_REFERENCE = re.compile(r'"(network_mode|ipc|pid)":"service:([^"\\]+)"')
_VOLUMES_FROM = re.compile(r'"volumes_from":\[("(?:[^"\\]|\\.)*"(?:,"(?:[^"\\]|\\.)*")*)\]')


def go_json(value: Json) -> str:
    """`value` as Go's json.Marshal writes it; mappings keep their order (structs), so sort those that Go would sort."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)
        case int():
            return str(value)
        case float():
            return go_json_float(value)
        case list():
            return "[" + ",".join(map(go_json, value)) + "]"
        case dict():
            return "{" + ",".join(f"{go_json(key)}:{go_json(item)}" for key, item in value.items()) + "}"


def dialects(service: Mapping[str, Json]) -> tuple[str, str]:
    """The texts that are hashed for a canonical service: (v5, v2)."""
    kept = {key: value for key, value in service.items() if key not in _NOT_HASHED and key != _HASHED_LAST}
    if _HASHED_LAST in service:
        kept[_HASHED_LAST] = service[_HASHED_LAST]
    deploy = kept.get("deploy")
    if isinstance(deploy, dict):
        kept["deploy"] = {key: value for key, value in deploy.items() if key != "replicas"}
    # Python's own encoder writes all but floats as Go does, and is far faster.
    encode = go_json if _WITH_FLOATS & kept.keys() else _fast_json
    v5, v2 = shown_binds(kept, v2=False), shown_binds(kept, v2=True)
    text = encode({**kept, **v5})
    known = {key: value for key, value in kept.items() if key != _HASHED_LAST}
    return text, text if v5 == v2 and known == kept else encode({**known, **v2})


def _fast_json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)


def shown_binds(service: Mapping[str, Json], *, v2: bool) -> dict[str, Json]:
    """What has volumes, with `create_host_path` shown as the dialect does: v5 only when false, v2 only when true."""
    hooks = service.get("pre_start")
    shown: dict[str, Json] = _binds(service, v2=v2)
    if isinstance(hooks, list):
        shown["pre_start"] = [{**hook, **_binds(hook, v2=v2)} if isinstance(hook, dict) else hook for hook in hooks]
    return shown


def _binds(service: Mapping[str, Json], *, v2: bool) -> dict[str, Json]:
    volumes = service.get("volumes")
    if not isinstance(volumes, list):
        return {}
    out: list[Json] = []
    for mount in volumes:
        if isinstance(mount, dict) and isinstance(bind := mount.get("bind"), dict):
            shown = {k: v for k, v in bind.items() if k != "create_host_path" or v is v2}
            mount = {**mount, "bind": shown}
        out.append(mount)
    return {"volumes": out}


def digest(text: str) -> str:
    """The hash of one dialect's text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def bound(text: str, parents: Mapping[str, str]) -> str:
    """`text` with references to services replaced by their containers' ids, as compose does before it hashes on `up`.

    A reference whose parent is not known stays as it is.
    """

    def shared(found: re.Match[str]) -> str:
        parent = parents.get(found.group(2))
        return f'"{found.group(1)}":"container:{parent}"' if parent else found.group()

    def taken(found: re.Match[str]) -> str:
        return (
            f'"volumes_from":[{",".join(go_json(_source(one, parents)) for one in json.loads(f"[{found.group(1)}]"))}]'
        )

    return _VOLUMES_FROM.sub(taken, _SERVICE_REFERENCE.sub(shared, text))


def _source(entry: str, parents: Mapping[str, str]) -> str:
    parts = entry.split(":")
    if parts[0] == "container" and len(parts) > 1:
        return parts[1]
    return parents.get(parts[0], entry)
