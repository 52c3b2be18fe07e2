"""No finding shows a value of a key that may hold a secret, whatever is wrong with it: found by planting one."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stackd.compose.confidential import assigned, hides, key_shown
from stackd.compose.load import StackInputs, load, resolve
from stackd.errors import Diagnostic

L = "hunter2XLEAKX"
"""The value that is planted."""
FOLDER = Path("/stacks/blog")


SERVICE = "services:\n  web:\n    image: busybox\n"
PLACES = {  # what stands in front of the value of each key
    "environment": f"{SERVICE}    environment:",
    "labels": f"{SERVICE}    labels:",
    "annotations": f"{SERVICE}    annotations:",
    "sysctls": f"{SERVICE}    sysctls:",
    "build.args": "services:\n  web:\n    build:\n      context: .\n      args:",
    "build.labels": "services:\n  web:\n    build:\n      context: .\n      labels:",
    "deploy.labels": f"{SERVICE}    deploy:\n      labels:",
    "post_start.environment": f"{SERVICE}    post_start:\n    - command: x\n      environment:",
    "pre_start.environment": f"{SERVICE}    pre_start:\n    - command: x\n      environment:",
    "logging.options": f"{SERVICE}    logging:\n      options:",
    "networks.driver_opts": f"{SERVICE}networks:\n  n:\n    driver_opts:",
    "service.networks.driver_opts": f"{SERVICE}    networks:\n      default:\n        driver_opts:",
    "networks.labels": f"{SERVICE}networks:\n  n:\n    labels:",
    "volumes.driver_opts": f"{SERVICE}volumes:\n  v:\n    driver_opts:",
    "volumes.labels": f"{SERVICE}volumes:\n  v:\n    labels:",
    "secrets.driver_opts": f"{SERVICE}secrets:\n  s:\n    driver: d\n    driver_opts:",
    "configs.content": f"{SERVICE}configs:\n  c:\n    content:",
    "env_file": f"{SERVICE}    env_file:",
    "label_file": f"{SERVICE}    label_file:",
}
MALFORMED = [
    f" {L}", f" P={L}", f" P:{L}", f" [{L}]", f" [P={L}, P={L}]", f" {{P:{L}}}", f" {{P={L}}}", f" {{P={L}, P={L}}}",
    f" {{P={L}: [x]}}", f" {{P: [{L}]}}", f" {{P: {{Q: {L}}}}}", f" [{{P: {L}}}]", f" [{{P: [{L}]}}]", f" [[{L}]]",
    f" [[P={L}]]", f" {{P: '${{X:-{L}'}}", f" {{P: '${{{L}!}}'}}", f" {{P: 'a${{X/{L}/b}}'}}",
    f" {{P: 'pa${L}rest'}}", f" ['P=${{X:-{L}']", f" ['P=pa${L}']", f" '${{{L}'", f" {{P: *{L}}}",
    f" {{P: &{L} [*{L}]}}", f" {{P: '{L}'", f" {{P: \"{L}\\q\"}}", f" {{P: '{L}'x}}", f" {{P: @{L}}}", f" P: {L}: x",
    f" {{P: {L}, P: {L}}}", f" {{? [{L}] : x}}", f" {{'P={L} ': x}}", f" !!int {L}", f" {{P: !!binary {L}}}",
    f" {{<<: {L}}}", f" {{'': {L}}}", f" ['={L}']", f" ['P={L}', {{P: {L}}}, 7]", f" {{P: \"{L}\x07\"}}",
    f" >-\n      {L}\n", f" |\n  {L}\n", f" '${{X:?}}{L}'", f" {{P: '${{X:?}}{L}'}}",
]  # fmt: skip
ENV_FILES = [
    f"P {L}\n", f"P {L}", f"{L} x\n", f"A=1\n{L}", f"P='{L}\n", f'P="{L}\n', f"P=${{X:-{L}\n", f"P=${{{L}!}}\n",
    f"P=pa${L}rest\n", f"P='a' {L} b\n", f"P={L}\n!x\n", f"export {L}=\n={L}", f"P!={L}\n", f"P=${{X:?{L}}}\n",
    f"\"P\"={L}\n",
]  # fmt: skip


def findings(files: dict[str, bytes]) -> list[Diagnostic]:
    """Everything that loading and showing the files says, as the daemon and as a shell sees them."""

    def read(path: Path) -> bytes:
        data = files.get(str(path.relative_to(FOLDER))) if path.is_relative_to(FOLDER) else None
        if data is None:
            raise FileNotFoundError(path)
        return data

    listed = tuple(FOLDER / name for name in files if name.startswith("compose"))
    out: list[Diagnostic] = []
    for shell, interpolate in itertools.product((False, True), (False, True)):
        inputs = StackInputs(FOLDER, listed, FOLDER / ".env", shell=shell, interpolate=interpolate, decoded=interpolate)
        out += resolve(inputs, read, {}).loaded.diagnostics
    return [*out, *load(StackInputs(FOLDER, listed, FOLDER / ".env"), read, {}).diagnostics]


def leaks(found: list[Diagnostic]) -> list[str]:
    return [f"{one} at {one.pointer}" for one in found if L in f"{one.message} {one.hint} {one.pointer}"]


def leaked(place: str, texts: list[str]) -> list[str]:
    """What leaks from the files; where a path is wanted, a text that is no NAME=VALUE is one, and paths are shown."""
    found = findings({f"compose{at or ''}.yaml": text.encode() for at, text in enumerate(texts)})
    paths = place.endswith("_file") and not any(f"P={L}" in text for text in texts)
    return leaks([one for one in found if not (paths and one.code == "missing-file")])


@pytest.mark.parametrize("place", PLACES)
def test_no_finding_shows_a_value_however_it_is_written_wrong(place: str) -> None:
    shown = []
    for malformed in MALFORMED:
        shown += leaked(place, [f"{PLACES[place]}{malformed}\n"])
    assert not shown


@pytest.mark.parametrize("place", PLACES)
def test_no_finding_shows_a_value_where_two_files_differ(place: str) -> None:
    shown = []
    forms = (f" P={L}", f" [P={L}]", f" {{P: {L}}}", f" {{P: [{L}]}}", f" {{P: {{Q: {L}}}}}", f" [[{L}]]")
    for one, other in itertools.permutations(forms, 2):
        shown += leaked(place, [f"{PLACES[place]}{one}\n", f"{PLACES[place]}{other}\n"])
    assert not shown


@pytest.mark.parametrize("text", ENV_FILES)
@pytest.mark.parametrize("use", ["env_file: e", "label_file: e", "env_file: [{path: e, format: raw}]", "user: x"])
def test_no_finding_shows_a_value_of_an_env_file_however_it_is_written_wrong(text: str, use: str) -> None:
    files = {"compose.yaml": f"{SERVICE}    {use}\n".encode(), "e": text.encode(), ".env": text.encode()}
    assert not leaks(findings(files))


def test_every_malformed_value_is_found_somewhere() -> None:
    assert all(findings({"compose.yaml": f"{PLACES['volumes.driver_opts']}{one}\n".encode()}) for one in MALFORMED[:6])


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("services.web.environment", True), ("services.web.environment.P", True), ("services.web.build.args.0", True),
        ("services.labels.image", False), ("web.environment.P", True), ("volumes.v.driver_opts.o", True),
        ("services.web.command", False), ("services.web.ports.0", False), ("services", False), ("", False),
        ("x-env.P", True), ("services.web.x-mine.P", True), ("services.web.x-stackd.restart", False),
    ],
)  # fmt: skip
def test_what_is_hidden_is_known_by_its_path(path: str, hidden: bool) -> None:
    assert hides(tuple(path.split("."))) is hidden


def test_a_key_is_shown_without_the_value_that_got_into_it() -> None:
    assert key_shown("P=x=y") == "P=***"
    assert key_shown("image:x") == "image:x"
    assert key_shown("P:x", ("services", "web", "environment")) == "P:***"
    assert (assigned("P=x"), assigned("/a:b=c"), assigned("P=")) == ("P", "", "")
