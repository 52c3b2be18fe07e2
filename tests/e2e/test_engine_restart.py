"""The engine may end too: what a person stopped stays stopped, the rest comes back in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.bed.api import Bed
from tests.e2e import world as worlds
from tests.e2e.stacks import FOREVER
from tests.e2e.world import World, until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]

ORDERED = f"""
services:
  base:
    image: busybox
    command: {FOREVER}
    healthcheck: {{test: ["CMD", "true"], interval: 1s}}
  top:
    image: busybox
    command: {FOREVER}
    depends_on: {{base: {{condition: service_healthy}}}}
  held:
    image: busybox
    command: {FOREVER}
"""


@pytest.fixture
def own_bed() -> Iterator[Bed]:
    """An engine that no other test uses."""
    bed = Bed.create(f"restart-{os.getpid()}", only=("busybox",))
    yield bed
    bed.destroy()


@pytest.fixture
def own_world(own_bed: Bed) -> Iterator[World]:
    """A world on it."""
    with worlds.world(own_bed.host) as made:
        yield made


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_after_a_restart_of_the_engine_held_services_stay_stopped_and_the_others_come_back_in_order(
    own_world: World, own_bed: Bed, how: signal.Signals
) -> None:
    daemon = own_world.daemon()
    stack = own_world.stack(daemon, "ordered", {"compose.yaml": ORDERED})
    before = stack.running("base", "top", "held")
    stack.settled()
    own_world.engine.docker("stop", before["held"].id)
    until(lambda: stack.service("held").at("override"), "the hold")
    own_bed.stop_engine(how)
    until(lambda: daemon.get("/readyz").status == 503, "the daemon knows that the engine is gone")
    own_bed.start_engine()
    until(lambda: daemon.get("/readyz").status == 200, "the daemon knows that the engine is back")
    after = stack.running("base", "top")
    stack.settled()
    after = stack.running("base", "top")
    assert stack.one("held").state == "exited"
    assert {name: one.id for name, one in after.items() if name != "held"} == {
        name: before[name].id for name in ("base", "top")
    }
    assert after["top"].started > after["base"].started
    assert own_world.engine.first_healthy(after["base"]) <= after["top"].started
