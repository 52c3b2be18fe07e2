"""What people are told, and that it is true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.status import policy_text, stack_status
from stackd.errors import Diagnostic, Severity, Span
from stackd.model.ids import ImageId, NetworkId
from stackd.model.observed import ContainerState
from stackd.model.override import OverrideKind
from stackd.model.plan import Blocker, BlockerKind, Plan, Reason, RemoveNetwork, Step, Why
from stackd.model.spec import HealthCheck, RestartCondition, RestartPolicy
from stackd.model.status import StackState, StackStatus
from stackd.model.view import DesiredStack, Presence, ServiceState, ServiceVerdict
from tests.unit.core.dsl import STACK, Toy, needs, removed, service


def status(toy: Toy) -> StackStatus:
    return stack_status(toy.view(), toy.decide(), 0, "", toy.now)


def test_a_removed_stack_is_being_removed_while_something_of_ours_is_left() -> None:
    assert status(removed(Toy(service("web")).settle())).state is StackState.REMOVING


def test_a_good_definition_that_waits_for_a_person_is_frozen_and_a_bad_one_invalid() -> None:
    for waits, state in (("this was blog; `stackd up site` replaces it", StackState.FROZEN), ("", StackState.INVALID)):
        toy = Toy(service("web"))
        view = replace(toy.view(), desired=DesiredStack(STACK, None, waits=waits))
        told = stack_status(view, None, 0, "", toy.now)
        assert (told.state, told.detail) == (state, waits or "it has no definition yet")


def test_a_removed_stack_whose_containers_were_adopted_does_not_say_that_they_are_being_removed() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", instance="", root="")
    told = status(removed(toy))
    assert (told.state, "runs on" in told.detail) == (StackState.ORPHANED, True)


def test_what_waits_for_a_stopped_dependency_says_so_in_words() -> None:
    toy = Toy(service("db"), service("web", needs("db"))).settle().override(OverrideKind.STOPPED, "db")
    toy.crash("db")
    toy.crash("web")
    assert toy.verdict("web").detail == "db is stopped: wanted so (by test)"


def test_a_stack_whose_every_service_is_stopped_is_stopped_not_running() -> None:
    toy = Toy(service("db"), service("web")).settle().override(OverrideKind.STOPPED, "db")
    assert status(toy.settle()).state is StackState.RUNNING
    assert status(toy.override(OverrideKind.STOPPED, "web").settle()).state is StackState.STOPPED


def test_failures_are_told_with_when_they_are_forgotten_only_while_it_runs() -> None:
    toy = Toy(service("web")).settle()
    toy.crash("web")
    assert status(toy).services[0].restart.reset_at is None
    toy.settle()
    restart = status(toy).services[0].restart
    assert restart.attempt == 1
    assert restart.reset_at is not None
    assert toy.now.wall < restart.reset_at <= toy.now.wall + 600


def test_a_container_of_another_hand_is_told_to_be_adopted() -> None:
    toy = Toy(service("web")).settle()
    assert [one.adopted for one in status(toy).services[0].replicas] == [False]
    toy.alter("web", instance="", root="")
    assert [one.adopted for one in status(toy).services[0].replicas] == [True]


BROKEN = Diagnostic("bad-port", "no port", Span("compose.yaml", 1, 1))
ODD = Diagnostic("odd", "odd", Span("compose.yaml", 1, 1), Severity.WARNING)


def test_a_stack_whose_task_ended_has_failed_whatever_else_is_true() -> None:
    told = stack_status(Toy(service("web")).view(), None, 0, "it broke", Toy().now)
    assert (told.state, told.detail) == (StackState.FAILED, "it broke")


def test_a_stack_without_definition_is_an_orphan_and_tells_of_nothing_that_it_lacks() -> None:
    toy = Toy(service("web")).settle()
    toy.desired = None
    told = status(toy)
    assert (told.state, told.detail) == (StackState.ORPHANED, "it has no definition; its containers run on")
    assert (told.presence, told.generation, told.folder, told.files) == (Presence.REMOVED, 0, "", ())
    assert told.diagnostics == ()


def test_a_stack_tells_where_it_is_and_which_text_is_in_force() -> None:
    toy = Toy(service("web")).settle()
    assert toy.desired is not None
    folder = toy.definition.working_dir
    toy.desired = replace(toy.desired, generation=3, folder=folder, presence=Presence.MISSING)
    told = stack_status(toy.view(), toy.decide(), 2, "", toy.now)
    assert (told.generation, told.observed_generation, told.presence) == (3, 2, Presence.MISSING)
    assert (told.folder, told.files) == (str(folder), (f"{folder}/compose.yaml",))


def test_a_stack_whose_folder_is_not_known_names_none() -> None:
    assert status(Toy(service("web"))).folder == ""


def test_a_removed_stack_with_something_of_ours_beside_a_stranger_is_being_removed() -> None:
    toy = Toy(service("web"), service("db")).settle()
    toy.alter("web", instance="", root="")
    assert status(removed(toy)).state is StackState.REMOVING


def test_a_removed_stack_of_which_nothing_is_left_is_being_removed() -> None:
    assert status(removed(Toy(service("web")))).state is StackState.REMOVING


def test_a_stack_that_never_had_a_good_definition_tells_its_first_error_and_no_warning() -> None:
    toy = Toy()
    assert toy.desired is not None
    toy.desired = replace(toy.desired, project=None)
    assert (status(toy).state, status(toy).detail) == (StackState.INVALID, "it has no definition yet")
    toy.desired = replace(toy.desired, diagnostics=(ODD, BROKEN))
    assert (status(toy).state, status(toy).detail) == (StackState.INVALID, str(BROKEN))


def test_a_stack_is_loading_until_it_was_decided_about_and_observed() -> None:
    toy = Toy(service("web"))
    decision = toy.decide()
    for view, given in ((toy.view(), None), (replace(toy.view(), observed=None), decision)):
        told = stack_status(view, given, 0, "", toy.now)
        assert (told.state, told.detail) == (StackState.LOADING, "not looked at yet")
    assert [(one.state, one.detail) for one in stack_status(toy.view(), None, 0, "", toy.now).services] == [
        (ServiceState.UNKNOWN, "not decided yet")
    ]


def test_a_stack_that_is_not_looked_at_says_when_the_engine_is_why() -> None:
    toy = Toy(service("web"))
    toy.host = replace(toy.host, engine_up=False)
    assert stack_status(toy.view(), None, 0, "", toy.now).detail == "not looked at yet: the engine does not answer"


def test_a_newer_text_that_is_broken_is_told_while_the_last_good_one_runs() -> None:
    toy = Toy(service("web")).settle()
    assert status(toy).detail == ""
    assert toy.desired is not None
    toy.desired = replace(toy.desired, diagnostics=(ODD, BROKEN))
    assert (status(toy).state, status(toy).detail) == (
        StackState.RUNNING, f"its newest text is not in force: {BROKEN}",
    )  # fmt: skip


def test_a_newer_text_that_is_broken_is_told_while_the_stack_changes() -> None:
    toy = Toy(service("web"))
    assert toy.desired is not None
    assert (status(toy).state, status(toy).detail) == (StackState.CHANGING, "")
    toy.desired = replace(toy.desired, diagnostics=(BROKEN,))
    assert (status(toy).state, status(toy).detail) == (StackState.CHANGING, str(BROKEN))


def test_what_the_file_and_what_the_decision_warn_of_are_both_told() -> None:
    toy = Toy(service("web")).settle()
    assert toy.desired is not None
    toy.desired = replace(toy.desired, diagnostics=(BROKEN,))
    told = stack_status(toy.view(), replace(toy.decide(), diagnostics=(ODD,)), 0, "", toy.now)
    assert told.diagnostics == (BROKEN, ODD)


@pytest.mark.parametrize(
    "state",
    [
        ServiceState.STUCK, ServiceState.BACKING_OFF, ServiceState.CRASH_LOOPING, ServiceState.BLOCKED,
        ServiceState.UNHEALTHY,
    ],
)  # fmt: skip
def test_a_stack_that_changes_while_a_service_fares_badly_is_degraded(state: ServiceState) -> None:
    toy = Toy(service("web"), service("db"))
    fine = ServiceVerdict(toy.definition.services[next(iter(toy.definition.services))].name, ServiceState.PENDING)
    decision = replace(toy.decide(), verdicts=(fine, ServiceVerdict(list(toy.definition.services)[1], state, "bad")))
    told = stack_status(toy.view(), decision, 0, "", toy.now)
    assert (told.state, told.detail) == (StackState.DEGRADED, "db: bad")


def test_a_stack_that_changes_and_fares_well_is_changing() -> None:
    toy = Toy(service("web")).settle().edit(service("web", version="2"))
    assert (status(toy).state, status(toy).detail) == (StackState.CHANGING, "")


def test_a_stack_that_only_starts_up_runs() -> None:
    toy = Toy(service("web", healthcheck=HealthCheck(("CMD", "true")))).settle()
    assert [one.state for one in status(toy).services] == [ServiceState.STARTING]
    assert status(toy).state is StackState.RUNNING


def test_a_stack_with_nothing_to_do_whose_service_is_not_as_wanted_is_degraded() -> None:
    toy = Toy(service("web", restart=RestartPolicy(RestartCondition.NO))).settle()
    toy.crash("web")
    told = status(toy)
    assert told.state is StackState.DEGRADED
    assert told.detail == f"web: {told.services[0].detail}"


def test_a_stack_is_not_stopped_while_a_container_of_it_runs_or_nobody_stopped_it() -> None:
    toy = Toy(service("web"), service("db")).settle().override(OverrideKind.HELD)
    toy.crash("web")
    assert status(toy).state is not StackState.STOPPED
    toy.crash("db")
    assert status(toy).state is StackState.STOPPED
    assert status(Toy()).state is StackState.RUNNING


def test_a_stack_with_a_hold_and_a_service_that_nobody_stopped_is_not_stopped() -> None:
    toy = Toy(service("web"), service("job", restart=RestartPolicy(RestartCondition.NO))).settle()
    toy.override(OverrideKind.HELD, "web")
    toy.crash("web")
    toy.crash("job", 0)
    assert status(toy).state is StackState.RUNNING


def test_a_stopped_stack_gives_the_reason_of_its_stop_not_of_its_pin() -> None:
    toy = Toy(service("web")).settle()
    toy.override(OverrideKind.PINNED).override(OverrideKind.HELD, "web")
    toy.overrides = (replace(toy.overrides[0], reason="rolled back"), toy.overrides[1])
    decision = replace(toy.decide(), plan=Plan(), verdicts=(ServiceVerdict(toy.box("web").service, ServiceState.HELD),))
    toy.crash("web")
    told = stack_status(toy.view(), decision, 0, "", toy.now)
    assert (told.state, told.detail) == (StackState.STOPPED, "wanted so")


@pytest.mark.parametrize("kind", [OverrideKind.HELD, OverrideKind.PAUSED])
def test_a_running_stack_that_is_held_as_a_whole_says_so(kind: OverrideKind) -> None:
    toy = Toy(service("web")).settle().override(kind)
    assert status(toy).detail == "held: wanted so (by test)"


def test_a_pinned_stack_that_changes_says_that_it_is_pinned() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.PINNED, value=2)
    plan = Plan((Step(RemoveNetwork(NetworkId("1"), "net", Reason(Why.NEEDED))),))
    told = stack_status(toy.view(), replace(toy.decide(), plan=plan), 0, "", toy.now)
    assert (told.state, told.detail) == (StackState.CHANGING, "pinned to revision 2 by test")


def test_a_service_that_is_neither_in_the_file_nor_on_the_engine_is_told_without_image_and_curve() -> None:
    toy = Toy(service("web"), service("old")).settle()
    toy.crash("old")
    toy.settle(60)
    decision = toy.decide()
    toy.edit(service("web"))
    toy.boxes = {}
    (_, old) = stack_status(toy.view(), decision, 0, "", toy.now).services
    assert (old.image, old.replicas, old.restart.attempt, old.restart.reset_at) == ("", (), 1, None)


def test_a_scale_of_a_stack_is_no_news_of_it() -> None:
    assert status(Toy(service("web")).settle().override(OverrideKind.SCALED, value=1)).detail == ""


def test_a_stack_is_waiting_for_what_its_steps_wait_for_its_own_bookkeeping_apart() -> None:
    toy = Toy(service("web")).settle()
    gates = (
        Blocker(BlockerKind.STEP, "after"), Blocker(BlockerKind.OBSERVATION, "a look"),
        Blocker(BlockerKind.ORDER, "its turn"), Blocker(BlockerKind.ORDER, "its turn"),
    )  # fmt: skip
    plan = Plan((Step(RemoveNetwork(NetworkId("1"), "net", Reason(Why.NEEDED)), gates),))
    assert stack_status(toy.view(), replace(toy.decide(), plan=plan), 0, "", toy.now).waiting_for == ("its turn",)


def test_a_service_that_left_the_file_is_told_of_until_it_is_gone_and_once() -> None:
    toy = Toy(service("web"), service("old")).settle().edit(service("web"))
    told = status(toy)
    assert [(one.name, one.wanted) for one in told.services] == [("web", 1), ("old", 0)]
    assert (told.services[1].image, told.services[1].restart.policy) == ("old:1", "")
    assert not told.services[1].image_outdated


def test_a_service_is_told_with_its_own_containers_and_its_own_overrides() -> None:
    toy = Toy(service("web"), service("db")).settle().override(OverrideKind.HELD, "db")
    web, db = status(toy).services
    assert [one.name for one in web.replicas] == [toy.box("web").name]
    assert (web.override, db.override) == (None, toy.overrides[0])


def test_a_service_that_has_no_container_yet_is_told_with_the_image_of_its_file() -> None:
    assert status(Toy(service("web"))).services[0].image == "web:1"


def test_a_stack_that_was_taken_down_is_stopped_while_the_engine_still_removes_of_it() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.STOPPED)
    toy.crash("web")
    toy.alter("web", state=ContainerState.REMOVING)
    decision = replace(toy.decide(), plan=Plan())
    assert stack_status(toy.view(), decision, 0, "", toy.now).state is StackState.STOPPED


def test_a_service_is_told_with_what_stands_rather_than_with_the_pin() -> None:
    toy = Toy(service("web")).settle().override(OverrideKind.PINNED)
    assert status(toy).services[0].override == toy.overrides[0]
    toy.override(OverrideKind.HELD)
    assert status(toy).services[0].override == toy.overrides[1]


def test_a_service_that_is_stopped_is_wanted_no_more_and_a_held_one_is() -> None:
    toy = Toy(service("web", scale=2), service("db")).settle().override(OverrideKind.HELD, "web")
    toy.override(OverrideKind.STOPPED, "db")
    assert [one.wanted for one in status(toy).services] == [2, 0]


def test_an_image_is_outdated_when_any_container_runs_another_than_its_tag_names_now() -> None:
    toy = Toy(service("web", scale=2), service("db")).settle()
    assert [one.image_outdated for one in status(toy).services] == [False, False]
    toy.alter("web", 2, image_id=ImageId("sha256:old"))
    assert [one.image_outdated for one in status(toy).services] == [True, False]


def test_no_image_is_outdated_of_which_the_container_or_the_tag_is_not_known() -> None:
    toy = Toy(service("web"), service("db")).settle()
    toy.alter("web", image_id=ImageId(""))
    toy.images["db:1"] = None
    assert [one.image_outdated for one in status(toy).services] == [False, False]
    told = stack_status(replace(toy.view(), observed=None), toy.decide(), 0, "", toy.now)
    assert [one.image_outdated for one in told.services] == [False, False]


def test_a_container_tells_only_the_instants_and_the_code_that_it_has() -> None:
    toy = Toy(service("web")).settle()
    toy.alter("web", finished_at=5.0, exit_code=3)
    (one,) = status(toy).services[0].replicas
    assert (one.started_at, one.finished_at, one.exit_code) == (toy.box("web").started_at, None, None)
    toy.alter("web", state=ContainerState.EXITED)
    (one,) = status(toy).services[0].replicas
    assert (one.finished_at, one.exit_code) == (5.0, 3)
    toy.alter("web", state=ContainerState.CREATED, started_at=0.0, finished_at=0.0)
    (one,) = status(toy).services[0].replicas
    assert (one.started_at, one.finished_at, one.exit_code) == (None, None, None)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (RestartPolicy(), "on-failure (stackd's default)"),
        (RestartPolicy(declared=True, max_attempts=3), "on-failure:3"),
        (RestartPolicy(declared=True), "on-failure"),
        (RestartPolicy(RestartCondition.ALWAYS, declared=True, max_attempts=3), "always"),
    ],
)
def test_a_policy_is_told_as_a_person_would_write_it(policy: RestartPolicy, text: str) -> None:
    assert policy_text(policy) == text


def test_a_service_that_never_failed_has_nothing_to_tell_of_restarts() -> None:
    restart = status(Toy(service("web")).settle()).services[0].restart
    assert (restart.attempt, restart.next_at, restart.reason, restart.last_exit) == (0, None, "", None)
    assert (restart.oom, restart.reset_at) == (False, None)


def test_a_service_that_failed_tells_how_it_ended_last_and_when_it_is_tried_again() -> None:
    toy = Toy(service("web")).settle()
    toy.crash("web", 1)
    toy.settle(60)
    toy.crash("web", 7)
    toy.alter("web", oom_killed=True)
    toy.decide()
    told = status(toy).services[0].restart
    assert (told.attempt, told.last_exit, told.oom) == (2, 7, True)
    assert told.reason and told.next_at is not None and told.next_at > toy.now.wall


def test_a_try_that_the_decision_counts_is_told_before_the_memory_knows_it() -> None:
    toy = Toy(service("web")).settle()
    verdict = ServiceVerdict(toy.box("web").service, ServiceState.BACKING_OFF, "no", 4, next_at=toy.mono + 5)
    told = stack_status(toy.view(), replace(toy.decide(), verdicts=(verdict,)), 0, "", toy.now).services[0]
    assert (told.restart.attempt, told.restart.next_at) == (4, toy.now.wall + 5)
