"""Which container fills which place, and whether it still fits its definition.

A slot is one number of one service. Its `current` container is the one that fits; `others` are to go. Replacing is thus
no procedure but a consequence: no current -> create one; current there -> stop the others, start it, remove them.
A container is found unfit only for a cause that its user can name (architecture.md, "No cause, empty plan").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from stackd.core.desired import Target, Want
from stackd.core.losses import loss_of
from stackd.core.ownership import ours
from stackd.core.sharing import held_parents, parents, replaced_parent
from stackd.errors import EngineErrorKind
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ContainerState, ObservedContainer, ObservedStack
from stackd.model.override import Request, Verb
from stackd.model.plan import Reason, Why
from stackd.model.spec import BuildSpec, DependencyCondition, MountKind, Project, RestartCondition, ServiceSpec
from stackd.model.view import ServiceLedger, View
from stackd.translate.bind import known_hashes
from stackd.translate.names import temporary_name

ONCE_MORE = 2
"""So many starts must have been refused in a row before a container is given up: one may have met a busy engine."""
UNSTARTABLE = (
    "the engine can never start it again: its containerd holds a task of an earlier run"
    " (what it wrote outside its volumes is lost)"
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One number of one service. `others` come with the reason why each is to go.

    `held`: the current container does not fit, for this reason, and is kept all the same, because replacing it would
    lose what `loss` says.
    """

    service: ServiceName
    number: int
    current: ObservedContainer | None
    others: tuple[tuple[ObservedContainer, Reason], ...] = ()
    held: Reason | None = None
    loss: str = ""


Slots = Mapping[ServiceName, tuple[Slot, ...]]


def build_digest(build: BuildSpec) -> str:
    """The digest written on an image that we build: it tells an edit of `build:`, which Compose's hash leaves out."""
    args = sorted((key, value) for key, value in build.args.items())
    text = json.dumps([build.context, build.dockerfile, build.dockerfile_inline, args, build.target])
    return "v1:" + hashlib.sha256(text.encode()).hexdigest()


def assign(view: View, targets: tuple[Target, ...]) -> Slots:
    """Put every container of ours into its slot, parents (volumes_from, shared namespaces) before their children."""
    by_service: dict[ServiceName, list[ObservedContainer]] = {}
    for container in ours(view):
        by_service.setdefault(container.service, []).append(container)
    slots: dict[ServiceName, tuple[Slot, ...]] = {}
    for target in targets:
        slots[target.service] = _slots_of(view, target, by_service.get(target.service, []), slots)
    return slots


def _slots_of(view: View, target: Target, containers: list[ObservedContainer], done: Slots) -> tuple[Slot, ...]:
    numbers = {c.number for c in containers}
    if target.want is Want.RUN:
        numbers |= set(range(1, target.scale + 1))
    return tuple(
        _slot(view, target, number, [c for c in containers if c.number == number], done) for number in sorted(numbers)
    )


def _slot(view: View, target: Target, number: int, containers: list[ObservedContainer], done: Slots) -> Slot:
    if target.want is not Want.RUN or target.spec is None:
        best = max(containers, key=_rank, default=None)
        return Slot(target.service, number, best, tuple((c, target.reason) for c in containers if c is not best))
    if number > target.scale:
        surplus = Reason(Why.SURPLUS, f"{target.service} is scaled to {target.scale}")
        return Slot(target.service, number, None, tuple((c, surplus) for c in containers))
    verdicts = [(c, misfit(view, target.spec, c, done)) for c in containers]
    fitting = [c for c, why in verdicts if why is None]
    unfit = [(c, why) for c, why in verdicts if why is not None]
    names = {c.name for c in fitting}
    current = max(fitting, key=lambda c: (c.live, not _is_replaced(c, names), *_rank(c)), default=None)
    if current is None and (kept := _kept(view, target.spec, unfit)) is not None:
        container, why, loss = kept
        return Slot(target.service, number, container, tuple(v for v in unfit if v[0] is not container), why, loss)
    others = tuple(
        (c, why or Reason(Why.SURPLUS, f"a second container of {target.service} {number}"))
        for c, why in verdicts
        if c is not current
    )
    return Slot(target.service, number, current, others)


def _kept(
    view: View, spec: ServiceSpec, unfit: list[tuple[ObservedContainer, Reason]]
) -> tuple[ObservedContainer, Reason, str] | None:
    """The unfit container that is not replaced, because that would lose something: why it is unfit, what is lost."""
    losing = [(container, why, loss) for container, why in unfit if (loss := loss_of(view, spec, container))]
    return max(losing, key=lambda one: _rank(one[0]), default=None)


