"""What the public suite of JSON Schema expects holds for the schemas of values; each exception is listed."""

from __future__ import annotations

from flags.tests.suites import schemas
from flags.tests.suites.page import rows, written_rows
from flags.tests.suites.running import UNLISTED, suite


def test_each_case_of_json_schema_ends_as_the_suite_says_or_as_listed() -> None:
    assert [(entry["schema"], case) for outcome, entry, case in schemas.outcomes() if outcome == UNLISTED] == []


def test_nothing_but_optional_cases_differs_for_a_schema_that_is_taken() -> None:
    """The cases of `dependencies`, which the draft no longer has, and of spaces, which RE2 counts in another way."""
    differing = [entry["schema"] for entry in suite(schemas.SCHEMAS)["schemas"] if any(entry["cases"][0][2:])]
    assert all(set(schema) <= {"dependencies", "type", "pattern"} for schema in differing)


def test_the_page_has_the_figures_of_each_suite() -> None:
    assert written_rows() == rows()
