"""The canonical project as the API shows it of an applied revision: what `redact` hides is a digest.

Law: nothing is shown that an explained edit would not show (`describe`); nor any extension field, nor a word that the
definition's own `hidden` values hold.
What this module does NOT do: make the canonical form (`load.canonical`), decide (`redact`) or print.
"""

from __future__ import annotations

from collections.abc import Mapping

from stackd.compose.redact import HIDDEN, TABLES, Redaction, is_hidden, name_shown, scrub
from stackd.compose.tree import Json
from stackd.model.ids import ServiceName
from stackd.model.spec import Project, ServiceSpec

_WORDS = ("command", "entrypoint", "test")


def redacted(values: Mapping[str, Json], project: Project, redaction: Redaction) -> dict[str, Json]:
    """The canonical `values` of `project`, which was loaded with the same `redaction`."""
    return {
        key: _services(value, project, redaction) if key == "services" else _Walk(redaction, project).shown(value, key)
        for key, value in values.items()
        if not key.startswith("x-")
    }


def _services(value: Json, project: Project, redaction: Redaction) -> Json:
    found = value.items() if isinstance(value, dict) else ()
    return {name: _service(fields, project, ServiceName(name), redaction) for name, fields in found}


def _service(value: Json, project: Project, name: ServiceName, redaction: Redaction) -> Json:
    spec = project.services.get(name)
    if not isinstance(value, dict) or spec is None:
        return f"{HIDDEN})"
    walk = _Walk(redaction, project, spec)
    return {key: walk.shown(item, key) for key, item in value.items() if not key.startswith("x-")}


class _Walk:
    """One walk down a service, or a resource of the project. Paths are those of `describe`."""

    def __init__(self, redaction: Redaction, project: Project, spec: ServiceSpec | None = None) -> None:
        self._redaction = redaction.showing(project.show)
        self._hidden = frozenset[str]() if redaction.reveal else project.hidden
        self._known: Mapping[str, str] = spec.values if spec is not None else {}

    def shown(self, value: Json, path: str) -> Json:
        """What stands for `value` of `path`."""
        key = path.rpartition(".")[2]
        known = self._known.get(path)
        match value:
            case None:
                return None
            case dict() if key in TABLES:
                return {self._name(name): self._entry(item, path, name) for name, item in value.items()}
            case dict():
                below = ((name, item) for name, item in value.items() if not name.startswith("x-"))
                return {name: self.shown(item, f"{path}.{name}") for name, item in below}
            case list() | str() if key in _WORDS:
                return self._words(value, path)
            case list():
                return [self.shown(item, f"{path}.{_named(path, item, at)}") for at, item in enumerate(value)]
            case _ if known is not None and known.startswith(HIDDEN):
                return known
            case _ if self._is_inside(path):
                return self._redaction.hide(path, str(value))
            case str():
                return self._redaction.text(path, scrub(value, self._hidden))
            case _:
                return value

    def _entry(self, value: Json, path: str, name: str) -> Json:
        """The value of `name` in a table of free names."""
        where = f"{path}.{name_shown(name)}"
        match value:
            case None:
                return None
            case list():
                return [self._entry(item, path, name) for item in value]
            case dict():
                return {key: self._entry(item, where, key) for key, item in value.items()}
            case _:
                shown = self._redaction.entry(path.rpartition(".")[2], name, _text(value), path=where)
                known = self._known.get(where, shown)
                return known if known.startswith(HIDDEN) else value

    def _name(self, name: str) -> str:
        return name if self._redaction.reveal else name_shown(name)

    def _words(self, value: list[Json] | str, path: str) -> Json:
        known = self._known.get(path, "")
        listed = list(map(_text, value)) if isinstance(value, list) else [value]
        words = [known] if known.startswith(HIDDEN) else self._redaction.words(path, listed)
        return words[0] if isinstance(value, str) else [*words]

    def _is_inside(self, path: str) -> bool:
        """Whether a path lies in a record (a port, a mount) that is hidden as a whole."""
        parts = path.split(".")
        above = (".".join(parts[:end]) for end in range(1, len(parts)))
        return any(is_hidden(self._known.get(one, "")) for one in above)


def _named(path: str, item: Json, at: int) -> str:
    """How `describe` names an item of a list: a port and a mount by their target, others by their place."""
    if isinstance(item, dict) and "target" in item and path in ("ports", "volumes"):
        return f"{item['target']}/{item.get('protocol', 'tcp')}" if path == "ports" else str(item["target"])
    return str(at)


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
