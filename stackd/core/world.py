"""Everything the planning functions share for one decision: the view, what is wanted, who fills which slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stackd.core.desired import Target, Wanted
from stackd.core.slots import Slot, Slots
from stackd.model.ids import ServiceName
from stackd.model.observed import ObservedStack
from stackd.model.spec import Project
from stackd.model.view import Ledger, Now, ServiceLedger, View


@dataclass(frozen=True, slots=True)
class World:
    """One decision's facts. `ledger` is the new one, with what this view shows already noted."""

    view: View
    now: Now
    seen: ObservedStack
    project: Project | None
    wanted: Wanted
    slots: Slots
    ledger: Ledger
    targets: Mapping[ServiceName, Target]

    def slots_of(self, service: ServiceName) -> tuple[Slot, ...]:
        """The slots of a service, by number."""
        return self.slots.get(service, ())

    def ledger_of(self, service: ServiceName) -> ServiceLedger:
        """What is remembered of a service."""
        return self.ledger.services.get(service, ServiceLedger())
