"""A state machine over everything that may happen to a stack: Hypothesis chooses, and shrinks what breaks a law.

Law: after each rule no safety law is broken; at the end, ten quiet minutes later, all is as wanted, or rests with its
reason shown. Time is virtual; every rule lets a drawn part of it pass.
"""

from __future__ import annotations

import asyncio
import logging

from hypothesis import HealthCheck as Check
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stackd.model.ids import ServiceName
from tests.sim.play import Play
from tests.sim.story import NAMES, Act, Neighbour, Story, tell
from tests.sim.virtual import VirtualLoop

SERVICES = st.sampled_from(NAMES).map(ServiceName)
DICE = st.integers(min_value=1, max_value=99)
PAUSES = st.sampled_from([0.0, 0.01, 0.1, 1.0, 3.0, 20.0])


class Supervision(RuleBasedStateMachine):
    """One stack, its daemon, another daemon beside it, people, and a world that goes wrong."""

    show: Play | None = None

    @initialize(seed=st.integers(min_value=0, max_value=500), neighbour=st.sampled_from(Neighbour))
    def furnish(self, seed: int, neighbour: Neighbour) -> None:
        """The definition and the behaviours of a story, without its acts."""
        told = tell(seed)
        story = Story(seed, told.dialect, told.services, told.behaviours, (), told.unpulled, neighbour)
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.show = Play(story, self.loop)
        logging.getLogger("stackd").addHandler(self.show)
        self.loop.run_until_complete(self.show.open())

    def happens(self, what: str, service: ServiceName, dice: int, then: float) -> None:
        """Let something begin, and time pass."""
        show = self.show
        assert show is not None
        if service in {one.name for one in show.story.services}:
            show.begin(Act(0.0, what, service, dice))
        self.loop.run_until_complete(show.wait_until(self.loop.time() + then))

    @rule(what=st.sampled_from(["edit", "undo", "drop_service", "bring_back"]), on=SERVICES, dice=DICE, then=PAUSES)
    def a_file_is_edited(self, what: str, on: ServiceName, dice: int, then: float) -> None:
        self.happens(what, on, dice, then)

    @rule(what=st.sampled_from(["crash", "sick", "well"]), on=SERVICES, dice=DICE, then=PAUSES)
    def a_process_fares(self, what: str, on: ServiceName, dice: int, then: float) -> None:
        self.happens(what, on, dice, then)

    @rule(
        what=st.sampled_from(["stop", "kill", "rm", "pause", "start", "restart"]), on=SERVICES, dice=DICE, then=PAUSES
    )
    def somebody_uses_docker(self, what: str, on: ServiceName, dice: int, then: float) -> None:
        self.happens(f"human_{what}", on, dice, then)

    @rule(then=PAUSES)
    def somebody_takes_all_of_it_down(self, then: float) -> None:
        self.happens("human_down", NAMES_FIRST, 1, then)

    @rule(what=st.sampled_from(["hold", "stop", "start", "restart", "rollback"]), on=SERVICES, dice=DICE, then=PAUSES)
    def somebody_uses_stackd(self, what: str, on: ServiceName, dice: int, then: float) -> None:
        self.happens(what, on, dice, then)

    @rule(what=st.sampled_from(["kill_daemon", "kill_daemon", "amnesia"]), then=PAUSES)
    def the_daemon_dies(self, what: str, then: float) -> None:
        self.happens(what, NAMES_FIRST, 1, then)

    @rule(
        what=st.sampled_from([
            "hang", "hang_look", "slow_look", "break_call", "break_after", "lose_event", "double_event", "late_event",
            "break_stream", "restart_engine", "kill_engine", "freeze", "fill_disk", "hang_stop", "suspend",
        ]),
        dice=DICE, then=PAUSES,
    )  # fmt: skip
    def something_goes_wrong(self, what: str, dice: int, then: float) -> None:
        self.happens(what, NAMES_FIRST, dice, then)

    @invariant()
    def no_law_is_broken(self) -> None:
        if self.show is not None:
            assert not self.show.witness.violations, "\n".join(self.show.witness.violations)

    def teardown(self) -> None:
        if self.show is None:
            return
        try:
            self.loop.run_until_complete(self.show.finish())
            assert not self.show.witness.violations, "\n".join(self.show.witness.violations)
        finally:
            logging.getLogger("stackd").removeHandler(self.show)
            self.loop.put_down()
            asyncio.set_event_loop(None)


NAMES_FIRST = ServiceName(NAMES[0])

TestSupervision = Supervision.TestCase
TestSupervision.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, derandomize=True, database=None,
    suppress_health_check=[Check.too_slow, Check.filter_too_much],
)  # fmt: skip
