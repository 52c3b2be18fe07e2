"""Secrets and configs that are files: mounts of a service, and a digest of what the files hold.

Law: a file becomes a read-only bind mount, as docker compose does it; the digest (`v1:...`) changes with any content,
so that an edited secret is noticed, which compose does not. Contents never leave this module but as a digest.
What this module does NOT do: secrets from variables or stores (a warning says so: `rules`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from stackd.compose.environment import Reader
from stackd.compose.normalise import items, text
from stackd.compose.report import file_named
from stackd.compose.tree import Map
from stackd.model.spec import MountKind, MountSpec

_FOLDERS = {"secrets": "/run/secrets/", "configs": "/"}


@dataclass(frozen=True, slots=True)
class FileMounts:
    """The mounts that secrets and configs make, and the digest of their contents ("" when there are none)."""

    mounts: tuple[MountSpec, ...] = ()
    content: str = ""


def file_mounts(root: Map, service: Map, reader: Reader) -> FileMounts:
    """The secrets and configs of a service that come from files. One that is missing or unreadable is warned of."""
    found: dict[str, tuple[str, bytes | None]] = {}
    for section, folder in _FOLDERS.items():
        table = root.get(section)
        for entry in items(service.get(section)):
            source = text(entry.get("source")) if isinstance(entry, Map) else ""
            definition = table.get(source) if isinstance(table, Map) else None
            file = definition.get("file") if isinstance(definition, Map) else None
            if not isinstance(entry, Map) or file is None or not text(file):
                continue
            data, failure = reader.attempt(Path(text(file)))
            if failure:  # a folder can be mounted, and what the engine may read need not be readable here
                message = f'the file of "{source}" cannot be read ({failure}), so no change of it is noticed'
                reader.report.warning("unreadable-file", message, file.span, (section, source, "file"))
            if data is None:
                shown = file_named(file, Path(text(file)))
                message = f'the file of "{source}", {shown}, does not exist; the container cannot be created without it'
                reader.report.warning("missing-file", message, file.span, (section, source, "file"))
            target = text(entry.get("target")) or source
            found.setdefault(target if target.startswith("/") else folder + target, (text(file), data))
    if not found:
        return FileMounts()
    total = hashlib.sha256()
    for target, (_, data) in sorted(found.items()):
        total.update(f"{target}\0{-1 if data is None else len(data)}\0".encode())
        total.update(data or b"")
    mounts = tuple(
        MountSpec(MountKind.BIND, target, source, read_only=True, short=False, create_host_path=False)
        for target, (source, _) in found.items()
    )
    return FileMounts(mounts, f"v1:{total.hexdigest()}")
