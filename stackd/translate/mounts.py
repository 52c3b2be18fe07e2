"""Mounts in the engine's two forms: legacy `Binds` text and the `Mounts` list.

Law: as docker compose v5 chooses (compose.md 2.7): host folders and named volumes are Binds, because only these make a
missing host folder; the Mounts list takes what Binds cannot say, and anonymous volumes.
What this module does NOT do: decide which anonymous volumes are taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from stackd.model.spec import MountKind, MountSpec, Project, ServiceSpec
from stackd.translate.node import Json

_CREATE_MOUNTPOINT = (1, 42)


def mounts(
    spec: ServiceSpec, project: Project, inherited: Mapping[str, str], api: tuple[int, int]
) -> tuple[list[str], list[dict[str, Json]]]:
    """The service's mounts as (Binds, Mounts). `inherited`: volume names by target, for anonymous volumes."""
    binds: list[str] = []
    others: list[dict[str, Json]] = []
    for mount in spec.mounts:
        if mount.kind is MountKind.VOLUME and not mount.source and mount.target in inherited:
            others.append(_taken_over(mount.target, inherited[mount.target], read_only=mount.read_only))
        elif (text := _bind(mount, project)) is not None:
            binds.append(text)
        else:
            others.append(_mount(mount, project, api))
    declared = {mount.target for mount in spec.mounts} | set(spec.tmpfs)
    others += [
        _taken_over(target, name, read_only=False) for target, name in inherited.items() if target not in declared
    ]
    return binds, others


def _taken_over(target: str, name: str, *, read_only: bool) -> dict[str, Json]:
    out: dict[str, Json] = {"Type": "volume", "Source": name, "Target": target}
    return {**out, "ReadOnly": True} if read_only else out


def _bind(mount: MountSpec, project: Project) -> str | None:
    """The Binds text, None when only the Mounts list can say it."""
    if mount.kind is MountKind.BIND:
        source = mount.source if mount.create_host_path and not mount.propagation else ""
    elif mount.kind is MountKind.VOLUME and mount.source and not mount.nocopy:
        source = _volume(project, mount.source)
    else:
        source = ""
    if not source:
        return None
    options = ["ro" if mount.read_only else "rw", *filter(None, (mount.selinux, mount.propagation))]
    return f"{source}:{mount.target}:{','.join(options)}"


def _volume(project: Project, key: str) -> str:
    known = project.volumes.get(key)
    return known.name if known is not None else f"{project.name}_{key}"


def _mount(mount: MountSpec, project: Project, api: tuple[int, int]) -> dict[str, Json]:
    out: dict[str, Json] = {"Type": mount.kind.value, "Target": mount.target}
    if mount.read_only:
        out["ReadOnly"] = True
    match mount.kind:
        case MountKind.BIND:
            out["Source"] = mount.source
            options: dict[str, Json] = {"Propagation": mount.propagation} if mount.propagation else {}
            if mount.create_host_path and api >= _CREATE_MOUNTPOINT:
                options["CreateMountpoint"] = True
            if options:
                out["BindOptions"] = options
        case MountKind.VOLUME:
            if mount.source:
                out["Source"] = _volume(project, mount.source)
            if mount.nocopy:
                out["VolumeOptions"] = {"NoCopy": True}
        case MountKind.TMPFS:
            limits = {"SizeBytes": mount.tmpfs_size, "Mode": mount.tmpfs_mode}
            given: dict[str, Json] = {key: value for key, value in limits.items() if value is not None}
            if given:
                out["TmpfsOptions"] = given
        case _:
            assert_never(mount.kind)
    return out
