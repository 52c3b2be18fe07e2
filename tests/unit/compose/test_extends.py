"""What `extends` does beyond the golden folders: how far it goes, and where the outcome stands."""

from __future__ import annotations

from tests.unit.compose.loading import read_from, service


def test_more_than_two_hundred_services_that_extend_each_other_in_a_row_are_an_error() -> None:
    chain = [f"  s{at}: {{extends: s{at + 1}}}\n" for at in range(210)]
    found = read_from({"compose.yaml": "services:\n" + "".join(chain) + "  s210: {image: a}\n"})
    assert "too-big" in {one.code for one in found.diagnostics}
    assert found.project is None


def test_a_service_stands_where_it_is_written_and_not_where_what_it_extends_is() -> None:
    text = "services:\n  base: {image: a}\n  web:\n    extends: base\n"
    assert str(service(text).span).endswith("compose.yaml:4:5")
    assert str(service(text).spans["image"]).endswith("compose.yaml:2:17")


def test_an_extended_service_shows_no_extends_of_its_own() -> None:
    spec = service("services: {web: {extends: mid}, mid: {extends: base}, base: {image: a}}")
    assert '"extends"' not in spec.canonical[0]
