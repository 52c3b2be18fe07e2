"""What is known of one stack: the inputs of its decisions, the last decision, and who waits for news of it.

Law: mutable, and changed by `store` alone. What this module does NOT do: count versions (the store does).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from stackd.model.evidence import Condemned, Evidence
from stackd.model.ids import ContainerId, ServiceName
from stackd.model.observed import ObservedStack
from stackd.model.override import Override, Request
from stackd.model.plan import FieldChange, Op
from stackd.model.spec import Project
from stackd.model.view import Decision, DesiredStack, Failure, Ledger, LostPin, Pin

_DEFINITIONS = 4
"""Of so many definitions of a stack it is remembered what may stand in no message."""


@dataclass(slots=True)
class Cell:
    """One stack's inputs, the last decision, and who waits for news of it."""

    version: int = 0
    desired: DesiredStack | None = None
    observed: ObservedStack | None = None
    ledger: Ledger = Ledger()
    evidence: dict[ContainerId, Evidence] = field(default_factory=dict)
    condemned: dict[ContainerId, Condemned] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    requests: tuple[Request, ...] = ()
    failures: dict[str, Failure] = field(default_factory=dict)
    fetched: frozenset[tuple[str, ServiceName]] = frozenset()
    running: frozenset[Op] = frozenset()
    answered: dict[ServiceName | None, float] = field(default_factory=dict)
    changes: dict[ServiceName, tuple[FieldChange, ...]] = field(default_factory=dict)
    pin: Pin | LostPin | None = None
    secrets: tuple[frozenset[str], ...] = ()
    hidden: frozenset[str] = frozenset()
    created: frozenset[ContainerId] = frozenset()
    removing: dict[ContainerId, float] = field(default_factory=dict)
    stopped: dict[ContainerId, float] = field(default_factory=dict)
    decision: Decision | None = None
    decided: int = -1
    applied: int = 0
    trouble: str = ""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    decisions: asyncio.Event = field(default_factory=asyncio.Event)

    def learn(self, project: Project | None) -> None:
        """Remember what may stand in no message, of the newest definitions: a container may be of an earlier one."""
        if project is not None and project.hidden not in self.secrets:
            self.secrets = (project.hidden, *self.secrets)[:_DEFINITIONS]
            self.hidden = frozenset().union(*self.secrets)
