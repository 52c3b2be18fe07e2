"""What can never work is said with its place in the file: cycles, conditions, services that nobody starts."""

from __future__ import annotations

import pytest

from stackd.errors import Diagnostic, Severity
from tests.unit.compose.loading import FOLDER, read_from


def found(*lines: str) -> list[Diagnostic]:
    """The findings in a file of these lines."""
    return list(read_from({"compose.yaml": "\n".join(("services:", *lines, ""))}).diagnostics)


def places(diagnostics: list[Diagnostic]) -> list[str]:
    """Each finding as CODE LINE:COLUMN."""
    assert all(one.span.file == str(FOLDER / "compose.yaml") for one in diagnostics)
    return [f"{one.code} {one.span.line}:{one.span.column}" for one in diagnostics]


TIES = (
    "depends_on: [b]", "network_mode: service:b", "ipc: service:b", "pid: service:b", "volumes_from: [b]", "links: [b]",
)  # fmt: skip


@pytest.mark.parametrize("tie", TIES)
def test_services_that_wait_for_each_other_are_an_error_whatever_ties_them(tie: str) -> None:
    told = found(f"  a: {{image: a, {tie}}}", "  b: {image: b, depends_on: [a]}")
    (one,) = [finding for finding in told if finding.severity is Severity.ERROR]
    assert one.code == "dependency-cycle"
    assert "a -> b -> a" in one.message or "b -> a -> b" in one.message
    assert one.span.line in (2, 3) and one.span.column > 12


@pytest.mark.parametrize(
    ("condition", "other", "why"),
    [
        ("service_healthy", "healthcheck: {disable: true}", "health check disabled"),
        ("service_healthy", 'healthcheck: {test: ["NONE"]}', "health check disabled"),
        ("service_completed_successfully", "restart: always", "never completes"),
        ("service_completed_successfully", "restart: unless-stopped", "never completes"),
        ("service_completed_successfully", "deploy: {restart_policy: {condition: any}}", "never completes"),
    ],
)
def test_a_condition_that_can_never_come_true_is_warned_of_where_it_stands(
    condition: str, other: str, why: str
) -> None:
    told = found(
        "  web:", "    image: w", "    depends_on:", "      db:", f"        condition: {condition}",
        f"  db: {{image: d, {other}}}",
    )  # fmt: skip
    assert places(told) == ["impossible-condition 6:20"]
    assert (told[0].severity, why in told[0].message) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    ("condition", "other"),
    [
        ("service_healthy", "tty: true"),
        ("service_completed_successfully", "restart: on-failure"),
        ("service_started", "restart: always, healthcheck: {disable: true}"),
    ],
)
def test_a_condition_that_may_come_true_is_not_warned_of(condition: str, other: str) -> None:
    told = found(f"  web: {{image: w, depends_on: {{db: {{condition: {condition}}}}}}}", f"  db: {{image: d, {other}}}")
    assert told == []


def test_an_ipc_namespace_whose_owner_does_not_share_it_is_warned_of() -> None:
    assert places(found("  web: {image: w, ipc: service:db}", "  db: {image: d}")) == ["ipc-not-shareable 2:24"]
    assert found("  web: {image: w, ipc: service:db}", "  db: {image: d, ipc: shareable}") == []


def test_a_dependency_that_no_profile_starts_is_an_error() -> None:
    told = found("  web: {image: w, depends_on: [db]}", "  db: {image: d, profiles: [debug]}")
    assert [one.code for one in told] == ["inactive-service"]


@pytest.mark.parametrize("cpus", ["1e39", '"-inf"', '"nan"'])
def test_a_number_that_no_hash_can_be_made_of_is_an_error_at_its_place(cpus: str) -> None:
    services = f"services:\n  web:\n    image: busybox\n    deploy: {{resources: {{limits: {{cpus: {cpus}}}}}}}\n"
    errors = [one for one in read_from({"compose.yaml": services}).diagnostics if one.severity is Severity.ERROR]
    assert [(one.code, one.pointer) for one in errors] == [("bad-value", "services.web.deploy.resources.limits.cpus")]
