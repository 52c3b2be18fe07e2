"""The worlds of the contract: in memory, and on the bed's engine; and engines of the tests' own to stop and kill."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.bed.api import Bed
from tests.contract.power import BedPower, FakePower, Power, own_bed_name
from tests.contract.world import DockerWorld, FakeWorld, World
from tests.fake import Dialect

_REAL = pytest.param("docker", marks=pytest.mark.engine)
_DIALECTS = {"fake20": Dialect.V20, "fake28": Dialect.V28}


@pytest.fixture(params=[*_DIALECTS, _REAL])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world of the test's own; without a bed the real one is an error, never a skip."""
    dialect = _DIALECTS.get(request.param)
    made: World = FakeWorld(dialect) if dialect is not None else DockerWorld(Bed.current().host)
    try:
        yield made
    finally:
        await made.clean()


@pytest.fixture(scope="session")
def own_bed() -> Iterator[Bed]:
    """An engine that no other test uses."""
    Bed.current()
    bed = Bed.create(own_bed_name(), only=("busybox",))
    yield bed
    bed.destroy()


@pytest.fixture(params=[*_DIALECTS, _REAL])
async def power(request: pytest.FixtureRequest) -> AsyncIterator[Power]:
    """A world whose engine may be stopped, killed and frozen."""
    if (dialect := _DIALECTS.get(request.param)) is not None:
        fake = FakeWorld(dialect)
        yield FakePower(fake)
        await fake.clean()
        return
    real = BedPower(request.getfixturevalue("own_bed"))
    try:
        yield real
    finally:
        await real.close()
        await real.world.clean()
