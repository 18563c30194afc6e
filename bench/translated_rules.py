"""The rules and contexts of rule_sets.py in the form of each flag system: `NAME_rules` and `NAME_context`."""

from __future__ import annotations

import re
from typing import Any

from bench.rule_sets import Clause, Context, Rule

Json = dict[str, Any]


def flagsite_rules(rules: list[Rule]) -> list[Json]:
    """The field `rules` of a definition."""
    return [
        {
            "id": f"rule-{number}",
            "clauses": [
                {"attribute": clause.attribute, "op": clause.operator, "values": list(clause.values)} for clause in rule
            ],
            "serve": {"variant": "on"},
        }
        for number, rule in enumerate(rules, 1)
    ]


UNLEASH_OPERATORS = {"in": "IN", "gte": "NUM_GTE", "semverGte": "SEMVER_GTE", "startsWith": "STR_STARTS_WITH"}


def unleash_rules(rules: list[Rule]) -> list[Json]:
    """The strategies of a flag in Unleash: one for each rule, with a constraint for each clause."""
    return [
        {"name": "default", "parameters": {}, "constraints": [_unleash_constraint(clause) for clause in rule]}
        for rule in rules
    ]


def _unleash_constraint(clause: Clause) -> Json:
    values = [str(value) for value in clause.values]
    compared = {"value": values[0]} if clause.operator in {"gte", "semverGte"} else {"values": values}
    return {"contextName": clause.attribute, "operator": UNLEASH_OPERATORS[clause.operator], "inverted": False,
            "caseInsensitive": False, **compared}  # fmt: skip


def unleash_context(user: str, context: Context) -> Json:
    """The context of a user in Unleash, whose properties are texts."""
    return {"userId": user, "properties": {name: str(value) for name, value in context.items()}}


def growthbook_rules(rules: list[Rule]) -> list[Json]:
    """The rules of a feature in GrowthBook."""
    return [
        {"condition": {clause.attribute: _growthbook_condition(clause) for clause in rule}, "force": True}
        for rule in rules
    ]


def _growthbook_condition(clause: Clause) -> Json:
    if clause.operator == "in":
        return {"$in": list(clause.values)}
    if clause.operator == "startsWith":
        return {"$regex": f"^(?:{_one_of(clause)})"}
    return {"$gte" if clause.operator == "gte" else "$vgte": clause.values[0]}


def growthbook_context(user: str, context: Context) -> Json:
    """The attributes of a user in GrowthBook."""
    return {"id": user, **context}


def flagsmith_segment(flag: str, rules: list[Rule]) -> Json:
    """A segment of Flagsmith that turns the flag on for whom one of the rules matches."""
    conditions = [
        {"type": "ALL", "conditions": [_flagsmith_condition(clause) for clause in rule], "rules": []} for rule in rules
    ]
    return {
        "key": "1", "name": flag, "rules": [{"type": "ANY", "conditions": [], "rules": conditions}],
        "overrides": [{"key": "1", "name": flag, "enabled": True, "value": None}],
    }  # fmt: skip


def _flagsmith_condition(clause: Clause) -> Json:
    if clause.operator == "in":
        return {"property": clause.attribute, "operator": "IN", "value": list(clause.values)}
    if clause.operator == "startsWith":
        return {"property": clause.attribute, "operator": "REGEX", "value": f"(?:{_one_of(clause)})"}
    ending = ":semver" if clause.operator == "semverGte" else ""
    value = f"{clause.values[0]}{ending}"
    return {"property": clause.attribute, "operator": "GREATER_THAN_INCLUSIVE", "value": value}


def flagd_targeting(rules: list[Rule]) -> Json:
    """The targeting of a flag in flagd, whose variants are `on` and `off`."""
    matches = [{"and": [_flagd_logic(clause) for clause in rule]} for rule in rules]
    return {"if": [{"or": matches}, "on", "off"]}


def _flagd_logic(clause: Clause) -> Json:
    attribute = {"var": clause.attribute}
    if clause.operator == "in":
        return {"in": [attribute, list(clause.values)]}
    if clause.operator == "startsWith":
        return {"or": [{"starts_with": [attribute, value]} for value in clause.values]}
    if clause.operator == "gte":
        return {">=": [attribute, clause.values[0]]}
    return {"sem_ver": [attribute, ">=", clause.values[0]]}


def _one_of(clause: Clause) -> str:
    return "|".join(re.escape(str(value)) for value in clause.values)
