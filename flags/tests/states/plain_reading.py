"""The documented order of evaluation, read plainly: what each rule would say if it were asked alone.

It shares no code with `flags.evaluation` but the buckets, which have published vectors of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flags.evaluation.engine import Definition, EvaluationContext, OrganizationContext
from flags.evaluation.hashes import HASHES
from flags.evaluation.rollout import bucketing
from flags.targeting.rule_rollouts import RuleRollout
from flags.targeting.rules import Clause, EvaluatedSegment, TargetingRule

RULES = (
    "archived", "killed", "prerequisite", "environment", "whitelist", "targeting", "organization", "default", "rollout",
)  # fmt: skip


class Untold(Exception):
    """It has to be known whom it is asked for, and by which formula users are counted."""


def verdicts(
    definition: Definition, place: OrganizationContext, context: EvaluationContext, flags: Mapping[str, Definition]
) -> list[tuple[str, bool | None]]:
    """Each rule up to the one that decides, with its value; None leaves it to the next.

    Raises Untold if a rule cannot tell its value and the following rules do not turn the flag off.
    """
    found: list[tuple[str, bool | None]] = []
    is_untold = False
    for rule in RULES:
        try:
            value = _says(rule, definition, place, context, flags)
        except Untold:
            is_untold, value = True, None
        found.append((rule, value))
        if value is not None:
            break
    if is_untold and found[-1][1] is not False:
        raise Untold
    return found


OF_TYPE: Mapping[str, list[type]] = {
    "string": [str], "integer": [int], "float": [int, float], "object": [dict, list],
}  # fmt: skip
"""What JSON values of each type are in Python."""


def serves(
    definition: Definition, place: OrganizationContext, context: EvaluationContext, rule: str, *, enabled: bool
) -> tuple[str, Any]:
    """The variant and the value that a flag serves, by the rule that decided and what it decided.

    Raises Untold if this depends on a formula that nobody knows.
    """
    if definition.type == "boolean":
        return ("on", True) if enabled else ("off", False)
    values: dict[str | int, tuple[str, Any]] = {each.key: (each.key, each.value) for each in definition.variants}
    values |= {each.number: values[each.key] for each in definition.variants}
    if rule in ("archived", "killed"):
        return "", None
    if not enabled:
        return values.get(definition.off_variant, ("", None))
    state = place.states.get(definition.id)
    wanted: str | int = ""
    if rule == "targeting":
        match = _first_match(definition, place, context)
        wanted = match.variant
        if match.rollout is not None:
            table = [key for (key, end), start in _with_starts(match.rollout) for _ in range(start, end)]
            wanted = table[_bucket_of(definition, match.rollout, place, context)]
    elif state is not None:
        wanted = state.variant
        if type(state.custom) in OF_TYPE[definition.type]:
            return "custom", state.custom
    if wanted in values:
        return values[wanted]
    share = definition.default_rollout
    if share is not None and not (state is not None and state.locked) and _unit(share, place, context):
        salted = replace(definition, salt=definition.salt + "/variants")
        table = [key for (key, end), start in _with_starts(share) for _ in range(start, end)]
        wanted = table[_bucket_of(salted, share, place, context)]
    return values.get(wanted) or values.get(definition.default_variant, ("", None))


def _first_match(flag: Definition, place: OrganizationContext, context: EvaluationContext) -> TargetingRule:
    """The targeting rule that decides."""
    for rule in flag.targeting_rules:
        if all(_holds(clause, place, context) for clause in rule.clauses) and (
            rule.rollout is None or _unit(rule.rollout, place, context)
        ):
            return rule
    raise AssertionError("No rule decides.")


def _says(
    rule: str, flag: Definition, place: OrganizationContext, context: EvaluationContext, flags: Mapping[str, Definition]
) -> bool | None:
    if rule == "prerequisite":
        return _has_prerequisites(flag, place, context, flags)
    if rule == "rollout":
        return _is_in_rollout(flag, place, context)
    state = place.states.get(flag.id)
    is_locked = state is not None and state.locked
    if rule == "targeting":
        return None if is_locked else _says_a_targeting_rule(flag, place, context)
    for_all = flag.threshold >= 100_000 or is_locked
    return {
        "archived": False if flag.archived else None,
        "killed": False if flag.killed else None,
        "environment": flag.environments.get(context.environment or "no environment"),
        "whitelist": True if context.targeting_key in flag.whitelist and not is_locked else None,
        "organization": None if state is None or (state.enabled and not for_all) else state.enabled,
        "default": None if state is not None or (flag.enabled and not for_all) else flag.enabled,
    }[rule]


def _says_a_targeting_rule(flag: Definition, place: OrganizationContext, context: EvaluationContext) -> bool | None:
    for rule in flag.targeting_rules:
        if not all(_holds(clause, place, context) for clause in rule.clauses):
            continue
        if rule.rollout is None:
            return rule.enabled or flag.type != "boolean"
        unit = _unit(rule.rollout, place, context)
        if unit:
            number = _bucket_of(flag, rule.rollout, place, context)
            return flag.type != "boolean" or number < rule.rollout.threshold
    return None


def _with_starts(rollout: RuleRollout) -> list[tuple[tuple[str, int], int]]:
    return list(zip(rollout.ranges, [0, *(end for _, end in rollout.ranges)], strict=False))


def _bucket_of(flag: Definition, rollout: RuleRollout, place: OrganizationContext, context: EvaluationContext) -> int:
    version = flag.hash_version if rollout.hash_version is None else rollout.hash_version
    if version not in HASHES:
        raise Untold
    salt = flag.salt if rollout.salt is None else rollout.salt
    return bucketing(salt, flag.key, version).bucket(_unit(rollout, place, context).encode())


def _is_in(segment: EvaluatedSegment, place: OrganizationContext, context: EvaluationContext) -> bool:
    if context.targeting_key in (*segment.included, *segment.excluded):
        return context.targeting_key in segment.included
    return any(all(_holds(clause, place, context) for clause in rule.clauses) for rule in segment.rules)


def _holds(clause: Clause, place: OrganizationContext, context: EvaluationContext) -> bool:
    """Only for the operators and values that the tests draw."""
    value: Any
    if clause.op in ("inSubtree", "level"):
        value = list(place.keys) if clause.op == "inSubtree" else [len(place.keys) - 1]
        return bool(place.keys) and any(one in clause.values for one in value) != clause.negate
    if clause.op == "inSegment":
        found = {segment.key: _is_in(segment, place, context) for segment in clause.segments}
        if clause.negate:
            return not any(found.get(key, True) for key in clause.values)
        return any(found.get(key, False) for key in clause.values)
    if clause.attribute == "targetingKey":
        value = context.targeting_key
    elif clause.attribute == "company.size":
        company = context.attributes.get("company")
        value = company.get("size") if isinstance(company, dict) else None
    else:
        value = _attribute(clause.attribute, place, context)
    if clause.op == "exists":
        return (value is not None) != clause.negate
    if value is None or clause.op not in COMPARED:
        return False
    return any(COMPARED[clause.op](one) for one in (value if isinstance(value, list) else [value])) != clause.negate


def _attribute(name: str, place: OrganizationContext, context: EvaluationContext) -> Any:
    """That of the organization if the name begins with `org.`, and else that of the request."""
    return place.attributes.get(name[4:]) if name.startswith("org.") else context.attributes.get(name)


def _number(value: Any) -> bool:
    return type(value) in (int, float)


COMPARED: Mapping[str, Callable[[Any], bool]] = {
    "in": lambda value: value is True or value in ("pro", "ann") or (_number(value) and value == 1),
    "contains": lambda value: isinstance(value, str) and "r" in value.lower(),
    "gte": lambda value: _number(value) and value >= 18,
    "lt": lambda value: _number(value) and value < 18,
    "gt": lambda value: _number(value) and value > 1,
    "semverLt": lambda value: value in ("1.4.2", "2.0.0-rc.1"),
}
"""What each operator says beside the values of `flags.tests.evaluation.evaluating.CLAUSES`."""


def _unit(rollout: RuleRollout, place: OrganizationContext, context: EvaluationContext) -> str:
    if rollout.by == "targetingKey":
        return context.targeting_key or ""
    if rollout.by in ("organization", "ancestor"):
        deepest = len(place.keys) - 1
        return place.keys[deepest if rollout.level is None else min(rollout.level, deepest)] if place.keys else ""
    value = _attribute(rollout.by, place, context)
    return str(value) if type(value) in (int, str) else ""


def _has_prerequisites(
    flag: Definition, place: OrganizationContext, context: EvaluationContext, flags: Mapping[str, Definition]
) -> bool | None:
    fit = [_fits(key, flag, place, context, flags) for key in flag.prerequisites]
    if False in fit:
        return False
    if None in fit:
        raise Untold
    return None


def _fits(
    key: str,
    flag: Definition,
    place: OrganizationContext,
    context: EvaluationContext,
    flags: Mapping[str, Definition],
) -> bool | None:
    """Whether a prerequisite is what the flag wants; None if nobody can tell it."""
    if key not in flags:
        return False
    try:
        rule, enabled = verdicts(flags[key], place, context, flags)[-1]
        variant, _ = serves(flags[key], place, context, rule, enabled=bool(enabled))
    except Untold:
        return None
    want = flag.wants.get(key)
    if want is not None and want.variant:
        return variant == want.variant
    return enabled is (want is None)


def _is_in_rollout(flag: Definition, place: OrganizationContext, context: EvaluationContext) -> bool:
    if flag.threshold == 0:
        return False
    if flag.hash_version not in HASHES:
        raise Untold
    if flag.unit == "targetingKey":
        unit = context.targeting_key
    else:
        deepest = len(place.keys) - 1
        unit = place.keys[deepest if flag.level is None else min(flag.level, deepest)] if place.keys else None
    if not unit:
        raise Untold
    return bucketing(flag.salt, flag.key, flag.hash_version).bucket(unit.encode()) < flag.threshold
