"""One operation = one engine call: the only place where a plan becomes an effect.

Law: nothing is decided here; symbols are bound to what the view shows, the call is made, its error is passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from stackd.core.desired import wanted
from stackd.core.sharing import made_from
from stackd.core.slots import assign, build_digest
from stackd.engine.base import CreateRequest, Engine, Progress
from stackd.errors import EngineError, EngineErrorKind
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ObservedContainer
from stackd.model.plan import (
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    Op,
    PullImage,
    RemoveContainer,
    RemoveNetwork,
    RenameContainer,
    StartContainer,
    StopContainer,
    UpdateRestartPolicy,
)
from stackd.model.spec import MountKind, Project, ServiceSpec
from stackd.model.view import Now, View
from stackd.translate import labels as label
from stackd.translate.bind import Bindings, create_body, network_body, volume_body


@dataclass(frozen=True, slots=True)
class Keyed:
    """By what an operation's failures are counted: `key` names the call, `fingerprint` what it was tried with."""

    key: str
    fingerprint: str = ""


def keyed(op: Op) -> Keyed:
    """The key under which the gates look for an operation's failures."""
    match op:
        case CreateContainer():
            return Keyed(f"create:{op.service}:{op.number}", op.spec.config_hash)
        case StartContainer():
            return Keyed(f"start:{op.container}")
        case StopContainer():
            return Keyed(f"stop:{op.container}")
        case RemoveContainer():
            return Keyed(f"remove:{op.container}")
        case RenameContainer():
            return Keyed(f"rename:{op.container}", op.name)
        case PullImage():
            return Keyed(f"pull:{op.ref}", op.ref)
        case BuildImage():
            return Keyed(f"build:{op.ref}", build_digest(op.build))
        case CreateNetwork():
            return Keyed(f"network:{op.name}")
        case RemoveNetwork():
            return Keyed(f"rmnet:{op.network}")
        case CreateVolume():
            return Keyed(f"volume:{op.name}")
        case UpdateRestartPolicy():
            return Keyed(f"update:{op.container}")
        case _:
            assert_never(op)


async def perform(
    engine: Engine, view: View, op: Op, now: Now, progress: Callable[[Progress], None]
) -> ContainerId | None:
    """Make the engine call of an operation; the container that it made, if so.

    Raises EngineError; `conflict` when the definition is gone meanwhile.
    """
    match op:
        case CreateContainer():
            return await engine.create_container(create_request(view, op, now))
        case StartContainer():
            await engine.start_container(op.container)
        case StopContainer():
            await engine.stop_container(op.container, op.grace)
        case RemoveContainer():
            await engine.remove_container(op.container, volumes=op.volumes)
        case RenameContainer():
            await engine.rename_container(op.container, op.name)
        case PullImage():
            await engine.pull_image(op.ref, op.platform, progress)
        case BuildImage():
            await engine.build_image(op.build, op.ref, build_labels(view, op), progress)
        case CreateNetwork():
            project = _project(view)
            await engine.create_network(network_body(op.spec, project, view.host.instance, _root(view)))
        case RemoveNetwork():
            await engine.remove_network(op.network)
        case CreateVolume():
            project = _project(view)
            await engine.create_volume(volume_body(op.spec, project, view.host.instance, _root(view)))
        case UpdateRestartPolicy():
            await engine.update_restart_policy(op.container, op.policy, op.retries)
        case _:
            assert_never(op)
    return None


def build_labels(view: View, op: BuildImage) -> dict[str, str]:
    """What an image that we build carries: Compose's labels, and the digest of its build definition."""
    return {
        **op.build.labels,
        label.PROJECT: view.stack,
        label.SERVICE: op.service,
        label.BUILD: build_digest(op.build),
    }


def create_request(view: View, op: CreateContainer, now: Now) -> CreateRequest:
    """The create request of an operation, its symbols bound to what the view shows."""
    project = _project(view)
    seen = view.observed
    assert seen is not None
    pinned = view.pinned.images.get(op.service, "") if view.pinned is not None else ""
    image = seen.images.get(pinned or op.spec.image)
    if image is None:
        raise EngineError(EngineErrorKind.CONFLICT, f"image {op.spec.image} is not there any more")
    ids = {network.name: network.id for network in seen.networks}
    places = {place.network: project.networks[place.network].name for place in op.spec.networks}
    bindings = Bindings(
        name=op.name,
        instance=view.host.instance,
        root=_root(view),
        image_id=image.id,
        networks={key: ids[name] for key, name in places.items() if name in ids},
        parents=_parents(view, op.spec, now),
        inherited=_inherited(op.spec, _replaced(view, op), image.volumes),
        replaces=op.replaces,
    )
    spec = replace(op.spec, image=pinned) if pinned else op.spec
    made = create_body(spec, project, op.number, bindings, view.host.api_version)
    return CreateRequest(made.name, made.body, made.platform, made.connects)


def _project(view: View) -> Project:
    project = view.project
    if project is None:
        raise EngineError(EngineErrorKind.CONFLICT, "the definition is gone")
    return project


def _root(view: View) -> str:
    """The stacks directory that the stack's entry stands in."""
    return str(view.desired.root) if view.desired and view.desired.root else ""


def _parents(view: View, spec: ServiceSpec, now: Now) -> dict[ServiceName, tuple[tuple[ContainerId, str], ...]]:
    slots = assign(view, wanted(view, now).targets)
    found = {}
    for parent in made_from(spec):
        currents = [slot.current for slot in slots.get(parent, ()) if slot.current is not None]
        if not currents:  # replaced meanwhile: not a body that the engine would refuse for good
            raise EngineError(EngineErrorKind.CONFLICT, f"{parent}'s container is not there any more")
        found[parent] = tuple((container.id, container.name) for container in currents)
    return found


def _replaced(view: View, op: CreateContainer) -> ObservedContainer | None:
    assert view.observed is not None
    return next((one for one in view.observed.containers if one.id == op.replaces), None)


def _inherited(spec: ServiceSpec, old: ObservedContainer | None, image_volumes: tuple[str, ...]) -> dict[str, str]:
    """The anonymous volumes that a replacement takes over: those of the image, and those given by target only."""
    if old is None:
        return {}
    named = {mount.target for mount in spec.mounts if mount.source or mount.kind is not MountKind.VOLUME}
    anonymous = {mount.target for mount in spec.mounts} - named
    wanted_targets = (anonymous | set(image_volumes)) - named
    return {
        mount.target: mount.source for mount in old.mounts if mount.kind == "volume" and mount.target in wanted_targets
    }
