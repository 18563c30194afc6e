"""The fields of segments that people may change, with their checks. JSON has them by the names of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flags.definitions import rules
from flags.segments.models import Segment
from flags.targeting.checks import checked_segment_rules, normalized_segment_rules


def distinct(texts: Any) -> Any:
    """Return a list without repeated texts; what is no list of texts as it is."""
    is_list_of_texts = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    return list(dict.fromkeys(texts)) if is_list_of_texts else texts


def owner(value: Any) -> None:
    """Check for a text that PostgreSQL can store. The model has its length."""
    rules.description(value)


@dataclass(frozen=True, slots=True)
class SegmentField:
    """One field: its check, which raises ValidationError, and the form in which a segment keeps its value."""

    check: Callable[[Any], object]
    normalized: Callable[[Any], Any] = lambda value: value
    decides: bool = False
    """Whether it decides who is in the segment."""


FIELDS: Mapping[str, SegmentField] = {
    "description": SegmentField(rules.description),
    "rules": SegmentField(checked_segment_rules, normalized_segment_rules, decides=True),
    "included": SegmentField(rules.targeting_keys, distinct, decides=True),
    "excluded": SegmentField(rules.targeting_keys, distinct, decides=True),
    "owner": SegmentField(owner),
    "tags": SegmentField(rules.tags, distinct),
}


def values_of(segment: Segment) -> dict[str, Any]:
    """Return the value of every field by its name."""
    return {name: getattr(segment, name) for name in FIELDS}


def default_of(name: str) -> Any:
    """Return the value of a field of a new segment."""
    return Segment._meta.get_field(name).get_default()  # type: ignore[union-attr]
