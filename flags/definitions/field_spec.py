"""What a `FieldSpec` says of a definition field. `flags.definitions.fields` has the specs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rest_framework import serializers

from flags.definitions.models import Flag


class BoundAccess(StrEnum):
    """What a bound caller can read of a field."""

    VALUE = "value"
    NULL = "null"
    """JSON has null instead of the value, and the flag's page leaves the field out."""
    NOTHING = "nothing"
    """JSON and the flag's page leave the field out."""


class AdminSection(StrEnum):
    """The groups of fields on a flag's page of the admin site. The value is the heading."""

    TOP = ""
    VALUES = "Type and variants"
    ROLLOUT = "Rollout"
    SEARCH = "Owner, search and clean-up"
    TARGETING = "Exceptions from the values of organizations"
    BUCKETS = "How the rollout counts"


def unchanged(value: Any) -> Any:
    """Return the value: the conversion of a field that needs no conversion."""
    return value


def null_if_empty(text: str) -> str | None:
    """Return null for an empty text."""
    return text or None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One definition field: its names, its validator, and how each part of Flagsite uses it.

    Conversions are not called for None, which has the same meaning everywhere.
    """

    name: str
    """The name on the model `Flag`, in `values` of `flags.definitions.service`, and in forms."""
    wire_name: str
    """The name in JSON: in the API, in schedules and in the audit log."""
    input: Callable[..., serializers.Field[Any, Any, Any, Any]]
    """Creates the serializer field that reads the value from a request."""
    output: Callable[..., serializers.Field[Any, Any, Any, Any]]
    """Creates the serializer field that describes the value in an answer."""
    example: Any
    """An example in JSON, for the OpenAPI document."""
    rule: Callable[[Any], None] | None = None
    """The validator, which raises ValidationError. None if the lengths and choices of the model are enough."""
    to_json: Callable[[Any], Any] = unchanged
    """Converts the model's value to JSON, for the API and the audit log."""
    is_kept_by_put: bool = False
    """Whether a PUT without this field keeps the current value, instead of setting the default."""
    normalized: Callable[[Any], Any] = unchanged
    """Returns the form in which a definition keeps a value. Returns a value that the validator refuses as it is."""
    is_schedulable: bool = False
    from_json: Callable[[Any], Any] = unchanged
    """Converts JSON, of a schedule or of history, to the model's value."""
    bound_access: BoundAccess = BoundAccess.VALUE
    section: AdminSection | None = None
    """The section of the page with its input. None if the page has no input for it."""
    null: Any = None
    """The model's value where JSON has null."""
    evaluated_as: str = ""
    """The attribute of `flags.evaluation.engine.Definition` with the value. Empty if evaluation does not read it."""
    to_evaluation: Callable[[Any], Any] = unchanged
    """Converts the model's value to this attribute. This conversion is called for None too."""
    also_evaluated: Callable[[Any], dict[str, Any]] = lambda _value: {}
    """Returns more attributes that come from the value."""

    @property
    def is_column(self) -> bool:
        """Whether the field is a column of the flag's row. Prerequisites are rows of another table."""
        return not Flag._meta.get_field(self.name).many_to_many

    @property
    def default(self) -> Any:
        """The value of a new flag: the model's default."""
        return Flag._meta.get_field(self.name).get_default() if self.is_column else []  # type: ignore[union-attr]

    def check(self, value: Any) -> None:
        """Check a value with the field's validator. Raises ValidationError."""
        if self.rule is not None:
            self.rule(value)

    def evaluated(self, value: Any) -> dict[str, Any]:
        """Return the attributes of `flags.evaluation.engine.Definition` that come from a value."""
        return {self.evaluated_as: self.to_evaluation(value), **self.also_evaluated(value)} if self.evaluated_as else {}

    def value_from_json(self, value: Any) -> Any:
        """Convert JSON, of a schedule or of history, to the model's value."""
        return self.null if value is None else self.from_json(value)

    def kept(self, value: Any) -> Any:
        """Return a value in the form in which a definition keeps it."""
        return self.null if value is None else self.normalized(value)

    def input_field(self) -> serializers.Field[Any, Any, Any, Any]:
        """Return a new serializer field that reads the value from a request. It is optional."""
        source = {} if self.wire_name == self.name else {"source": self.name}
        return self.input(required=False, **source)

    def output_field(self) -> serializers.Field[Any, Any, Any, Any]:
        """Return a new serializer field that describes the value in an answer."""
        return self.output(required=False) if self.bound_access is BoundAccess.NOTHING else self.output()
