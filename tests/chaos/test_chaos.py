"""Two minutes of faults on an engine of the test's own, and the laws of the judge itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bed.api import Bed
from tests.chaos.__main__ import chaos
from tests.chaos.judge import Cause, Judge, newer
from tests.chaos.sight import Run, Sight
from tests.chaos.table import table
from tests.chaos.town import Town

SECONDS, SERVICES = 120, 20
DB, WEB = ("t-0", "db"), ("t-0", "web")


@pytest.fixture
def own_bed() -> Iterator[Bed]:
    """An engine that no other test uses."""
    bed = Bed.create(f"chaos-{os.getpid()}", only=("busybox",))
    yield bed
    bed.destroy()


@pytest.mark.engine
@pytest.mark.timeout(480)
def test_two_minutes_of_faults_leave_everything_as_wished_nothing_restarted_in_vain_and_nothing_lost(
    own_bed: Bed,
) -> None:
    seed = secrets.randbelow(10**6)
    assert chaos(own_bed, SECONDS, SERVICES, seed) == 0, f"seed {seed}"


def run(key: tuple[str, str], number: int, *, state: str = "running", edit: int = 1) -> Run:
    """The nth run of a service's container."""
    name, networks = f"{key[0]}-{key[1]}-1", (f"{key[0]}_default",)
    return Run(key, f"id-{key[1]}", name, state, "", f"2026-01-01T00:00:{number:02}.0Z", 0, 1, edit, networks)


def sight(*runs: Run) -> Sight:
    return {one.key: [one] for one in runs}


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """A judge that has seen the first runs of everything."""
    made = Judge(Town.made("t", 5, tmp_path))
    made.open.append(Cause("up", (DB, WEB), {DB, WEB}, 0.0, done=True))
    made.see(sight(run(DB, 1), run(WEB, 2)), 1.0)
    made.close(["t-0"], sight(run(DB, 1), run(WEB, 2)))
    assert (made.open, made.needless) == ([], [])
    return made


def strike(judge: Judge, at: float = 10.0) -> Cause:
    """A fault that restarts db, and web with it."""
    cause = Cause("kill", (DB, WEB), {DB, WEB}, at, newer(DB, run(DB, 1), [WEB]), done=True)
    judge.open.append(cause)
    return cause


def test_a_start_without_a_cause_is_needless(judge: Judge) -> None:
    judge.see(sight(run(DB, 3), run(WEB, 2)), 10.0)
    assert len(judge.needless) == 1


def test_a_cause_accounts_for_one_start_of_each_service_and_not_for_a_second(judge: Judge) -> None:
    strike(judge)
    judge.see(sight(run(DB, 3), run(WEB, 4)), 11.0)
    assert judge.needless == []
    judge.see(sight(run(DB, 5), run(WEB, 4)), 12.0)
    assert len(judge.needless) == 1


def test_recovery_waits_until_the_follower_has_started_after_the_one_that_was_struck(judge: Judge) -> None:
    cause = strike(judge)
    judge.see(sight(run(DB, 1), run(WEB, 2)), 10.5)
    judge.see(sight(run(DB, 3), run(WEB, 2)), 11.0)
    assert cause.recovered is None
    judge.see(sight(run(DB, 3), run(WEB, 4)), 12.0)
    assert cause.recovered == 12.0


def test_a_cause_stays_open_until_stackd_is_calm_and_accounts_for_nothing_afterwards(judge: Judge) -> None:
    strike(judge)
    seen = sight(run(DB, 3), run(WEB, 4))
    judge.see(seen, 11.0)
    judge.close([], seen)
    assert len(judge.open) == 1
    judge.close(["t-0"], seen)
    assert judge.open == []
    judge.see(sight(run(DB, 5), run(WEB, 4)), 12.0)
    assert len(judge.needless) == 1


def test_a_service_is_wrong_when_it_is_there_twice_off_its_network_or_of_another_edit(judge: Judge) -> None:
    good = run(DB, 1)
    off = Run(DB, "x", good.name, "running", "", good.started, 0, 1, 1, ())
    assert judge.as_wished(DB, {DB: [good]})
    assert not any(judge.as_wished(DB, {DB: wrong}) for wrong in ([], [good, good], [off], [run(DB, 1, edit=2)]))
    assert not judge.as_wished(DB, {DB: [run(DB, 1, state="exited")]})


def test_the_table_counts_what_was_done_and_how_long_it_took_and_leaves_out_what_could_not_be() -> None:
    causes = [
        Cause("kill", (DB,), set(), 1.0, recovered=2.0),
        Cause("kill", (DB,), set(), 1.0, recovered=4.0),
        Cause("kill", (DB,), set(), 1.0, void=True),
        Cause("up", (DB,), set(), 0.0, recovered=9.0),
    ]
    assert [line.split() for line in table(causes).splitlines()] == [
        ["fault", "injected", "median", "max"],
        ["kill", "2", "2.00", "s", "3.00", "s"],
        ["all", "2", "2.00", "s", "3.00", "s"],
    ]
