"""The daemon killed at every await of short scenarios, with and without its database: it ends as if nothing had been.

A turn of the loop is a step: between two turns every task stands at an await. All steps from the act until nothing
moves any more are numbered; CUTS of them, spread evenly over all, are played. STACKD_EVERY_AWAIT=1 plays each one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from stackd.model.evidence import EventKind
from stackd.model.ids import ServiceName
from stackd.model.spec import DependencyCondition, HealthCheck, RestartPolicy, ServiceSpec
from tests.fake import Behaviour, Dialect
from tests.sim.play import Play, perform
from tests.sim.story import Act, Story
from tests.unit.core.dsl import needs, service

CUTS = 24
AT = 20.0
"""Seconds: when the act is. The up is at 0."""
LASTS = 8.0
"""Seconds after which nothing of any act is left to be done."""
RUN = Behaviour(stop_takes=0.5)
CHECKED = HealthCheck(("CMD", "true"))
CAST = (
    service("a", version="0", healthcheck=CHECKED, restart=RestartPolicy()),
    service("b", needs("a", DependencyCondition.HEALTHY, restart=True), version="0"),
)
SCENARIOS: dict[str, str] = {
    "up": "",
    "replace": "edit",
    "restart": "restart",
    "removal of a service": "drop_service",
    "unhealthy": "sick",
    "crash": "crash",
    "stop by hand": "stop",
    "rollback": "rollback",
}
FORGOTTEN = ("stop by hand", "rollback")
"""That these were asked for stands in the database alone."""


@dataclass(slots=True)
class Cut:
    """Kills the daemon before one turn of the loop; counts the turns of the window."""

    at: int | None
    amnesia: bool = False
    turns: int = 0

    def prepare(self, show: Play, begin: float) -> None:
        """Look at every turn between `begin` and LASTS seconds later."""

        def look(now: float) -> None:
            if begin <= now - show.begun < begin + LASTS:
                if self.turns == self.at:
                    show.loop.create_task(show.kill(amnesia=self.amnesia))
                self.turns += 1

        show.loop.each_turn(look)


def played(act: str, cut: Cut) -> Play:
    """One scenario with one cut."""
    on = "b" if act == "drop_service" else "a"
    acts = [Act(AT, act or "well", ServiceName(on), 1)]
    if act == "rollback":
        acts.insert(0, Act(AT / 2, "edit", ServiceName("a"), 1))
    runs: dict[ServiceName, tuple[Behaviour, ...]] = {spec.name: (RUN,) for spec in CAST}
    story = Story(1, Dialect.V28, CAST, runs, tuple(acts), frozenset({CAST[0].name}))
    return perform(story, lambda show: cut.prepare(show, AT if act else 0.0))


def starts(show: Play) -> dict[str, int]:
    """How often each service was started."""
    told = [one.name for one in show.engine.bus.history if one.kind is EventKind.START]
    return {service: sum(name.endswith(f"app-{service}-1") for name in told) for service in ("a", "b")}


def cuts(turns: int) -> list[int]:
    """The numbers of the turns to cut at."""
    if os.environ.get("STACKD_EVERY_AWAIT"):
        return list(range(turns))
    return sorted({round(number * (turns - 1) / (CUTS - 1)) for number in range(CUTS)})


@pytest.mark.timeout(600)
@pytest.mark.parametrize("amnesia", [False, True], ids=["killed", "killed and its database deleted"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_at_any_await_breaks_no_law_and_costs_no_further_start(name: str, amnesia: bool) -> None:
    if amnesia and name in FORGOTTEN:
        return
    act, whole = SCENARIOS[name], Cut(None)
    usual = starts(played(act, whole))
    assert whole.turns > CUTS
    failures = []
    for at in cuts(whole.turns):
        show = played(act, Cut(at, amnesia))
        broken = list(show.witness.violations)
        more = {one: count for one, count in starts(show).items() if count > usual[one]}
        if more:
            broken.append(f"started more often than without the kill: {more}, not {usual}")
        if broken:
            failures.append(f"cut at {at} of {whole.turns}: {broken[:3]}")
    assert not failures, "\n".join(failures)


def fits(spec: ServiceSpec, show: Play) -> bool:
    """Whether a service has a running container of its definition."""
    return any(c.live and c.labels.config_hash in spec.hashes for c in show.engine.of_service(spec.name))


def test_the_scenarios_do_what_they_are_named_for() -> None:
    shows = {name: played(act, Cut(None)) for name, act in SCENARIOS.items()}
    assert all(fits(spec, shows["up"]) for spec in CAST)
    assert starts(shows["replace"])["a"] == starts(shows["restart"])["a"] == starts(shows["unhealthy"])["a"] == 2
    assert starts(shows["rollback"])["a"] == 3 and fits(CAST[0], shows["rollback"])
    assert not [c for c in shows["removal of a service"].engine.of_service("b") if c.labels.stack == "app"]
    assert not any(
        c.live and show.engine.is_ours(c) for show in [shows["stop by hand"]] for c in show.engine.of_service("a")
    )
