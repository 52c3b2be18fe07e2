"""Races with a name (supervision.md lists them), each a short story of its own with an end that can be told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stackd.model.ids import ServiceName
from stackd.model.spec import DependencyCondition, HealthCheck, RestartPolicy, ServiceSpec
from tests.fake import Behaviour, Dialect, Fault, FaultKind
from tests.fake.values import FakeContainer
from tests.sim.daemon import EPOCH
from tests.sim.play import Play, perform
from tests.sim.story import Act, Neighbour, Story
from tests.unit.core.dsl import needs, service

CHECKED = HealthCheck(("CMD", "true"))
SLOW = Behaviour(stop_takes=2.0)


def nothing(_: Play) -> None:
    """No preparation."""


def staged(
    *acts: tuple[float, str, str],
    services: tuple[ServiceSpec, ...] = (),
    run: Behaviour = SLOW,
    prepare: Callable[[Play], None] = nothing,
    neighbour: Neighbour = Neighbour.NONE,
) -> Play:
    """A stack of `a` and `b` (which needs a), and what happens to it at which second; no law may be broken.

    An edit makes version 1 of a service.
    """
    cast = services or (
        service("a", version="0", healthcheck=CHECKED),
        service("b", needs("a", DependencyCondition.HEALTHY), version="0"),
    )
    script = tuple(Act(at, what, ServiceName(name), 1) for at, what, name in acts)
    runs: dict[ServiceName, tuple[Behaviour, ...]] = {one.name: (run,) for one in cast}
    show = perform(Story(1, Dialect.V28, cast, runs, script, frozenset(), neighbour), prepare)
    assert show.witness.violations == []
    return show


def box(show: Play, name: str) -> FakeContainer:
    """The one container of ours of a service."""
    (found,) = [c for c in show.engine.of_service(name) if show.engine.is_ours(c)]
    return found


def held(show: Play) -> list[ServiceName | None]:
    """Which services are held at the end."""
    return [override.service for override in show.disk.overrides.values()]


def test_a_stop_by_another_hand_is_held_and_released_by_a_start_by_hand() -> None:
    show = staged((20, "human_stop", "b"))
    assert (box(show, "b").live, held(show)) == (False, ["b"])
    show = staged((20, "human_stop", "b"), (40, "human_start", "b"))
    assert (box(show, "b").live, held(show)) == (True, [])


def test_a_hold_outlives_the_daemon() -> None:
    show = staged((20, "human_stop", "b"), (40, "kill_daemon", "a"))
    assert (box(show, "b").live, held(show)) == (False, ["b"])


def test_a_restart_by_another_hand_is_not_fought() -> None:
    show = staged((20, "human_restart", "b"))
    assert (box(show, "b").runs, held(show)) == (2, [])


def test_a_container_removed_by_another_hand_is_made_again() -> None:
    show = staged((20, "human_rm", "b"))
    assert (box(show, "b").live, held(show)) == (True, [])


@pytest.mark.parametrize("after", [0.02, 0.1, 0.5, 1.5, 2.2])
def test_a_daemon_killed_during_its_own_stop_starts_the_service_again_and_holds_nothing(after: float) -> None:
    show = staged((20, "restart", "b"), (20 + after, "kill_daemon", "a"))
    assert (box(show, "b").live, box(show, "b").runs, held(show)) == (True, 2, [])


@pytest.mark.parametrize("after", [0.02, 0.1, 0.5, 1.5, 2.2])
def test_a_daemon_that_forgets_all_during_a_replacement_ends_it_without_a_double(after: float) -> None:
    show = staged((20, "edit", "b"), (20 + after, "amnesia", "a"))
    assert (box(show, "b").live, box(show, "b").labels.config_hash) == (True, "b@1")


@pytest.mark.parametrize("after", [0.02, 0.5, 2.1])
def test_an_edit_undone_during_a_stop_ends_with_the_old_definition_running(after: float) -> None:
    spec = service("a", version="0")
    show = staged((20, "edit", "a"), (20 + after, "undo", "a"), services=(spec,))
    assert (box(show, "a").live, box(show, "a").labels.config_hash) == (True, "a@0")


def test_an_engine_that_shuts_down_leaves_no_hold_and_everything_comes_back_in_order() -> None:
    show = staged((20, "restart_engine", "a"))
    assert held(show) == []
    assert box(show, "a").started_at < box(show, "b").started_at
    assert box(show, "b").runs == 2


def test_an_engine_restart_with_a_daemon_killed_meanwhile_leaves_no_hold() -> None:
    show = staged((20, "restart_engine", "a"), (21, "kill_daemon", "a"))
    assert (held(show), box(show, "b").live) == ([], True)


def test_a_hundred_lives_of_the_daemon_change_no_start() -> None:
    show = staged(*((20 + at, "kill_daemon", "a") for at in range(100)))
    assert (box(show, "a").runs, box(show, "b").runs) == (1, 1)


def test_a_crash_whose_event_was_lost_while_the_stream_broke_is_seen_all_the_same() -> None:
    show = staged((20, "break_stream", "a"), (20.001, "crash", "b"))
    assert (box(show, "b").live, box(show, "b").runs) == (True, 2)


def test_an_unhealthy_service_is_restarted_and_its_own_stop_is_no_hold() -> None:
    policy = RestartPolicy()
    show = staged((20, "sick", "a"), services=(service("a", healthcheck=CHECKED, restart=policy),))
    assert (box(show, "a").runs, held(show)) == (2, [])


@pytest.mark.parametrize(("slept", "begins"), [(0.0, 20.0), (3600.0, 80.0)])
def test_no_service_is_restarted_for_its_health_within_a_minute_after_a_suspend(slept: float, begins: float) -> None:
    def prepare(show: Play) -> None:
        show.loop.call_later(19.0, show.loop.suspend, slept)

    checked = service("a", healthcheck=CHECKED)
    show = staged((20, "sick", "a"), (110, "well", "b"), services=(checked, service("b")), prepare=prepare)
    (stop,) = [call.at for call in show.engine.called("stop_container")]
    assert begins - 2 <= stop - show.begun <= begins + 10
    assert box(show, "a").runs == 2


def test_what_crashed_is_started_again_at_once_after_a_suspend() -> None:
    def prepare(show: Play) -> None:
        show.loop.call_later(19.0, show.loop.suspend, 3600.0)

    show = staged((25, "crash", "b"), prepare=prepare)
    assert 25 <= box(show, "b").started_at - EPOCH - show.begun < 30


def test_no_service_is_restarted_for_its_health_while_many_fail_at_once_or_within_a_minute_after() -> None:
    three = (service("a", healthcheck=CHECKED), service("b"), service("c"))
    show = staged((110, "storm", "a"), (200, "well", "b"), services=three)
    stops = [call.at - show.begun for call in show.engine.called("stop_container")]
    assert [stop for stop in stops if stop > 100] == [stops[-1]]
    assert 170 <= stops[-1] < 175  # a minute after the last one that failed


def test_a_rollback_outlives_the_daemon_and_ends_with_the_next_edit() -> None:
    back = ((20, "edit", "b"), (40, "rollback", "b"), (50, "kill_daemon", "a"))
    show = staged(*back)
    assert (box(show, "b").live, box(show, "b").labels.config_hash) == (True, "b@0")
    show = staged(*back, (70, "edit", "b"))
    assert (box(show, "b").labels.config_hash, held(show)) == ("b@1", [])


@pytest.mark.parametrize("after", [0.0, 0.05, 1.0, 2.05, 2.3])
def test_a_stop_that_overtakes_a_restart_in_flight_ends_stopped(after: float) -> None:
    show = staged((20, "restart", "b"), (20 + after, "stop", "b"))
    assert (box(show, "b").live, held(show)) == (False, ["b"])


@pytest.mark.parametrize("after", [0.0, 0.05, 1.0])
def test_two_restarts_at_once_make_no_double(after: float) -> None:
    show = staged((20, "restart", "b"), (20 + after, "restart", "b"))
    assert box(show, "b").live and box(show, "b").runs <= 3


@pytest.mark.parametrize("kind", [FaultKind.ERROR_AFTER, FaultKind.HANG_AFTER])
def test_a_create_that_failed_and_whose_container_exists_is_found_by_looking(kind: FaultKind) -> None:
    def prepare(show: Play) -> None:
        show.engine.fail("create_container", Fault(kind), when=lambda call: call.args[0] == "app-b-1")

    show = staged((90, "well", "a"), prepare=prepare)
    made = [call for call in show.engine.called("create_container") if call.args[0] == "app-b-1"]
    assert (box(show, "b").live, len(made)) == (True, 1)


def test_an_event_stream_that_tells_nothing_any_more_delays_a_restart_and_no_more() -> None:
    def prepare(show: Play) -> None:
        show.faults.mangle = lambda event: []  # type: ignore[method-assign]

    show = staged((150, "crash", "b"), prepare=prepare)
    assert (box(show, "b").live, box(show, "b").runs) == (True, 2)


def test_a_consumer_that_is_seconds_behind_takes_no_stop_for_a_later_runs() -> None:
    def prepare(show: Play) -> None:
        show.faults.mangle = lambda event: [(4.0, event), (5.0, event)]  # type: ignore[method-assign]

    show = staged((20, "restart", "b"), (26, "edit", "b"), prepare=prepare)
    assert (box(show, "b").live, held(show)) == (True, [])


@pytest.mark.parametrize("whose", [Neighbour.OTHER, Neighbour.SAME])
def test_two_daemons_on_one_engine_touch_nothing_of_each_other(whose: Neighbour) -> None:
    show = staged((20, "edit", "b"), (40, "crash", "a"), (60, "kill_daemon", "a"), neighbour=whose)
    assert (box(show, "a").runs, box(show, "b").live) == (2, True)


def test_a_hold_asked_for_on_a_full_disk_is_in_force_all_the_same() -> None:
    show = staged((20, "fill_disk", "a"), (21, "stop", "b"))
    assert (box(show, "b").live, held(show)) == (False, ["b"])
