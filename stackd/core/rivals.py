"""Two controllers: another hand that puts its own container in the place of ours, again and again.

Law: three times in ten minutes is a fight, and stackd does not fight: it holds the service and says so. In doubt
nothing is counted: only a container that we did not make, that does not fit the definition, and that came after one
that we knew and that is gone. An edit or a request starts the count anew. What this module does not do: put the hold
in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stackd.core.desired import Target, Want
from stackd.core.slots import Slots
from stackd.core.world import World
from stackd.errors import Diagnostic, Severity, Span
from stackd.model.observed import ObservedContainer
from stackd.model.override import Override, OverrideKind
from stackd.model.view import Ledger, Now, ServiceLedger, View

TIMES = 3
WINDOW = 600.0
BY = "stackd"
"""The `by` of a hold that stackd itself asks for."""
_CODE = "two-controllers"
_TEXT = f"another controller replaces it: {TIMES} times in {WINDOW / 60:.0f} minutes"


def remembered(view: View, targets: Iterable[Target], slots: Slots, ledger: Ledger, now: Now) -> Ledger:
    """The ledger with every replacement by another hand that this view shows; `view.ledger` is what was known before.

    Idempotent: what is counted once is known from then on.
    """
    services = dict(ledger.services)
    for target in targets:
        before, after = (one.services.get(target.service, ServiceLedger()) for one in (view.ledger, ledger))
        if before.fingerprint != after.fingerprint or before.forgiven != after.forgiven:
            before = replace(before, usurped=())
        recent = tuple((one, at) for one, at in before.usurped if now.mono - at < WINDOW)
        if target.want is Want.RUN:
            recent += tuple((one.id, now.mono) for one in _intruders(view, target, slots, before))
        if recent != after.usurped:
            services[target.service] = replace(after, usurped=recent[-TIMES:])
    return Ledger(services)


def _intruders(view: View, target: Target, slots: Slots, known: ServiceLedger) -> Iterator[ObservedContainer]:
    """Unfit containers of the first number, made by another hand after the last one that we knew, which is gone."""
    first = next((slot for slot in slots.get(target.service, ()) if slot.number == 1), None)
    counted = {one for one, _ in known.usurped}
    since = _last_known(view, known)
    if first is None or since is None:
        return
    for container, _ in first.others:
        ours = container.instance or container.id in view.created or container.id in counted
        if not ours and container.created_at > since:
            yield container


def _last_known(view: View, known: ServiceLedger) -> float | None:
    """When the newest run that we knew began (wall clock), if its container is gone; None = not gone, or none known."""
    present = {one.id for one in view.observed.containers} if view.observed is not None else set()
    runs = [run for run in (known.stable, known.sick, *(death.run for death in known.deaths[-1:])) if run is not None]
    if not runs and any(one not in present for one, _ in known.usurped[-1:]):
        return 0.0
    gone = [run.started_at for run in runs if run.container not in present]
    return max(gone) if gone and len(gone) == len(runs) else None


def holds(world: World) -> tuple[Override, ...]:
    """The holds that a fight asks for: none for what is held or stopped already."""
    found = []
    for target in world.wanted.targets:
        if target.want is Want.RUN and target.spec is not None and _fought_over(world, target):
            found.append(
                Override(
                    world.view.stack, target.service, OverrideKind.HELD, _TEXT, BY, world.now.wall,
                    definition=target.spec.config_hash,
                )
            )  # fmt: skip
    return tuple(found)


def warnings(world: World) -> tuple[Diagnostic, ...]:
    """What to say while such a hold stands, or is asked for."""
    found = []
    for target in world.wanted.targets:
        held = target.override is not None and target.override.by == BY and target.override.reason == _TEXT
        fought = target.want is Want.RUN and _fought_over(world, target)
        if held or fought:
            message = f'"{target.service}": {_TEXT}; stackd holds it. Stop the other one, then start the service'
            place = target.spec.span if target.spec is not None else None
            found.append(
                Diagnostic(_CODE, message, place or Span(_file(world)), Severity.WARNING, f"services.{target.service}")
            )
    return tuple(found)


def _file(world: World) -> str:
    return str(world.project.config_files[0]) if world.project is not None else str(world.view.stack)


def _fought_over(world: World, target: Target) -> bool:
    return len(world.ledger_of(target.service).usurped) >= TIMES
