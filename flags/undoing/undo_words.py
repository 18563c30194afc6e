"""Undos, and what they would do, in words for pages and commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flags.definitions import plan_words
from flags.definitions.definition_plan import DefinitionPlan
from flags.segments import plan_words as segment_words
from flags.segments.segment_plan import SegmentPlan
from flags.states import effect_words
from flags.states.planning import Plan
from flags.states.setting_rules import LOCK
from flags.undoing.undone import DEFINITION, MOVE, SEGMENT, SETTING, Restored, Undone, UndoPlan
from flagsite.core.words import counted

NOUNS = {SETTING: "setting", DEFINITION: "field", SEGMENT: "field", MOVE: "place"}
"""What an undo restores, by the kind of the change."""


def effect_in_words(plan: UndoPlan) -> Sequence[str]:
    """Return sentences on how many organizations would change."""
    if isinstance(plan.effect, DefinitionPlan):
        return plan_words.effect_in_words(plan.effect)
    if isinstance(plan.effect, SegmentPlan):
        return segment_words.effect_in_words(plan.effect)
    if isinstance(plan.effect, Plan):
        return effect_words.sentences(plan.effect.effect)
    get = "gets" if plan.changed == 1 else "get"
    return [f"{plan.changed:,} of {counted(plan.organizations, 'organization')} {get} another value of a flag."]


def restored_in_words(plan: UndoPlan, restored: Restored) -> tuple[str, str]:
    """Return what is now, and what would be after the undo."""
    say = _setting if plan.undone.kind == SETTING else plan_words.value_in_words
    return say(restored.before), say(restored.after)


def _setting(setting: dict[str, Any] | None) -> str:
    if setting is None:
        return "not set"
    value = setting.get("variant") or ("on" if setting["value"] else "off")
    kept = f"locked {value}" if setting["kind"] == LOCK else value
    return f"{kept}, here only" if setting["reach"] == "here" else kept


def result_in_words(undone: Undone) -> list[str]:
    """Return sentences on what an undo has done."""
    noun, number = NOUNS[undone.undone.kind], undone.undone.number
    if undone.number is None and undone.job is not None:
        return [f"Job {undone.job.pk} undoes change {number}."]
    words = [f"Change {number} is undone: {counted(undone.restored, noun)} restored."]
    if undone.left_alone.count:
        stays = "stays as it is" if undone.left_alone.count == 1 else "stay as they are"
        words.append(f"{counted(undone.left_alone.count, noun)} changed since {stays}.")
    return words
