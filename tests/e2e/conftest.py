"""Fixtures: a world per test on the bed's engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bed.api import Bed
from tests.e2e import machine as machines
from tests.e2e import world as worlds


@pytest.fixture
def world() -> Iterator[worlds.World]:
    """A world on the engine beside which the tests run."""
    with worlds.world(Bed.current().host) as made:
        yield made


@pytest.fixture
def daemon(world: worlds.World) -> worlds.Daemon:
    """A running daemon in that world."""
    return world.daemon()


@pytest.fixture
def machine() -> Iterator[machines.Machine]:
    """A machine with a real systemd, and stackd installed for its user."""
    with machines.machine(Bed.current()) as made:
        yield made