def _is_replaced(container: ObservedContainer, names: set[str]) -> bool:
    """Whether another one was made in its place: what made it unfit may not show once it has stopped."""
    return any(name.startswith(temporary_name(container.id, "")) for name in names)


def _rank(container: ObservedContainer) -> tuple[bool, bool, bool, float, str]:
    """Of several that fit, keep the one that runs, else has run, else bears its final name, else is the oldest."""
    return (
        container.live,
        container.started_at > 0,
        not container.replaces,
        -container.created_at,
        container.id,
    )


def misfit(view: View, spec: ServiceSpec, container: ObservedContainer, done: Slots) -> Reason | None:
    """Why a container does not fit its service's definition any more; None = it fits, or nothing proves otherwise."""
    seen, project = view.observed, view.project
    if seen is None or project is None:
        return None
    if container.state is ContainerState.DEAD:
        return Reason(Why.EXITED, "the engine could not remove it and calls it dead")
    return (
        _replaced_parent(view, spec, container, done)
        or _changed_config(view, spec, container, done)
        or _moved_network(spec, container, project, seen)
        or _lost_mount(spec, container, project)
        or _asked_image(view, spec, container, seen)
        or _unstartable(view, container)
    )


def _unstartable(view: View, container: ObservedContainer) -> Reason | None:
    """The engine has refused, and once more, to start it ever again: another one of the same definition can run.

    If that one is refused as well, it is only tried on: no kill of the engine explains it, nor would a third one help.
    """
    failure = view.failures.get(f"start:{container.id}")
    if failure is None or failure.kind is not EngineErrorKind.UNSTARTABLE or failure.count < ONCE_MORE:
        return None
    has_run = container.started_at > 0 or not container.replaces
    if container.live or not (has_run or container.created_at < view.host.engine_started_at):
        return None
    return Reason(Why.UNSTARTABLE, UNSTARTABLE)


def _changed_config(view: View, spec: ServiceSpec, container: ObservedContainer, done: Slots) -> Reason | None:
    if container.config_hash not in _hashes(view, spec, container, done):
        if view.pinned is not None:
            return Reason(Why.ROLLED_BACK, f"rollback to revision {view.pinned.number}")
        changes = view.changes.get(spec.name, ())
        detail = "; ".join(map(str, changes[:3])) or "its definition changed"
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        return Reason(Why.CONFIG_CHANGED, detail + more, changes)
    if container.content and spec.content and container.content != spec.content:
        return Reason(Why.CONTENT_CHANGED, "the contents of its configs or secrets changed")
    return None


def _hashes(view: View, spec: ServiceSpec, container: ObservedContainer, done: Slots) -> tuple[str, ...]:
    """The hashes by which its container is known: with a parent, the parent's id is part of what Compose hashes."""
    if not parents(spec):
        return spec.hashes
    if _is_finished(view, spec, container):
        return known_hashes(spec, held_parents(spec, container))
    ids = {parent: ids[0] for parent in parents(spec) if (ids := current_ids(done, parent))}
    return known_hashes(spec, ids)


def _moved_network(
    spec: ServiceSpec, container: ObservedContainer, project: Project, seen: ObservedStack
) -> Reason | None:
    """A container that is not on a network it should be on; only a network that exists proves anything.

    Before its first start the engine tells no ids. One that exited 0 is not looked at: a finished job stays finished.
    """
    if spec.network_mode or (container.ended and container.exit_code == 0):
        return None
    ids = {network.name: network.id for network in seen.networks}
    attached = set(container.networks.values())
    for place in spec.networks:
        network = project.networks.get(place.network)
        if network is None or network.name not in ids or ids[network.name] in attached:
            continue
        if container.running or container.networks.get(network.name) != "":
            return Reason(Why.NETWORK_CHANGED, f"it is not on network {network.name}")
    return None


def _lost_mount(spec: ServiceSpec, container: ObservedContainer, project: Project) -> Reason | None:
    held = {(mount.target, mount.source) for mount in container.mounts}
    for mount in spec.mounts:
        volume = project.volumes.get(mount.source) if mount.kind is MountKind.VOLUME and mount.source else None
        if volume is not None and (mount.target, volume.name) not in held:
            return Reason(Why.MOUNT_CHANGED, f"volume {volume.name} is not mounted at {mount.target}")
    return None


