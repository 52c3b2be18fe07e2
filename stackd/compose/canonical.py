"""The canonical project as text: what `stackd config` prints.

Law: the text is a valid Compose file that means the same: every `$` is doubled, as docker compose does it. Secrets are
in it.
What this module does NOT do: load (`load.canonical` gives the values).
"""

from __future__ import annotations

import json

import yaml

from stackd.compose.tree import Json


def as_json(values: Json) -> str:
    """Indented JSON, as `docker-compose config --format json` prints it."""
    return json.dumps(escaped(values), indent=2, ensure_ascii=False)


def as_yaml(values: Json) -> str:
    """YAML, keys in the order of the model. Words that YAML 1.1 would misread are quoted."""
    return yaml.dump(escaped(values), sort_keys=False, allow_unicode=True, width=120)


def escaped(value: Json) -> Json:
    """`value` with every `$` doubled."""
    match value:
        case str():
            return value.replace("$", "$$")
        case list():
            return [escaped(item) for item in value]
        case dict():
            return {key: escaped(item) for key, item in value.items()}
        case _:
            return value
