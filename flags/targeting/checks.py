"""Checks of the targeting rules and the default rollout that somebody writes, and the form in which they are kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

from flags.evaluation.hashes import HASHES
from flags.evaluation.rollout import BUCKETS
from flags.targeting.attributes import OF_ORGANIZATION, TARGETING_KEY, name_of_organization
from flags.targeting.operators import OPERATORS, WrongValue
from flags.targeting.rule_rollouts import ANCESTOR
from flags.targeting.rules import IN_SEGMENT, IN_SUBTREE, LEVEL, OF_THE_TREE
from flags.targeting.weights import ranges_as_json, ranges_in
from flags.values.checks import check_variant_key
from flags.values.stored_json import MOST_WHOLE
from flags.values.variants import MOST_VARIANTS
from orgs.attributes.attribute_rules import NAME

MAX_RULES, MAX_CLAUSES, MAX_VALUES = 50, 20, 1_000
MAX_TEXT, MAX_ATTRIBUTE, MAX_DESCRIPTION = 1_000, 255, 200
MAX_LEVEL = 1_000
MAX_PATTERNS = 100
"""The most regular expressions of a flag or segment. Each may take a millisecond to compile, and more to search."""
RULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that PostgreSQL or UTF-8 cannot store."""
MEMBERS_OF_RULE = frozenset({"id", "description", "clauses", "serve"})
MEMBERS_OF_ROLLOUT = frozenset({"rollout", "by", "level", "salt", "hashVersion", "ranges"})
MAX_SALT, MAX_RANGES = 400, 10_000
MEMBERS_OF_CLAUSE = frozenset({"attribute", "op", "values", "negate", "ignoreCase"})
ALL = 100
KNOWN_OPERATORS = (*OPERATORS, IN_SUBTREE, LEVEL, IN_SEGMENT)
ASKS_FOR = dict.fromkeys(OF_THE_TREE, "the organization") | {IN_SEGMENT: "segments"}
"""What the operators ask for that take no attribute."""


class _Wrong(Exception):
    """What is wrong, with the place in front: "rule 2, clause 1"."""


def checked_rules(value: Any) -> list[dict[str, Any]]:
    """Return rules in the form in which a definition keeps them: each with an id, without members that say nothing.

    A rule without an id gets the first free one of `rule-1`, `rule-2`, and so on. Raises ValidationError, with the
    place in the message.
    """
    return _checked(value, _rule)


def checked_default_rollout(value: Any) -> dict[str, Any]:
    """Return a default rollout in the form in which a definition keeps it. Raises ValidationError."""
    if not isinstance(value, Mapping) or "rollout" not in value:
        raise ValidationError('It needs weights: {"rollout": {"blue": 70, "red": 30}}, or null for none.')
    try:
        return _rollout(value, "A default rollout")
    except _Wrong as error:
        raise ValidationError(str(error)) from error


def normalized_default_rollout(value: Any) -> Any:
    """Return a default rollout as `checked_default_rollout` does, and what it refuses as it is."""
    try:
        return checked_default_rollout(value)
    except ValidationError:
        return value


def checked_segment_rules(value: Any) -> list[dict[str, Any]]:
    """Return the rules of a segment in the same form. They have no `serve`. Raises ValidationError."""
    return _checked(value, _segment_rule)


