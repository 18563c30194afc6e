"""The fields of a definition that people may change, each described once, by its `FieldSpec`.

The API, the admin site, schedules, the audit log and evaluation read the specs. So a new field is a column of the
model and a spec here; CONTRIBUTING.md has the whole checklist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any

from rest_framework import serializers

from flags.definitions import rules
from flags.definitions.json_fields import DistinctTexts, Environments, Percentage, Texts, TrueOrFalse, WholeNumber
from flags.definitions.models import FLAG_KEY, Flag
from flags.evaluation.engine import Unit
from flags.evaluation.rollout import HASHES, threshold
from flagsite.core.api.input import Text


class BoundAccess(StrEnum):
    """What a caller that is bound to an organization reads of a field."""

    VALUE = "value"
    NULL = "null"
    """JSON has null instead of the value, and the flag's page leaves the field out."""
    NOTHING = "nothing"
    """JSON and the flag's page leave the field out."""


class Section(StrEnum):
    """The groups of fields on a flag's page of the admin site, by their headings."""

    TOP = ""
    ROLLOUT = "Rollout"
    TARGETING = "Beside the organizations' values"
    SEARCH = "To find it by"


def unchanged(value: Any) -> Any:
    """The conversion of a value that is the same on both sides."""
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One definition field: its names, its rule, and its place in each part of Flagsite.

    The conversions get no None: it stands for itself everywhere.
    """

    name: str
    """On the model `Flag`, in `values` of `flags.definitions.service`, and in forms."""
    wire_name: str
    """In JSON: the API, schedules and the audit log."""
    input: Callable[..., serializers.Field[Any, Any, Any, Any]]
    """Makes the serializer field that reads it from a request."""
    output: Callable[..., serializers.Field[Any, Any, Any, Any]]
    """Makes the serializer field that describes it in an answer."""
    example: Any
    """As JSON, for the OpenAPI document."""
    rule: Callable[[Any], None] | None = None
    """Raises ValidationError; None where the lengths and choices that the model has are enough."""
    to_json: Callable[[Any], Any] = unchanged
    """From the model's value to what JSON has: in the API and the audit log."""
    is_kept_by_put: bool = False
    """Whether a PUT that leaves it out leaves it as it is, instead of setting the default."""
    is_schedulable: bool = False
    from_json: Callable[[Any], Any] = unchanged
    """From what a schedule has to the model's value."""
    bound_access: BoundAccess = BoundAccess.VALUE
    section: Section | None = None
    """Where a person fills it in; None: the page has no input for it."""
    evaluated_as: str = ""
    """The attribute of `flags.evaluation.engine.Definition` that has it; empty: evaluation does not read it."""
    to_evaluation: Callable[[Any], Any] = unchanged
    """From the model's value to that attribute; gets None too."""

    @property
    def is_column(self) -> bool:
        """Whether it is a column of the flag's own row."""
        return not Flag._meta.get_field(self.name).many_to_many

    @property
    def default(self) -> Any:
        """What a new flag has: the model's default."""
        return Flag._meta.get_field(self.name).get_default() if self.is_column else []  # type: ignore[union-attr]

    def check(self, value: Any) -> None:
        """Ask the field's own rule about a value. Raises ValidationError."""
        if self.rule is not None:
            self.rule(value)

    def value_from_json(self, value: Any) -> Any:
        """The model's value of what a schedule has."""
        return None if value is None else self.from_json(value)

    def input_field(self) -> serializers.Field[Any, Any, Any, Any]:
        """A new serializer field that reads it; a request may leave it out."""
        source = {} if self.wire_name == self.name else {"source": self.name}
        return self.input(required=False, **source)

    def output_field(self) -> serializers.Field[Any, Any, Any, Any]:
        """A new serializer field that describes it in an answer."""
        return self.output(required=False) if self.bound_access is BoundAccess.NOTHING else self.output()


