"""Targeting rules in words, for pages, commands and the audit log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flags.targeting.rule_rollouts import ANCESTOR, ORGANIZATION
from flags.targeting.rules import IN_SEGMENT, IN_SUBTREE, LEVEL

MOST_VALUES = 5
"""The values of a clause that are shown; of more, the rest is counted."""
COMPARISONS = {
    "in": "is",
    "startsWith": "starts with",
    "endsWith": "ends with",
    "contains": "contains",
    "matches": "matches",
    "lt": "<",
    "lte": "≤",
    "gt": ">",
    "gte": "≥",
    "before": "before",
    "after": "after",
    "semverEq": "is version",
    "semverLt": "version <",
    "semverLte": "version ≤",
    "semverGt": "version >",
    "semverGte": "version ≥",
    "inCidr": "in network",
}
OTHER_QUESTIONS = {
    "exists": "is there",
    IN_SUBTREE: "the organization is at or below",
    LEVEL: "the organization is on level",
    IN_SEGMENT: "the user is in the segment",
}
"""The operators whose words are a question of their own."""
UNITS = {"targetingKey": "users", ORGANIZATION: "organizations"}


def rule_in_words(rule: Mapping[str, Any]) -> str:
    """Return a checked rule in a line, such as 'plan is "pro" and level 2: on'."""
    return f"{conditions_in_words(rule)}: {_served(rule['serve'])}"


def conditions_in_words(rule: Mapping[str, Any]) -> str:
    """Return for whom a checked rule of a flag or a segment counts, such as 'plan is "pro" and level 2'."""
    return " and ".join(clause_in_words(clause) for clause in rule["clauses"])


def clause_in_words(clause: Mapping[str, Any]) -> str:
    """Return a checked clause in words, such as 'country is not "DE" or "AT"'."""
    op, values = clause["op"], [json.dumps(value, ensure_ascii=False) for value in clause.get("values", [])]
    negate = clause.get("negate", False)
    if op == "exists":
        return f"{clause['attribute']} is {'missing' if negate else 'there'}"
    rest = [f"{len(values) - MOST_VALUES} more"] if len(values) > MOST_VALUES else []
    listed = " or ".join([*values[:MOST_VALUES], *rest])
    if op == IN_SEGMENT:
        return f"the user is {'not ' if negate else ''}in the segment {listed}"
    if op in (IN_SUBTREE, LEVEL):
        where = f"at or below {listed}" if op == IN_SUBTREE else f"on level {listed}"
        return f"the organization is {'not ' if negate else ''}{where}"
    comparison = COMPARISONS[op]
    if negate:
        comparison = "is not" if op == "in" else f"not {comparison}"
    case = " (in any case)" if clause.get("ignoreCase") else ""
    return f"{clause['attribute']} {comparison} {listed}{case}"


def _served(serve: Mapping[str, Any]) -> str:
    if "variant" in serve:
        return str(serve["variant"])
    weights = serve["rollout"]
    if set(weights) == {"on", "off"}:
        return f"on for {weights['on']:g} % of {_unit(serve)}"
    return share_in_words(serve)


def _unit(serve: Mapping[str, Any]) -> str:
    by = serve["by"]
    return f"ancestors at level {serve['level']}" if by == ANCESTOR else UNITS.get(by, f"values of {by}")


def share_in_words(serve: Mapping[str, Any]) -> str:
    """Return a checked rollout by weight in a line, such as "blue for 70 %, red for 30 % of users"."""
    weights = serve["rollout"]
    return f"{', '.join(f'{key} for {weight:g} %' for key, weight in sorted(weights.items()))} of {_unit(serve)}"
