"""The canonical project without its secrets: what the API shows of an applied revision.

Law: nothing is shown that an explained edit would not show (`describe`): what a secret key or flag holds, what `.env`
contributed to, the user part of URLs; nor the content of inline configs, nor extension fields.
What this module does NOT do: make the canonical form (`load.canonical`), or print it (`canonical.as_yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping

from stackd.compose.report import REDACTED, printable, printable_words, secret_key
from stackd.compose.tree import Json
from stackd.model.ids import ServiceName
from stackd.model.spec import Project, ServiceSpec

_WORDS = ("command", "entrypoint", "test")
_CONTENT = ("content", "environment")


def redacted(values: Mapping[str, Json], project: Project) -> dict[str, Json]:
    """The canonical `values` of `project` with every secret as `***`."""
    return {
        key: _services(value, project) if key == "services" else _plain(value, key)
        for key, value in values.items()
        if not key.startswith("x-")
    }


def _services(value: Json, project: Project) -> Json:
    if not isinstance(value, dict):
        return value
    return {name: _service(fields, project.services.get(ServiceName(name))) for name, fields in value.items()}


def _service(value: Json, spec: ServiceSpec | None) -> Json:
    if not isinstance(value, dict) or spec is None:
        return REDACTED
    secret = {path for path, shown in spec.values.items() if REDACTED in shown.split(", ")}
    secret |= {f"environment.{name}" for name in spec.env_secrets}
    return {key: _field(item, key, secret) for key, item in value.items() if not key.startswith("x-")}


def _field(value: Json, path: str, secret: set[str]) -> Json:
    """One field of a service; `secret` are the paths that are never shown as they are."""
    key = path.rpartition(".")[2]
    match value:
        case dict():
            return {name: _field(item, f"{path}.{name}", secret) for name, item in value.items()}
        case list() if key in _WORDS:
            return [REDACTED] if path in secret else [*printable_words(map(str, value))]
        case list():
            return [_field(item, f"{path}.{_named(path, item, at)}", secret) for at, item in enumerate(value)]
        case None:
            return None
        case _ if key in _WORDS and isinstance(value, str):
            return REDACTED if path in secret else " ".join(printable_words([value]))
        case _ if secret_key(key) or _is_secret(path, secret):
            return REDACTED
        case str():
            return printable(value)
        case _:
            return value


def _named(path: str, item: Json, at: int) -> str:
    """How `describe` names an item of a list: a port and a mount by their target, others by their place."""
    if isinstance(item, dict) and "target" in item and path in ("ports", "volumes"):
        return f"{item['target']}/{item.get('protocol', 'tcp')}" if path == "ports" else str(item["target"])
    return str(at)


def _is_secret(path: str, secret: set[str]) -> bool:
    """Whether a path, or what it lies in, is never shown."""
    parts = path.split(".")
    return any(".".join(parts[: end + 1]) in secret for end in range(1, len(parts))) or path in secret


def _plain(value: Json, key: str) -> Json:
    """Anything outside of services: networks, volumes, secrets, configs."""
    match value:
        case dict():
            return {name: _plain(item, name) for name, item in value.items() if not name.startswith("x-")}
        case list():
            return [_plain(item, key) for item in value]
        case str():
            return REDACTED if key in _CONTENT or secret_key(key) else printable(value)
        case _:
            return value
