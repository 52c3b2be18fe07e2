"""A service's labels: what its label files give, under what it declares itself.

Law: files in order, later ones win, the service's own `labels` win over all; a reference in a file sees the labels of
earlier files first, then earlier lines.
What this module does NOT do: read the disk (the caller gives `read`).
"""

from __future__ import annotations

from pathlib import Path

from stackd.compose import dotenv
from stackd.compose.environment import Reader
from stackd.compose.expand import pairs
from stackd.compose.normalise import items, text
from stackd.compose.redact import REDACTED
from stackd.compose.template import Variables
from stackd.compose.tree import Map, Node, Scalar, any_secret


def resolve_labels(service: Map, reader: Reader, secret_file: Path | None) -> None:
    """Merge `label_file` into `labels`, in place; the key stays. What `secret_file` gives is secret."""
    found: dict[str, dotenv.EnvValue] = {}
    for entry in items(service.get("label_file")):
        path = Path(text(entry))
        data = reader.get(path)
        if data is None or not text(entry):
            shown = REDACTED if any_secret(entry) else f'"{path.name}"'
            reader.report.error("missing-file", f"the label file {shown} does not exist", entry.span)
            continue
        earlier = {name: held.value for name, held in found.items()}
        read = dotenv.parse(data, str(path), Variables(earlier), reader.report)
        hidden = path == secret_file
        found.update({name: dotenv.EnvValue(one.value, one.span, one.secret or hidden) for name, one in read.items()})
    if not found:
        return
    declared = service.get("labels")
    own = pairs(declared) if declared is not None else Map({}, service.span)
    merged: dict[str, Node] = {name: Scalar(held.value, held.span, held.secret) for name, held in found.items()}
    keys = {name: held.span for name, held in found.items()}
    service.entries["labels"] = Map({**merged, **own.entries}, own.span, {**keys, **own.keys})
