"""A definition with a secret in every place where one can stand, under every name that people give one.

Every planted value holds the word `zq7seed`, another one for each place, name and generation.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

from tests.unit.runtime.whole import link

WORD = "zq7seed"
SOUNDING = (
    "PASSWORD", "DB_PASSWORD", "PASSWD", "MYSQL_PWD", "PGPASSWORD", "REDIS_PASS", "PASSPHRASE", "ROOT_PW", "DB_PW",
    "SECRET", "CLIENT_SECRET", "SECRET_KEY_BASE", "TOKEN", "GITHUB_TOKEN", "GITHUB_PAT", "PAT", "API_KEY", "apiKey",
    "ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PRIVATE_KEY", "SSH_KEY", "SIGNING_KEY", "ENCRYPTION_KEY", "LICENSE_KEY",
    "JWT", "JWT_ISSUER", "AUTH", "BASIC_AUTH", "AUTHORIZATION", "OAUTH", "CREDS", "CREDENTIALS", "MY_CRED", "BEARER",
    "BEARER_VALUE", "CONNECTION_STRING", "CONNSTR", "SENTRY_DSN", "SESSION_COOKIE", "SALT", "PEPPER_SALT", "OTP",
    "TOTP_SEED", "PIN", "PSK", "WIFI_PSK", "SAS", "AZURE_SAS", "WEBHOOK", "SLACK_WEBHOOK_URL", "MNEMONIC", "SIGNATURE",
)  # fmt: skip
"""Names that say that they hold a secret: cut out of commands as well."""
QUIET = (
    "DATABASE_URL", "REDIS_URL", "POSTGRES_DB", "POSTGRES_USER", "S3_BUCKET", "SMTP", "LDAP_BIND", "UNLOCK", "MASTER",
    "VAULT", "ADMIN", "PHRASE", "ROOT", "KUBECONFIG", "GREETING", "traefik.http.middlewares.a.basicauth.users",
)  # fmt: skip
"""Names that do not: hidden where values are."""
NAMES = (*SOUNDING, *QUIET)


class Garden:
    """What is planted, and the files that it stands in."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "src" / "app"
        self.folder.mkdir(parents=True)
        self._place = place
        self._generation = 0
        self.values: list[str] = []

    def value(self, where: str, name: str) -> str:
        """A secret of its own."""
        found = f"{WORD}-{where}-{NAMES.index(name)}-{self._generation}/x" if name in NAMES else f"{WORD}-{where}"
        self.values.append(found)
        return found

    def pairs(self, where: str) -> dict[str, str]:
        """A secret under every name."""
        return {name: self.value(where, name) for name in NAMES}

    def save(self, **more: object) -> None:
        """Write another generation of all files; `more` are further services."""
        self._generation += 1
        self._write("own.env", "".join(f"{name}_F={text}\n" for name, text in self.pairs("envfile").items()))
        self._write("own.label", "".join(f"{name}_F={text}\n" for name, text in self.pairs("labelfile").items()))
        self._write(".env", "".join(f"{name}_X={self.value('dotenv', name)}\n" for name in NAMES if "." not in name))
        self._write("compose.yaml", json.dumps({**self._definition(), "services": {**self._services(), **more}}))
        if self._generation == 1:
            link(self._place, self.folder)

    def _write(self, name: str, text: str) -> None:
        (self.folder / ".new").write_text(text)
        (self.folder / ".new").rename(self.folder / name)

    def _definition(self) -> dict[str, object]:
        options = f"addr=10.0.0.1,username=joe,password={self.value('cifs', 'PIN')}"
        disk = {"driver_opts": {"type": "cifs", "o": options}, "labels": self.pairs("vollabel")}
        return {
            "x-own": self.pairs("extension"),
            "networks": {"default": {"labels": self.pairs("netlabel"), "driver_opts": self.pairs("netopt")}},
            "volumes": {"disk": disk, "more": {"driver_opts": self.pairs("volopt")}},
            "configs": {"one": {"content": self.value("content", "JWT")}},
        }

    def _services(self) -> dict[str, object]:
        user, words = self.value("url", "ROOT"), {name: self.value("word", name) for name in SOUNDING}
        flags = [f"--{name.lower().replace('_', '-')}={words[name]}" for name in SOUNDING]
        given = [part for name in SOUNDING for part in (f"--{name}", words[name])]
        script = " ".join(f"{name}={words[name]}" for name in SOUNDING)
        headers = f"curl -H 'Authorization: Bearer {words['BEARER']}' -H 'X-Api-Key: {words['API_KEY']}'"
        web = {
            "image": "web:1", "restart": "unless-stopped", "environment": self.pairs("map"),
            "env_file": "own.env", "label_file": "own.label", "labels": self.pairs("label"),
            "annotations": self.pairs("annotation"), "sysctls": self.pairs("sysctl"),
            "logging": {"driver": "json-file", "options": self.pairs("logging")}, "command": [*flags, *given],
            "healthcheck": {"test": ["CMD-SHELL", f"{script} {headers} postgres://joe:{words['PIN']}@db/x"]},
            "post_start": [{"command": ["true"], "environment": self.pairs("hook")}], "x-own": self.pairs("inner"),
            "x-stackd": {"restart": {"first_delay": 0, "base_delay": "10ms", "crashloop_after": 2}},
            "volumes": ["more:/more", "disk:/disk"], "configs": ["one"],
        }  # fmt: skip
        built = {
            "image": "db:1", "restart": "unless-stopped", "command": f"serve ${{{SOUNDING[0]}_X}} http://joe:{user}@host/",
            "environment": [f"{name}={text}" for name, text in self.pairs("list").items()],
            "build": {
                "context": ".", "args": self.pairs("arg"), "labels": self.pairs("buildlabel"),
                "dockerfile_inline": f"FROM x\nENV A={self.value('inline', 'JWT')}\n",
            },
        }  # fmt: skip
        return {"web": web, "db": built}

    def as_an_engine_says_it(self) -> str:
        """What an engine may make of all that it was sent."""
        forms = (str, repr, quote, lambda text: base64.b64encode(text.encode()).decode(), lambda text: text + "\n")
        told = " ".join(form(value) for value in self.values for form in forms)
        return f"invalid: {told} mount: data: addr=10.0.0.9,username=joe,password={self.value('cifs', 'PIN')}: refused"

    def leaks(self, text: str) -> list[str]:
        """What of it is in a text, as it is or in base64, with what stands around it."""
        code = base64.b64encode(WORD.encode()).decode()[:8]
        return [text[max(0, at.start() - 60) : at.end() + 30] for at in re.finditer(f"{WORD}|{code}", text)]
