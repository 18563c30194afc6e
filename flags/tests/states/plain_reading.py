"""The documented order of evaluation, read plainly: what each rule would say if it were asked alone.

It shares no code with `flags.evaluation` but the buckets, which have published vectors of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from flags.evaluation.engine import Definition, EvaluationContext, OrganizationContext
from flags.evaluation.rollout import bucket, hash_prefix

RULES = ("archived", "killed", "prerequisite", "environment", "whitelist", "organization", "default", "rollout")


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


def _says(
    rule: str, flag: Definition, place: OrganizationContext, context: EvaluationContext, flags: Mapping[str, Definition]
) -> bool | None:
    if rule == "prerequisite":
        return _has_prerequisites(flag, place, context, flags)
    if rule == "rollout":
        return _is_in_rollout(flag, place, context)
    state = place.states.get(flag.id)
    for_all = flag.threshold >= 100_000
    return {
        "archived": False if flag.archived else None,
        "killed": False if flag.killed else None,
        "environment": flag.environments.get(context.environment or "no environment"),
        "whitelist": True if context.targeting_key in flag.whitelist else None,
        "organization": None if state is None or (state.enabled and not for_all) else state.enabled,
        "default": None if state is not None or (flag.enabled and not for_all) else flag.enabled,
    }[rule]


def _has_prerequisites(
    flag: Definition, place: OrganizationContext, context: EvaluationContext, flags: Mapping[str, Definition]
) -> bool | None:
    values = [_value_of(key, place, context, flags) for key in flag.prerequisites]
    if False in values:
        return False
    if None in values:
        raise Untold
    return None


def _value_of(
    key: str, place: OrganizationContext, context: EvaluationContext, flags: Mapping[str, Definition]
) -> bool | None:
    """The value of a prerequisite; None if nobody can tell it."""
    try:
        return key in flags and verdicts(flags[key], place, context, flags)[-1][1]
    except Untold:
        return None


def _is_in_rollout(flag: Definition, place: OrganizationContext, context: EvaluationContext) -> bool:
    if flag.threshold == 0:
        return False
    if flag.hash_version != 1:
        raise Untold
    if flag.unit == "targetingKey":
        unit = context.targeting_key
    else:
        deepest = len(place.keys) - 1
        unit = place.keys[deepest if flag.level is None else min(flag.level, deepest)] if place.keys else None
    if not unit:
        raise Untold
    return bucket(hash_prefix(flag.salt, flag.key), unit.encode()) < flag.threshold
