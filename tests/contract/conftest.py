"""The worlds of the contract: in memory, and on the bed's engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.bed.api import Bed
from tests.contract.world import DockerWorld, FakeWorld, World


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.engine)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world of the test's own; without a bed the real one is an error, never a skip."""
    made: World = FakeWorld() if request.param == "fake" else DockerWorld(Bed.current().host)
    try:
        yield made
    finally:
        await made.clean()
