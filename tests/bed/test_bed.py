"""The bed itself: repeatable, clean after a kill, and with images that keep the official images' contracts.

Run inside it: `python3 -m tests.bed exec -- .venv/bin/python -m pytest tests/bed`. Engines that are killed here are
this module's own; the shared one only runs a few containers.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.bed import processes, unixhttp
from tests.bed.api import Bed, free_port
from tests.bed.host import BedError, wait_until
from tests.bed.places import REPOSITORY

pytestmark = pytest.mark.engine

Run = Callable[..., str]


@pytest.fixture
def bed() -> Bed:
    return Bed.current()


@pytest.fixture(scope="module")
def own() -> Iterator[Bed]:
    bed = Bed.create(f"selftest-{os.getpid()}", only=("busybox",))
    yield bed
    bed.destroy()


@pytest.fixture
def run(bed: Bed) -> Iterator[Run]:
    """Starts containers (`docker run -d ...`) that are removed at the end; returns the container's name."""
    names: list[str] = []

    def start(*words: str) -> str:
        names.append(f"bed-{uuid.uuid4().hex[:8]}")
        docker(bed, "run", "-d", "--name", names[-1], *words)
        return names[-1]

    yield start
    for name in names:
        docker(bed, "rm", "-f", "-v", name)


def docker(bed: Bed, *words: str) -> str:
    """The output of a docker command on a bed; CalledProcessError when it fails."""
    command = bed.command("docker", *words)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def ready(bed: Bed, name: str, *words: str) -> bool:
    """True once a command in a container succeeds."""
    command = bed.command("docker", "exec", name, *words)
    return wait_until(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0, 30.0)


def test_a_second_up_changes_nothing_and_is_quick(bed: Bed) -> None:
    before = bed.engine_pid
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.bed", "--name", bed.places.name, "up", "--only", "busybox"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout
    assert printed.strip() == bed.host
    assert bed.engine_pid == before
    assert time.monotonic() - began < 10.0


def test_exec_hands_on_exit_codes_and_signals(bed: Bed) -> None:
    command = [sys.executable, "-m", "tests.bed", "--name", bed.places.name, "exec", "--"]
    assert subprocess.run([*command, "sh", "-c", "exit 7"], check=False, cwd=REPOSITORY).returncode == 7
    assert (
        subprocess.run([*command, "sh", "-c", "kill -9 $$"], check=False, cwd=REPOSITORY).returncode == -signal.SIGKILL
    )


def test_what_a_killed_engine_left_is_cleaned_by_the_next_start(own: Bed) -> None:
    docker(own, "run", "-d", "--name", "left-over", "busybox", "sleep", "1000")
    docker(own, "network", "create", "left-net")
    shims = processes.shims(own.places)
    os.kill(own.engine_pid, signal.SIGKILL)
    again = Bed.create(own.places.name, only=("busybox",))
    assert again.engine_pid
    assert shims and not any(processes.alive(shim) for shim in shims)
    assert docker(own, "ps", "-aq") == ""
    assert "left-net" not in docker(own, "network", "ls")
    assert docker(own, "run", "--rm", "busybox", "echo", "works") == "works"


def test_containers_outlive_a_killed_engine_until_it_is_started_again(own: Bed) -> None:
    docker(own, "run", "-d", "--name", "survivor", "--stop-signal", "KILL", "busybox", "sleep", "1000")
    pid = int(docker(own, "inspect", "-f", "{{.State.Pid}}", "survivor"))
    own.stop_engine(signal.SIGKILL)
    assert processes.alive(pid)
    own.start_engine()
    docker(own, "start", "survivor")
    assert docker(own, "inspect", "-f", "{{.State.Running}}", "survivor") == "true"
    docker(own, "rm", "-f", "survivor")


def test_a_paused_engine_answers_nothing_until_it_is_resumed(own: Bed) -> None:
    own.pause_engine()
    assert not unixhttp.answers(own.socket, timeout=0.3)
    own.resume_engine()
    assert unixhttp.answers(own.socket, timeout=10.0)


def test_two_beds_share_neither_ports_nor_containers(bed: Bed, own: Bed) -> None:
    name = f"web-{uuid.uuid4().hex[:8]}"
    port = str(free_port())
    docker(own, "run", "-d", "--name", name, "-p", f"{port}:80", "busybox", "httpd", "-f", "-p", "80")
    reach = ["python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"]
    assert subprocess.run(own.command(*reach), check=False).returncode == 0
    assert subprocess.run(bed.command(*reach), check=False, stderr=subprocess.DEVNULL).returncode != 0
    assert name not in docker(bed, "ps", "-a")
    docker(own, "rm", "-f", name)


def test_a_registry_is_reached_only_from_inside_its_bed(own: Bed) -> None:
    with pytest.raises(BedError, match="inside"):
        own.registry()


def test_postgres_answers_with_a_row_and_keeps_the_contract_of_its_variables(bed: Bed, run: Run) -> None:
    name = run("-e", "POSTGRES_USER=app", "-e", "POSTGRES_PASSWORD=pw", "-e", "POSTGRES_DB=shop", "postgres:15")
    assert ready(bed, name, "pg_isready", "-h", "127.0.0.1", "-U", "app")
    query = ("exec", "-e", "PGPASSWORD=pw", name, "psql", "-h", "127.0.0.1", "-U", "app", "shop", "-Atqc")
    assert docker(bed, *query, "create table t (x int); insert into t values (42); select x from t") == "42"
    docker(bed, "stop", "-t", "20", name)
    assert docker(bed, "inspect", "-f", "{{.State.ExitCode}}", name) == "0"


def test_postgres_refuses_to_start_without_a_password(bed: Bed, run: Run) -> None:
    name = run("postgres:15")
    assert docker(bed, "wait", name) == "1"


def test_redis_says_pong_and_runs_as_its_user(bed: Bed, run: Run) -> None:
    name = run("redis:7")
    assert ready(bed, name, "redis-cli", "ping")
    assert docker(bed, "exec", name, "redis-cli", "ping") == "PONG"
    assert docker(bed, "exec", name, "stat", "-c", "%u", "/proc/1", "/data").split() == ["999", "999"]


def test_memcached_tells_its_version(bed: Bed, run: Run) -> None:
    name = run("memcached:1.6", "-m", "32")
    ask = "exec 3<>/dev/tcp/127.0.0.1/11211; echo version >&3; read -t 2 -r line <&3; echo $line"
    assert ready(bed, name, "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/11211")
    assert docker(bed, "exec", name, "bash", "-c", ask).startswith("VERSION 1.6")


def test_the_python_image_has_what_the_example_needs(bed: Bed) -> None:
    imports = "import aiohttp, asyncpg, psycopg2, redis, pymemcache; print('all there')"
    assert docker(bed, "run", "--rm", "python:3-slim", "python", "-c", imports) == "all there"


def test_an_image_travels_through_the_open_registry(bed: Bed) -> None:
    tag = f"{bed.registry().address}/bed-test:1"
    docker(bed, "tag", "busybox", tag)
    docker(bed, "push", tag)
    docker(bed, "rmi", tag)
    docker(bed, "pull", tag)
    docker(bed, "rmi", tag)


def test_the_private_registry_wants_a_login(bed: Bed) -> None:
    tag = f"{bed.private_registry().address}/bed-test:1"
    docker(bed, "tag", "busybox", tag)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        docker(bed, "push", tag)
    docker(bed, "rmi", tag)
    assert "no basic auth credentials" in refused.value.stderr