_SPECS = (
    FieldSpec(
        name="description",
        wire_name="description",
        input=partial(Text, allow_blank=True, max_length=rules.LONGEST_DESCRIPTION),
        output=serializers.CharField,
        example="The checkout in one step.",
        rule=rules.description,
        section=Section.TOP,
    ),
    FieldSpec(
        name="enabled",
        wire_name="enabled",
        input=partial(TrueOrFalse, help_text="The value for organizations where nobody set the flag."),
        output=serializers.BooleanField,
        example=True,
        rule=rules.true_or_false,
        is_schedulable=True,
        section=Section.TOP,
        evaluated_as="enabled",
    ),
    FieldSpec(
        name="rollout_percentage",
        wire_name="rolloutPercentage",
        input=partial(Percentage, allow_null=True, help_text="Null is 100; up to three decimals."),
        output=partial(serializers.FloatField, allow_null=True),
        example=12.5,
        rule=rules.percentage,
        to_json=float,
        is_schedulable=True,
        from_json=lambda number: Decimal(str(number)),
        section=Section.ROLLOUT,
        evaluated_as="threshold",
        to_evaluation=threshold,
    ),
    FieldSpec(
        name="rollout_unit",
        wire_name="rolloutUnit",
        input=partial(serializers.ChoiceField, Flag.Unit.choices, help_text="What the percentage counts."),
        output=partial(serializers.ChoiceField, Flag.Unit.choices),
        example="targetingKey",
        section=Section.ROLLOUT,
        evaluated_as="unit",
        to_evaluation=Unit,
    ),
    FieldSpec(
        name="rollout_level",
        wire_name="rolloutLevel",
        input=partial(
            WholeNumber,
            allow_null=True,
            min_value=0,
            max_value=rules.DEEPEST_LEVEL,
            help_text="Of the ancestor that counts, 0 is the root; with the unit `ancestor` only.",
        ),
        output=partial(serializers.IntegerField, allow_null=True),
        example=None,
        rule=rules.level,
        section=Section.ROLLOUT,
        evaluated_as="level",
    ),
    FieldSpec(
        name="salt",
        wire_name="salt",
        input=partial(
            Text,
            allow_blank=True,  # a flag that is older than salts has an empty one, and a client may send that back
            max_length=64,
            trim_whitespace=False,
            help_text="Made up if you give none; another one picks other users.",
        ),
        output=serializers.CharField,
        example="5f0c2ab1",
        is_kept_by_put=True,  # an old client that does not know of it must not change who is in the rollout
        section=Section.ROLLOUT,
        evaluated_as="salt",
    ),
    FieldSpec(
        name="hash_version",
        wire_name="hashVersion",
        input=partial(
            WholeNumber, min_value=min(HASHES), max_value=max(HASHES), help_text="The formula of the buckets."
        ),
        output=serializers.IntegerField,
        example=1,
        rule=rules.hash_version,
        is_kept_by_put=True,
        evaluated_as="hash_version",
    ),
    FieldSpec(
        name="whitelist",
        wire_name="userWhitelist",
        input=partial(
            DistinctTexts,
            child=Text(max_length=rules.LONGEST_TARGETING_KEY, trim_whitespace=False),
            max_length=rules.MOST_LISTED,
            help_text="Targeting keys that always have it.",
        ),
        output=partial(Texts, allow_null=True, help_text="Null for keys that are bound to an organization."),
        example=["user-17"],
        rule=rules.targeting_keys,
        is_schedulable=True,
        from_json=lambda keys: list(dict.fromkeys(keys)),
        bound_access=BoundAccess.NULL,  # targeting keys are other customers' users
        section=Section.TARGETING,
        evaluated_as="whitelist",
        to_evaluation=frozenset,
    ),
    FieldSpec(
        name="environments",
        wire_name="environments",
        input=partial(Environments, help_text="Forces it on or off in an environment."),
        output=Environments,
        example={"staging": True},
        rule=rules.environments,
        is_schedulable=True,
        section=Section.TARGETING,
        evaluated_as="environments",
    ),
    FieldSpec(
        name="prerequisites",
        wire_name="prerequisites",
        input=partial(
            DistinctTexts,
            child=Text(max_length=255, trim_whitespace=False, validators=[FLAG_KEY]),
            max_length=100,
            help_text="Names of flags that must be on.",
        ),
        output=Texts,
        example=["new-basket"],
        section=Section.TARGETING,
        evaluated_as="prerequisites",
        to_evaluation=tuple,
    ),
    FieldSpec(
        name="owner",
        wire_name="owner",
        input=partial(Text, allow_blank=True, max_length=200),
        output=serializers.CharField,
        example="team checkout",
        section=Section.SEARCH,
    ),
    FieldSpec(
        name="tags",
        wire_name="tags",
        input=partial(DistinctTexts, child=Text(max_length=rules.LONGEST_TAG), max_length=rules.MOST_TAGS),
        output=Texts,
        example=["checkout", "q4"],
        rule=rules.tags,
        section=Section.SEARCH,
    ),
    FieldSpec(
        name="kind",
        wire_name="kind",
        input=partial(serializers.ChoiceField, Flag.Kind.choices),
        output=partial(serializers.ChoiceField, Flag.Kind.choices),
        example="release",
        section=Section.SEARCH,
    ),
    FieldSpec(
        name="expires_on",
        wire_name="expiresOn",
        input=partial(serializers.DateField, allow_null=True, help_text="When it should be gone from the code."),
        output=partial(serializers.DateField, allow_null=True),
        example="2027-03-31",
        to_json=date.isoformat,
        section=Section.SEARCH,
    ),
    FieldSpec(
        name="killed",
        wire_name="killed",
        input=partial(TrueOrFalse, help_text="Off for everybody, whatever else is set."),
        output=serializers.BooleanField,
        example=False,
        rule=rules.true_or_false,
        is_kept_by_put=True,  # an old client that does not know of it must not switch a killed flag on
        is_schedulable=True,
        section=Section.TOP,
        evaluated_as="killed",
    ),
    FieldSpec(
        name="archived",
        wire_name="archived",
        input=partial(TrueOrFalse, help_text="Off for everybody, out of the lists, and cannot be set."),
        output=serializers.BooleanField,
        example=False,
        rule=rules.true_or_false,
        is_kept_by_put=True,
        is_schedulable=True,
        evaluated_as="archived",
    ),
)
FIELDS: Mapping[str, FieldSpec] = {spec.name: spec for spec in _SPECS}
"""Every spec by the model's name of its field, in the order in which JSON and pages have them."""


def values_of(flag: Flag) -> dict[str, Any]:
    """The value of every field, by the model's names; prerequisites as keys in order."""
    return {name: getattr(flag, name) if spec.is_column else prerequisites_of(flag) for name, spec in FIELDS.items()}


def prerequisites_of(flag: Flag) -> list[str]:
    """The keys of the flags that it needs, in order; no query where they were fetched beforehand."""
    return sorted(needed.key for needed in flag.prerequisites.all())


def as_json(values: Mapping[str, Any], *, is_bound: bool = False) -> dict[str, Any]:
    """Values of fields as JSON, by their wire names, as the API answers them and the audit log keeps them.

    `values` has the model's names. With `is_bound` it is what a caller reads that is bound to an organization.
    """
    shown = {}
    for name, value in values.items():
        spec = FIELDS[name]
        access = spec.bound_access if is_bound else BoundAccess.VALUE
        if access is not BoundAccess.NOTHING:
            is_null = value is None or access is BoundAccess.NULL
            shown[spec.wire_name] = None if is_null else spec.to_json(value)
    return shown
