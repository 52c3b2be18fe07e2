"""The first lines of the story, on the example web app with its real servers."""

from __future__ import annotations

import sys
import time

import pytest

from tests.bed.api import free_port
from tests.e2e.webapp import SERVICES, ask, copied, webapp
from tests.e2e.world import EXAMPLES, Daemon, World, until

pytestmark = pytest.mark.engine


def test_a_saved_webapp_runs_in_order_and_answers_with_data_of_all_three(world: World, daemon: Daemon) -> None:
    app = webapp(world, daemon)
    answer = app.answer()
    assert answer["postgres"] == "a row from PostgreSQL"
    assert answer["memcached"] == "a value from memcached"
    assert app.answer()["redis"] == int(str(answer["redis"])) + 1
    started = {one.service: one.started for one in app.stack.containers()}
    assert all(started[service] < started["web"] for service in ("postgres", "redis", "memcached"))
    app.stack.settled()


def test_psql_reads_a_table_through_the_published_port(world: World, daemon: Daemon) -> None:
    app = webapp(world, daemon)
    assert app.psql("SELECT text FROM rows") == "a row from PostgreSQL"


def test_an_edit_of_web_replaces_web_only(world: World, daemon: Daemon) -> None:
    app = webapp(world, daemon)
    app.stack.settled()
    before = {one.service: one for one in app.stack.containers()}
    app.stack.edit("GREETING: hello", "GREETING: good morning")
    until(lambda: (ask(app.web_port) or {}).get("greeting") == "good morning", "the new greeting")
    app.stack.settled()
    after = app.stack.running(*SERVICES)
    assert after["web"].id != before["web"].id
    assert {name: after[name].started for name in SERVICES[:3]} == {name: before[name].started for name in SERVICES[:3]}


def test_a_killed_redis_comes_back_healthy_and_web_is_restarted(world: World, daemon: Daemon) -> None:
    app = webapp(world, daemon)
    app.stack.settled()
    before = {one.service: one for one in app.stack.containers()}
    world.engine.kill(before["redis"])
    began = time.monotonic()
    until(lambda: app.stack.one("redis").pid not in (0, before["redis"].pid), "redis running again")
    sys.stderr.write(f"redis ran again {time.monotonic() - began:.2f} s after SIGKILL\n")
    until(lambda: app.stack.one("web").started != before["web"].started, "web restarted after redis")
    after = app.stack.running(*SERVICES)
    assert after["redis"].started != before["redis"].started
    assert after["web"].started > after["redis"].started
    assert after["postgres"].started == before["postgres"].started
    assert "exited 137" in app.stack.messages()
    assert app.answer()["postgres"] == "a row from PostgreSQL"


def test_the_same_stack_written_as_fig_runs(world: World, daemon: Daemon) -> None:
    port = free_port()
    copied(EXAMPLES / "webapp", daemon.stacks.parent / "webapp")
    source = world.folder / "source-fig"
    copied(EXAMPLES / "fig", source)
    (source / ".env").write_text(f"WEB_PORT={port}\n", encoding="utf-8")
    text = (source / "fig.yml").read_text(encoding="utf-8")
    (source / "fig.yml").write_text(text.replace("../webapp", "../../webapp"), encoding="utf-8")
    stack = world.stack(daemon, "fig", source)
    stack.running(*SERVICES)
    answer = until(lambda: ask(port), "an answer of the web app")
    assert (answer["greeting"], answer["postgres"]) == ("hello from fig", "a row from PostgreSQL")
    stack.settled()
