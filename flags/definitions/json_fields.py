"""How single values of a definition stand in JSON: serializer fields that are strict about types."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from flags.definitions import rules


@extend_schema_field({"type": "boolean"})
class TrueOrFalse(serializers.Field[bool, Any, bool, Any]):
    """A JSON boolean; neither words nor numbers are taken for one."""

    def to_internal_value(self, data: Any) -> bool:
        rules.true_or_false(data)
        return bool(data)

    def to_representation(self, value: bool) -> bool:
        return value


class WholeNumber(serializers.IntegerField):
    """A JSON whole number; strings and fractions are not taken for one."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field({"type": "number", "minimum": 0, "maximum": 100, "multipleOf": 0.001})
class Percentage(serializers.Field[Decimal, Any, float, Any]):
    """A JSON number from 0 to 100 with at most three decimals."""

    def to_internal_value(self, data: Any) -> Decimal:
        rules.percentage(data)
        return Decimal(str(data))

    def to_representation(self, value: Decimal) -> float:
        return float(value)


@extend_schema_field({"type": "object", "additionalProperties": {"type": "boolean"}})
class Environments(serializers.Field[dict[str, bool], Any, dict[str, bool], Any]):
    """A JSON object from environments' names to booleans."""

    def to_internal_value(self, data: Any) -> dict[str, bool]:
        rules.environments(data)
        return dict(data)

    def to_representation(self, value: dict[str, bool]) -> dict[str, bool]:
        return value


class Texts(serializers.ListField):
    """A JSON array of strings."""

    child = serializers.CharField()


class DistinctTexts(serializers.ListField):
    """A JSON array of strings; a string that is in it twice counts once. `child` checks each of them."""

    def __init__(self, *, child: serializers.Field[Any, Any, Any, Any], **options: Any) -> None:
        super().__init__(child=copy.deepcopy(child), **options)  # a child knows its parent, so it has only one

    def to_internal_value(self, data: Any) -> list[str]:
        return list(dict.fromkeys(super().to_internal_value(data)))