def _replaced_parent(view: View, spec: ServiceSpec, container: ObservedContainer, done: Slots) -> Reason | None:
    currents = {name: current_ids(done, name) for name in parents(spec)}
    parent = replaced_parent(spec, container, currents)
    if parent is None or _is_finished(view, spec, container):
        return None
    return Reason(Why.PARENT_REPLACED, f"{parent}, which it is made from, was replaced")


def asked(view: View, container: ObservedContainer) -> Request | None:
    """The request, if any, that wants another run than the one that this container has had."""
    for request in view.requests:
        kept = request.verb is Verb.UP and is_finished_job(view, container)
        if container.incarnation in request.targets and not kept:
            return request
    return None


def _is_finished(view: View, spec: ServiceSpec, container: ObservedContainer) -> bool:
    """A finished job stays finished: neither another image nor another parent runs it again. A person does."""
    return _has_finished(view, spec, container) and asked(view, container) is None


def _has_finished(view: View, spec: ServiceSpec, container: ObservedContainer) -> bool:
    """Whether it ran to its end, and well.

    One that we stopped, or that ended with the engine, has not finished, whatever it exited with: it is to run again,
    and would fit again and be started as it is.
    """
    condemned = view.condemned.get(container.id)
    if condemned is not None and condemned.started_at == container.started_at:
        return False
    known = view.ledger.services.get(spec.name, ServiceLedger())
    with_engine = view.host.engine_started_at > container.started_at and container.incarnation not in known.completed
    if with_engine and spec.restart.condition is not RestartCondition.NO:
        return False
    good = container.exit_code == 0 or container.exit_code in spec.restart.success_exit_codes
    return container.ended and good and spec.restart.condition is not RestartCondition.ALWAYS


def _other_image(view: View, spec: ServiceSpec, container: ObservedContainer) -> Reason | None:
    """A pinned revision names the very image; what has finished under it stays finished."""
    pin = view.pinned
    wanted = pin.images.get(spec.name) if pin is not None else None
    if pin is None or not wanted or container.image_id in ("", wanted) or _is_finished(view, spec, container):
        return None
    return Reason(Why.ROLLED_BACK, f"rollback to revision {pin.number}")


def _asked_image(view: View, spec: ServiceSpec, container: ObservedContainer, seen: ObservedStack) -> Reason | None:
    """A moved tag alone is no cause: somebody asked (up, pull, build), or we built it anew for an edit of `build:`."""
    image = seen.images.get(spec.image)
    if view.pinned is not None:
        return _other_image(view, spec, container)
    if image is None or not container.image_id or image.id == container.image_id:
        return None
    if spec.build is not None and image.build and image.build == build_digest(spec.build):
        return Reason(Why.IMAGE_CHANGED, f"image {spec.image} was built anew")
    for request in view.requests:
        if request.services and spec.name not in request.services:
            continue
        fetched = (request.id, spec.name) in view.fetched
        wanted = request.verb is Verb.UP or (request.verb in (Verb.PULL, Verb.BUILD) and fetched)
        if wanted and not _stays_finished(view, spec, container, request.verb):
            return Reason(Why.IMAGE_CHANGED, f"{request.verb} was asked for, and image {spec.image} is another one now")
    return None


def _stays_finished(view: View, spec: ServiceSpec, container: ObservedContainer, verb: Verb) -> bool:
    """A moved tag runs no finished job again; an `up` only what nobody waits for, a build what was built for it."""
    if not _is_finished(view, spec, container):
        return False
    return verb is Verb.PULL or (verb is Verb.UP and spec.name in one_shots(view))


def one_shots(view: View) -> frozenset[ServiceName]:
    """The services that others wait for to complete: `up` does not run a finished one again (compose#11808)."""
    specs = view.project.services.values() if view.project is not None else ()
    waits = (dependency for spec in specs for dependency in spec.depends_on)
    return frozenset(one.service for one in waits if one.condition is DependencyCondition.COMPLETED)


def is_finished_job(view: View, container: ObservedContainer) -> bool:
    """Whether it is a job that others wait for, and is done."""
    spec = view.project.services.get(container.service) if view.project is not None else None
    return spec is not None and spec.name in one_shots(view) and _has_finished(view, spec, container)


def current_ids(slots: Slots, service: ServiceName) -> tuple[ContainerId, ...]:
    """The ids of a service's fitting containers, by number."""
    return tuple(slot.current.id for slot in slots.get(service, ()) if slot.current is not None)
