"""Segments in commands: fields written as FIELD=VALUE, and a segment's document and words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser
from rest_framework.renderers import JSONRenderer

from flags.definitions.console import assigned, words_of_errors
from flags.errors import InvalidSegment
from flags.segments.models import Segment
from flags.segments.plan_words import effect_in_words, fields_in_words
from flags.segments.segment_plan import SegmentPlan
from flags.segments.serializers import NewSegment, SegmentChanges, SegmentPlanSerializer, SegmentSerializer
from flagsite.core.api.input import errors_of
from flagsite.core.console.command import Answer

EFFECT = "A command says what it would do with --plan."
OTHER_WAYS = {
    "key": "The key of a segment cannot be changed.",
    "reason": "The reason is no field of the segment. Write it with --reason.",
    "planHash": EFFECT,
    "atMost": EFFECT,
}
"""What people write as a field although it is none, with the way to write it."""


def add_fields(parser: CommandParser) -> None:
    """Add the arguments FIELD=VALUE."""
    parser.add_argument(
        "fields", nargs="*", metavar="FIELD=VALUE", help="a field of the segment as in the API, such as "
        "owner=checkout-team or 'included=[\"user-17\"]'",
    )  # fmt: skip


def values_in(assignments: Sequence[str], *, key: str = "") -> dict[str, Any]:
    """Return the fields of the arguments FIELD=VALUE, checked like those of the API.

    A value is JSON or else a text. With `key`, they are the fields of a new segment. Raises WrongUsage and
    InvalidSegment.
    """
    given = assigned(assignments, OTHER_WAYS)
    serializer = NewSegment(data={"key": key, **given}) if key else SegmentChanges(data=given)
    if not serializer.is_valid():
        raise InvalidSegment(words_of_errors(errors_of(serializer)))
    return {name: value for name, value in serializer.validated_data.items() if name not in OTHER_WAYS}


def answer_of_plan(plan: SegmentPlan) -> Answer:
    """Return the answer of a command that only says what a change of a segment would do."""
    return Answer(
        dict(SegmentPlanSerializer(plan).data), [*fields_in_words(plan), *effect_in_words(plan), "Nothing was written."]
    )


def document_of(segment: Segment) -> dict[str, Any]:
    """Return the segment as the API's JSON."""
    return dict(json.loads(JSONRenderer().render(SegmentSerializer(segment).data)))
