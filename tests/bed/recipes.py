"""What is in each image: packages of the distribution, a little preparation, and the contract of the official image.

Law: recipes are data. Tags are the official ones whatever the distribution's version is: on Debian 13 `postgres:15`
holds PostgreSQL 17 and `redis:7` holds Redis 8. User ids are the official images' (999 for postgres and redis, 11211
for memcache), so files in volumes and host folders get the owners they would get there.

`python:3-slim` carries, besides Python, what the example web app needs, because nothing can be installed while an image
is built on a bed's engine: aiohttp, asyncpg, psycopg2, redis, pymemcache (the modules' names; PyPI knows them by the
same names, psycopg2 also as psycopg2-binary).
"""

from dataclasses import dataclass, field
from pathlib import Path

from tests.bed.archive import Config

ENTRY = "/usr/local/bin/docker-entrypoint.sh"


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image on top of the distribution's base; `before` and `after` are shell lines around the installation."""

    name: str
    tag: str
    packages: tuple[str, ...]
    config: Config
    before: str = ""
    after: str = ""
    entry: str = field(default="")


def _script(name: str) -> str:
    return Path(__file__).with_name("entry").joinpath(f"{name}.sh").read_text(encoding="utf-8")


POSTGRES = Recipe(
    name="postgres",
    tag="postgres:15",
    packages=("postgresql",),
    config=Config(
        cmd=("postgres",),
        entrypoint=("docker-entrypoint.sh",),
        env=("LANG=C.UTF-8", "PGDATA=/var/lib/postgresql/data"),
        volumes=("/var/lib/postgresql/data",),
        ports=("5432/tcp",),
        stop_signal="SIGINT",
    ),
    before="""
        groupadd -r -g 999 postgres
        useradd -r -u 999 -g postgres -d /var/lib/postgresql -s /bin/bash postgres
        mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
    """,
    after="""
        ln -sf /usr/lib/postgresql/*/bin/* /usr/local/bin/
        # Compiling queries to machine code is optional and half of the size.
        rm -rf /usr/lib/*/libLLVM* /usr/lib/llvm-* /usr/lib/postgresql/*/lib/llvmjit* /usr/lib/postgresql/*/lib/bitcode
        echo "listen_addresses = '*'" | tee -a /usr/share/postgresql/*/postgresql.conf.sample
        install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data
        install -d -o postgres -g postgres -m 2775 /var/run/postgresql
        install -d /docker-entrypoint-initdb.d
    """,
    entry=_script("postgres"),
)

REDIS = Recipe(
    name="redis",
    tag="redis:7",
    packages=("redis-server", "redis-tools"),
    config=Config(
        cmd=("redis-server",),
        entrypoint=("docker-entrypoint.sh",),
        workdir="/data",
        volumes=("/data",),
        ports=("6379/tcp",),
    ),
    before="""
        groupadd -r -g 999 redis
        useradd -r -u 999 -g redis -d /var/lib/redis redis
    """,
    after="install -d -o redis -g redis /data",
    entry=_script("redis"),
)

MEMCACHED = Recipe(
    name="memcached",
    tag="memcached:1.6",
    packages=("memcached",),
    config=Config(
        cmd=("memcached",),
        entrypoint=("docker-entrypoint.sh",),
        user="memcache",
        ports=("11211/tcp",),
    ),
    before="""
        groupadd -r -g 11211 memcache
        useradd -r -u 11211 -g memcache -d /nonexistent memcache
    """,
    entry=_script("memcached"),
)

PYTHON = Recipe(
    name="python",
    tag="python:3-slim",
    packages=(
        "python3",
        "python3-aiohttp",
        "python3-asyncpg",
        "python3-psycopg2",
        "python3-redis",
        "python3-pymemcache",
    ),
    config=Config(cmd=("python3",), env=("LANG=C.UTF-8",)),
    after="ln -s /usr/bin/python3 /usr/local/bin/python3; ln -s /usr/bin/python3 /usr/local/bin/python",
)

SYSTEMD = Recipe(
    name="systemd",
    tag="stackd-systemd:latest",
    packages=(
        "systemd",
        "systemd-sysv",
        "dbus",
        "dbus-user-session",
        "libpam-systemd",
        "python3",
        "python3-venv",
        "curl",
    ),
    config=Config(cmd=("/lib/systemd/systemd",), stop_signal="SIGRTMIN+3", env=("container=docker",)),
    after="""
        useradd -m -u 1000 -s /bin/bash dev
        mkdir -p /var/lib/systemd/linger
        touch /var/lib/systemd/linger/dev
        systemctl mask systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket \
            systemd-udevd-kernel.socket systemd-firstboot.service getty.target console-getty.service getty@tty1.service
    """,
)

SERVICES = (POSTGRES, REDIS, MEMCACHED, PYTHON)
