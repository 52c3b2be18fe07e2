"""The user's registry credentials, from the Docker CLI's own configuration: `auths`, `credHelpers`, `credsStore`.

Law: a secret read here goes into a request header and nowhere else. No credentials is no error: the registry decides.
Files are read off the loop.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stackd.errors import EngineError, EngineErrorKind
from stackd.regular_file import LARGEST, read_regular
from stackd.translate.node import Json, Node, as_node

_HUB = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HELPER_PATIENCE = 10.0
_IDENTITY = "<token>"


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference taken apart: registry host, what the pull call names, and its tag or digest."""

    registry: str
    repository: str
    tag: str


def parse_reference(ref: str) -> Reference:
    """`redis`, `ghcr.io/a/b:1`, `localhost:5000/x@sha256:...`; without a tag it is `latest`, never "all tags"."""
    name, _, digest = ref.partition("@")
    head, slash, _ = name.partition("/")
    registry = head if slash and ("." in head or ":" in head or head == "localhost") else "docker.io"
    colon = name.rfind(":")
    tagged = colon > name.rfind("/")
    repository, tag = (name[:colon], name[colon + 1 :]) if tagged else (name, "latest")
    return Reference(registry, repository, digest or tag)


def config_path(environ: Mapping[str, str]) -> Path:
    """The CLI's configuration file."""
    folder = environ.get("DOCKER_CONFIG", "")
    return (Path(folder) if folder else Path(environ.get("HOME", "/")) / ".docker") / "config.json"


async def registry_auth(registry: str, path: Path | None = None) -> str:
    """The value of `X-Registry-Auth` for a registry, "" if the user has no credentials for it.

    Raises EngineError(denied) when a credential helper is configured and does not do its work.
    """
    config = await asyncio.to_thread(_read, path or config_path(os.environ))
    helper = config["credHelpers"].text(registry) or config.text("credsStore")
    entry = await _ask_helper(helper, registry) if helper else {}
    entry = entry or _stored(config, registry)
    if not entry:
        return ""
    entry.setdefault("serveraddress", _server(registry))
    return base64.urlsafe_b64encode(json.dumps(entry).encode()).decode()


def _read(path: Path) -> Node:
    try:
        return as_node(json.loads(read_regular(path, LARGEST)))
    except (OSError, ValueError):
        return Node(None)


def _server(registry: str) -> str:
    return _HUB if registry in _HUB_NAMES else registry


def _stored(config: Node, registry: str) -> dict[str, Json]:
    """The entry of `auths` for a registry, whichever way its key is written."""
    for key, node in config["auths"].entries():
        host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
        same = host == registry or (host in _HUB_NAMES and registry in _HUB_NAMES)
        if not same:
            continue
        if token := node.text("identitytoken"):
            return {"identitytoken": token}
        try:
            user, colon, password = base64.b64decode(node.text("auth")).decode().partition(":")
        except ValueError:
            continue
        if colon:
            return {"username": user, "password": password}
    return {}


async def _ask_helper(helper: str, registry: str) -> dict[str, Json]:
    """`docker-credential-HELPER get`: the server on its input, a JSON object on its output; non-zero = has none."""
    program = f"docker-credential-{helper}"
    try:
        process = await asyncio.create_subprocess_exec(program, "get", stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    except OSError as error:
        message = f"credential helper {program} cannot be run ({error.strerror}); see credsStore in the Docker config"
        raise EngineError(EngineErrorKind.DENIED, message) from error
    try:
        async with asyncio.timeout(_HELPER_PATIENCE):
            output, _ = await process.communicate(_server(registry).encode())
    except TimeoutError as error:
        message = f"credential helper {program} did not answer in {_HELPER_PATIENCE:g} s"
        raise EngineError(EngineErrorKind.DENIED, message) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _helped(output) if process.returncode == 0 else {}


def _helped(output: bytes) -> dict[str, Json]:
    try:
        answer = as_node(json.loads(output))
    except ValueError:
        return {}
    user, secret = answer.text("Username"), answer.text("Secret")
    return {"identitytoken": secret} if user == _IDENTITY else {"username": user, "password": secret}
