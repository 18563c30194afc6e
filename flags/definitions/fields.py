"""The definition fields that people may change. One `FieldSpec` describes each field.

The API, the admin site, schedules, the audit log and evaluation read the specs. So a new field is a column of the
model and a spec here; CONTRIBUTING.md has the whole checklist.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from rest_framework import serializers

from flags.definitions import rules
from flags.definitions.field_spec import AdminSection, BoundAccess, FieldSpec, null_if_empty
from flags.definitions.json_fields import (
    DefaultRollout,
    DistinctTexts,
    Environments,
    Percentage,
    Prerequisites,
    TargetingRules,
    Texts,
    TrueOrFalse,
    ValueSchema,
    VariantKey,
    Variants,
    WholeNumber,
)
from flags.definitions.models import Flag
from flags.evaluation.hashes import HASHES
from flags.evaluation.reasons import Unit
from flags.evaluation.rollout import threshold
from flags.evaluation.wants import Entry, entries_of, keys_of, normalized_entries, wants_of
from flags.targeting.checks import normalized_default_rollout, normalized_rules
from flags.targeting.rule_rollouts import default_rollout_of
from flags.targeting.rules import rules_of
from flags.targeting.rules_schema import EXAMPLE_OF_RULES
from flags.values.checks import canonical_json
from flags.values.json_schema import check_schema
from flags.values.stored_json import restored
from flags.values.types import TYPES, FlagType
from flags.values.variant_numbers import without_numbers
from flags.values.variants import variants_of
from flagsite.core import example_names as names
from flagsite.core.api.input import Text

HIDDEN_FROM_BOUND = "Null if your access key is bound to an organization."


_SPECS = (
    FieldSpec(
        name="description",
        wire_name="description",
        input=partial(Text, allow_blank=True, max_length=rules.MAX_DESCRIPTION_LENGTH),
        output=serializers.CharField,
        example="The checkout in one step.",
        rule=rules.description,
        section=AdminSection.TOP,
    ),
    FieldSpec(
        name="enabled",
        wire_name="enabled",
        input=partial(TrueOrFalse, help_text="The value for organizations where nobody set the flag."),
        output=partial(
            serializers.BooleanField,
            help_text="The default, also of a killed flag: the stored value for organizations where nobody set it.",
        ),
        example=True,
        rule=rules.true_or_false,
        is_schedulable=True,
        section=AdminSection.TOP,
        evaluated_as="enabled",
    ),
    FieldSpec(
        name="available_to_clients",
        wire_name="availableToClients",
        input=partial(
            TrueOrFalse, help_text="Access keys with the role `client` can evaluate the flag. Default: false."
        ),
        output=serializers.BooleanField,
        example=True,
        rule=rules.true_or_false,
        is_kept_by_put=True,  # an old client that does not know this field must not take the flag away from pages
        section=AdminSection.TOP,
        evaluated_as="available_to_clients",
    ),
    FieldSpec(
        name="rollout_percentage",
        wire_name="rolloutPercentage",
        input=partial(Percentage, allow_null=True, help_text="Up to three decimals. Null means 100."),
        output=partial(serializers.FloatField, allow_null=True),
        example=12.5,
        rule=rules.percentage,
        to_json=float,
        is_schedulable=True,
        from_json=lambda number: Decimal(str(number)),
        section=AdminSection.ROLLOUT,
        evaluated_as="threshold",
        to_evaluation=threshold,
    ),
    FieldSpec(
        name="rollout_unit",
        wire_name="rolloutUnit",
        input=partial(serializers.ChoiceField, Flag.Unit.choices, help_text="The unit that the percentage counts."),
        output=partial(serializers.ChoiceField, Flag.Unit.choices),
        example="targetingKey",
        section=AdminSection.BUCKETS,
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
            max_value=rules.MAX_LEVEL,
            help_text="The level of the ancestor that counts; the root has level 0. Only with the unit `ancestor`.",
        ),
        output=partial(serializers.IntegerField, allow_null=True),
        example=None,
        rule=rules.level,
        section=AdminSection.BUCKETS,
        evaluated_as="level",
    ),
    FieldSpec(
        name="salt",
        wire_name="salt",
        input=partial(
            Text,
            allow_blank=True,  # a flag that is older than salts has an empty salt, and a client may send it back
            max_length=400,  # a flag of another product has its key and its salt here
            trim_whitespace=False,
            help_text="A random text if you leave it out. Another salt chooses other users.",
        ),
        output=partial(serializers.CharField, allow_null=True, help_text=HIDDEN_FROM_BOUND),
        example="5f0c2ab1",
        bound_access=BoundAccess.NULL,  # with the salt, anybody can compute who is in the rollout
        is_kept_by_put=True,  # an old client that does not know the salt must not change the users of the rollout
        section=AdminSection.BUCKETS,
        evaluated_as="salt",
    ),
    FieldSpec(
        name="hash_version",
        wire_name="hashVersion",
        input=partial(
            WholeNumber,
            min_value=min(HASHES),
            max_value=max(HASHES),
            help_text="The version of the formula that computes buckets.",
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
            child=Text(max_length=rules.MAX_TARGETING_KEY_LENGTH, trim_whitespace=False),
            max_length=rules.MAX_WHITELIST_SIZE,
            help_text="Targeting keys for which the flag is on, even where the organization has it off.",
        ),
        output=partial(Texts, allow_null=True, help_text=HIDDEN_FROM_BOUND),
        example=[names.USER],
        rule=rules.targeting_keys,
        is_schedulable=True,
        from_json=lambda keys: list(dict.fromkeys(keys)),
        bound_access=BoundAccess.NULL,  # targeting keys identify users of other customers
        section=AdminSection.TARGETING,
        evaluated_as="whitelist",
        to_evaluation=frozenset,
    ),
    FieldSpec(
        name="targeting_rules",
        wire_name="rules",
        input=partial(
            TargetingRules,
            help_text="Targeting rules. The first that matches decides, before the organization's value.",
        ),
        output=partial(TargetingRules, allow_null=True, help_text=HIDDEN_FROM_BOUND),
        example=EXAMPLE_OF_RULES,
        rule=rules.targeting_rules,
        is_kept_by_put=True,  # an old client that does not know this field must not delete the rules
        is_schedulable=True,
        normalized=normalized_rules,
        from_json=restored,
        bound_access=BoundAccess.NULL,  # the values identify users and organizations of other customers
        section=AdminSection.TARGETING,
        evaluated_as="targeting_rules",
        to_evaluation=rules_of,
    ),
    FieldSpec(
        name="type",
        wire_name="type",
        input=partial(serializers.ChoiceField, TYPES, help_text="The type of the values. It cannot be changed."),
        output=partial(serializers.ChoiceField, TYPES),
        example="boolean",
        is_kept_by_put=True,
        section=AdminSection.VALUES,
        evaluated_as="type",
        to_evaluation=FlagType,
    ),
    FieldSpec(
        name="variants",
        wire_name="variants",
        input=partial(Variants, help_text="The values, each with a key. A boolean flag has `on` and `off`: list none."),
        output=Variants,
        example=[],
        rule=rules.variants,
        to_json=without_numbers,
        is_kept_by_put=True,  # an old client that does not know this field must not delete the variants
        from_json=restored,
        section=AdminSection.VALUES,
        evaluated_as="variants",
        to_evaluation=variants_of,
    ),
    FieldSpec(
        name="default_variant",
        wire_name="defaultVariant",
        input=partial(VariantKey, help_text="The variant where the flag is on and nothing else decides."),
        output=partial(serializers.CharField, allow_null=True),
        example=None,
        rule=rules.variant_key,
        to_json=null_if_empty,
        is_kept_by_put=True,
        null="",
        is_schedulable=True,
        section=AdminSection.VALUES,
        evaluated_as="default_variant",
    ),
    FieldSpec(
        name="default_rollout",
        wire_name="defaultRollout",
        input=partial(DefaultRollout, allow_null=True, help_text="Weights of variants in place of `defaultVariant`."),
        output=partial(DefaultRollout, allow_null=True, help_text=HIDDEN_FROM_BOUND),
        example=None,
        rule=rules.default_rollout,
        is_kept_by_put=True,
        is_schedulable=True,
        normalized=normalized_default_rollout,
        bound_access=BoundAccess.NULL,  # with a salt of its own, anybody can compute who gets which variant
        section=AdminSection.VALUES,
        evaluated_as="default_rollout",
        to_evaluation=default_rollout_of,
    ),
    FieldSpec(
        name="off_variant",
        wire_name="offVariant",
        input=partial(VariantKey, help_text="The variant where the flag is off. Null: no value, the code decides."),
        output=partial(serializers.CharField, allow_null=True),
        example=None,
        rule=rules.variant_key,
        to_json=null_if_empty,
        is_kept_by_put=True,
        null="",
        is_schedulable=True,
        section=AdminSection.VALUES,
        evaluated_as="off_variant",
    ),
    FieldSpec(
        name="value_schema",
        wire_name="schema",
        input=partial(ValueSchema, allow_null=True, help_text="A JSON Schema (2020-12) that every value has to fit."),
        output=partial(ValueSchema, allow_null=True),
        example=None,
        rule=check_schema,
        is_kept_by_put=True,
        from_json=restored,
        section=AdminSection.VALUES,
    ),
    FieldSpec(
        name="environments",
        wire_name="environments",
        input=partial(Environments, help_text="Environment overrides: they turn the flag on or off in an environment."),
        output=Environments,
        example={"staging": True},
        rule=rules.environments,
        is_schedulable=True,
        section=AdminSection.TARGETING,
        evaluated_as="environments",
    ),
    FieldSpec(
        name="prerequisites",
        wire_name="prerequisites",
        input=partial(Prerequisites, help_text="Flags that must be on, or off, before this flag can be on."),
        output=Prerequisites,
        example=[names.BASKET_FLAG],
        normalized=normalized_entries,
        section=AdminSection.TARGETING,
        evaluated_as="prerequisites",
        to_evaluation=lambda entries: tuple(keys_of(entries)),
        also_evaluated=lambda entries: {"wants": wants_of(entries)},
    ),
    FieldSpec(
        name="owner",
        wire_name="owner",
        input=partial(Text, allow_blank=True, max_length=200),
        output=serializers.CharField,
        example="team checkout",
        section=AdminSection.SEARCH,
    ),
    FieldSpec(
        name="tags",
        wire_name="tags",
        input=partial(DistinctTexts, child=Text(max_length=rules.MAX_TAG_LENGTH), max_length=rules.MAX_TAGS),
        output=Texts,
        example=["checkout", "q4"],
        rule=rules.tags,
        section=AdminSection.SEARCH,
    ),
    FieldSpec(
        name="kind",
        wire_name="kind",
        input=partial(serializers.ChoiceField, Flag.Kind.choices),
        output=partial(serializers.ChoiceField, Flag.Kind.choices),
        example="release",
        section=AdminSection.SEARCH,
    ),
    FieldSpec(
        name="expires_on",
        wire_name="expiresOn",
        input=partial(
            serializers.DateField,
            allow_null=True,
            help_text="The date by which the flag should be removed from the code.",
        ),
        output=partial(serializers.DateField, allow_null=True),
        example="2027-03-31",
        to_json=date.isoformat,
        from_json=date.fromisoformat,
        section=AdminSection.SEARCH,
    ),
    FieldSpec(
        name="killed",
        wire_name="killed",
        input=partial(TrueOrFalse, help_text="Turns the flag off for everybody, whatever else is set."),
        output=serializers.BooleanField,
        example=False,
        rule=rules.true_or_false,
        is_kept_by_put=True,  # an old client that does not know this field must not turn a killed flag on
        is_schedulable=True,
        section=AdminSection.TOP,
        evaluated_as="killed",
    ),
    FieldSpec(
        name="archived",
        wire_name="archived",
        input=partial(
            TrueOrFalse, help_text="An archived flag is off for everybody, is not listed, and cannot be set."
        ),
        output=serializers.BooleanField,
        example=False,
        rule=rules.true_or_false,
        is_kept_by_put=True,
        is_schedulable=True,
        evaluated_as="archived",
    ),
)
FIELDS: Mapping[str, FieldSpec] = {spec.name: spec for spec in _SPECS}
"""All specs by the model's field names, in the order of JSON and pages."""


