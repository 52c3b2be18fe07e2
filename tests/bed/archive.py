"""Images as plain files: layers as compressed tars, and the archive that an engine loads.

Law: an image is made without any engine: its layers and its configuration fix its id, so the same input gives the same
image on every engine. Layers that several images share are stored and sent once. (Archive layout: `docker save`'s
manifest.json with one JSON file per image; engines accept compressed layers in it.)
"""

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

CREATED = "2024-01-01T00:00:00Z"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "riscv64": "riscv64"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer on disk: a gzipped tar and the sha256 of the tar itself."""

    file: Path
    diff_id: str


@dataclass(frozen=True, slots=True)
class Config:
    """What a container of the image runs with, as in a Dockerfile."""

    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    stop_signal: str = ""

    def as_json(self) -> dict[str, object]:
        """The `config` object of an image."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        document: dict[str, object] = {"Env": [path, *self.env], "Cmd": list(self.cmd) or None}
        if self.entrypoint:
            document["Entrypoint"] = list(self.entrypoint)
        if self.volumes:
            document["Volumes"] = {volume: {} for volume in self.volumes}
        if self.ports:
            document["ExposedPorts"] = {port: {} for port in self.ports}
        optional = {"WorkingDir": self.workdir, "User": self.user, "StopSignal": self.stop_signal}
        return document | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True, slots=True)
class Image:
    """A tagged image."""

    tag: str
    layers: tuple[Layer, ...]
    config: Config

    def document(self) -> bytes:
        """The image's JSON file; its sha256 is the image id."""
        history = [{"created": CREATED, "created_by": "stackd test bed"} for _ in self.layers]
        content = {
            "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "created": CREATED,
            "config": self.config.as_json(),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in self.layers]},
            "history": history,
        }
        return json.dumps(content, sort_keys=True).encode()

    @property
    def id(self) -> str:
        """The id an engine will show: `sha256:...`."""
        return f"sha256:{hashlib.sha256(self.document()).hexdigest()}"


def write_archive(images: Iterable[Image], file: BinaryIO) -> None:
    """Write the archive that `POST /images/load` takes; each layer stands in it once."""
    written: set[str] = set()
    manifest: list[dict[str, object]] = []
    with tarfile.open(fileobj=file, mode="w") as archive:
        for image in images:
            document = image.document()
            name = f"{image.id.removeprefix('sha256:')}.json"
            _add_bytes(archive, name, document)
            paths = [f"{layer.diff_id}/layer.tar" for layer in image.layers]
            manifest.append({"Config": name, "RepoTags": [image.tag], "Layers": paths})
            for layer, path in zip(image.layers, paths, strict=True):
                if path not in written:
                    archive.add(layer.file, path)
                    written.add(path)
        _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())


def write_layer(target: Path, fill: Callable[[tarfile.TarFile], None]) -> Layer:
    """Make a layer: `fill` adds the files; it appears under its name only when complete."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    with gzip.GzipFile(partial, "wb", compresslevel=1, mtime=0) as packed:
        sink = _HashingSink(packed)
        with tarfile.open(fileobj=cast("BinaryIO", sink), mode="w|", format=tarfile.GNU_FORMAT) as tar:
            fill(tar)
    layer = Layer(target, sink.digest.hexdigest())
    partial.rename(target)
    target.with_suffix(".diff_id").write_text(layer.diff_id, encoding="ascii")
    return layer


def stored_layer(target: Path) -> Layer | None:
    """A layer made earlier, if it is complete."""
    note = target.with_suffix(".diff_id")
    if not target.is_file() or not note.is_file():
        return None
    return Layer(target, note.read_text(encoding="ascii").strip())


def add_tree(tar: tarfile.TarFile, root: Path, skip: Callable[[str], bool]) -> None:
    """Add all below `root`, in a fixed order; `skip` is asked with paths relative to it. Understands overlay uppers:
    a character device 0/0 is a removed file, and the opaque attribute a replaced folder."""
    for folder, names, files in os.walk(root):
        names.sort()
        relative = os.path.relpath(folder, root)
        prefix = "" if relative == "." else f"{relative}/"
        names[:] = [name for name in names if not skip(f"{prefix}{name}")]
        if prefix:
            tar.add(folder, relative, recursive=False, filter=_anonymous)
            if _is_opaque(folder):
                _add_bytes(tar, f"{prefix}.wh..wh..opq", b"")
        for name in sorted([*files, *(link for link in names if os.path.islink(os.path.join(folder, link)))]):
            path = os.path.join(folder, name)
            mode = os.lstat(path)
            if skip(f"{prefix}{name}") or stat.S_ISSOCK(mode.st_mode):
                continue
            if stat.S_ISCHR(mode.st_mode) and mode.st_rdev == 0:
                _add_bytes(tar, f"{prefix}.wh.{name}", b"")
            else:
                tar.add(path, f"{prefix}{name}", recursive=False, filter=_anonymous)


def add_file(tar: tarfile.TarFile, name: str, content: str, mode: int = 0o644) -> None:
    """Add a text file owned by root."""
    _add_bytes(tar, name.lstrip("/"), content.encode(), mode)


def add_folder(tar: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    """Add an empty folder owned by root."""
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    tar.addfile(entry)


def add_link(tar: tarfile.TarFile, name: str, to: str) -> None:
    """Add a symbolic link."""
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, to, 0o777
    tar.addfile(entry)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Ids only: the names of this machine's users mean nothing in an image."""
    entry.uname = entry.gname = ""
    return entry


def _is_opaque(folder: str) -> bool:
    try:
        return os.getxattr(folder, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


class _HashingSink:
    """Where a tar is written to: hashes what passes and hands it on."""

    def __init__(self, target: gzip.GzipFile) -> None:
        self.digest = hashlib.sha256()
        self._target = target

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._target.write(data)
