"""Makes base systems and image layers from the distribution's packages, outside any engine.

Law: everything is built in private namespaces below the cache directory and appears under its final name only when
complete; a killed build leaves no mount and no process, and is started over. No address of a mirror, certificate or
proxy setting of this machine stays in an image.
"""

import hashlib
import shutil
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bed.archive import Image, Layer, add_file, add_tree, stored_layer, write_layer
from tests.bed.host import (
    SEALED,
    SYSTEM_PATH,
    Suite,
    apt_proxy_settings,
    codename,
    ensure_commands,
    overlay_works,
    resolv_conf,
    run,
    say,
    suites,
)
from tests.bed.places import cache_dir
from tests.bed.recipes import ENTRY, Recipe

REVISION = "1"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
KEYRINGS = ("debian-archive-keyring.gpg", "ubuntu-archive-keyring.gpg")
# Traces of building, and what belongs to the machine it was built on: single files, and the contents of folders.
FILES_LEFT_OUT = (
    "etc/apt/apt.conf.d/99bed",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/bed.list",
    "etc/dpkg/dpkg.cfg.d/99bed",
    "etc/hostname",
    "etc/machine-id",
    "etc/resolv.conf",
    "etc/ssl/certs/bed.crt",
    "usr/sbin/policy-rc.d",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
)
FOLDERS_LEFT_OUT = (
    "dev",
    "proc",
    "sys",
    "tmp",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log/apt",
)
DOCUMENTATION = ("usr/share/doc", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man")


def base_archive(release: str) -> Path:
    """A tar of the smallest system of a release, made by debootstrap when it is not cached."""
    archive = cache_dir() / "base" / f"{release}.tar.gz"
    if archive.is_file():
        return archive
    ensure_commands((("debootstrap", "debootstrap"),))
    archive.parent.mkdir(parents=True, exist_ok=True)
    with scratch(f"base-{release}") as folder:
        say(f"debootstrap {release}")
        signed = [f"--keyring={file}" for file in _keyrings(Path("/"))[:1]]
        run(*SEALED, "debootstrap", "--variant=minbase", *signed, release, folder / "root", suites()[0].uri)
        shutil.rmtree(folder / "root/var/cache/apt/archives")
        (folder / "root/var/cache/apt/archives/partial").mkdir(parents=True)
        run("tar", "--numeric-owner", "-C", folder / "root", "-I", "gzip -1", "-cf", folder / "base", ".")
        (folder / "base").rename(archive)
    return archive


def base_layer() -> Layer:
    """The base system as a layer, without documentation."""
    name = codename()
    target = layer_file(f"debian-{name}", REVISION)
    layer = stored_layer(target)
    if layer is None:
        with scratch("base-layer") as folder:
            run("tar", "--numeric-owner", "-C", folder, "-xzf", base_archive(name))
            layer = write_layer(target, lambda tar: add_tree(tar, folder, _left_out))
    return layer


def service_image(recipe: Recipe, builder: "Builder") -> Image:
    """The image of a recipe; its layer is built when the cache has none for this very recipe."""
    text = repr((REVISION, codename(), recipe, Path(__file__).with_name("build.sh").read_text(encoding="utf-8")))
    # A whole system and a difference are not interchangeable.
    text += "whole" if builder.whole else ""
    target = layer_file(recipe.name, hashlib.sha256(text.encode()).hexdigest()[:12])
    layer = stored_layer(target)
    if layer is None:
        started = time.monotonic()
        layer = builder.build(recipe, target)
        say(f"made {recipe.tag} in {time.monotonic() - started:.0f} s")
        for outdated in target.parent.glob(f"{recipe.name}-*"):
            if not outdated.name.startswith(target.name.removesuffix(".tar.gz")):
                outdated.unlink()
    layers = (layer,) if builder.whole else (base_layer(), layer)
    return Image(recipe.tag, layers, recipe.config)


class Builder:
    """Builds layers on one unpacked base system, which is made when the first layer is really needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lower = folder / "lower"
        self._ready = threading.Lock()
        self.whole = not overlay_works(folder)

    def build(self, recipe: Recipe, target: Path) -> Layer:
        """Install a recipe's packages over the base and keep the difference (or all, where there are no overlays)."""
        with self._ready:
            if not self._lower.is_dir():
                self._prepare()
        work = self._folder / recipe.name
        work.mkdir()
        # A failing line must end the script, and with it the build.
        (work / "before.sh").write_text(f"set -eu\n{recipe.before}\n", encoding="utf-8")
        (work / "after.sh").write_text(f"set -eu\n{recipe.after}\n", encoding="utf-8")
        script = Path(__file__).with_name("build.sh")
        run(*SEALED, "sh", script, work, self._lower, *recipe.packages)
        tree = work / ("root" if self.whole else "upper")

        def fill(tar: tarfile.TarFile) -> None:
            add_tree(tar, tree, _left_out)
            if recipe.entry:
                add_file(tar, ENTRY, recipe.entry, 0o755)

        layer = write_layer(target, fill)
        shutil.rmtree(work)
        return layer

    def _prepare(self) -> None:
        """Unpack the base and let its apt reach what the machine's apt reaches."""
        lower = self._folder / "unpacking"
        lower.mkdir()
        run("tar", "--numeric-owner", "-C", lower, "-xzf", base_archive(codename()))
        connect(lower, suites())
        (lower / "etc/dpkg/dpkg.cfg.d/99bed").write_text(_DPKG, encoding="utf-8")
        (lower / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        (lower / "usr/sbin/policy-rc.d").chmod(0o755)
        run("chroot", lower, "apt-get", "update", "-q", PATH=SYSTEM_PATH)
        lower.rename(self._lower)


def connect(root: Path, sources: Sequence[Suite]) -> None:
    """Give the apt of an unpacked system these sources and the machine's names, certificates and proxy."""
    signed = "".join(f"[signed-by=/{file.relative_to(root)}] " for file in _keyrings(root)[:1])
    lines = [f"deb {signed}{suite.uri} {suite.release} {' '.join(suite.components)}\n" for suite in sources]
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    (root / "etc/apt/sources.list.d/bed.list").write_text("".join(lines), encoding="utf-8")
    settings = apt_proxy_settings()
    if CERTIFICATES.is_file():
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CERTIFICATES, root / "etc/ssl/certs/bed.crt")
        settings += 'Acquire::https::CaInfo "/etc/ssl/certs/bed.crt";\n'
    (root / "etc/apt/apt.conf.d/99bed").write_text(settings, encoding="utf-8")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.copyfile(resolv_conf(), root / "etc/resolv.conf")


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder for building, empty at the start and gone at the end."""
    folder = cache_dir() / "build" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def layer_file(name: str, key: str) -> Path:
    """Where a layer is cached."""
    folder = cache_dir() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{key}.tar.gz"


def _keyrings(root: Path) -> list[Path]:
    """The distribution's archive keys in a system."""
    return [file for name in KEYRINGS if (file := root / "usr/share/keyrings" / name).exists()]


def _left_out(path: str) -> bool:
    folders = (*FOLDERS_LEFT_OUT, *DOCUMENTATION)
    return path in FILES_LEFT_OUT or any(path.startswith(f"{folder}/") for folder in folders)


_DPKG = "force-unsafe-io\n" + "".join(f"path-exclude=/{folder}/*\n" for folder in DOCUMENTATION)
