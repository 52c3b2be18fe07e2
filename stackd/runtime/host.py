"""Facts about the host that no stack tells alone: a storm of failures, and a machine that slept.

Law: these only delay restarts for bad health, and end by themselves. A failure counts for the storm only when the
service was well before it: what the storm keeps from being healed never feeds it. What this module does not do: judge
(`core.storm`), or restart anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from stackd.core.storm import CALM, Storm, storm
from stackd.model.ids import ServiceName, StackName
from stackd.model.view import Decision, Now, ServiceLedger, ServiceState, ServiceVerdict, View
from stackd.runtime.history import History
from stackd.runtime.store import Store

EVERY = 5.0
JUMP = 2.0
IGNORED = 60.0
"""Seconds: between two looks; of sleep that count as a suspend; for which health verdicts then mean nothing."""
WELL = 10.0
"""Seconds for which a service must have been well for its failure to count."""
HOST = StackName("")
"""The stack of history entries that are about no stack."""
_GOOD = (ServiceState.RUNNING, ServiceState.HEALTHY)
_IDLE = (
    ServiceState.COMPLETED, ServiceState.STOPPED, ServiceState.HELD, ServiceState.PAUSED, ServiceState.ABSENT,
    ServiceState.REMOVING,
)  # fmt: skip


def boottime() -> float:
    """Seconds since the boot, those asleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class _Service:
    """What is remembered of a service: since when it is well, when it failed last, and whether it ought to run."""

    well_since: float | None = None
    failed_at: float | None = None
    counted: bool = False


class HostWatch:
    """Keeps `HostFacts.storm` and `health_ignored_until`. `boot` is a clock that goes on while the machine sleeps."""

    def __init__(
        self, store: Store, history: History, clock: Callable[[], Now], boot: Callable[[], float] = boottime
    ) -> None:
        self._store = store
        self._history = history
        self._clock = clock
        self._boot = boot
        self._asleep = boot() - clock().mono
        self._services: dict[tuple[StackName, ServiceName], _Service] = {}
        self._storm: Storm | None = None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.check()

    def check(self) -> None:
        """Whether the machine slept since the last look, and whether the storm is over."""
        now = self._clock().mono
        asleep = self._boot() - now
        if asleep - self._asleep > JUMP:
            text = f"the host slept for {asleep - self._asleep:.0f} s: health verdicts wait for {IGNORED:.0f} s"
            self._history.add(HOST, None, "host.resumed", text, slept=round(asleep - self._asleep, 3))
            self._store.update_host(health_ignored_until=now + IGNORED)
        self._asleep = asleep
        self._judge(now)

    def note(self, view: View, decision: Decision) -> None:
        """Take what a decision shows of its services."""
        now = self._clock().mono
        known = {verdict.service for verdict in decision.verdicts}
        for key in [key for key in self._services if key[0] == view.stack and key[1] not in known]:
            del self._services[key]
        for verdict in decision.verdicts:
            service = self._services.setdefault((view.stack, verdict.service), _Service())
            _note(service, verdict, decision.ledger.services.get(verdict.service, ServiceLedger()), now)
        self._judge(now)

    def forget(self, stack: StackName) -> None:
        """The stack is gone: its services count no more."""
        for key in [key for key in self._services if key[0] == stack]:
            del self._services[key]
        self._judge(self._clock().mono)

    def _judge(self, now: float) -> None:
        failures = [one.failed_at for one in self._services.values() if one.failed_at is not None]
        before = self._storm
        self._storm = storm(now, failures, sum(one.counted for one in self._services.values()), before)
        if self._storm is not None and before is None:
            self._history.add(HOST, None, "host.storm", self._storm.text)
        if self._storm is None and before is not None:
            text = f"the storm is over: no service that was well failed for {CALM:.0f} s"
            self._history.add(HOST, None, "host.storm_over", text)
        self._store.update_host(storm=self._storm.text if self._storm is not None else "")


def _note(service: _Service, verdict: ServiceVerdict, ledger: ServiceLedger, now: float) -> None:
    """A failure: a death, or a bad verdict on its health, of a service that was well."""
    service.counted = verdict.state not in _IDLE
    died = [death.seen_at for death in ledger.deaths[-1:]] + ([ledger.sick_since] if ledger.sick is not None else [])
    failed_at = max(died, default=None)
    well = service.well_since
    if well is not None and failed_at is not None and failed_at - well >= WELL:
        service.failed_at = failed_at
    if verdict.state not in _GOOD or (well is not None and failed_at is not None and failed_at >= well):
        service.well_since = None
    if verdict.state in _GOOD and service.well_since is None:
        service.well_since = now
