"""The rules of types, variants and schemas that hold for a definition as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from copy import copy
from typing import Any

from django.core.exceptions import ValidationError

from flags.definitions import rules
from flags.definitions.fields import FIELDS, differ
from flags.definitions.models import Flag
from flags.errors import FlagTypeImmutable, InvalidDefinition
from flags.states.models import CustomValue, FlagSetting
from flags.targeting.rules import served_keys
from flags.targeting.weighted_rules import settled_rollout, settled_rules
from flags.values.checks import OFF, ON, checked_variants, keys_of, unknown_variant
from flags.values.json_schema import check_values
from flags.values.types import FlagType
from flags.values.variant_numbers import MOST_NUMBERS, numbered
from flags.values.variants import FIRST_CUSTOM_VALUE

DEPENDENT = frozenset(
    {"type", "variants", "default_variant", "default_rollout", "off_variant", "value_schema", "targeting_rules"}
)
"""The fields on which these rules depend."""
SCHEMA_AND_VALUES = frozenset({"type", "variants", "value_schema"})
IMPLIED = {"default_variant": ON, "off_variant": OFF}
"""What a boolean flag always serves, so that its definition keeps nothing."""


def settled(flag: Flag, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return new values of a flag as its definition keeps them: variants with their numbers.

    Nothing that a boolean flag has anyway is kept. Values that a validator refuses are returned as they are, except for
    variants. Raises FlagTypeImmutable, InvalidDefinition.
    """
    kept = dict(values)
    if kept.get("type", flag.type) != flag.type:
        raise FlagTypeImmutable(
            f"The flag {flag.key!r} has the type {flag.type}, which cannot be changed. Define another flag."
        )
    if flag.type not in set(FlagType):
        return kept
    if flag.type == FlagType.BOOLEAN:
        kept |= {name: "" for name, key in IMPLIED.items() if kept.get(name) == key}
    if _is_list_of_objects(kept.get("targeting_rules")):
        is_boolean = flag.type == FlagType.BOOLEAN
        kept["targeting_rules"] = settled_rules(kept["targeting_rules"], flag.targeting_rules, is_boolean=is_boolean)
    if _is_rollout(kept.get("default_rollout")):
        kept["default_rollout"] = settled_rollout(kept["default_rollout"], flag.default_rollout)
    if "variants" in kept:
        try:
            rules.variants(kept["variants"])
            checked = checked_variants(flag.type, kept["variants"])
        except ValidationError as error:
            raise InvalidDefinition(f"variants: {' '.join(error.messages)}") from error
        kept["variants"] = numbered(checked, before=flag.variants, made=flag.variants_made)
        if kept["variants"] and highest(kept["variants"]) > MOST_NUMBERS:
            raise InvalidDefinition(f"variants: The flag has had {MOST_NUMBERS} variants. Define another flag.")
    return kept


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_rollout(value: Any) -> bool:
    """Whether a value is a default rollout that no validator refuses."""
    try:
        rules.default_rollout(value)
    except ValidationError:
        return False
    return value is not None


def settled_new(flag: Flag, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a new flag, whose default variant is the first one if the values name none."""
    kept = settled(flag, {"variants": [], **values})
    if kept["variants"]:
        kept.setdefault("default_variant", kept["variants"][0]["key"])
    return kept


def give(flag: Flag, values: Mapping[str, Any]) -> list[str]:
    """Give a flag in memory settled values. Returns the names of those that differ from its former ones."""
    changed = [name for name, value in values.items() if differ(getattr(flag, name), value)]
    for name in changed:
        setattr(flag, name, values[name])
    return changed


def check_change(flag: Flag, values: Mapping[str, Any]) -> None:
    """Check that a definition can get these values one day. Raises FlagTypeImmutable, InvalidDefinition."""
    then = copy(flag)
    changed = give(then, settled(flag, values))
    for name, message in faults(then, changed):
        raise InvalidDefinition(f"{FIELDS[name].wire_name}: {message}")


def highest(variants: list[dict[str, Any]]) -> int:
    """Return the highest number of variants; 0 if there are none."""
    return max((each["number"] for each in variants), default=0)


def faults(flag: Flag, changed: Collection[str]) -> Iterator[tuple[str, str]]:
    """Say what is wrong with a definition as a whole: the names of fields, each with a sentence.

    `changed` has the names of the fields that differ from the stored definition. If they leave schema and values alone,
    these fit each other as before.
    """
    keys = keys_of(flag.type, flag.variants)
    for name, implied in IMPLIED.items():
        key = getattr(flag, name)
        if key and flag.type == FlagType.BOOLEAN:
            yield name, f"A boolean flag has the variant {implied!r} here, which cannot be changed. Leave it out."
        elif key and key not in keys:
            yield name, unknown_variant(key, keys)
    yield from _unknown_shares(flag, keys)
    if flag.value_schema is not None and flag.type == FlagType.BOOLEAN:
        yield "value_schema", "A boolean flag takes no schema."
    if not SCHEMA_AND_VALUES & set(changed):
        return
    try:
        check_values(flag.value_schema, _values_of(flag))
    except ValidationError as error:
        yield "value_schema", " ".join(error.messages)


def _unknown_shares(flag: Flag, keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Say which targeting rule, or whether the default rollout, serves a variant that the flag does not have."""
    for number, rule in enumerate(flag.targeting_rules, 1):
        for key in served_keys(rule):
            if key not in keys:
                yield "targeting_rules", f"Rule {number}: {unknown_variant(key, keys)}"
    if flag.default_rollout is not None and flag.type == FlagType.BOOLEAN:
        yield "default_rollout", "A boolean flag takes none: `rolloutPercentage` says for how many it is on."
    elif flag.default_rollout is not None:
        for key in flag.default_rollout["rollout"]:
            if key not in keys:
                yield "default_rollout", unknown_variant(key, keys)


def _values_of(flag: Flag) -> Iterator[tuple[str, Any]]:
    """Return the values of a flag with their names in words: those of variants, and those of settings."""
    for each in flag.variants:
        yield f"The variant {each['key']!r}", each["value"]
    if flag.pk and flag.value_schema is not None:
        settings = FlagSetting.objects.filter(flag=flag, variant__gte=FIRST_CUSTOM_VALUE)
        used = dict(settings.values_list("variant", "organization_id"))
        for number, value in CustomValue.objects.filter(pk__in=used).values_list("pk", "value"):
            yield f"The value that the organization {used[number]} has", value
