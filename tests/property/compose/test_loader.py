"""Laws of the loader that hold for every text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from stackd.compose import rules
from stackd.compose.explain import changed_fields
from stackd.compose.load import stack_inputs
from stackd.compose.scalars import go_text, resolve
from stackd.compose.template import TemplateError, Variables, substitute
from stackd.compose.units import go_duration, parse_duration
from stackd.compose.words import shell_words
from stackd.model.spec import Loaded
from tests.property.compose.files import broken_files, compose_files
from tests.unit.compose.loading import FOLDER, load_with


def read(text: str, env: str = "") -> Loaded:
    inputs = stack_inputs(FOLDER, ["compose.yaml"])
    assert inputs is not None
    return load_with(inputs, {"compose.yaml": text, ".env": env})


@given(broken_files(), broken_files())
@settings(max_examples=300, deadline=None)
def test_no_text_raises_and_every_finding_has_its_place(text: str, env: str) -> None:
    loaded = read(text, env)
    lines = {str(FOLDER / "compose.yaml"): text.count("\n") + 2, str(FOLDER / ".env"): env.count("\n") + 2}
    for found in loaded.diagnostics:
        assert found.span.file in lines
        assert 0 <= found.span.line <= lines[found.span.file]
    assert loaded.project is not None or loaded.diagnostics


@given(compose_files())
@settings(max_examples=150, deadline=None)
def test_equal_text_gives_equal_values_and_explains_nothing(text: str) -> None:
    first, second = read(text).project, read(text).project
    assert first == second
    if first is not None and second is not None:
        for name, spec in first.services.items():
            assert changed_fields(spec, second.services[name]) == ()


@given(compose_files())
@settings(max_examples=100, deadline=None)
def test_every_told_field_stands_in_the_file(text: str) -> None:
    project = read(text).project
    for spec in project.services.values() if project is not None else ():
        assert spec.spans.keys() == spec.values.keys()
        assert all(1 <= span.line <= text.count("\n") + 1 for span in spec.spans.values())


@given(st.text("${}:-?+AB_ab1\n x", max_size=20))
@settings(max_examples=500)
def test_substitution_ends_and_a_text_without_dollars_is_itself(text: str) -> None:
    try:
        result = substitute(text, Variables({"A": "1", "ab": "$B"}))
    except TemplateError:
        assert "$" in text
    else:
        assert result.text == text or "$" in text


@given(st.integers(0, 10**15))
def test_a_duration_reads_back(ns: int) -> None:
    assert parse_duration(go_duration(ns)) == ns


@given(st.integers(-(2**63), 2**64 - 1))
def test_a_whole_number_reads_back(number: int) -> None:
    assert resolve(go_text(number)) == number


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=5), max_size=5))
def test_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    line = " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)
    assert shell_words(line).words == words


_SHAPES = (
    "$S",
    "[$S]",
    "{a: $S}",
    "[{source: $S, target: $S}]",
    "'$S:$S:$S:$S'",
    "['$S:/x:$S']",
    "{$S}",
    "['a=$S', 'a=$S']",
)


@given(
    st.sampled_from(sorted(rules.SERVICE.fields)), st.sampled_from(_SHAPES), st.sampled_from(["x", "1:2:3:4", "a b'c"])
)
@settings(max_examples=400, deadline=None)
def test_what_env_gave_stands_in_no_finding_whatever_it_breaks(key: str, shape: str, tail: str) -> None:
    loaded = read(f"services:\n  web:\n    image: x\n    {key}: {shape}\n", f'S="hunter2{tail}"\n')
    assert not any("hunter2" in str(found) for found in loaded.diagnostics)
    for spec in loaded.project.services.values() if loaded.project is not None else ():
        assert not any("hunter2" in value for value in spec.values.values())
