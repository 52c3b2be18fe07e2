"""Definitions that were applied: which become a revision, what is kept of one, and that it can be brought back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stackd.errors import StateError
from stackd.model.ids import ContainerId, ImageId, InstanceName, ServiceName, StackName
from stackd.model.observed import ContainerState, Incarnation, ObservedContainer, ObservedImage, ObservedStack
from stackd.model.override import Override, OverrideKind
from stackd.model.plan import Plan, Reason, StartContainer, Step, Why
from stackd.model.record import AppliedImage
from stackd.model.view import (
    Death,
    Decision,
    DesiredStack,
    HostFacts,
    Ledger,
    Now,
    Pin,
    ServiceLedger,
    ServiceState,
    ServiceVerdict,
    View,
)
from stackd.runtime.applied import AppliedRevisions, pin, revive
from stackd.runtime.history import History
from stackd.runtime.journal import Journal
from stackd.source.force import Held
from stackd.source.scan import Scanner, SourceSettings
from tests.unit.journal.world import BLOG, WEB, opened, until

DONE = Decision(Plan(()), Ledger())
OURS = InstanceName("ours")
FIRST = "services:\n  web: {image: web:1, environment: {DB_PASSWORD: hunter2, MODE: a}}\n  old: {image: old:1}\n"
SECOND = "services:\n  web: {image: web:1, environment: {DB_PASSWORD: changed1, MODE: b}}\n  new: {image: new:1}\n"


class World:
    """A stack's folder, its reader, and the recorder."""

    def __init__(self, root: Path, journal: Journal) -> None:
        self.root, self.journal = root, journal
        self.folder = root / "blog"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = SourceSettings((root,), {})
        self.history = History(time.time, journal.append_history, (), 1)
        self.recorder = AppliedRevisions(journal, self.history, self.settings, lambda: self.now)
        self.now = Now(1.0, 50.0)
        self.held = Held()
        self.overrides: tuple[Override, ...] = ()
        self.pin: Pin | None = None

    def save(self, text: str) -> World:
        """Save a definition, which comes into force as `source` does it."""
        (self.folder / "compose.yaml").write_text(text)
        (reading,) = Scanner(self.settings).read().stacks
        self.held.take(reading, 0.0, 0.0)
        revision = self.held.revision(BLOG, reading, (1, 1))
        assert revision is not None
        self.journal.save_revision(revision)
        return self

    def view(self) -> View:
        box = ObservedContainer(
            ContainerId("c1"), "blog-web-1", BLOG, WEB, 1, ContainerState.RUNNING, image="web:1",
            image_id=ImageId("sha256:w"), instance=OURS,
        )  # fmt: skip
        image = ObservedImage("web:1", ImageId("sha256:w"), digests=("web@sha256:d",))
        host = HostFacts(OURS, (str(self.root),), engine_up=True, sources_loaded=True)
        seen = ObservedStack(BLOG, (box,), images={"web:1": image})
        return View(BLOG, 1, self.held.desired(BLOG), seen, host, overrides=self.overrides, pin=self.pin)

    def looping(self, first: float) -> Decision:
        """Web runs, between two of the tries of a crash loop that began at `first` (monotonic)."""
        run = Incarnation(ContainerId("c1"), 1.0)
        deaths = tuple(Death(run, first + nth, 1, False, "exited 1") for nth in range(5))
        return Decision(Plan(()), Ledger({WEB: ServiceLedger(deaths=deaths, attempts=5)}))

    def well(self, since: float) -> Decision:
        """Both services run, and have since then (monotonic)."""
        known = ServiceLedger(stable=Incarnation(ContainerId("c1"), 1.0), stable_since=since)
        names = (WEB, ServiceName("old"))
        verdicts = tuple(ServiceVerdict(name, ServiceState.RUNNING, good=True) for name in names)
        return Decision(Plan(()), Ledger(dict.fromkeys(names, known)), verdicts=verdicts)

    def failed(self) -> list[int]:
        """The revisions that are marked so."""
        return [one.number for one in self.journal.applied(BLOG) if one.failed]

    async def look(self, view: View | None = None, decision: Decision = DONE) -> list[int]:
        """One decision; the numbers that are kept after it."""
        self.recorder.look(view or self.view(), decision)
        await until(lambda: not self.recorder._tasks)
        return [one.number for one in self.journal.applied(BLOG)]


@asynccontextmanager
async def world(place: Path) -> AsyncIterator[World]:
    async with opened(place / "state") as (journal, _):
        made = World(place / "stacks", journal)
        yield made
        await made.recorder.stop()


