"""The bed's images: which there are, where their layers are cached, and how an engine gets them.

Law: tags are those of the official images, so files written for Docker Hub run unchanged; contents are the machine's
distribution's. A layer is made once and kept in the cache under a key of its recipe; an engine is sent only the images
it does not have.
"""

import tarfile
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bed import build, unixhttp
from tests.bed.archive import (
    Config,
    Image,
    Layer,
    add_file,
    add_folder,
    add_link,
    stored_layer,
    write_archive,
    write_layer,
)
from tests.bed.engine import locked
from tests.bed.host import BedError, codename, run, say, unpacked_program
from tests.bed.places import Places, cache_dir
from tests.bed.recipes import SERVICES, SYSTEMD

LOAD_SECONDS = 600.0


def ensure(bed: Places, images: Sequence[Image]) -> None:
    """Load the images that the engine lacks or has in another version."""
    present = {
        (str(tag), str(item.get("Id")))
        for item in unixhttp.listed(bed.socket, "/images/json")
        for tag in _strings(item.get("RepoTags"))
    }
    missing = [image for image in images if (image.tag, image.id) not in present]
    if not missing:
        return
    say(f"loading {' '.join(image.tag for image in missing)}")
    with tempfile.TemporaryFile(dir=cache_dir()) as archive:
        write_archive(missing, archive)
        archive.seek(0)
        status, body = unixhttp.request(bed.socket, "POST", "/images/load?quiet=1", archive, LOAD_SECONDS)
    if status != 200 or b'"errorDetail"' in body:
        raise BedError(f"the engine refused the images: {status} {body[:500]!r}")


def standard(only: Sequence[str] = ()) -> list[Image]:
    """The images every bed has: busybox, the distribution's base (debian), and the services; or `only` those named."""
    names = {"busybox", "debian", *(recipe.name for recipe in SERVICES)}
    if unknown := set(only) - names:
        raise BedError(f"no such image: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(names))}")
    wanted = set(only) or names
    made = [busybox()] if "busybox" in wanted else []
    return made if wanted <= {"busybox"} else [*made, *_on_debian(wanted)]


def _on_debian(wanted: set[str]) -> list[Image]:
    with locked(cache_dir() / "images.lock"), build.scratch("images") as folder:
        builder = build.Builder(folder)
        base = Image(f"debian:{codename()}-slim", (build.base_layer(),), Config(cmd=("bash",)))
        with ThreadPoolExecutor(max_workers=2) as pool:
            recipes = [recipe for recipe in SERVICES if recipe.name in wanted]
            services = list(pool.map(lambda recipe: build.service_image(recipe, builder), recipes))
    return [*([base] if "debian" in wanted else []), *services]


def systemd() -> Image:
    """`stackd-systemd:latest`: a system with a real systemd and a lingering user `dev`."""
    with locked(cache_dir() / "images.lock"), build.scratch("images") as folder:
        return build.service_image(SYSTEMD, build.Builder(folder))


def busybox() -> Image:
    """busybox:latest: the static binary of busybox-static with a link per applet."""
    layer = build.layer_file("busybox", "1")
    with locked(cache_dir() / "images.lock"):
        made = stored_layer(layer) or _make_busybox(layer)
    return Image("busybox:latest", (made,), Config(cmd=("sh",)))


def _make_busybox(target: Path) -> Layer:
    binary = unpacked_program("busybox-static", "busybox", cache_dir() / "tools")
    applets = [name for name in run(binary, "--list").split() if name != "busybox"]
    say(f"making busybox with {len(applets)} applets")
    return write_layer(target, lambda tar: _fill_busybox(tar, binary, applets))


def _fill_busybox(tar: tarfile.TarFile, binary: Path, applets: Sequence[str]) -> None:
    for folder in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "usr/bin", "usr/sbin", "var"):
        add_folder(tar, folder)
    for folder in ("tmp", "var/tmp"):
        add_folder(tar, folder, 0o1777)
    entry = tar.gettarinfo(str(binary), "bin/busybox")
    entry.uid = entry.gid = entry.mtime = 0
    with binary.open("rb") as content:
        tar.addfile(entry, content)
    for applet in applets:
        add_link(tar, f"bin/{applet}", "busybox")
    add_link(tar, "usr/bin/env", "../../bin/env")
    add_file(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n")
    add_file(tar, "etc/group", "root:x:0:\nnogroup:x:65534:\n")


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
