"""Loading a stack from texts, without a disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stackd.compose.load import StackInputs, load, stack_inputs
from stackd.model.ids import ServiceName
from stackd.model.spec import Loaded, RestartCondition, ServiceSpec

FOLDER = Path("/stacks/blog")


def read_from(files: Mapping[str, str]) -> Loaded:
    """The stack /stacks/blog with these files."""
    inputs = stack_inputs(FOLDER, list(files))
    assert inputs is not None
    return load_with(inputs, files)


def load_with(inputs: StackInputs, files: Mapping[str, str]) -> Loaded:
    """The stack with inputs of its own."""

    def read(path: Path) -> bytes:
        name = str(path.relative_to(FOLDER))
        if name not in files:
            raise FileNotFoundError(path)
        return files[name].encode()

    return load(inputs, read, {"HOME": "/home/joe"})


def service(text: str, name: str = "web", **files: str) -> ServiceSpec:
    """One service of a compose.yaml that must load."""
    loaded = read_from({"compose.yaml": text, **{key.replace("_", "."): value for key, value in files.items()}})
    assert loaded.project is not None, [str(found) for found in loaded.diagnostics]
    return loaded.project.services[ServiceName(name)]


def web(*lines: str) -> str:
    """A compose.yaml with one service `web`."""
    return "services:\n  web:\n    image: busybox\n" + "".join(f"    {line}\n" for line in lines)


DEFAULT = RestartCondition.ON_FAILURE