async def test_an_applied_definition_is_kept_with_texts_images_and_what_was_edited(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        assert await one.save(FIRST).look() == [1]
        assert await one.save(SECOND).look() == [1, 2]
        first, second = one.journal.applied(BLOG)
        assert (first.generation, second.generation, first.changes) == (1, 2, ())
        assert (first.at, first.services) == (50.0, ("web", "old"))
        assert first.images == {WEB: AppliedImage("web:1", ImageId("sha256:w"), ("web@sha256:d",))}
        assert "image: old:1" in first.resolved
        assert "hunter2" not in first.resolved, "what is shown holds no secret; the texts do"
        assert [change.split(" (")[0] for change in second.changes] == [
            "old: removed", "web: environment.MODE: a -> b", "web: environment.DB_PASSWORD: changed", "new: added",
        ]  # fmt: skip
        told = [entry for entry in one.history.after(0, 100) if entry.type == "revision.applied"]
        assert [entry.data for entry in told] == [(("number", 1),), (("number", 2),)]
        assert not [entry for entry in told if "hunter2" in entry.message or "changed1" in entry.message]


async def test_a_revision_with_one_change_is_recorded_in_the_singular(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.save(FIRST).look()
        await one.save(FIRST.replace("MODE: a", "MODE: b")).look()
        last = [entry.message for entry in one.history.after(0, 100) if entry.type == "revision.applied"][-1]
        assert last == "revision 2 of the definition is applied: 1 change"


async def test_a_kept_revision_makes_its_definition_again_after_the_files_are_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.save(FIRST).look()
        project = one.held.project
        assert project is not None
        await one.save(SECOND).look()
        (one.folder / "compose.yaml").unlink()
    async with opened(tmp_path / "state") as (journal, _):
        first = journal.applied(BLOG)[0]
        assert revive(first, one.settings) == project
        assert pin(first, one.settings) == Pin(1, project, {WEB: ImageId("sha256:w")})


async def test_the_same_definition_makes_no_second_revision_and_an_old_one_anew_does(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.save(FIRST).look()
        assert await one.save(FIRST).look() == [1]
        await one.save(SECOND).look()
        assert await one.save(FIRST).look() == [1, 2, 3]


async def test_nothing_is_kept_before_it_is_applied(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        view = one.save(FIRST).view()
        step = Step(StartContainer(WEB, ContainerId("c1"), Reason(Why.MISSING)), ())
        assert await one.look(view, Decision(Plan((step,)), Ledger())) == []
        assert await one.look(replace(view, observed=None)) == []
        assert await one.look(replace(view, host=replace(view.host, engine_up=False))) == []
        assert await one.look(replace(view, desired=DesiredStack(BLOG, None))) == []
        assert await one.look(view) == [1]


@pytest.mark.parametrize("kind", [OverrideKind.PINNED, OverrideKind.RELEASED, OverrideKind.STOPPED])
async def test_a_stack_that_is_rolled_back_released_or_down_makes_no_revision(
    tmp_path: Path, kind: OverrideKind
) -> None:
    async with world(tmp_path) as one:
        await one.save(FIRST).look()
        one.save(SECOND).overrides = (Override(BLOG, None, kind, "asked", "me", 1.0, value=1),)
        one.pin = pin(one.journal.applied(BLOG)[0], one.settings) if kind is OverrideKind.PINNED else None
        assert await one.look() == [1]
        one.overrides = ()
        assert await one.look() == [1, 2]


async def test_a_definition_is_not_applied_while_a_service_of_it_crash_loops_between_two_tries(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        view = one.save(FIRST).view()
        assert await one.look(view, one.looping(first=-30.0)) == []
        assert await one.look(view) == [1]


async def test_a_revision_that_crash_loops_soon_has_failed_until_all_of_it_has_run_well(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        view = one.save(FIRST).view()
        await one.look(view)
        one.now = Now(100.0, 149.0)
        await one.look(view, one.looping(first=90.0))
        assert one.failed() == [1]
        one.now = Now(2000.0, 2049.0)
        await one.look(view, one.well(since=1500.0))
        assert one.failed() == [1], "not for long enough"
        one.now = Now(2200.0, 2249.0)
        await one.look(view, one.well(since=1500.0))
        assert one.failed() == []
        told = [entry.type for entry in one.history.after(0, 100)]
        assert told == ["revision.applied", "revision.failed", "revision.recovered"]


async def test_a_revision_that_ran_well_for_long_has_not_failed_when_it_crash_loops_later(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        view = one.save(FIRST).view()
        await one.look(view)
        one.now = Now(5000.0, 5049.0)
        await one.look(view, one.looping(first=4900.0))
        assert one.failed() == []


async def test_an_edit_while_one_is_being_kept_is_kept_too(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        one.recorder.look(one.save(FIRST).view(), DONE)
        one.recorder.look(one.save(SECOND).view(), DONE)
        await until(lambda: not one.recorder._tasks)
        one.recorder.look(one.view(), DONE)
        assert await one.look() in ([1], [1, 2])
        assert one.journal.applied(BLOG)[-1].digest == one.view().project.digest  # type: ignore[union-attr]


async def test_files_too_large_to_be_kept_make_a_revision_that_cannot_be_gone_back_to(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.save(FIRST + "# " + "x" * 1024 * 1024 + "\n").look()
        (first,) = one.journal.applied(BLOG)
        assert first.revision == ""
        with pytest.raises(StateError, match="too large"):
            revive(first, one.settings)


async def test_a_stack_of_the_same_name_begins_anew_after_the_first_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as one:
        await one.save(FIRST).look()
        one.journal.forget_stack(BLOG, (), ())
        assert one.journal.applied(BLOG) == ()
        assert await one.save(SECOND).look() == [1]
        assert one.journal.applied(StackName("blog"))[0].changes == ()
