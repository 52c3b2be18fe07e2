"""What a crash leaves behind, and that collecting it is in nobody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from stackd.core.crashes import bad_ends
from stackd.engine.base import Engine, LogLine
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.evidence import Condemned
from stackd.model.ids import ContainerId, ImageId
from stackd.model.observed import ContainerState, HealthProbe, ObservedContainer
from stackd.model.override import OverrideKind
from stackd.model.plan import Why
from stackd.model.record import Applied, CrashBundle
from stackd.model.spec import Project
from stackd.runtime import crashes as crashes_module
from stackd.runtime.crashes import LINES, LONGEST_LINE, MOST, TOO_MANY, Crashes
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from tests.unit.core.dsl import NEVER, STACK, Toy, project, service
from tests.unit.journal.world import opened, until

NANO = 1_000_000_000


class Boxes:
    """The engine as far as the collector asks it."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self.lines: list[tuple[float, str]] = []
        self.probes: tuple[HealthProbe, ...] = ()
        self.trouble: EngineError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = self.most = self.asked = 0

    @asynccontextmanager
    async def logs(
        self, container: ContainerId, *, tail: int | None, since: int, follow: bool
    ) -> AsyncIterator[AsyncIterator[LogLine]]:
        assert not follow
        self.asked += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
            if self.trouble is not None:
                raise self.trouble
            yield self._lines(container, tail or 0, since)
        finally:
            self.under_way -= 1

    async def _lines(self, container: ContainerId, tail: int, since: int) -> AsyncIterator[LogLine]:
        for at, text in self.lines[-tail:]:
            if at * NANO >= since:
                yield LogLine(container, "stdout", text, int(at * NANO))

    async def health_log(self, container: ContainerId) -> tuple[HealthProbe, ...]:
        return self.probes

    async def inspect_container(self, container: ContainerId) -> ObservedContainer | None:
        return self.toy.boxes.get(container)


class World:
    """One stack that runs, a collector, and what it keeps."""

    def __init__(self, journal: Journal, toy: Toy, revived: Callable[[Applied], Awaitable[Project | None]]) -> None:
        self.toy, self.journal = toy, journal
        self.engine = Boxes(toy)
        self.history = History(lambda: toy.now.wall, journal.append_history, (), 1)
        engine = cast("Engine", self.engine)
        self.crashes = Crashes(engine, journal, self.history, lambda: toy.now, revived)

    def turn(self) -> None:
        """One turn of the stack's loop."""
        view = self.toy.view()
        self.crashes.look(view, self.toy.decide())

    async def bundle(self) -> CrashBundle:
        """The newest crash, once nothing is under way."""
        await self.done()
        found = await self.journal.crash(self.journal.crashes(STACK)[0].id)
        assert found is not None
        return found

    async def done(self) -> None:
        await until(lambda: not self.crashes._tasks)


async def _nothing(_: Applied) -> None:
    return None


@asynccontextmanager
async def world(
    place: Path, *services: object, revived: Callable[[Applied], Awaitable[Project | None]] = _nothing
) -> AsyncIterator[World]:
    toy = Toy(*(services or (service("web"),)))  # type: ignore[arg-type]
    toy.settle()
    async with opened(place, _wall(toy)) as (journal, _):
        made = World(journal, toy, revived)
        made.turn()
        yield made
        await made.crashes.stop()


def _wall(toy: Toy):  # type: ignore[no-untyped-def]
    return lambda: toy.now


