"""The public suite of JSON Schema, run with the schemas of values.

A schema of `data/json-schema.json` has cases: a value, whether it fits, and, where Flagsite decides otherwise on
purpose, the code of the reason. `refused` is the code of the reason why Flagsite does not take the schema.
docs/suites.md explains the codes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError

from flags.tests.suites.running import AS_EXPECTED, UNLISTED, suite
from flags.values.json_schema import check_schema, check_values

SCHEMAS = "json-schema"
"""The name of the file."""
SENTENCES = {
    "boolean": "Not a JSON Schema: an object",
    "draft": "of the draft 2020-12 only",
    "keyword": "Flagsite takes no",
    "number": "A whole number is not",
    "reference": "leads out of the schema",
    "regular-expression": "is no regular expression of RE2",
    "text": "A text has a NUL",
}
"""What the refusal of a schema says, by the code."""
MISFIT = "The value does not fit the schema"


def refusal(schema: Any) -> str:
    """The code of the reason why a schema is refused; empty if it is taken."""
    try:
        check_schema(schema)
    except ValidationError as error:
        return next((code for code, words in SENTENCES.items() if words in error.messages[0]), UNLISTED)
    return ""


def fits(schema: Any, value: Any) -> bool:
    """Whether a value fits a schema. Raises ValidationError if that cannot be said."""
    try:
        check_values(schema, [("The value", value)])
    except ValidationError as error:
        if error.messages[0].startswith(MISFIT):
            return False
        raise
    return True


def outcomes() -> Iterator[tuple[str, Mapping[str, Any], Sequence[Any]]]:
    """How each case ends: as expected, or the code of the reason; with the schema and the case."""
    for entry in suite(SCHEMAS)["schemas"]:
        refused = refusal(entry["schema"])
        for case in entry["cases"]:
            value, expected, *code = case
            if refused or "refused" in entry:
                yield refused if refused == entry.get("refused") else UNLISTED, entry, case
            elif (fits(entry["schema"], value) is expected) is bool(code):
                yield UNLISTED, entry, case
            else:
                yield code[0] if code else AS_EXPECTED, entry, case


def figures() -> Counter[str]:
    """How many cases end in each way."""
    return Counter(outcome for outcome, _, _ in outcomes())
