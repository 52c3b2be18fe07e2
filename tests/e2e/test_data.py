"""Where data lives: it survives what is done to containers."""

from __future__ import annotations

import pytest

from tests.e2e.world import Daemon, World, until

pytestmark = pytest.mark.engine

POSTGRES = """
services:
  postgres:
    image: postgres:15
    environment: {POSTGRES_PASSWORD: example, ROUND: "1"}
    volumes: ["%s:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1"], interval: 1s, retries: 60}
"""


@pytest.mark.parametrize("place", ["rows", "./data"])
def test_a_row_survives_the_recreation_of_postgres(world: World, daemon: Daemon, place: str) -> None:
    text = POSTGRES % place + ("volumes: {rows: }\n" if place == "rows" else "")
    stack = world.stack(daemon, "db", {"compose.yaml": text})
    first = stack.running("postgres")["postgres"]
    world.engine.execute(first, "psql", "-U", "postgres", "-c", "CREATE TABLE t AS SELECT 42 AS n")
    stack.settled()
    stack.edit('ROUND: "1"', 'ROUND: "2"')
    until(lambda: [one.id for one in stack.containers() if one.id != first.id], "a new container")
    second = stack.running("postgres")["postgres"]
    assert world.engine.execute(second, "psql", "-U", "postgres", "-Atc", "SELECT n FROM t") == "42"
    stack.settled()
    assert stack.status().at("diagnostics") == []


def test_the_engine_makes_a_missing_folder_and_its_foreign_owner_disturbs_nothing(world: World, daemon: Daemon) -> None:
    stack = world.stack(daemon, "db", {"compose.yaml": POSTGRES % "./data"})
    first = stack.running("postgres")["postgres"]
    data = (stack.folder / "data").stat()
    assert (data.st_uid, data.st_mode & 0o777) == (999, 0o700)
    assert daemon.post("/v1/rescan", {}).status == 200
    stack.settled()
    assert stack.status().at("diagnostics") == []
    assert stack.one("postgres").started == first.started


def test_a_data_container_stays_exited_and_serves_its_volume(world: World, daemon: Daemon) -> None:
    stack = world.stack(
        daemon,
        "data",
        {
            "compose.yaml": """
services:
  data:
    image: busybox
    command: sh -c "echo kept > /kept/file"
    volumes: [/kept]
  reader:
    image: busybox
    command: sh -c "trap 'exit 0' TERM; sleep 1000000 & wait"
    volumes_from: [data]
    depends_on: {data: {condition: service_completed_successfully}}
"""
        },
    )
    reader = stack.running("reader")["reader"]
    assert world.engine.execute(reader, "cat", "/kept/file") == "kept"
    stack.settled()
    data = stack.one("data")
    assert (data.state, data.exit_code) == ("exited", 0)
    daemon.restart()
    stack.settled()
    assert stack.one("data") == data
    assert stack.one("reader").started == reader.started


def test_a_link_resolves_its_alias_without_any_published_port(world: World, daemon: Daemon) -> None:
    stack = world.stack(
        daemon,
        "links",
        {
            "compose.yaml": """
services:
  postgres: {image: "postgres:15", environment: {POSTGRES_PASSWORD: example}}
  web:
    image: postgres:15
    command: sleep 1000000
    init: true
    links: ["postgres:db"]
"""
        },
    )
    web = stack.running("postgres", "web")["web"]
    until(lambda: "accepting" in world.engine.docker("exec", web.id, "pg_isready", "-h", "db", check=False), "db")
