"""The JSON of past values: the same as that of values now, with the moment and what caused them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.history.moments import LONGEST, NUMBER_PATTERN, TIME_PATTERN
from flags.states.serializers import INHERITED, EffectiveStateSerializer, ReadOptions
from flagsite.core import example_names as names

AT_HELP = (
    "A moment of the past: a time such as `2026-03-14T12:00Z`, or a change number for the moment right after this "
    "change. The answer is that of then, and has `past`. Default: now."
)
PAST = {
    "at": "2026-11-23T12:00:00Z",
    "changeNumber": 12,
    "requestedBy": names.KEY_ACTOR,
    "reason": "The till is broken.",
    "acceptedAt": "2026-11-23T09:59:47.723168Z",
    "settledAt": "2026-11-23T09:59:47.790076Z",
    "settling": False,
}
INHERITED_THEN = INHERITED | {"past": PAST}


@extend_schema_field({"type": "string", "pattern": f"^({NUMBER_PATTERN}|{TIME_PATTERN})$"})
class MomentField(serializers.CharField):
    """The text of a moment, which `flags.history.moments.find_moment` reads."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "max_length": LONGEST, "help_text": AT_HELP, **kwargs})


class PastReadOptions(ReadOptions):
    """The query of reads of flags, now or at a past moment."""

    at = MomentField()


class PastSerializer(serializers.Serializer[Any]):
    """The moment of the answer, and the change that caused the value of then."""

    at = serializers.DateTimeField(source="moment.at", help_text="The moment. History knows it to the microsecond.")
    changeNumber = serializers.IntegerField(
        source="cause.number",
        default=None,
        allow_null=True,
        help_text="The highest change number on the path. Null: nobody had set the flag here or above.",
    )
    requestedBy = serializers.CharField(
        source="cause.requested_by",
        default=None,
        allow_null=True,
        help_text="Who made this change. Null: nobody, or somebody above the organizations that the key sees.",
    )
    reason = serializers.CharField(
        source="cause.reason", default=None, allow_null=True, help_text="Why. Null as `requestedBy`."
    )
    acceptedAt = serializers.DateTimeField(
        source="cause.accepted_at", default=None, allow_null=True, help_text="Since when the change counts."
    )
    settledAt = serializers.DateTimeField(
        source="cause.settled_at",
        default=None,
        allow_null=True,
        help_text="When its job had ended. Null: it has not ended yet.",
    )
    settling = serializers.BooleanField(
        source="cause.settling",
        default=False,
        help_text="Whether the job had not ended at the moment, so that reads below may have told the value before.",
    )


@extend_schema_serializer(
    component_name="EffectiveState",
    examples=[
        OpenApiExample("Set above", value=INHERITED),
        OpenApiExample("At a past moment", value=INHERITED_THEN),
    ],
)
class PastStateSerializer(EffectiveStateSerializer):
    """A flag's value for an organization, and the organization on which its stored value was set."""

    past = PastSerializer(required=False, help_text="Only with `at`.")
