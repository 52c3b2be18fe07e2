"""Handing containers back to the engine: a released stack, a removed one that was adopted, a daemon that ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.handover import handover, left_behind
from stackd.core.handover import released as handed_back
from stackd.core.status import stack_status
from stackd.errors import Diagnostic, EngineErrorKind, Severity, Span
from stackd.model.ids import ContainerId, InstanceName, ServiceName
from stackd.model.observed import ContainerState
from stackd.model.override import OverrideKind
from stackd.model.plan import UpdateRestartPolicy, Why
from stackd.model.spec import RestartCondition, RestartPolicy
from stackd.model.status import StackState
from stackd.model.view import Presence, ServiceState
from tests.unit.core.dsl import NEVER, Toy, service, words

ALWAYS = RestartPolicy(RestartCondition.ALWAYS, declared=True, engine_name="unless-stopped")
LIMITED = RestartPolicy(declared=True, max_attempts=3, engine_name="on-failure", engine_retries=3)


def released() -> Toy:
    """A released stack of four policies."""
    toy = Toy(
        service("always", restart=ALWAYS), service("limited", restart=LIMITED), service("never", restart=NEVER),
        service("unsaid"),
    ).settle()  # fmt: skip
    toy.done.clear()
    return toy.override(OverrideKind.RELEASED)


def test_a_released_stack_gets_its_files_policies_once_and_is_then_left_alone() -> None:
    toy = released()
    assert toy.settle().policies == {"always": "unless-stopped", "limited": "on-failure:3"}
    assert all(isinstance(op, UpdateRestartPolicy) and op.reason.why is Why.RELEASED for op in toy.done)
    toy.crash("limited")
    toy.edit(service("always", version="2", restart=ALWAYS))
    assert toy.wait(3600).plan() == []


def test_a_released_stack_does_not_get_a_stopped_services_policy_back() -> None:
    toy = released().override(OverrideKind.STOPPED, "always").settle()
    assert toy.policies == {"limited": "on-failure:3"}


def test_no_edit_releases_a_release() -> None:
    toy = released().settle()
    toy.overrides = tuple(replace(one, definition="as it was") for one in toy.overrides)
    toy.edit(service("always", version="2", restart=ALWAYS)).settle()
    assert len(toy.overrides) == 1


def test_a_stack_that_is_taken_back_loses_the_engines_policies_again() -> None:
    toy = released().settle()
    toy.overrides, toy.done = (), []
    toy.settle()
    assert [words(op) for op in toy.done] == ["policy always no", "policy limited no"]


@pytest.mark.parametrize("presence", list(Presence))
def test_nothing_of_a_released_stack_is_touched_whatever_became_of_its_folder(presence: Presence) -> None:
    toy = released().settle()
    toy.alter("never", instance="", root="")
    toy.done = []
    assert toy.desired is not None
    toy.desired = replace(toy.desired, presence=presence)
    assert toy.wait(3600).settle().done == []
    toy.forget().desired = None
    assert toy.wait(3600).settle().done == []
    assert len(toy.boxes) == 4


def test_a_release_counts_before_another_override_of_the_whole_stack() -> None:
    toy = released().settle()
    toy.overrides = (replace(toy.overrides[0], kind=OverrideKind.STOPPED), *toy.overrides)
    assert toy.plan() == []


def test_the_policies_of_a_released_stack_are_given_back_also_after_its_folder_is_gone() -> None:
    toy = released()
    assert toy.desired is not None
    toy.desired = replace(toy.desired, presence=Presence.REMOVED)
    assert toy.settle().policies == {"always": "unless-stopped", "limited": "on-failure:3"}


@pytest.mark.parametrize("presence", [Presence.GOING, Presence.REMOVED, None])
def test_the_status_of_a_released_stack_without_a_folder_says_how_to_take_it_back(presence: Presence | None) -> None:
    toy = released().settle()
    assert toy.desired is not None
    going = Diagnostic("stack-going", "it will be removed", Span("/stacks/app"), Severity.WARNING)
    toy.desired = replace(toy.desired, presence=presence, diagnostics=(going,)) if presence else None
    told = stack_status(toy.view(), toy.decide(), 0, "", toy.now)
    assert (told.state, told.diagnostics) == (StackState.ORPHANED, ())
    assert "it was released" in told.detail and "stackd adopt app" in told.detail


def test_the_status_of_a_released_stack_says_who_restarts_it() -> None:
    toy = released().settle()
    told = stack_status(toy.view(), toy.decide(), 0, "", toy.now)
    assert (told.state, "released by test" in told.detail) == (StackState.RUNNING, True)
    assert {one.state for one in told.services} == {ServiceState.HELD}


def test_a_failed_hand_back_waits_out_its_curve() -> None:
    toy = released()
    toy.fail(f"update:{toy.box('always').id}", "always", EngineErrorKind.FAILED)
    assert toy.frontier() == ["policy limited on-failure"]


def test_a_removed_stack_gives_adopted_containers_their_policy_back_and_leaves_them() -> None:
    toy = Toy(service("web", restart=ALWAYS), service("db", restart=ALWAYS)).settle()
    adopted = toy.alter("web", instance="", root="")
    assert toy.desired is not None
    toy.desired = replace(toy.desired, presence=Presence.REMOVED)
    toy.settle()
    assert list(toy.boxes.values()) == [replace(adopted, engine_policy="unless-stopped")]
    assert toy.frontier() == []


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (ALWAYS, ("always", 0)),
        (LIMITED, ("on-failure", 3)),
        (RestartPolicy(declared=True, engine_name="on-failure"), ("on-failure", 0)),
        (RestartPolicy(), ("on-failure", 0)),
    ],
)
def test_an_ending_daemon_hands_over_what_is_to_run(policy: RestartPolicy, told: tuple[str, int]) -> None:
    (op,) = handover(Toy(service("web", restart=policy)).settle().view())
    assert (op.policy, op.retries) == told


def test_an_ending_daemon_hands_over_nothing_that_was_stopped_held_or_is_never_restarted() -> None:
    toy = Toy(*(service(name, restart=ALWAYS) for name in "ab"), service("c", restart=NEVER)).settle()
    toy.override(OverrideKind.STOPPED, "a").override(OverrideKind.HELD, "b")
    assert handover(toy.view()) == ()
    toy.alter("a", engine_policy="always")
    assert [(op.service, op.policy) for op in handover(toy.view())] == [("a", "no")]


def test_an_ending_daemon_leaves_a_released_stack_and_unclear_containers_alone() -> None:
    toy = released()
    assert handover(toy.view()) == ()
    toy.overrides = ()
    for state in (ContainerState.UNKNOWN, ContainerState.REMOVING, ContainerState.DEAD):
        toy.alter("always", state=state)
        assert [op.service for op in handover(toy.view())] == ["limited", "unsaid"]


def told(toy: Toy) -> list[tuple[str, str]]:
    """Whom an ending daemon hands over, and to which policy."""
    return [(op.service, op.policy) for op in handover(toy.view())]


@pytest.mark.parametrize("held", ["", "no"])
def test_an_ending_daemon_does_not_tell_the_engine_what_it_does_already(held: str) -> None:
    toy = Toy(service("never", restart=NEVER), service("always", restart=ALWAYS)).settle()
    toy.alter("never", engine_policy=held), toy.alter("always", engine_policy="always")
    assert told(toy) == []


def test_an_ending_daemon_has_the_engine_restart_nothing_that_the_file_does_not_name() -> None:
    toy = Toy(service("web", restart=ALWAYS), service("debug", restart=ALWAYS)).settle()
    toy.alter("debug", engine_policy="always")
    toy.edit(service("web", restart=ALWAYS))
    assert told(toy) == [("web", "always"), ("debug", "no")]
    toy.alter("web", engine_policy="always")
    toy.desired = None
    assert told(toy) == [("web", "no"), ("debug", "no")]


def test_an_ending_daemon_leaves_other_hands_containers_and_what_it_has_not_seen_alone() -> None:
    toy = Toy(service("web", restart=ALWAYS)).settle()
    toy.alter("web", instance=InstanceName("other"))
    assert told(toy) == []
    assert handover(replace(toy.view(), observed=None)) == ()


@pytest.mark.parametrize("kind", [OverrideKind.STOPPED, OverrideKind.HELD, OverrideKind.PAUSED], ids=str)
@pytest.mark.parametrize("scope", ["web", None])
def test_an_ending_daemon_has_the_engine_leave_what_a_person_stopped_held_or_paused(
    kind: OverrideKind, scope: str | None
) -> None:
    toy = Toy(service("web", restart=ALWAYS)).settle()
    toy.alter("web", engine_policy="always")
    assert told(toy.override(kind, scope)) == [("web", "no")]


def test_an_ending_daemon_hands_over_in_spite_of_overrides_of_others_and_of_another_kind() -> None:
    toy = Toy(service("web", restart=ALWAYS), service("db", restart=NEVER)).settle()
    toy.override(OverrideKind.STOPPED, "db").override(OverrideKind.SCALED, "web", value=1)
    assert told(toy) == [("web", "always")]


def test_a_released_stack_gets_its_policy_back_in_spite_of_a_scale_by_hand() -> None:
    toy = released().override(OverrideKind.SCALED, "always", value=1).settle()
    assert toy.policies == {"always": "unless-stopped", "limited": "on-failure:3"}


def test_only_what_runs_on_of_a_removed_stack_and_was_not_made_by_stackd_gets_its_policy_back() -> None:
    toy = Toy(*(service(name, restart=ALWAYS) for name in ("ours", "adopted", "ended", "undefined"))).settle()
    for name in ("adopted", "ended", "undefined"):
        toy.alter(name, instance="", root="")
    toy.crash("ended")
    toy.edit(*(service(name, restart=ALWAYS) for name in ("ours", "adopted", "ended")))
    assert left_behind(toy.view()) == ()
    assert left_behind(replace(toy.view(), desired=None)) == ()
    assert toy.desired is not None
    toy.desired = replace(toy.desired, presence=Presence.REMOVED)
    assert [(op.service, op.policy) for op in left_behind(toy.view())] == [("adopted", "unless-stopped")]


def test_a_released_stack_leaves_what_its_file_does_not_name_and_what_it_has_not_seen() -> None:
    toy = released()
    toy.put(replace(toy.box("never"), id=ContainerId("e" * 64), service=ServiceName("else"), engine_policy="always"))
    assert {op.service for op in handed_back(toy.view())} == {"always", "limited"}
    assert handed_back(replace(toy.view(), observed=None)) == ()


@pytest.mark.parametrize("kind", [OverrideKind.HELD, OverrideKind.PAUSED], ids=str)
def test_a_hold_of_the_whole_stack_hands_nothing_back(kind: OverrideKind) -> None:
    toy = Toy(service("web", restart=ALWAYS)).settle().override(kind)
    assert toy.plan() == []
