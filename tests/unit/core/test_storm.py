"""The storm guard's rule: many failures at once, told once, over when no further service fails."""

from __future__ import annotations

from stackd.core.storm import CALM, WINDOW, storm


def test_half_of_the_services_failing_at_once_are_a_storm() -> None:
    found = storm(100.0, [99.0, 98.0, 90.0], running=6)
    assert found is not None
    assert found.text.startswith("3 of 6 services failed within 30 s: the host, DNS, disk or engine is suspected")


def test_fewer_than_half_or_fewer_than_three_are_none() -> None:
    assert storm(100.0, [99.0, 98.0, 90.0], running=7) is None
    assert storm(100.0, [99.0, 98.0], running=2) is None


def test_failures_spread_over_more_than_the_window_are_none() -> None:
    assert storm(100.0, [99.0, 98.0, 100.0 - WINDOW], running=3) is None


def test_a_storm_ends_a_while_after_the_last_failure_and_not_before() -> None:
    first = storm(100.0, [99.0, 98.0, 97.0], running=3)
    assert first is not None
    assert storm(99.0 + CALM - 0.1, [99.0, 98.0, 97.0], running=3, before=first) == first
    assert storm(99.0 + CALM, [99.0, 98.0, 97.0], running=3, before=first) is None
    longer = storm(130.0, [120.0, 98.0, 97.0], running=3, before=first)
    assert longer is not None
    assert (longer.until, longer.text) == (120.0 + CALM, first.text)


def test_a_storm_lasts_its_time_though_the_services_that_failed_are_gone() -> None:
    first = storm(100.0, [99.0, 98.0, 97.0], running=3)
    assert first is not None
    assert storm(99.0 + CALM - 0.1, [], running=0, before=first) == first
