"""The ranges of buckets of rules that roll variants out by weight, from one version of a definition to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flags.targeting.weights import Ranges, first_ranges, next_ranges, ranges_as_json, ranges_in, sizes_of


def settled_rules(
    rules: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]], *, is_boolean: bool
) -> list[dict[str, Any]]:
    """Return checked rules as a definition keeps them: with `ranges` where the weights alone do not tell them.

    Args:
        rules: the new rules.
        before: the rules of the definition until now. A rule with the same id keeps as many buckets as possible.
        is_boolean: whether the flag is boolean. Its rollouts are a threshold, so they have no ranges.
    """
    former = {rule.get("id"): rule for rule in before if isinstance(rule, Mapping)}
    return [_settled(dict(rule), former.get(rule.get("id")), is_boolean=is_boolean) for rule in rules]


def _with_ranges(serve: Mapping[str, Any], former: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a `serve` with weights, with `ranges` if the weights alone do not tell them.

    Its own `ranges` are where the change starts, if it has any, else those of the former `serve`.
    """
    sizes = sizes_of(serve["rollout"])
    start = ranges_in(serve.get("ranges")) or (ranges_of(former["rollout"], former.get("ranges")) if former else None)
    ranges = next_ranges(start, sizes) if start else first_ranges(sizes)
    others = {member: value for member, value in serve.items() if member != "ranges"}
    return others if ranges == first_ranges(sizes) else {**others, "ranges": ranges_as_json(ranges)}


def ranges_of(weights: Mapping[str, float], stored: Any = None) -> Ranges:
    """Return the ranges of a rollout: those that are stored beside the weights, or those that the weights tell."""
    return ranges_in(stored) or first_ranges(sizes_of(weights))


def _settled(rule: dict[str, Any], former: Mapping[str, Any] | None, *, is_boolean: bool) -> dict[str, Any]:
    serve = rule.get("serve")
    if not isinstance(serve, Mapping) or "rollout" not in serve:
        return rule
    if is_boolean:
        return rule | {"serve": {name: value for name, value in serve.items() if name != "ranges"}}
    served = former.get("serve") if former else None
    has_weights = isinstance(served, Mapping) and "rollout" in served
    return rule | {"serve": _with_ranges(serve, served if has_weights else None)}
