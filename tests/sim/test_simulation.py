"""Stories under faults: no law is broken at any step, and ten quiet minutes later everything is as wanted or explained.

Each story has a lost event, a hung call and a kill of the daemon, and five to fourteen happenings more.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.sim.plants import PLANTS
from tests.sim.play import play
from tests.sim.story import MUST, tell
from tests.sim.verdict import broken, repro

BLOCK = 25
BLOCKS = 20
HUNT = 500
"""Seeds within which a planted bug must be found."""


def report(seed: int, found: list[str]) -> str:
    """A failing seed in one line that repeats it, and what it broke."""
    return "\n".join([repro(seed), *found[:5]])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_story_breaks_a_law(block: int, request: pytest.FixtureRequest) -> None:
    asked = request.config.getoption("--seed", default=None)
    seeds = range(block * BLOCK, (block + 1) * BLOCK)
    if asked is not None:
        seeds = range(asked, asked + 1) if block == 0 else range(0)
    failures = [report(seed, found) for seed in seeds if (found := broken(seed))]
    assert not failures, "\n\n".join(failures)


@pytest.mark.parametrize("seed", range(20))
def test_a_story_is_told_by_its_seed_alone_and_has_the_three_faults(seed: int) -> None:
    story = tell(seed)
    assert story == tell(seed)
    assert set(MUST) <= {act.what for act in story.acts}


def test_the_same_story_is_played_the_same_way_twice() -> None:
    assert play(tell(7)) == play(tell(7))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Callable[[], AbstractContextManager[None]]) -> None:
    with plant():
        found = next((seed for seed in range(HUNT) if broken(seed)), None)
    assert found is not None, f"{plant.__name__} was not found within {HUNT} seeds"
