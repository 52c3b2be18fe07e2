"""What a load begins with: which files make up a stack, and what the daemon's configuration says about loading.

Law: the files are chosen as docker compose chooses them; `fig.yml` is stackd's own last resort. Pure: the caller tells
which names are present.
What this module does NOT do: read or watch anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from stackd.compose.redact import Redaction
from stackd.model.spec import RestartPolicy

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", "fig.yml")
REPLICAS = 1000
"""The containers that all services of a stack may be scaled to together, where the configuration says nothing."""
OVERRIDE_NAMES = (
    "compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StackInputs:
    """One stack to load.

    `folder` is its real path; `config_files` absolute, in merge order; `env_file` its `.env` (need not exist);
    `env_files` further ones from the daemon's configuration (later ones win, all lose to `.env`); `profiles` those
    to enable; `default_restart` the policy of a service that says nothing. `shell`: `env` is a person's own, as docker
    compose sees it, so an unset variable only warns, wherever it stands. `explicit`: the files were named by a person,
    so COMPOSE_FILE does not count. `name`: the project's, before any that a file gives; `services` the only ones
    wanted, with what they need; `replicas` the containers that services with more than one may have together;
    `redaction`: how values are shown; the last seven leave a step out when false, for display only: not `decoded` is
    the tree as it is written, of which no project is made, not `checked` one that may hold anything.
    """

    folder: Path
    config_files: tuple[Path, ...]
    env_file: Path | None = None
    env_files: tuple[Path, ...] = ()
    profiles: tuple[str, ...] = ()
    default_restart: RestartPolicy = RestartPolicy()
    shell: bool = False
    explicit: bool = False
    name: str = ""
    services: tuple[str, ...] = ()
    replicas: int = REPLICAS
    redaction: Redaction = Redaction()
    interpolate: bool = True
    decoded: bool = True
    checked: bool = True
    normal: bool = True
    consistent: bool = True
    env_files_merged: bool = True
    paths_resolved: bool = True


def choose(present: Collection[str]) -> tuple[str, ...]:
    """The stack's definition files among the names present in its folder, in merge order; () when it has none."""
    main = next((name for name in FILE_NAMES if name in present), None)
    if main is None:
        return ()
    override = next((name for name in OVERRIDE_NAMES if name in present), None)
    return (main,) if override is None or main == "fig.yml" else (main, override)


def stack_inputs(folder: Path, present: Collection[str]) -> StackInputs | None:
    """The inputs of the stack in `folder` with Compose's defaults; None when nothing in it is a definition."""
    files = choose(present)
    if not files:
        return None
    return StackInputs(folder, tuple(folder / name for name in files), folder / ".env")
