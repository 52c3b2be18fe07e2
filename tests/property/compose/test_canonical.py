"""The canonical text is a definition that means the same."""

from __future__ import annotations

from hypothesis import given, settings

from stackd.compose.canonical import as_json, as_yaml
from stackd.compose.load import canonical, stack_inputs
from stackd.compose.tree import Json
from tests.property.compose.files import compose_files
from tests.unit.compose.loading import FOLDER


def model(text: str) -> dict[str, Json] | None:
    inputs = stack_inputs(FOLDER, ["compose.yaml"])
    assert inputs is not None

    def read(path: object) -> bytes:
        if path != FOLDER / "compose.yaml":
            raise FileNotFoundError(path)
        return text.encode()

    return canonical(inputs, read, {"HOME": "/home/joe"})[0]


@given(compose_files())
@settings(max_examples=60, deadline=None)
def test_the_canonical_text_loads_to_the_same_model(text: str) -> None:
    first = model(text)
    if first is not None:
        assert model(as_json(first)) == first
        assert model(as_yaml(first)) == first
