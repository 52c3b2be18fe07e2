"""A daemon without an engine is not silent: what it says, and how often, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator

import pytest

from stackd.core.status import stack_status
from stackd.model.ids import StackName
from stackd.model.status import StackState
from stackd.model.view import DesiredStack
from tests.fake.engine import FakeEngine
from tests.sim.daemon import SimDaemon, clock
from tests.sim.memory import Disk
from tests.sim.virtual import VirtualLoop
from tests.unit.core.dsl import project, service

APP = StackName("app")
TEXT = "no engine at unix:///fake.sock (connection refused): is Docker running? trying again every 10 s"


class Scene:
    """A daemon with one stack, its log and its status lines, each with its virtual second."""

    def __init__(self, loop: VirtualLoop, caplog: pytest.LogCaptureFixture) -> None:
        self.loop = loop
        self.engine = FakeEngine()
        self.engine.add_image("web:1")
        self.disk = Disk()
        self.daemon = SimDaemon(self.engine, self.disk, loop)
        self.status: list[str] = []
        self.logged: list[tuple[float, str]] = []
        caplog.set_level(logging.WARNING, "stackd")
        self.handler = logging.Handler()
        self.handler.emit = lambda record: self.logged.append((loop.time(), record.getMessage()))  # type: ignore[method-assign]

    async def live(self) -> None:
        self.daemon.start(DesiredStack(APP, project(service("web", image="web:1")), generation=1))
        self.daemon.intake.outage.announce_to(self.status.append)
        await asyncio.sleep(1)

    def said(self) -> list[float]:
        return [at for at, text in self.logged if text == TEXT]

    def shown(self) -> tuple[StackState, str, str]:
        store = self.daemon.store
        status = stack_status(store.view(APP), store.decision(APP), 0, "", clock())
        return status.state, status.detail, status.services[0].detail


def play(scene: Scene, story: Coroutine[None, None, None]) -> None:
    """Run a story to its end, and end the daemon."""

    async def whole() -> None:
        try:
            await story
        finally:
            await scene.daemon.kill(set())

    logging.getLogger("stackd").addHandler(scene.handler)
    try:
        scene.loop.run_until_complete(whole())
    finally:
        logging.getLogger("stackd").removeHandler(scene.handler)


@pytest.fixture
def scene(caplog: pytest.LogCaptureFixture) -> Iterator[Scene]:
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    yield Scene(loop, caplog)
    asyncio.set_event_loop(None)
    loop.close()


def test_a_daemon_that_finds_no_engine_says_so_at_once_and_each_minute_and_in_status(scene: Scene) -> None:
    async def story() -> None:
        scene.engine.up = False
        await scene.live()
        assert len(scene.said()) == 1
        assert scene.said()[0] - scene.daemon.born < 0.5
        assert scene.shown() == (StackState.LOADING, f"not looked at yet: {TEXT}", TEXT)
        await asyncio.sleep(300)
        gaps = [later - early for early, later in zip(scene.said(), scene.said()[1:], strict=False)]
        assert len(gaps) in (4, 5)
        assert all(60 <= gap <= 75 for gap in gaps)
        assert scene.status == ["keeping stacks", TEXT]

    play(scene, story())


def test_an_engine_that_goes_away_later_is_said_as_well_and_its_return_ends_it(scene: Scene) -> None:
    async def story() -> None:
        await scene.live()
        await asyncio.sleep(30)
        assert (scene.said(), scene.status) == ([], ["keeping stacks"])
        await scene.engine.stop_engine()
        gone = scene.loop.time()
        await asyncio.sleep(20)
        assert len(scene.said()) == 1
        assert scene.said()[0] - gone < 17
        assert scene.shown()[:2] == (StackState.RUNNING, f"as last seen: {TEXT}")
        assert scene.status[-1] == TEXT
        await scene.engine.start_engine()
        await asyncio.sleep(30)
        assert scene.status[-1] == "keeping stacks"
        assert scene.shown()[1] == ""
        assert len(scene.said()) == 1

    play(scene, story())
