"""What operators may invalidate, and the result, in JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flags.serving import operator_invalidation
from flagsite.core import example_names as names
from flagsite.core.api.input import StrictBoolean, Text, WriteInput
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody

MOST = 1000
LONGEST_BODY = 8 * 2**20
"""In bytes, of a body with MOST organizations and MOST flags."""
DONE = {
    "done": [{"organizationId": names.OSLO_ID}],
    "failed": [{"featureFlag": "old", "reason": "There is no such flag."}],
}


@extend_schema_serializer(
    examples=[OpenApiExample("Two organizations", value={"organizationIds": [names.OSLO, names.DENMARK_ID]})]
)
class WhatToReadAnew(WriteInput):
    """At least one of them."""

    combinations: ClassVar = {
        "anyOf": [
            {"required": ["all"], "properties": {"all": {"const": True}}},
            {"required": ["organizationIds"], "properties": {"organizationIds": {"minItems": 1}}},
            {"required": ["featureFlags"], "properties": {"featureFlags": {"minItems": 1}}},
        ]
    }

    all = StrictBoolean(default=False, help_text="Everything that processes know.")
    organizationIds = serializers.ListField(
        child=ReferenceInBody(),
        max_length=MOST,
        default=list,
        help_text=f"These organizations and everything below them. {HOW_TO_NAME}",
    )
    featureFlags = serializers.ListField(child=Text(max_length=255), max_length=MOST, default=list)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a request that asks for nothing."""
        if not any(value for name, value in attrs.items() if name != "reason"):
            raise ValidationError("Name what to read anew: all, organizationIds or featureFlags.")
        return attrs


@extend_schema_serializer(examples=[OpenApiExample("Partly done", value=DONE)])
class InvalidatedSerializer(serializers.Serializer[operator_invalidation.Invalidated]):
    """What every process was told to read anew, and what could not be."""

    done = serializers.ListField(child=serializers.DictField())
    failed = serializers.ListField(child=serializers.DictField())
