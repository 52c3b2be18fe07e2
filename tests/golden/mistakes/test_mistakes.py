"""Every mistake is told in the words that stand in its file, once."""

from __future__ import annotations

import os

import pytest

from stackd.errors import Severity
from tests.golden.mistakes.cases import Case, cases, diagnostics, rewrite, words

LEAST = 60


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.path.stem)
def test_a_mistake_is_told_in_the_expected_words(case: Case) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        rewrite(case)
    else:
        assert words(case) == case.expected


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.path.stem)
def test_one_mistake_is_one_error(case: Case) -> None:
    errors = [found for found in diagnostics(case) if found.severity is Severity.ERROR]
    assert len(errors) == case.errors, "\n".join(map(str, errors))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.path.stem)
def test_every_finding_has_its_place_in_a_form_for_programs(case: Case) -> None:
    for found in diagnostics(case):
        assert found.code
        assert found.span.file
        assert (found.span.line == 0) == (found.span.column == 0)
        assert found.pointer or found.code in WITHOUT_POINTER, found


WITHOUT_POINTER = frozenset(
    ("bad-yaml", "bad-encoding", "bad-env-file", "bad-key", "bad-merge", "duplicate-key", "empty-file")
)
"""Found in a text before it is a tree, or in a file as a whole."""


def test_the_mistakes_are_many() -> None:
    assert len(cases()) >= LEAST
