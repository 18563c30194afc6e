"""Regular expressions: which ones Flagsite takes, and that it compiles each of them once."""

from __future__ import annotations

from typing import Any

import pytest
import re2

from flags.targeting.operators import OPERATORS, WrongValue
from flags.targeting.places import NOWHERE
from flags.targeting.rules import Clause, rules_of
from flags.values.patterns import MOST_BYTES_OF_PROGRAM, WrongPattern, compiled, options_of


@pytest.mark.parametrize("pattern", [r"\pL{40}0", r"\pL{5}", r"\PL{20}", "[^a]{999}", r".{999}"])
def test_a_pattern_that_becomes_large_is_refused(pattern: str) -> None:
    with pytest.raises(WrongPattern):
        compiled(pattern)
    with pytest.raises(WrongValue):
        OPERATORS["matches"].prepare([pattern], False)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$", r"^\pL+( \pL+)?$", ".{256}", "^.{1,255}$", "é" * 256,
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "|".join(f"user{number}" for number in range(36)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ignore_case", [False, True])
def test_a_pattern_of_usual_size_is_taken(pattern: str, ignore_case: bool) -> None:
    assert compiled(pattern, ignore_case=ignore_case)


def test_the_largest_program_of_a_pattern_is_small() -> None:
    """What a pattern costs to compile grows with its program."""
    most = MOST_BYTES_OF_PROGRAM // 16
    sizes = [program_size(f"[^a]{{{count}}}") for count in range(50, 1_000, 50)]
    assert most // 4 < max(sizes) < most


def program_size(pattern: str) -> int:
    try:
        options = options_of(ignore_case=False, most_bytes=MOST_BYTES_OF_PROGRAM)
        return int(re2.compile(pattern, options=options).programsize)
    except re2.error:
        return 0


def test_the_same_pattern_of_two_versions_of_a_definition_is_compiled_once() -> None:
    rules = [{"clauses": [{"attribute": "a", "op": "matches", "values": ["once[0-9]"]}], "serve": {"variant": "on"}}]
    before = compiled.cache_info().misses
    for _ in range(3):
        (rule,) = rules_of(rules)
        assert rule.clauses[0].why_never == ""
        assert rule.matches({"a": "once7"}, "", NOWHERE)
    assert compiled.cache_info().misses == before + 1


def test_a_clause_prepares_its_test_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []

    class Counting:
        def prepare(self, values: Any, ignore_case: bool) -> Any:
            prepared.append(values)
            return lambda value: True

    monkeypatch.setitem(OPERATORS, "matches", Counting())
    for attribute in ("a", "targetingKey", "org.a"):
        clause = Clause(attribute, "matches", ("a",))
        assert (clause.why_never, callable(clause.test), callable(clause.test)) == ("", True, True)
    assert len(prepared) == 3
