"""Serializer fields for the values of definition fields. They accept the exact JSON types only."""

from __future__ import annotations

import copy
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from flags.definitions import rules
from flags.definitions.models import FLAG_KEY, FLAG_KEY_PATTERN
from flags.evaluation.wants import LONGEST_VARIANT, MOST_PREREQUISITES, OFF, ON, Entry, checked_entries, keys_of
from flags.targeting.checks import checked_default_rollout, checked_rules
from flags.targeting.rules_schema import ROLLOUT_SCHEMA, RULES_SCHEMA
from flags.values.checks import MEMBERS, VARIANT_KEY_PATTERN, checked_list
from flags.values.json_schema import check_schema
from flags.values.variants import MOST_VARIANTS
from flagsite.core.api.input import Text, whole_number

KEY_SCHEMA = {"type": "string", "pattern": f"^{FLAG_KEY_PATTERN}$"}


@extend_schema_field({"type": "boolean"})
class TrueOrFalse(serializers.Field[bool, Any, bool, Any]):
    """A JSON boolean. Words and numbers are refused."""

    def to_internal_value(self, data: Any) -> bool:
        rules.true_or_false(data)
        return bool(data)

    def to_representation(self, value: bool) -> bool:
        return value


class WholeNumber(serializers.IntegerField):
    """A JSON whole number. Strings and fractions are refused."""

    def to_internal_value(self, data: Any) -> int:
        number = whole_number(data)
        if number is None:
            self.fail("invalid")
        return super().to_internal_value(number)


@extend_schema_field({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.001})
class Percentage(serializers.Field[Decimal, Any, float, Any]):
    """A JSON number from 0 to 100 with at most three decimals."""

    def to_internal_value(self, data: Any) -> Decimal:
        rules.percentage(data)
        return Decimal(str(data))

    def to_representation(self, value: Decimal) -> float:
        return float(value)


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {"type": "boolean"},
        "propertyNames": {"pattern": f"^{rules.ENVIRONMENT.pattern}$"},
        "maxProperties": rules.MAX_ENVIRONMENTS,
    }
)
class Environments(serializers.Field[dict[str, bool], Any, dict[str, bool], Any]):
    """A JSON object with names of environments and booleans."""

    def to_internal_value(self, data: Any) -> dict[str, bool]:
        rules.environments(data)
        return dict(data)

    def to_representation(self, value: dict[str, bool]) -> dict[str, bool]:
        return value


@extend_schema_field(RULES_SCHEMA)
class TargetingRules(serializers.Field[list[dict[str, Any]], Any, list[dict[str, Any]], Any]):
    """A JSON array of targeting rules."""

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        return checked_rules(data)

    def to_representation(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return value


@extend_schema_field(ROLLOUT_SCHEMA)
class DefaultRollout(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A rollout by weight, as JSON has it."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        return checked_default_rollout(data)

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


@extend_schema_field(
    {
        "type": "array",
        "maxItems": MOST_VARIANTS,
        "items": {
            "type": "object",
            "required": sorted(MEMBERS),
            "additionalProperties": False,
            "properties": {
                "key": {"type": "string", "pattern": f"^{VARIANT_KEY_PATTERN}$"},
                "value": {"description": "A value of the flag's type, 16 KiB of JSON at most."},
            },
        },
    }
)
class Variants(serializers.Field[list[dict[str, Any]], Any, list[dict[str, Any]], Any]):
    """A JSON array of variants."""

    def to_internal_value(self, data: Any) -> list[dict[str, Any]]:
        return checked_list(data)

    def to_representation(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return value


VariantKey = partial(
    Text,
    allow_null=True,
    max_length=255,
    trim_whitespace=False,
    validators=[
        RegexValidator(rf"\A{VARIANT_KEY_PATTERN}\Z", "1 to 255 of A-Z a-z 0-9 . _ -, starting with a letter or digit.")
    ],
)
"""A text that is the key of a variant, or null for none."""


@extend_schema_field({"type": "object", "additionalProperties": True})
class ValueSchema(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """A JSON Schema."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        check_schema(data)
        return dict(data)

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value


@extend_schema_field(
    {
        "type": "array",
        "maxItems": MOST_PREREQUISITES,
        "items": {
            "oneOf": [
                KEY_SCHEMA,
                {
                    "type": "object",
                    "required": ["flag"],
                    "not": {"required": ["is", "variant"]},
                    "additionalProperties": False,
                    "properties": {
                        "flag": KEY_SCHEMA,
                        "is": {"type": "string", "enum": [ON, OFF]},
                        "variant": {"type": "string", "minLength": 1, "maxLength": LONGEST_VARIANT},
                    },
                },
            ]
        },
    }
)
class Prerequisites(serializers.Field[list[Entry], Any, list[Entry], Any]):
    """A JSON array of prerequisites."""

    def to_internal_value(self, data: Any) -> list[Entry]:
        entries = checked_entries(data)
        for key in keys_of(entries):
            FLAG_KEY(key)
        return entries

    def to_representation(self, value: list[Entry]) -> list[Entry]:
        return value


class Texts(serializers.ListField):
    """A JSON array of strings."""

    child = serializers.CharField()


class DistinctTexts(serializers.ListField):
    """A JSON array of strings without repetitions. `child` checks each string."""

    def __init__(self, *, child: serializers.Field[Any, Any, Any, Any], **options: Any) -> None:
        super().__init__(
            child=copy.deepcopy(child), **options
        )  # a child field stores its parent, so each parent needs its own copy

    def to_internal_value(self, data: Any) -> list[str]:
        texts = super().to_internal_value(data)
        self.run_validators(texts)  # repetitions count against the limit of the list, as the OpenAPI document says
        return list(dict.fromkeys(texts))
