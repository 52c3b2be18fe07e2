"""The decision: from a view of one stack to its plan, its memory, and when to look again.

Law: a fixpoint. The same view with the new ledger gives the same ledger and the same plan. Not yet seen is not empty
and not yet loaded is not absent: then nothing is planned.
"""

from __future__ import annotations

from collections.abc import Iterator

from stackd.core.desired import wanted
from stackd.core.ends import remember, stable_wake
from stackd.core.plan import make_plan
from stackd.core.rivals import holds, remembered, warnings
from stackd.core.slots import assign, is_finished_job
from stackd.core.verdicts import judge
from stackd.core.world import World
from stackd.model.observed import ContainerState, ObservedContainer
from stackd.model.override import Request, Verb
from stackd.model.plan import BlockerKind, Plan, Step, service_of
from stackd.model.view import Decision, Now, View

MEANS_THE_FILE = (Verb.UP, Verb.PULL, Verb.BUILD, Verb.RECONCILE, Verb.ROLLBACK)
"""Verbs that are not done while a replacement is held back; the others have nothing to do with it."""


def decide(view: View, now: Now) -> Decision:
    """What to do for a stack now. Pure; never raises for anything that a user or an engine can bring about."""
    if view.observed is None or not view.host.sources_loaded:
        return Decision(Plan(), view.ledger)
    world = make_world(view, now)
    plan = make_plan(world)
    return Decision(
        plan=plan,
        ledger=world.ledger,
        wake_at=min(_wakes(world, plan), default=None),
        verdicts=judge(world, plan),
        done=frozenset(r.id for r in view.requests if _is_done(world, plan, r)),
        released=world.wanted.released,
        holds=holds(world),
        diagnostics=warnings(world),
    )


def make_world(view: View, now: Now) -> World:
    """Put a view's facts into relation. The view must have been observed."""
    assert view.observed is not None
    want = wanted(view, now)
    slots = assign(view, want.targets)
    ledger = remembered(view, want.targets, slots, remember(view, want.targets, slots, now), now)
    project = view.project
    targets = {target.service: target for target in want.targets}
    return World(view, now, view.observed, project, want, slots, ledger, targets)


def _wakes(world: World, plan: Plan) -> Iterator[float]:
    """Every instant (monotonic) at which time alone may change the decision."""
    now = world.now
    for step in plan.steps:
        yield from (b.until for b in step.blocked_by if b.until is not None and b.until > now.mono)
    for override in world.view.overrides:
        if override.until is not None and override.until > now.wall:
            yield now.mono + override.until - now.wall
    for target in world.wanted.targets:
        if target.spec is not None:
            due = stable_wake(world.ledger_of(target.service), target.spec.restart, now)
            if due is not None:
                yield due


def _is_done(world: World, plan: Plan, request: Request) -> bool:
    """A request is a level: done when nothing is left to do in its scope and no run it wanted ended goes on."""
    if world.view.desired is None:
        return False
    if any(c.incarnation in request.targets and _unserved(world, request, c) for c in world.seen.containers):
        return False
    scope = set(request.services)
    todo = (step.op for step in plan.steps if request.verb in MEANS_THE_FILE or not is_held_back(step))
    left = {service_of(op) for op in (*todo, *world.view.running)}
    if left if not scope else left & scope:
        return False
    return is_seen_since(world.view, request)


def is_held_back(step: Step) -> bool:
    """Whether a step waits for somebody to accept what it would lose."""
    return any(blocker.kind is BlockerKind.LOSS for blocker in step.blocked_by)


def is_seen_since(view: View, request: Request) -> bool:
    """Whether what is seen was asked for after the request, and after all that was done in its scope since."""
    scope = set(request.services)
    answered = [at for name, at in view.answered.items() if not scope or name in scope]
    seen = view.observed
    return seen is not None and all(seen.sent_at >= at for at in (*answered, view.host.contact_at))


def _unserved(world: World, request: Request, container: ObservedContainer) -> bool:
    match request.verb:
        case Verb.RESTART:
            return True
        case Verb.START | Verb.RESUME:
            return container.ended or container.state is ContainerState.PAUSED
        case Verb.UP:
            paused = container.state is ContainerState.PAUSED
            return paused or (container.ended and not is_finished_job(world.view, container))
        case _:
            return False
