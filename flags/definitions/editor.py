"""What the editor of a definition offers: operators in words, attributes, variants and units."""

from __future__ import annotations

from typing import Any

from django.db import connection

from flags.definitions.models import Flag
from flags.segments.models import Segment
from flags.targeting.attributes import TARGETING_KEY
from flags.targeting.checks import KNOWN_OPERATORS
from flags.targeting.operators import NO_VALUES, OPERATORS, WrongValue
from flags.targeting.rules import LEVEL
from flags.targeting.words import COMPARISONS, OTHER_QUESTIONS
from flags.values.checks import BOOLEAN_VARIANTS

MOST_OFFERED = 500
ATTRIBUTES_READ = """
SELECT DISTINCT attribute #>> '{}'
  FROM flags_flag, jsonb_path_query(targeting_rules, '$[*].clauses[*].attribute') attribute
 WHERE targeting_rules <> '[]' ORDER BY 1 LIMIT %s
"""
NUMBERS, TEXTS, ANYTHING, NOTHING = "numbers", "texts", "anything", "nothing"


def editor_of(flag: Flag | None) -> dict[str, Any]:
    """Return what the script of the form needs to know of a flag, or of a new flag for None.

    Returns:
        `type` (empty if a person chooses it), `variants` (the keys that the flag has already), `booleans`, `operators`,
        `attributes` and `segments`.
    """
    return {
        "type": flag.type if flag else "",
        "variants": [each["key"] for each in flag.variants] if flag else [],
        "booleans": list(BOOLEAN_VARIANTS),
        "operators": [_operator(name) for name in KNOWN_OPERATORS],
        "attributes": attributes_read(),
        "segments": list(Segment.objects.order_by("key").values_list("key", flat=True)[:MOST_OFFERED]),
    }


def attributes_read() -> list[str]:
    """Return the attributes that rules of flags read, and the targeting key."""
    with connection.cursor() as cursor:
        cursor.execute(ATTRIBUTES_READ, [MOST_OFFERED])
        return sorted({TARGETING_KEY, *(name for (name,) in cursor.fetchall() if name)})


def _operator(name: str) -> dict[str, Any]:
    """Return an operator as the editor shows it: in words, and the values that it takes."""
    return {
        "name": name,
        "words": OTHER_QUESTIONS.get(name) or COMPARISONS.get(name, name),
        "asksAttribute": name in OPERATORS,
        "takesCase": name in OPERATORS and OPERATORS[name].takes_case,
        "takes": _takes(name),
    }


def _takes(name: str) -> str:
    if name not in OPERATORS:
        return NUMBERS if name == LEVEL else TEXTS
    if OPERATORS[name].takes == NO_VALUES:
        return NOTHING
    if not _accepts(name, [1]):
        return TEXTS
    return ANYTHING if _accepts(name, ["1"]) else NUMBERS


def _accepts(name: str, values: list[Any]) -> bool:
    try:
        OPERATORS[name].prepare(values, False)  # noqa: FBT003
    except WrongValue:
        return False
    return True
