"""Image registries inside a bed: an open one on 127.0.0.1:5000 and one with a password on 127.0.0.1:5001.

Law: a registry lives in its engine's network namespace, is started on demand, and ends with the bed. The program is the
distribution's docker-registry, unpacked into the cache and never installed on the machine. Engines talk to registries
on 127.0.0.0/8 without TLS. Must be called from inside the namespace.
"""

import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.bed.engine import locked
from tests.bed.host import SYSTEM_PATH, BedError, unpacked_program, wait_until
from tests.bed.places import Places, cache_dir

OPEN_PORT = 5000
PRIVATE_PORT = 5001
USER = "bed"
PASSWORD = "open-sesame"
# PASSWORD by bcrypt, for which the standard library has no function.
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO\n"
_CONFIGURATION = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/images}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_AUTHENTICATION = "auth: {{htpasswd: {{realm: bed, path: {folder}/htpasswd}}}}\n"


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry; `user` and `password` are empty for the open one."""

    address: str
    user: str = ""
    password: str = ""


def install() -> Path:
    """Unpack the program into the cache; needs the machine's network the first time, so `up` does it."""
    return unpacked_program("docker-registry", "docker-registry", cache_dir() / "tools")


def open_registry(bed: Places) -> Registry:
    """The registry that anybody may push to and pull from; started when it does not answer."""
    _ensure(bed, OPEN_PORT, _CONFIGURATION)
    return Registry(f"127.0.0.1:{OPEN_PORT}")


def private_registry(bed: Places) -> Registry:
    """The registry that wants a login, also for pulling; started when it does not answer."""
    _ensure(bed, PRIVATE_PORT, _CONFIGURATION + _AUTHENTICATION)
    return Registry(f"127.0.0.1:{PRIVATE_PORT}", USER, PASSWORD)


def _ensure(bed: Places, port: int, configuration: str) -> None:
    folder = bed.home / f"registry-{port}"
    with locked(bed.home / f"registry-{port}.lock"):
        if _answers(port):
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "htpasswd").write_text(_HTPASSWD, encoding="ascii")
        (folder / "config.yml").write_text(configuration.format(folder=folder, port=port), encoding="utf-8")
        program = install()
        with (folder / "log").open("wb") as log:
            subprocess.run(
                ["setsid", "--fork", str(program), "serve", str(folder / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": SYSTEM_PATH},
                check=True,
            )
        if not wait_until(lambda: _answers(port), 15.0):
            tail = (folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise BedError(f"no registry on 127.0.0.1:{port}; the end of {folder / 'log'}:\n{tail}")


def _answers(port: int) -> bool:
    """True when a registry serves the port; one that asks for a login does."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/v2/", timeout=2.0):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except OSError:
        return False
