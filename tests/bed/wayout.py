"""The way out that this machine has, carried into a clean system: resolver, certificates, proxy, pip and npm settings.

Law: only what is needed to reach what the machine reaches; no credentials of package tools, no local folders of
packages, nothing else from this machine's environment.
"""

import configparser
import os
import shutil
from pathlib import Path

from tests.bed.host import resolv_conf, run

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
OWN_CERTIFICATES = Path("/usr/local/share/ca-certificates")
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries")
NPM_KEYS = ("registry", "proxy", "https-proxy", "noproxy", "strict-ssl")


def settings(root: Path) -> None:
    """Write the machine's network settings into a system."""
    resolver(root)
    if BUNDLE.is_file():
        shutil.copyfile(BUNDLE, root / "etc/ssl/certs/ca-certificates.crt")
    # For the day when a package there makes the bundle anew.
    if OWN_CERTIFICATES.is_dir() and (root / "usr/local/share/ca-certificates").is_dir():
        shutil.copytree(OWN_CERTIFICATES, root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
    (root / "etc/pip.conf").write_text(_pip(), encoding="utf-8")
    (root / "etc/npmrc").write_text(_npm(), encoding="utf-8")


def resolver(root: Path) -> None:
    """Give a system the machine's name servers."""
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.copyfile(resolv_conf(), root / "etc/resolv.conf")


def environment() -> dict[str, str]:
    """The variables by which programs find the proxy and the certificates."""
    found = {name: os.environ[name] for name in (*PROXIES, *map(str.upper, PROXIES)) if name in os.environ}
    found |= {name: os.environ[name] for name in ("PIP_INDEX_URL", "PIP_TRUSTED_HOST") if name in os.environ}
    if BUNDLE.is_file():
        for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
            found[name] = str(BUNDLE)
    return found


def mtu() -> int:
    """The packet size of the machine's default route, in bytes; 1500 without one."""
    words = run("ip", "route", "show", "default").split()
    if "dev" not in words:
        return 1500
    device = words[words.index("dev") + 1]
    return int(Path(f"/sys/class/net/{device}/mtu").read_text(encoding="ascii"))


def _pip() -> str:
    home = Path.home()
    files: list[str | Path] = [
        "/etc/xdg/pip/pip.conf",
        "/etc/pip.conf",
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
    ]
    parser = configparser.RawConfigParser()
    parser.read(files, encoding="utf-8")
    lines = ["[global]", f"cert = {BUNDLE}"] if BUNDLE.is_file() else ["[global]"]
    for key in PIP_KEYS:
        value = parser.get("global", key, fallback="")
        if value and "file:" not in value:
            lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


def _npm() -> str:
    lines = [f"cafile={BUNDLE}"] if BUNDLE.is_file() else []
    for file in (Path("/usr/etc/npmrc"), Path("/etc/npmrc"), Path.home() / ".npmrc"):
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        lines += [line for line in text.splitlines() if line.split("=")[0].strip() in NPM_KEYS]
    return "\n".join(lines) + "\n"