def values_of(flag: Flag) -> dict[str, Any]:
    """Return the value of every definition field by the model's field names. Prerequisites are sorted by key."""
    return {name: getattr(flag, name) if spec.is_column else prerequisites_of(flag) for name, spec in FIELDS.items()}


def differ(one: Any, other: Any) -> bool:
    """Return whether two values of a field differ. In JSON, true is not 1, and 1 is not 1.0."""
    is_json = isinstance(one, list | dict) and isinstance(other, list | dict)
    return one != other or (is_json and canonical_json(one) != canonical_json(other))


def prerequisites_of(flag: Flag) -> list[Entry]:
    """Return the flag's prerequisites, sorted by key. It makes no query if they were prefetched."""
    return entries_of((needed.key for needed in flag.prerequisites.all()), flag.prerequisite_wants)


def as_json(values: Mapping[str, Any], *, is_bound: bool = False) -> dict[str, Any]:
    """Convert values of definition fields to JSON, as the API returns it and the audit log stores it.

    The keys of `values` are the model's field names; the keys of the result are the names in JSON. With `is_bound` the
    result contains only what a bound caller may read.
    """
    document = {}
    for name, value in values.items():
        spec = FIELDS[name]
        access = spec.bound_access if is_bound else BoundAccess.VALUE
        if access is not BoundAccess.NOTHING:
            document[spec.wire_name] = None if value is None or access is BoundAccess.NULL else spec.to_json(value)
    return document
