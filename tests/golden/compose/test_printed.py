"""`stackd config` prints of some golden folders what docker compose v5.6.1 printed of them: `printed.yaml`, `.json`.

The two texts are the real one's own, the folder's place written `$DIR`, the one above `$UP`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackd.compose.canonical import json_of, yaml_of
from stackd.compose.load import Resolved, resolve, stack_inputs
from tests.golden.compose.folders import CASES, ENV

PRINTED = sorted(path.parent for path in CASES.glob("*/printed.yaml"))


def resolved(folder: Path) -> Resolved:
    inputs = stack_inputs(folder, [path.name for path in folder.iterdir()])
    assert inputs is not None
    return resolve(replace(inputs, shell=True), Path.read_bytes, ENV)


def placed(text: str, folder: Path) -> str:
    return text.replace(str(folder), "$DIR").replace(str(folder.parent), "$UP")


@pytest.mark.parametrize("folder", PRINTED, ids=lambda folder: folder.name)
def test_a_folder_is_printed_in_yaml_as_docker_compose_printed_it(folder: Path) -> None:
    assert placed(yaml_of(resolved(folder)), folder) == (folder / "printed.yaml").read_text()


@pytest.mark.parametrize("folder", PRINTED, ids=lambda folder: folder.name)
def test_a_folder_is_printed_in_json_as_docker_compose_printed_it(folder: Path) -> None:
    assert placed(json_of(resolved(folder)), folder) == (folder / "printed.json").read_text()
