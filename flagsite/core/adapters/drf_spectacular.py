"""drf-spectacular: a schema class that can add to the schema of each serializer and field.

Why: the library reads only some validators of fields, and says nothing of serializers that refuse unknown fields. Its
extensions replace the schema of a whole class of fields, and lists, queries and bodies read them in different ways.

Private names: `AutoSchema._map_basic_serializer` and `AutoSchema._insert_field_validators`.

At an upgrade check: `_map_basic_serializer` returns the schema of every serializer with fields, also of one that
describes a query. `_insert_field_validators` gets every field, also the child of a list, with the schema that it
may change.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import force_instance

DISTRIBUTION = "drf-spectacular"
CHECKED_VERSION = "0.30.0"


class ExtensibleSchema(AutoSchema):
    """The library's schema class, with two methods for subclasses."""

    def describe_serializer(self, serializer: Any, schema: dict[str, Any]) -> None:
        """Add to the schema of a serializer. `schema` is changed in place."""

    def describe_field(self, field: Any, schema: dict[str, Any]) -> None:
        """Add to the schema of a field. `schema` is changed in place."""

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Any:
        instance = force_instance(serializer)
        schema = super()._map_basic_serializer(instance, direction)
        self.describe_serializer(instance, schema)
        return schema

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        super()._insert_field_validators(field, schema)
        self.describe_field(field, schema)
