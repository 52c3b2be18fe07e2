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
from stackd.compose.report import file_named
from stackd.compose.template import Variables
from stackd.compose.tree import Map, Node, Scalar
from stackd.compose.tree import Path as Pointer


def resolve_labels(service: Map, reader: Reader, secret_file: Path | None, pointer: Pointer = ()) -> None:
    """Merge `label_file` into `labels`, in place; the key stays. What `secret_file` gives is secret; `pointer`
    is the path of the service.
    """
    found: dict[str, dotenv.EnvValue] = {}
    for entry in items(service.get("label_file")):
        path = Path(text(entry))
        data = reader.get(path)
        if data is None or not text(entry):
            message = f"the label file {file_named(entry, path)} does not exist"
            reader.report.error("missing-file", message, entry.span, (*pointer, "label_file"))
            continue
        earlier = {name: held.value for name, held in found.items()}
        read = dotenv.parse(data, str(path), Variables(earlier), reader.report)
        if dotenv.NAMELESS in read:
            message, span = "this becomes a label without a name", read[dotenv.NAMELESS].span
            reader.report.warning("bad-name", message, span, (*pointer, "label_file"), dotenv.NAMELESS_HINT)
        hidden = path == secret_file
        found.update({name: dotenv.EnvValue(one.value, one.span, one.secret or hidden) for name, one in read.items()})
    if not found:
        return
    declared = service.get("labels")
    own = pairs(declared) if declared is not None else Map({}, service.span)
    merged: dict[str, Node] = {name: Scalar(held.value, held.span, held.secret) for name, held in found.items()}
    keys = {name: held.span for name, held in found.items()}
    service.entries["labels"] = Map({**merged, **own.entries}, own.span, {**keys, **own.keys})
