"""Where the engine listens: decided here, never by the client library (which puts the CLI's context above DOCKER_HOST).

Law: DOCKER_HOST, else the first socket that exists of rootless Docker, Docker, rootless Podman, Podman; with none
there, Docker's usual place, so that a daemon that started first finds it when it comes. Only Unix sockets are
supported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from stackd.errors import ConfigError

_USUAL = "/var/run/docker.sock"


def locate(environ: Mapping[str, str], is_socket: Callable[[Path], bool] = Path.is_socket) -> str:
    """The engine's address as `unix:///path`. Raises ConfigError for an address of another kind."""
    if told := environ.get("DOCKER_HOST", ""):
        return f"unix://{socket_path(told)}"
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    for candidate in _candidates(runtime):
        try:
            if is_socket(Path(candidate)):
                return f"unix://{candidate}"
        except OSError:
            continue
    return f"unix://{_USUAL}"


def _candidates(runtime: str) -> list[str]:
    own = [f"{runtime}/docker.sock"] if runtime else []
    podman = [f"{runtime}/podman/podman.sock"] if runtime else []
    return [*own, _USUAL, "/run/docker.sock", *podman, "/run/podman/podman.sock"]


def socket_path(url: str) -> str:
    """The path of a `unix://` address. Raises ConfigError for `tcp`, `ssh` and the like."""
    scheme, separator, path = url.partition("://")
    if scheme == "unix" and path.startswith("/"):
        return path
    if not separator and url.startswith("/"):
        return url
    kind = scheme if separator else url
    raise ConfigError(f'engine address of kind "{kind}": stackd talks to a Unix socket only (unix:///path)')
