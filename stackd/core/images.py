"""Which images must be fetched or built, and what a create waits for because of it.

A moved tag is never a cause by itself: an image is fetched because it is missing, because somebody asked, or because
the file's pull_policy asks at the creation of a container.
"""

from __future__ import annotations

from stackd.core.desired import Target
from stackd.core.gates import Blockers, failure_gate
from stackd.core.slots import build_digest
from stackd.core.world import World
from stackd.model.ids import OperationId
from stackd.model.override import Verb
from stackd.model.plan import Blocker, BlockerKind, BuildImage, PullImage, Reason, Step, Why
from stackd.model.spec import PullPolicy, ServiceSpec
from stackd.model.view import Pin


def image_steps(world: World, target: Target, claimed: dict[str, str]) -> tuple[list[Step], Blockers]:
    """Steps for a service's image and what its create waits for; `claimed`: image -> service that fetches it."""
    assert target.spec is not None
    spec = target.spec
    pin = world.view.pinned
    if pin is not None and spec.name in pin.images:
        return [], _pinned(world, spec, pin)
    if spec.image not in world.seen.images:
        return [], (Blocker(BlockerKind.OBSERVATION, f"looking for image {spec.image}"),)
    step = _fetch(world, spec, creating=_creates(world, target))
    if step is None:
        return [], ()
    waits = (Blocker(BlockerKind.STEP, f"waiting for image {spec.image}"),)
    if spec.image in claimed:
        text = f"{claimed[spec.image]} fetches image {spec.image}"
        return [Step(step.op, (*step.blocked_by, Blocker(BlockerKind.STEP, text)))], waits
    claimed[spec.image] = spec.name
    return [step], waits if _blocks_create(world, spec) else ()


def _pinned(world: World, spec: ServiceSpec, pin: Pin) -> Blockers:
    """An earlier revision ran this very image: no tag is asked for, and no other one is good enough."""
    image = pin.images[spec.name]
    if image not in world.seen.images:
        return (Blocker(BlockerKind.OBSERVATION, f"looking for image {image}"),)
    if world.seen.images[image] is not None:
        return ()
    text = f"image {spec.image} ({image}) of revision {pin.number} is not on this machine"
    return (Blocker(BlockerKind.FINAL, text),)


def _creates(world: World, target: Target) -> bool:
    return any(slot.current is None and slot.number <= target.scale for slot in world.slots_of(target.service))


def _blocks_create(world: World, spec: ServiceSpec) -> bool:
    """A container is made from the image that is there, unless a fresh one is on its way for its sake."""
    return world.seen.images.get(spec.image) is None or spec.pull_policy is PullPolicy.ALWAYS or spec.build is not None


def _fetch(world: World, spec: ServiceSpec, *, creating: bool) -> Step | None:
    present = world.seen.images.get(spec.image)
    if spec.build is not None and present is not None and present.build not in ("", build_digest(spec.build)):
        return _build(world, spec, None, Reason(Why.CONFIG_CHANGED, "its build definition changed"))
    asked = _asked(world, spec)
    if asked is not None:
        why = Reason(Why.REQUESTED, f"{'build' if spec.build else 'pull'} asked for")
        return _build(world, spec, asked, why) if spec.build is not None else _pull(world, spec, asked, why)
    if not creating:
        return None
    if present is None:
        return _missing(world, spec)
    if spec.pull_policy is PullPolicy.ALWAYS and spec.build is None:
        once = OperationId(f"always:{spec.config_hash}")
        if (once, spec.name) not in world.view.fetched:
            return _pull(world, spec, once, Reason(Why.NEEDED, "pull_policy is always"))
    return None


def _asked(world: World, spec: ServiceSpec) -> OperationId | None:
    """The oldest request for a fresh image that has not been served yet."""
    for request in world.view.requests:
        if request.services and spec.name not in request.services:
            continue
        wants = (
            (request.verb is Verb.PULL and spec.build is None)
            or (request.verb is Verb.BUILD and spec.build is not None)
            or (request.verb is Verb.UP and spec.build is None and spec.pull_policy is PullPolicy.ALWAYS)
        )
        if wants and (request.id, spec.name) not in world.view.fetched:
            return request.id
    return None


def _missing(world: World, spec: ServiceSpec) -> Step:
    why = Reason(Why.MISSING, f"image {spec.image} is not there")
    if spec.build is not None:
        return _build(world, spec, None, why)
    step = _pull(world, spec, None, why)
    if spec.pull_policy is PullPolicy.NEVER:
        text = f"image {spec.image} is not there, and pull_policy is never"
        return Step(step.op, (Blocker(BlockerKind.FINAL, text),))
    return step


def _pull(world: World, spec: ServiceSpec, request: OperationId | None, why: Reason) -> Step:
    gates = failure_gate(world, f"pull:{spec.image}", spec.image)
    return Step(PullImage(spec.name, spec.image, spec.platform, request, why), gates)


def _build(world: World, spec: ServiceSpec, request: OperationId | None, why: Reason) -> Step:
    assert spec.build is not None
    gates = failure_gate(world, f"build:{spec.image}", build_digest(spec.build))
    return Step(BuildImage(spec.name, spec.image, spec.build, request, why), gates)
