"""Every key with a value of every kind: our verdict is the one that docker compose gave when `probed.txt` was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.probe import TABLE, VALUES, Probe, document_text, kept, ours, probes

KNOWN = {probe.name: probe for probe in probes()}
VERDICTS = kept()


def test_the_table_has_every_key_and_every_kind_of_value() -> None:
    assert TABLE.read_text().splitlines()[0].split() == list(VALUES)
    assert VERDICTS.keys() == KNOWN.keys(), "python -m tests.oracle.probe --write"


@pytest.mark.parametrize("section", sorted({".".join(name.split(".")[:3]).partition("[")[0] for name in KNOWN}))
def test_a_value_is_accepted_where_docker_compose_accepts_it(section: str, tmp_path: Path) -> None:
    wrong = []
    for name, probe in KNOWN.items():
        if ".".join(name.split(".")[:3]).partition("[")[0] == section:
            for mark, kind in zip(VERDICTS[name], VALUES, strict=True):
                if (ours(document_text(probe, kind), tmp_path) is not None) != (mark == "+"):
                    wrong.append(f"{name}: {kind} {mark}")
    assert not wrong


def test_a_probe_stands_in_a_file_that_is_right_elsewhere(tmp_path: Path) -> None:
    probe = Probe("services.*.hostname", ("services", "web", "hostname"), KNOWN["services.*.hostname"].beside)
    assert ours(document_text(probe, "text"), tmp_path) is not None
