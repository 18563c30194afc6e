"""The plan of a change of a segment in words, for pages and commands."""

from __future__ import annotations

from collections.abc import Sequence

from flags.definitions.plan_words import value_in_words
from flags.segments.segment_plan import SegmentPlan
from flagsite.core.words import counted

MOST_NAMED = 20
"""Flags that a sentence names at most."""


def effect_in_words(plan: SegmentPlan) -> list[str]:
    """Return sentences on what the change would do."""
    if not plan.fields:
        return ["The segment has these values already."]
    sentences = [_flags(plan)]
    if plan.changed:
        sentences.append(f"Users of at most {counted(plan.changed, 'organization')} get another answer.")
    if plan.keys_added or plan.keys_removed:
        more = counted(plan.keys_added, "targeting key")
        sentences.append(f"{more} more on the lists, and {plan.keys_removed:,} less.")
    if plan.needed_by:
        sentences.append(f"Flags that need one of these flags: {_named(plan.needed_by)}.")
    return sentences


def fields_in_words(plan: SegmentPlan) -> list[str]:
    """Return a line for each field that would change: its name, and its values before and after."""
    return [f"{each.name}: {value_in_words(each.before)} → {value_in_words(each.after)}" for each in plan.fields]


def _flags(plan: SegmentPlan) -> str:
    if not plan.flags:
        return "The answers of no flag change."
    return f"The change is one of {counted(len(plan.flags), 'flag')}: {_named(plan.flags)}."


def _named(keys: Sequence[str]) -> str:
    rest = [f"and {len(keys) - MOST_NAMED:,} more"] if len(keys) > MOST_NAMED else []
    return ", ".join([*keys[:MOST_NAMED], *rest])
