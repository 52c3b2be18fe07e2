"""What ties a container to others on an engine: namespaces, external networks and volumes, a revision's image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackd.model.ids import ServiceName
from stackd.model.override import Override, OverrideKind
from stackd.model.spec import MountKind, MountSpec, NetworkAttachment, NetworkSpec, ServiceSpec, VolumeSpec
from stackd.model.view import DesiredStack, Pin, ServiceState
from tests.fake.engine import FakeEngine
from tests.unit.core.dsl import needs, project, service
from tests.unit.runtime.world import STACK, Running, running, until


def child(kind: str) -> ServiceSpec:
    """A service in a namespace of `vpn`."""
    places = {kind: "service:vpn"} | ({"networks": ()} if kind == "network_mode" else {})
    return service("child", needs("vpn", implicit=True, restart=True), **places)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["network_mode", "ipc", "pid"])
async def test_a_child_is_made_for_its_parents_container_and_comes_back_after_the_parents_crash(
    tmp_path: Path, kind: str
) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("vpn", ipc="shareable"), child(kind))
        await until(lambda: daemon.running("vpn", "child"))
        (vpn,), (inner,) = engine.of_service("vpn"), engine.of_service("child")
        assert getattr(inner, f"{kind.removesuffix('_mode')}_mode") == f"container:{vpn.id}"
        engine.process_ends(vpn, 1)
        await until(lambda: inner.started_at > vpn.started_at and vpn.runs == 2 and daemon.running("vpn", "child"))
        assert not [call for call in engine.called("start_container") if call.outcome != "ok"]
        assert charged(daemon, "child") == 0


def charged(daemon: Running, name: str) -> int:
    """The crashes that a service is charged with."""
    ledger = daemon.store.view(STACK).ledger.services.get(ServiceName(name))
    return ledger.attempts if ledger is not None else 0


@pytest.mark.parametrize("noun", ["network", "volume"])
async def test_a_missing_external_resource_blocks_until_the_event_of_its_making(tmp_path: Path, noun: str) -> None:
    engine = FakeEngine()
    engine.add_image("web:1")
    if noun == "network":
        spec = service("web", networks=(NetworkAttachment("proxy"),))
        made = project(spec, networks=(NetworkSpec("proxy", "proxy", external=True),))
    else:
        spec = service("web", mounts=(MountSpec(MountKind.VOLUME, "/s", "proxy"),))
        made = project(spec, volumes=(VolumeSpec("proxy", "proxy", external=True),))
    async with running(tmp_path, engine) as daemon:
        daemon.store.set_desired(DesiredStack(STACK, made, generation=1))
        daemon.loaded()
        daemon.observer.look(STACK)
        await until(lambda: state(daemon, "web") is ServiceState.BLOCKED)
        if noun == "network":
            await engine.create_network({"Name": "proxy"})
        else:
            await engine.create_volume({"Name": "proxy"})
        await until(lambda: daemon.running("web"))


def state(daemon: Running, name: str) -> ServiceState | None:
    """How a service fares."""
    decision = daemon.store.decision(STACK)
    return next((one.state for one in decision.verdicts if one.service == name), None) if decision else None


async def test_a_pinned_revision_is_made_from_the_very_image_that_it_ran(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as daemon:
        daemon.load(service("web"))
        await until(lambda: daemon.running("web"))
        (first,) = engine.of_service("web")
        old = engine.images.pop("web:1")
        engine.images["kept"] = old
        engine.add_image("web:1")
        before, spec = first.image_id, service("web")
        daemon.load(service("web", version="2"))
        await until(moved(engine, daemon, away_from=before))
        await pin(daemon, Pin(1, project(spec), {spec.name: before}))
        await until(lambda: [one.image_id for one in engine.of_service("web")] == [before] and daemon.running("web"))
        (again,) = engine.of_service("web")
        assert (again.image, again.labels.config_hash) == (before, "web@1")


def moved(engine: FakeEngine, daemon: Running, away_from: str) -> Callable[[], bool]:
    """Whether web runs another image and all is done."""
    return lambda: daemon.running("web") and away_from not in [one.image_id for one in engine.of_service("web")]


async def pin(daemon: Running, revision: Pin) -> None:
    """Put a revision in force, as a rollback does."""
    newest = daemon.store.view(STACK).desired
    assert newest is not None and newest.project is not None
    override = Override(
        STACK, None, OverrideKind.PINNED, "so", "a test", 0.0, definition=newest.project.digest, value=revision.number
    )
    daemon.store.set_pin(STACK, revision)
    await daemon.intents.put(override)
    daemon.observer.look(STACK)
