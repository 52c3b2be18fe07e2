"""Replacing a container: from every state in between, with an edit undone, and for which causes only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackd.core.decide import decide
from stackd.core.slots import build_digest
from stackd.errors import EngineErrorKind
from stackd.model.ids import ContainerId, ImageId, InstanceName, NetworkId, ServiceName
from stackd.model.observed import ContainerState, ObservedImage
from stackd.model.override import Verb
from stackd.model.plan import BlockerKind, FieldChange, StopContainer, Why
from stackd.model.spec import BuildSpec, MountKind, MountSpec, PullPolicy, VolumesFrom, VolumeSpec
from stackd.model.view import ServiceState
from tests.unit.core.dsl import HEALTHY, Toy, needs, reasons, service, words

OLD, NEW = service("web"), service("web", version="2")
SEQUENCE = ["create web 1", "stop web", "start web", "remove web", "rename web"]


def edited() -> Toy:
    """A running web, and an edit of it."""
    return Toy(OLD).settle().edit(NEW)


def test_a_replacement_is_created_before_the_old_one_stops_and_takes_over_its_name() -> None:
    toy = edited()
    assert toy.plan() == SEQUENCE
    old = toy.box("web")
    assert [toy.turn() for _ in range(6)] == [[one] for one in SEQUENCE] + [[]]
    new = toy.box("web")
    assert (new.name, new.running) == ("app-web-1", True)
    assert new.id != old.id


def test_the_replacement_bears_a_temporary_name_while_the_old_one_holds_the_final() -> None:
    toy = edited()
    old = toy.box("web")
    toy.turn()
    (new,) = [c for c in toy.boxes.values() if c.id != old.id]
    assert new.name == f"{old.id[:12]}_app-web-1"
    assert new.replaces == old.id


@pytest.mark.parametrize("done", range(len(SEQUENCE) + 1))
def test_a_daemon_killed_after_any_step_goes_on_where_it_stopped(done: int) -> None:
    toy = edited()
    for _ in range(done):
        toy.turn()
    toy.forget()
    assert [one for turn in iter(toy.turn, []) for one in turn] == SEQUENCE[done:]
    assert (toy.box("web").running, toy.box("web").config_hash) == (True, "web@2")


@pytest.mark.parametrize("done", range(len(SEQUENCE) + 1))
def test_an_edit_undone_after_any_step_ends_with_one_container_of_the_old_definition(done: int) -> None:
    toy = edited()
    for _ in range(done):
        toy.turn()
    toy.edit(OLD).settle()
    box = toy.box("web")
    assert (box.running, box.config_hash, box.name) == (True, "web@1", "app-web-1")
    assert toy.plan() == []


def test_an_edit_undone_before_the_stop_stops_nothing() -> None:
    toy = edited()
    before = toy.box("web")
    toy.turn()
    toy.edit(OLD).settle()
    assert toy.box("web") == before


@pytest.mark.parametrize("done", range(len(SEQUENCE) + 1))
def test_another_edit_after_any_step_ends_with_one_container_of_the_newest(done: int) -> None:
    toy = edited()
    for _ in range(done):
        toy.turn()
    toy.edit(service("web", version="3")).settle()
    assert (toy.box("web").running, toy.box("web").config_hash, toy.box("web").name) == (True, "web@3", "app-web-1")


def test_an_edit_replaces_only_its_own_service() -> None:
    toy = Toy(service("db"), service("web", needs("db"))).settle()
    db = toy.box("db")
    toy.edit(service("db"), service("web", needs("db"), version="2")).settle()
    assert toy.box("db") == db
    assert toy.box("web").config_hash == "web@2"


def test_the_reason_names_the_edited_fields() -> None:
    toy = edited()
    changes = tuple(FieldChange(f"environment.V{n}", "1", "2") for n in range(5))
    view = replace(toy.view(), changes={NEW.name: changes})
    reason = decide(view, toy.now).plan.steps[0].op.reason
    assert reason.why is Why.CONFIG_CHANGED
    assert str(reason) == ("environment.V0: 1 -> 2; environment.V1: 1 -> 2; environment.V2: 1 -> 2 and 2 more")


def test_an_old_one_that_has_ended_is_kept_until_its_replacement_runs() -> None:
    toy = edited()
    toy.crash("web")
    assert [toy.turn() for _ in range(4)] == [["create web 1"], ["start web"], ["remove web"], ["rename web"]]


def test_each_part_of_a_build_definition_counts() -> None:
    plain = BuildSpec("/ctx")
    edits = (
        BuildSpec("/other"),
        replace(plain, dockerfile="Other"),
        replace(plain, dockerfile_inline="FROM scratch"),
        replace(plain, args={"A": "1"}),
        replace(plain, args={"A": None}),
        replace(plain, target="final"),
    )
    assert len({build_digest(one) for one in (plain, *edits)}) == len(edits) + 1


def test_the_old_one_runs_on_while_the_new_ones_image_is_pulled() -> None:
    toy = Toy(OLD).settle()
    toy.edit(service("web", version="2", image="web:2"))
    toy.images["web:2"] = None
    assert toy.frontier() == ["pull web:2"]
    assert toy.box("web").running
    toy.settle()
    assert toy.box("web").image == "web:2"


def test_the_old_one_runs_on_while_its_replacement_cannot_be_created() -> None:
    toy = edited().fail("create:web:1", "web", EngineErrorKind.BAD_REQUEST, fingerprint="web@2")
    toy.settle(patience=3600)
    assert (toy.box("web").running, toy.box("web").config_hash) == (True, "web@1")
    assert toy.verdict("web").state is ServiceState.BLOCKED


def test_the_old_one_runs_on_while_the_replacements_dependencies_are_not_met() -> None:
    toy = Toy(service("db"), OLD).settle().edit(service("db"), service("web", needs("db", HEALTHY), version="2"))
    toy.settle()
    assert [c.config_hash for c in toy.boxes.values() if c.service == "web" and c.running] == ["web@1"]


def test_a_paused_container_is_not_replaced_before_it_is_unpaused() -> None:
    toy = edited()
    toy.alter("web", state=ContainerState.PAUSED)
    assert toy.frontier() == []
    assert toy.verdict("web").state is ServiceState.PAUSED
    toy.alter("web", state=ContainerState.RUNNING)
    assert toy.frontier() == ["create web 1"]


def test_a_known_dialect_of_the_hash_is_no_change() -> None:
    toy = Toy(OLD).settle().edit(replace(OLD, hashes=("another", "web@1")))
    assert toy.plan() == []


def test_changed_contents_of_secrets_are_a_change_and_unknown_ones_are_not() -> None:
    toy = Toy(service("web", content="v1:a")).settle()
    toy.edit(service("web", content="v1:b"))
    assert toy.step(StopContainer).op.reason.why is Why.CONTENT_CHANGED
    toy.alter("web", content="")
    assert toy.plan() == []


def test_a_container_off_its_network_is_replaced() -> None:
    toy = Toy(OLD).settle()
    toy.alter("web", networks={"app_default": NetworkId("gone")})
    assert "it is not on network app_default" in reasons(toy)
    toy.settle()
    assert toy.box("web").networks == {"app_default": toy.networks["app_default"].id}


def test_a_container_without_its_volume_is_replaced() -> None:
    spec = service("db", mounts=(MountSpec(MountKind.VOLUME, "/data", "pg"),))
    toy = Toy(spec, volumes=(VolumeSpec("pg", "app_pg"),)).settle()
    assert toy.plan() == []
    toy.alter("db", mounts=())
    assert toy.step(StopContainer).op.reason.why is Why.MOUNT_CHANGED


def test_a_moved_tag_is_no_step() -> None:
    toy = Toy(OLD).settle()
    toy.images["web:1"] = ObservedImage("web:1", ImageId("sha256:new"))
    assert toy.plan() == []


def test_a_moved_tag_is_not_applied_by_a_start_or_restart() -> None:
    for verb in (Verb.START, Verb.RESTART, Verb.PULL):
        toy = Toy(OLD).settle()
        before = toy.box("web").image_id
        toy.images["web:1"] = ObservedImage("web:1", ImageId("sha256:new"))
        toy.ask(verb)
        assert "create web 1" not in toy.plan()
        assert toy.box("web").image_id == before


def test_a_moved_tag_is_applied_by_up() -> None:
    toy = Toy(OLD).settle()
    toy.images["web:1"] = ObservedImage("web:1", ImageId("sha256:new"))
    toy.ask(Verb.UP).settle()
    assert toy.box("web").image_id == "sha256:new"
    assert toy.requests == ()


def test_a_pull_request_fetches_once_and_replaces_only_for_another_image() -> None:
    toy = Toy(OLD).settle()
    toy.ask(Verb.PULL).settle()
    assert [words(op) for op in toy.done].count("pull web:1") == 1
    assert toy.requests == ()
    before = toy.box("web")
    toy.images["web:1"] = ObservedImage("web:1", before.image_id)
    assert toy.plan() == []


def test_up_pulls_anew_only_where_the_policy_says_always() -> None:
    toy = Toy(OLD, service("always", pull_policy=PullPolicy.ALWAYS)).settle()
    toy.done.clear()
    toy.ask(Verb.UP).settle()
    assert [words(op) for op in toy.done if words(op).startswith("pull")] == ["pull always:1"]
    assert toy.requests == ()


def test_a_child_of_a_replaced_parent_is_replaced_too() -> None:
    child = service("child", needs("data", implicit=True), volumes_from=(VolumesFrom(ServiceName("data")),))
    toy = Toy(service("data"), child).settle()
    toy.edit(service("data", version="2"), child).settle()
    assert toy.box("child").volumes_from == (toy.box("data").id,)
    assert toy.plan() == []


def test_a_child_in_a_parents_network_namespace_is_recreated_with_it() -> None:
    child = service("child", needs("vpn", implicit=True), network_mode="service:vpn", networks=())
    toy = Toy(service("vpn"), child).settle()
    toy.edit(service("vpn", version="2"), child).settle()
    assert toy.box("child").network_mode == f"container:{toy.box('vpn').id}"
    assert toy.plan() == []


def test_a_second_container_of_one_number_is_removed_and_the_running_one_stays() -> None:
    toy = Toy(OLD).settle()
    box = toy.box("web")
    toy.put(replace(box, id=ContainerId("f" * 64), name="copy", state=ContainerState.CREATED, started_at=0.0))
    toy.settle()
    assert toy.box("web") == box


def test_of_two_running_ones_of_a_number_one_is_stopped() -> None:
    toy = Toy(OLD).settle()
    box = toy.box("web")
    toy.put(replace(box, id=ContainerId("f" * 64), name="copy"))
    toy.settle()
    assert toy.box("web").running


def test_a_start_waits_for_the_stop_of_the_old_one() -> None:
    toy = edited()
    toy.turn()
    steps = {words(s.op): s for s in toy.decide().plan.steps}
    assert steps["start web"].blocked_by[0].kind is BlockerKind.STEP
    assert steps["stop web"].blocked_by == ()


def test_a_dead_container_is_replaced() -> None:
    toy = Toy(OLD).settle()
    toy.alter("web", state=ContainerState.DEAD)
    toy.settle()
    assert toy.box("web").running


def test_a_name_that_another_hands_container_has_is_waited_for_and_said() -> None:
    toy = Toy(service("web"))
    ours = Toy(service("web")).settle().box("web")
    rival = replace(ours, id=ContainerId("f" * 64), instance=InstanceName("other"))
    toy.put(rival)
    toy.settle()
    assert set(toy.boxes) == {rival.id}
    verdict = toy.verdict("web")
    assert (verdict.state, "app-web-1" in verdict.detail) == (ServiceState.BLOCKED, True)
    del toy.boxes[rival.id]
    assert toy.frontier() == ["create web 1"]


def test_a_container_bears_the_name_that_its_file_gives_it() -> None:
    assert Toy(service("web", container_name="site")).settle().box("web").name == "site"


def test_a_container_without_a_restart_policy_of_the_engines_is_not_told_to_have_none() -> None:
    toy = Toy(OLD).settle()
    for policy in ("", "no"):
        toy.alter("web", engine_policy=policy)
        assert toy.plan() == []


@pytest.mark.parametrize("config_hash", ["web@1", "else"])
def test_what_another_hand_has_just_made_is_left_to_it_for_half_a_minute(config_hash: str) -> None:
    toy = Toy(OLD).settle()
    toy.alter("web", state=ContainerState.CREATED, created_at=toy.now.wall, started_at=0.0, instance="")
    toy.alter("web", config_hash=config_hash)
    assert toy.frontier() == []
    assert toy.decide().wake_at == pytest.approx(toy.mono + 30)
    assert toy.wait(29).frontier() == []
    assert toy.wait(1.01).frontier() == (["start web"] if config_hash == "web@1" else ["create web 1"])


def test_a_clock_that_is_ahead_does_not_lengthen_the_time_that_another_hand_has() -> None:
    toy = Toy(OLD).settle()
    toy.alter("web", state=ContainerState.CREATED, created_at=toy.now.wall + 500, started_at=0.0, instance="")
    assert toy.decide().wake_at == pytest.approx(toy.mono + 30)


def test_an_old_container_that_is_paused_once_its_replacement_is_there_is_not_stopped() -> None:
    toy = edited()
    old = toy.box("web")
    assert toy.turn() == ["create web 1"]
    toy.put(replace(old, state=ContainerState.PAUSED))
    assert toy.frontier() == []
    assert [one.kind for one in toy.step(StopContainer).blocked_by] == [BlockerKind.PAUSED]
