"""docs/supervision.md: its YAML blocks load without a finding and mean what the text beside them says, and its table
of knobs is that of the code."""

from __future__ import annotations

import re
from pathlib import Path

from stackd.compose.knobs import RESTART, UNHEALTHY
from stackd.model.ids import ServiceName
from stackd.model.spec import RestartPolicy, UnhealthyAction
from tests.unit.compose.loading import read_from

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "supervision.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    parts = re.split(r"^## (.*)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[name]


def policy_of(name: str) -> RestartPolicy:
    """The policy of `web` in the one YAML block of a section."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", section(name), flags=re.MULTILINE | re.DOTALL)
    loaded = read_from({"compose.yaml": block})
    assert loaded.diagnostics == ()
    assert loaded.project is not None
    return loaded.project.services[ServiceName("web")].restart


def knobs_in(name: str) -> set[str]:
    """The knobs in the first column of the tables of a section that begin with `| knob`."""
    (table,) = re.findall(r"^\| knob .*?\n\n", section(name), flags=re.MULTILINE | re.DOTALL)
    rows = [line for line in table.splitlines()[2:] if line]
    return {knob for line in rows for knob in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_block_on_restarts_means_what_it_says() -> None:
    policy = policy_of("Restarts")
    assert (policy.max_delay, policy.crashloop_after) == (300.0, 3)
    assert policy.success_exit_codes == {3}
    assert policy.no_restart_exit_codes == {78}


def test_the_block_on_health_means_what_it_says() -> None:
    policy = policy_of("Health")
    found = (policy.unhealthy, policy.unhealthy_grace, policy.unhealthy_limit, policy.unhealthy_window)
    assert found == (UnhealthyAction.RESTART, 30.0, 3, 600.0)


def test_every_knob_stands_in_its_table_and_no_other() -> None:
    assert knobs_in("Restarts") == {*RESTART, "unhealthy"}
    assert knobs_in("Health") == set(UNHEALTHY)


def test_the_defaults_on_the_page_are_those_of_the_code() -> None:
    usual = RestartPolicy()
    assert "1s, 2, 60s" in section("Restarts")
    assert (usual.base_delay, usual.factor, usual.max_delay) == (1, 2, 60)
    assert "| `crashloop_after`, `crashloop_window` | 5, 10m |" in section("Restarts")
    assert (usual.crashloop_after, usual.crashloop_window, usual.slow_delay) == (5, 600, 300)
    assert "| `limit`, `window` | 5, 5m |" in section("Health")
    assert (usual.unhealthy_limit, usual.unhealthy_window, usual.reset_after) == (5, 300, 600)
