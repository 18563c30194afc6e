"""What the editors of definitions and segments offer: operators in words, attributes, segments and organizations."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection
from django.urls import reverse

from flags.definitions.models import Flag
from flags.segments.models import Segment
from flags.targeting.attributes import OF_ORGANIZATION, TARGETING_KEY
from flags.targeting.checks import KNOWN_OPERATORS
from flags.targeting.operators import NO_VALUES, OPERATORS, WrongValue
from flags.targeting.rules import IN_SUBTREE, LEVEL
from flags.targeting.words import COMPARISONS, OTHER_QUESTIONS
from flags.values.checks import BOOLEAN_VARIANTS
from orgs.attributes.attribute_operations import names_in_use
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of

MOST_OFFERED = 500
LONGEST_ABOUT = 60
"""The characters of a description that stand beside an offer."""
ATTRIBUTES_READ = """
SELECT DISTINCT attribute #>> '{}'
  FROM (SELECT targeting_rules FROM flags_flag WHERE targeting_rules <> '[]'
         UNION ALL SELECT rules FROM flags_segment) AS content (rules),
       jsonb_path_query(rules, '$[*].clauses[*].attribute') attribute
 ORDER BY 1 LIMIT %s
"""
NUMBERS, TEXTS, ANYTHING, NOTHING = "numbers", "texts", "anything", "nothing"


def editor_of(flag: Flag | None) -> dict[str, Any]:
    """Return what the script of the form needs to know of a flag, or of a new flag for None.

    Returns:
        `type` (empty if a person chooses it), `variants` (the keys that the flag has already), `booleans`, and what
        `offered` returns.
    """
    return {
        "type": flag.type if flag else "",
        "variants": [each["key"] for each in flag.variants] if flag else [],
        "booleans": list(BOOLEAN_VARIANTS),
        **offered(flag.targeting_rules if flag else []),
    }


def offered(rules: Any, *, without: str = "") -> dict[str, Any]:
    """Return what an editor of rules offers to a person without a scope.

    Args:
        rules: the stored rules, in JSON.
        without: the key of a segment that is not offered, because it cannot contain itself.

    Returns:
        `operators`; `attributes` and `segments`, each with a few words; the `paths` of the organizations that the rules
        name, by their keys; and the address of `organizations`, which completes them.
    """
    segments = Segment.objects.exclude(key=without).order_by("key").values_list("key", "description")[:MOST_OFFERED]
    return {
        "operators": [_operator(name) for name in KNOWN_OPERATORS],
        "attributes": [(name, _about(name)) for name in attributes_offered()],
        "segments": [(key, description[:LONGEST_ABOUT]) for key, description in segments],
        "paths": _paths_of(_organizations_in(rules)),
        "organizations": reverse("admin:orgs_organization_picker"),
    }


def attributes_offered() -> list[str]:
    """Return the attributes that rules of flags and segments read, those of organizations, and the targeting key."""
    with connection.cursor() as cursor:
        cursor.execute(ATTRIBUTES_READ, [MOST_OFFERED])
        read = {name for (name,) in cursor.fetchall() if name}
    own = {f"{OF_ORGANIZATION}{name}" for name in names_in_use(MOST_OFFERED)}
    return sorted({TARGETING_KEY} | read | own)


def _about(attribute: str) -> str:
    if attribute == TARGETING_KEY:
        return "the user"
    return "of the organization" if attribute.startswith(OF_ORGANIZATION) else ""


def _organizations_in(rules: Any) -> list[str]:
    """Return the keys of the organizations that rules name."""
    clauses = [clause for rule in rules for clause in rule.get("clauses", []) if clause.get("op") == IN_SUBTREE]
    return sorted({value for clause in clauses for value in clause.get("values", []) if isinstance(value, str)})


def _paths_of(keys: Collection[str]) -> dict[str, str]:
    """Return the paths of the organizations that exist, as texts by their keys."""
    found = dict(Organization.objects.filter(key__in=keys).order_by("pk").values_list("pk", "key")[:MOST_OFFERED])
    names = path_names_of(found) if found else {}
    return {key: " › ".join(names[pk]) for pk, key in found.items()}


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