def _checked(value: Any, check: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MAX_RULES:
        raise ValidationError(f"Not a list of at most {MAX_RULES} rules.")
    if _patterns_in(value) > MAX_PATTERNS:
        raise ValidationError(
            f"The rules have more than {MAX_PATTERNS} regular expressions. Use startsWith, endsWith or contains, or "
            "one expression with alternatives: a|b."
        )
    try:
        rules = [_at(f"Rule {number}", check, each) for number, each in enumerate(value, 1)]
    except _Wrong as error:
        raise ValidationError(str(error)) from error
    taken = [rule["id"] for rule in rules if rule["id"]]
    if len(set(taken)) < len(taken):
        twice = next(each for each in taken if taken.count(each) > 1)
        raise ValidationError(f"Two rules have the id {twice!r}. Each rule needs an id of its own.")
    free = (f"rule-{number}" for number in range(1, 2 * MAX_RULES + 1) if f"rule-{number}" not in taken)
    return [rule if rule["id"] else rule | {"id": next(free)} for rule in rules]


def _patterns_in(rules: Sequence[Any]) -> int:
    """Return the number of regular expressions in rules that nobody has checked yet."""
    listed = [rule.get("clauses") for rule in rules if isinstance(rule, Mapping)]
    clauses = [clause for each in listed if isinstance(each, list) for clause in each if isinstance(clause, Mapping)]
    values = [clause.get("values") for clause in clauses if clause.get("op") == "matches"]
    return sum(len(each) for each in values if isinstance(each, list))


def normalized_rules(value: Any) -> Any:
    """Return rules as `checked_rules` does, and what it refuses as it is."""
    try:
        return checked_rules(value)
    except ValidationError:
        return value


def normalized_segment_rules(value: Any) -> Any:
    """Return rules as `checked_segment_rules` does, and what it refuses as it is."""
    try:
        return checked_segment_rules(value)
    except ValidationError:
        return value


def _at(place: str, check: Callable[[Any], Any], value: Any) -> Any:
    """Check a value; what is wrong gets the place in front."""
    try:
        return check(value)
    except _Wrong as error:
        within = isinstance(error.__cause__, _Wrong)
        raise _Wrong(f"{place}, {str(error)[0].lower()}{str(error)[1:]}" if within else f"{place}: {error}") from error


def _rule(value: Any) -> dict[str, Any]:
    _check_members(value, MEMBERS_OF_RULE, "A rule")
    return {**_conditions(value), "serve": _serve(value.get("serve"))}


def _segment_rule(value: Any) -> dict[str, Any]:
    _check_members(value, MEMBERS_OF_RULE - {"serve"}, "A rule of a segment")
    return _conditions(value)


def _conditions(value: Mapping[str, Any]) -> dict[str, Any]:
    """Check everything of a rule but what it serves."""
    rule_id, clauses = value.get("id", ""), value.get("clauses", [])
    if rule_id != "" and not (isinstance(rule_id, str) and RULE_ID.fullmatch(rule_id)):
        raise _Wrong("An id has 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit.")
    description = value.get("description", "")
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION or UNWRITABLE.search(description):
        raise _Wrong(f"The description is not a text of at most {MAX_DESCRIPTION} characters.")
    if not isinstance(clauses, list) or not 0 < len(clauses) <= MAX_CLAUSES:
        raise _Wrong(f"It needs a list `clauses` with 1 to {MAX_CLAUSES} clauses.")
    checked = [_at(f"Clause {number}", _clause, each) for number, each in enumerate(clauses, 1)]
    described = {"description": description} if description else {}
    return {"id": rule_id, **described, "clauses": checked}


def _clause(value: Any) -> dict[str, Any]:
    _check_members(value, MEMBERS_OF_CLAUSE, "A clause")
    op, attribute, values = value.get("op"), value.get("attribute", ""), value.get("values", [])
    if op not in KNOWN_OPERATORS:
        raise _Wrong(f"Unknown operator {op!r}. The operators are: {', '.join(KNOWN_OPERATORS)}.")
    if not isinstance(attribute, str) or len(attribute) > MAX_ATTRIBUTE or UNWRITABLE.search(attribute):
        raise _Wrong(f"The attribute is not a text of at most {MAX_ATTRIBUTE} characters.")
    _check_own_name(attribute)
    if (op in ASKS_FOR) is bool(attribute):
        needs = f"takes no attribute: it asks for {ASKS_FOR[op]}" if op in ASKS_FOR else "needs an attribute"
        raise _Wrong(f"The operator {op} {needs}.")
    for name in ("negate", "ignoreCase"):
        if not isinstance(value.get(name, False), bool):
            raise _Wrong(f"`{name}` is neither true nor false.")
    if value.get("ignoreCase") and not (op in OPERATORS and OPERATORS[op].takes_case):
        raise _Wrong(f"The operator {op} knows no `ignoreCase`.")
    _check_values(op, values, ignore_case=value.get("ignoreCase", False))
    said = {"attribute": attribute} if attribute else {}
    listed = {"values": values} if values else {}
    marks = {name: True for name in ("negate", "ignoreCase") if value.get(name)}
    return {**said, "op": op, **listed, **marks}


def _check_values(op: str, values: Any, *, ignore_case: bool) -> None:
    least = 0 if op == "exists" else 1
    if not isinstance(values, list) or not least <= len(values) <= MAX_VALUES:
        raise _Wrong(f"It needs a list `values` with {least} to {MAX_VALUES:,} values.")
    for each in values:
        if isinstance(each, str) and (len(each) > MAX_TEXT or UNWRITABLE.search(each)):
            raise _Wrong(f"A value is not a text of at most {MAX_TEXT:,} characters.")
        if isinstance(each, float) and not math.isfinite(each):
            raise _Wrong("A value is not a number that JSON has.")
        if isinstance(each, int) and abs(each) > MOST_WHOLE:
            raise _Wrong(f"A whole number is not from -{MOST_WHOLE} to {MOST_WHOLE}. Write it as a text, or as 1e16.")
        try:
            _check_value(op, each, ignore_case=ignore_case)
        except WrongValue as error:
            raise _Wrong(f"The value {str(each)[:100]!r} is not {error}.") from error


def _check_value(op: str, value: Any, *, ignore_case: bool) -> None:
    """Check one value. Raises WrongValue."""
    if op == IN_SUBTREE:
        if not isinstance(value, str) or not value:
            raise WrongValue("the key of an organization")
    elif op == IN_SEGMENT:
        if not isinstance(value, str) or not value:
            raise WrongValue("the key of a segment")
    elif op == LEVEL:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LEVEL:
            raise WrongValue(f"a level, from 0 for the root to {MAX_LEVEL}")
    else:
        OPERATORS[op].prepare([value], ignore_case)


def _serve(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len({"variant", "rollout"} & set(value)) != 1:
        raise _Wrong('It needs `serve`: {"variant": "on"}, or {"rollout": {"on": 70, "off": 30}}.')
    if "variant" in value:
        _check_members(value, frozenset({"variant"}), "`serve` with a variant")
        _check_variant(value["variant"])
        return {"variant": value["variant"]}
    return _rollout(value, "`serve` with a rollout")


def _rollout(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    _check_members(value, MEMBERS_OF_ROLLOUT, what)
    return {"rollout": _weights(value["rollout"]), **_unit(value), **_counted_by(value)}


def _counted_by(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says how buckets are counted and shared out: only the members that are there."""
    salt, version, ranges = (value.get(name) for name in ("salt", "hashVersion", "ranges"))
    if salt is not None and not (isinstance(salt, str) and len(salt) <= MAX_SALT and not UNWRITABLE.search(salt)):
        raise _Wrong(f"`salt` is not a text of at most {MAX_SALT} characters.")
    if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version not in HASHES):
        raise _Wrong(f"`hashVersion` is unknown. The known versions are: {', '.join(map(str, HASHES))}.")
    found = None if ranges is None else ranges_in(ranges)
    if ranges is not None and (found is None or len(found) > MAX_RANGES):
        raise _Wrong(
            '`ranges` is not a list such as [{"variant": "blue", "below": 70000}, {"variant": "red", "below": 100000}],'
            f" with ends that go up to {BUCKETS}, and at most {MAX_RANGES} entries."
        )
    members = {"salt": salt, "hashVersion": version, "ranges": ranges_as_json(found) if found else None}
    return {name: member for name, member in members.items() if member is not None}


def _weights(value: Any) -> dict[str, int | float]:
    if not isinstance(value, Mapping) or not 0 < len(value) <= MOST_VARIANTS:
        raise _Wrong(f"A rollout needs an object with the weights of 1 to {MOST_VARIANTS} variants.")
    for key in value:
        _check_variant(key)
    if not all(_is_weight(weight) for weight in value.values()):
        raise _Wrong(f"A weight is not a number from 0 to {ALL} with at most three decimals.")
    if sum(Decimal(str(weight)) for weight in value.values()) != ALL:
        raise _Wrong(f"The weights of `rollout` do not add up to {ALL}.")
    return {key: int(weight) if weight == int(weight) else weight for key, weight in value.items()}


def _check_variant(key: Any) -> None:
    try:
        check_variant_key(key)
    except ValidationError as error:
        raise _Wrong(" ".join(error.messages)) from error


def _is_weight(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= ALL:
        return False
    return Decimal(str(value)) == round(Decimal(str(value)), 3)


def _unit(value: Mapping[str, Any]) -> dict[str, Any]:
    by, level = value.get("by", TARGETING_KEY), value.get("level")
    if not isinstance(by, str) or not 0 < len(by) <= MAX_ATTRIBUTE or UNWRITABLE.search(by):
        raise _Wrong("`by` is not `targetingKey`, `organization`, `ancestor`, or the name of an attribute.")
    _check_own_name(by)
    is_level = isinstance(level, int) and not isinstance(level, bool) and 0 <= level <= MAX_LEVEL
    if (by == ANCESTOR) is not is_level or (by != ANCESTOR and level is not None):
        raise _Wrong("`by: ancestor` needs a `level`, from 0 for the root, and nothing else takes one.")
    return {"by": by} if level is None else {"by": by, "level": level}


def _check_own_name(attribute: str) -> None:
    """Check the name of an attribute of organizations, in a clause or as the unit of a rollout."""
    if attribute.startswith(OF_ORGANIZATION) and NAME.fullmatch(name_of_organization(attribute)) is None:
        raise _Wrong(
            f"{attribute[:100]!r} is no attribute of organizations: `{OF_ORGANIZATION}` and a name without dots."
        )


def _check_members(value: Any, known: frozenset[str], what: str) -> None:
    if not isinstance(value, Mapping):
        raise _Wrong(f"{what} is an object.")
    unknown: Sequence[str] = sorted(str(name) for name in set(value) - known)
    if unknown:
        raise _Wrong(f"Unknown member {unknown[0]!r}. {what} has: {', '.join(sorted(known))}.")
