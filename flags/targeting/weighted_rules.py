"""The ranges of buckets of rollouts by weight, from one version of a definition to the next.

These are the rollouts of targeting rules, and the default rollout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flags.targeting.weights import Ranges, first_ranges, next_ranges, ranges_as_json, ranges_in, sizes_of
from flags.values.checks import OFF, ON


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


def with_explicit_ranges(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return stored rules with the `ranges` that they mean, so that a definition that gets them keeps these buckets.

    Stored rules without `ranges` have the first ranges. Rules that somebody writes have those of the definition of now.
    """
    return [_with_explicit(dict(rule)) for rule in rules]


def _with_explicit(rule: dict[str, Any]) -> dict[str, Any]:
    serve = rule["serve"]
    if "rollout" not in serve:
        return rule
    return rule | {"serve": rollout_with_explicit_ranges(serve)}


def rollout_with_explicit_ranges(rollout: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored rollout with the `ranges` that it means, as `with_explicit_ranges` does for those of rules."""
    return {**rollout, "ranges": ranges_as_json(ranges_of(rollout["rollout"], rollout.get("ranges")))}


def settled_rollout(serve: Mapping[str, Any], former: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a rollout with `ranges` if the weights alone do not tell them.

    Its own `ranges` are where the change starts, if it has any, else those of the former rollout.
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
        return rule | {"serve": _of_boolean({name: value for name, value in serve.items() if name != "ranges"})}
    served = former.get("serve") if former else None
    has_weights = isinstance(served, Mapping) and "rollout" in served
    return rule | {"serve": settled_rollout(serve, served if has_weights else None)}


def _of_boolean(serve: dict[str, Any]) -> dict[str, Any]:
    """Return a `serve` with the weights of both variants. Weights of others stay, so that they are refused."""
    weights = serve["rollout"]
    if not isinstance(weights, Mapping) or not set(weights) <= {ON, OFF}:
        return serve
    return serve | {"rollout": {variant: weights.get(variant, 0) for variant in (ON, OFF)}}