async def test_a_crash_is_kept_with_its_exit_log_and_health(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        start = one.toy.box("web").started_at
        one.toy.wait(20)
        one.engine.lines = [(start + at, f"line {at}") for at in range(300)]
        one.engine.probes = (HealthProbe(start - 5, 1, "of the run before"), HealthProbe(start + 5, 1, "refused"))
        one.toy.alter("web", error="it broke")
        box = one.toy.crash("web", 137)
        one.turn()
        found = await one.bundle()
        crash = found.crash
        assert (crash.container, crash.name, crash.started_at, crash.at) == (box.id, box.name, start, box.finished_at)
        assert (crash.exit_code, crash.signal, crash.oom, crash.error) == (137, 9, False, "it broke")
        assert crash.cause == "exited 137"
        assert (found.image, found.config_hash, found.image_id) == (box.image, box.config_hash, box.image_id)
        assert found.logs == tuple(f"line {at}" for at in range(300 - LINES, 300))
        assert found.probes == (HealthProbe(start + 5, 1, "refused"),)
        assert found.gaps == ()
        assert one.history.after(0, 100)[-1].data[0] == ("crash", crash.id)


async def test_lines_of_the_next_run_are_not_this_ones(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        start = one.toy.box("web").started_at
        one.toy.crash("web")
        one.engine.gate.clear()
        one.turn()
        await until(lambda: one.engine.under_way == 1)
        one.toy.alter("web", state=ContainerState.RUNNING, started_at=start + 10)  # Restarted: nobody waited.
        one.engine.lines = [(start - 3, "before"), (start + 1, "mine"), (start + 9.99, "next"), (start + 11, "next")]
        one.engine.gate.set()
        assert (await one.bundle()).logs == ("mine",)


async def test_what_was_said_before_the_engine_had_noted_the_start_is_of_the_run(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        for run in range(3):
            start = one.toy.box("web").started_at
            one.engine.lines.append((start - 0.01, f"boom {run}"))
            one.toy.wait(1)
            box = one.toy.crash("web")
            one.engine.lines.append((box.finished_at + 0.01, f"the last of {run}"))
            one.turn()
            assert (await one.bundle()).logs == (f"boom {run}", f"the last of {run}")
            again = box.finished_at + 0.2
            one.toy.alter("web", state=ContainerState.RUNNING, started_at=again, finished_at=None)
            one.turn()


async def test_lines_long_before_a_first_run_are_of_no_run(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        start = one.toy.box("web").started_at
        one.engine.lines = [(start - 5, "of a run that ended well"), (start + 1, "mine")]
        one.toy.crash("web")
        one.turn()
        assert (await one.bundle()).logs == ("mine",)


async def test_a_next_run_that_wrote_too_much_is_a_gap(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        start = one.toy.box("web").started_at
        one.toy.crash("web")
        one.engine.gate.clear()
        one.turn()
        one.toy.alter("web", state=ContainerState.RUNNING, started_at=start + 10)
        one.engine.lines = [(start + 1, "mine"), *((start + 11, "next") for _ in range(1000))]
        one.engine.gate.set()
        found = await one.bundle()
        assert found.logs == ()
        assert ["out of reach" in gap for gap in found.gaps] == [True]


async def test_long_lines_and_long_logs_are_cut_from_the_front(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        start = one.toy.box("web").started_at
        one.engine.lines = [(start + at, chr(0x2603) * 5000) for at in range(LINES)]
        one.toy.crash("web")
        one.turn()
        found = await one.bundle()
        assert {len(line) for line in found.logs} == {LONGEST_LINE}
        assert len("".join(found.logs).encode()) <= crashes_module.MOST_TEXT
        assert ["the last 256 KiB" in gap for gap in found.gaps] == [True]


@pytest.mark.parametrize("kind", [EngineErrorKind.MISSING, EngineErrorKind.FAILED])
async def test_a_log_that_cannot_be_had_is_a_gap(tmp_path: Path, kind: EngineErrorKind) -> None:
    async with world(tmp_path) as one:
        one.engine.trouble = EngineError(kind, "configured logging driver does not support reading")
        one.engine.probes = (HealthProbe(one.toy.now.wall + 1, 1, "refused"),)
        one.toy.crash("web")
        one.turn()
        found = await one.bundle()
        assert found.gaps == ("the engine did not give the log: configured logging driver does not support reading",)
        assert found.probes, "what can be had is kept"


async def test_an_engine_that_hangs_costs_a_gap_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crashes_module, "DEADLINE", 0.05)
    async with world(tmp_path) as one:
        one.engine.gate.clear()
        one.toy.crash("web")
        one.turn()  # Returns at once: the loop goes on to the restart.
        assert [crash.exit_code for crash in one.journal.crashes(STACK)] == [1]
        assert ["did not give everything" in gap for gap in (await one.bundle()).gaps] == [True]


async def test_a_run_is_kept_once_whoever_looks_how_often(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.toy.crash("web")
        for _ in range(5):
            one.turn()
        await one.done()
        again = World(one.journal, one.toy, _nothing)  # The daemon's next life.
        again.turn()
        await again.done()
        assert len(one.journal.crashes(STACK)) == 1


async def test_a_run_too_old_to_be_kept_is_told_once(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.toy.alter("web", state=ContainerState.EXITED, exit_code=1, finished_at=one.toy.now.wall - 1e6)
        for _ in range(3):
            one.turn()
        await one.done()
        assert one.journal.crashes(STACK) == ()
        assert [entry.type for entry in one.history.after(0, 100)] == ["service.crashed"]


async def test_a_crash_loop_of_every_second_keeps_all_in_short_and_ten_a_minute_whole(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        for _ in range(MOST + 3):
            one.toy.wait(1)
            one.toy.crash("web")
            one.turn()
            await one.done()
            one.toy.alter("web", state=ContainerState.RUNNING, started_at=one.toy.now.wall)
            one.turn()
        kept = one.journal.crashes(STACK)
        bundles = [await one.journal.crash(crash.id) for crash in kept]
        assert [one.gaps == (TOO_MANY,) for one in bundles if one] == [True] * 3 + [False] * MOST
        assert one.engine.asked == MOST
        one.toy.wait(60)
        one.toy.crash("web")
        one.turn()
        assert (await one.bundle()).gaps == ()


async def test_at_most_four_are_looked_into_at_once(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(9)]
    async with world(tmp_path, *map(service, names)) as one:
        one.engine.gate.clear()
        for name in names:
            one.toy.crash(name)
        one.turn()
        await until(lambda: one.engine.under_way == crashes_module.AT_ONCE)
        one.engine.gate.set()
        await one.done()
        assert (one.engine.most, one.engine.asked) == (crashes_module.AT_ONCE, 9)


async def test_of_one_service_one_is_looked_into_at_a_time(tmp_path: Path) -> None:
    async with world(tmp_path, service("web", scale=3)) as one:
        one.engine.gate.clear()
        for number in (1, 2, 3):
            box = one.toy.box("web", number)
            one.toy.put(replace(box, state=ContainerState.EXITED, exit_code=1, finished_at=one.toy.now.wall))
        one.turn()
        await until(lambda: one.engine.under_way == 1)
        one.engine.gate.set()
        await one.done()
        assert (one.engine.most, one.engine.asked) == (1, 3)


async def test_what_was_changed_since_the_last_stable_run_is_told(tmp_path: Path) -> None:
    old = service("web", values={"environment.MODE": "good"})
    new = service("web", version="2", values={"environment.MODE": "bad"})
    async with world(tmp_path, old) as one:
        one.toy.wait(700)
        one.turn()
        stable_at = one.toy.now.wall
        one.toy.edit(new)
        one.toy.images[new.image] = replace(one.toy.images[new.image], id=ImageId("sha256:moved"))  # type: ignore[type-var]
        one.toy.settle()
        one.turn()
        one.toy.wait(3).crash("web")
        one.turn()
        found = await one.bundle()
        assert next(str(change) for change in found.changes) == "environment.MODE: good -> bad"
        assert [change.field for change in found.changes] == ["environment.MODE", "image id"]
        assert found.stable_at == stable_at


async def test_after_a_restart_of_the_daemon_the_applied_revision_tells_what_was_changed(tmp_path: Path) -> None:
    old = service("web", values={"environment.MODE": "good"})
    new = service("web", version="2", values={"environment.MODE": "bad"})

    async def revived(applied: Applied) -> Project:
        assert applied.number == 4
        return project(old)

    async with world(tmp_path, old) as one:
        one.journal.save_applied(Applied(STACK, 4, 1.0, "d", 1, "{}", ""))
        one.toy.wait(700)
        one.turn()
        one.toy.edit(new)
        one.toy.settle()
        later = World(one.journal, one.toy, revived)
        later.turn()
        one.toy.wait(3).crash("web")
        later.turn()
        assert [str(change) for change in (await later.bundle()).changes] == ["environment.MODE: good -> bad"]


async def test_nothing_is_remembered_of_a_service_that_is_gone_and_all_of_one_that_is_not(tmp_path: Path) -> None:
    async with world(tmp_path, service("web"), service("db")) as one:
        one.toy.wait(700)
        one.turn()
        one.toy.crash("web"), one.toy.crash("db")
        one.turn()
        await one.done()
        assert remembered(one) == {"web", "db"}
        one.toy.edit(service("web"))
        one.turn()
        assert remembered(one) == {"web", "db"}, "its container is there"
        one.toy.settle()
        one.turn()
        assert remembered(one) == {"web"}
        one.toy.host = replace(one.toy.host, sources_loaded=False)
        one.toy.desired = None
        one.turn()
        assert remembered(one) == {"web"}, "not read yet is not absent"


async def test_nothing_is_remembered_of_a_stack_that_is_gone_and_its_crashes_stay(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.toy.wait(700).crash("web")
        one.turn()
        await one.done()
        assert remembered(one) == {"web"}
        one.crashes.forget(STACK)
        assert (remembered(one), one.crashes._seen) == (set(), {})
        assert len(one.journal.crashes(STACK)) == 1


def remembered(one: World) -> set[str]:
    """Of which services something is: in the collector's memory, in that of stable runs, in the journal."""
    stable = one.crashes._stable
    keys = {*one.crashes._services, *stable._runs, *stable._specs}
    return {name for _, name in keys} | {
        key.rpartition("/")[2] for key in one.journal._meta if key.startswith("stable/")
    }


async def test_a_run_that_was_stable_itself_has_nothing_changed(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.toy.wait(700).crash("web")
        one.turn()
        found = await one.bundle()
        assert (found.changes, found.stable_at) == ((), one.toy.now.wall)


def causes(toy: Toy) -> list[str]:
    view = toy.view()
    return [end.cause for end in bad_ends(view, toy.decide().ledger, toy.now)]


def test_only_what_ended_badly_is_a_crash() -> None:
    toy = Toy(service("web"), service("job", restart=NEVER), service("done", restart=NEVER))
    toy.settle()
    assert causes(toy) == []
    toy.crash("web", 137)
    toy.alter("web", oom_killed=True)
    toy.crash("job", 3)
    toy.crash("done", 0)
    assert sorted(causes(toy)) == ["exited 137, out of memory", "exited 3"]


def test_a_stop_of_ours_is_a_crash_only_for_bad_health() -> None:
    for why, wanted in ((Why.REQUESTED, []), (Why.UNHEALTHY, ["unhealthy: no answer"])):
        toy = Toy(service("web"))
        toy.settle()
        box = toy.crash("web", 143)
        toy.condemned[box.id] = Condemned(box.id, box.started_at, why, "unhealthy: no answer", True)
        assert causes(toy) == wanted


def test_what_ended_with_the_engine_or_under_a_hold_is_no_crash() -> None:
    toy = Toy(service("web"))
    toy.settle()
    toy.crash("web", 137)
    toy.host = replace(toy.host, engine_started_at=toy.now.wall + 1)
    assert causes(toy) == []
    toy = Toy(service("web"))
    toy.settle()
    toy.override(OverrideKind.HELD, "web")
    toy.crash("web", 137)
    assert causes(toy) == []
