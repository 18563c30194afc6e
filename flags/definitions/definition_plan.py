"""Plans of changes of definitions: how many organizations would get another answer. Nothing is written.

The figures come from the settings of the flag, so their cost does not depend on the number of organizations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

from flags.definitions import loader, prerequisites
from flags.definitions.default_rollout_plan import Moved, moved
from flags.definitions.fields import FIELDS, as_json
from flags.definitions.models import Flag
from flags.evaluation.effective_value import off_for_everybody
from flags.evaluation.engine import Definition
from flags.evaluation.wants import keys_of
from flags.states.effects import parts_of
from flags.states.models import FlagSetting
from flags.states.placed_settings import count_organizations, settings_everywhere
from flags.targeting.rules import served_keys
from flags.values.checks import canonical_json
from flags.values.variants import BY_ENABLED, is_custom
from flagsite.core.ids import MAX_ID

BUCKETS = ("rollout_unit", "rollout_level", "salt", "hash_version")
"""The fields that decide who is in which bucket."""
MOST_DIGITS = len(str(MAX_ID))
MAX_NAMED = 10
"""Settings that have changed since a plan, and scheduled changes, that are named at most."""


class Group(NamedTuple):
    """Organizations with the same stored value; None if nothing decides, so that the flag's default counts."""

    enabled: bool | None
    locked: bool
    variant: int


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that would change, by its name in JSON, with its values in JSON."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class DefinitionPlan:
    """What a change of a definition would do.

    `changed` organizations get another answer for all users, or for some of them, in an environment without override.
    It is an upper bound or an expectation if `is_estimate`. In `environments`, the override changes, or its value.
    `users_added` and `users_removed` are numbers of targeting keys of the whitelist. `needed_by` has the flags whose
    answers may change too. `schedule_ids` are those of the next scheduled changes, MAX_NAMED at most, of
    `open_schedules`.
    """

    organizations: int
    changed: int
    is_estimate: bool
    fields: Sequence[FieldChange]
    environments: Sequence[str]
    users_added: int
    users_removed: int
    needed_by: Sequence[str]
    open_schedules: int
    schedule_ids: Sequence[int]
    hash: str
    flag: Flag

    @property
    def unchanged(self) -> int:
        """The number of organizations that get the same answers."""
        return self.organizations - self.changed

    def moved_since(self, known: str) -> list[str]:
        """Say in sentences what has changed since a plan with the hash `known`."""
        number, version = _parts_of_hash(known)
        settings = FlagSetting.objects.filter(flag=self.flag, number__gt=number).order_by("number")[:MAX_NAMED]
        moved = [
            f"The setting of the organization {each.organization_id} was changed (change {each.number})."
            for each in settings
        ]
        if version != self.flag.version:
            moved.insert(0, f"The definition has the version {self.flag.version} now, and had {version}.")
        return moved or ["The plan was made for another request, or a flag that it depends on has changed."]


def of_change(flag: Flag, before: Mapping[str, Any], changed: Mapping[str, Any]) -> DefinitionPlan:
    """Return the plan of changing a definition.

    `before` has all definition fields of the flag, and `changed` the new values of those that change, both by the names
    of the model.
    """
    after = {**before, **changed}
    needed = loader.load_needed(keys=[flag.key, *keys_of(after["prerequisites"])])
    stopped = [_is_stopped(needed, needed[flag.key]), _is_stopped(needed, _definition(needed[flag.key], changed))]
    total = count_organizations()
    differing, is_estimate = _differing(_groups_of(flag, total), before, after, stopped)
    environments = [] if all(stopped) else _environments(before, after)
    users = [set(values["whitelist"]) for values in (before, after)]
    has_other_answers = bool(differing or environments or users[0] != users[1])
    needed_by = prerequisites.all_that_need(flag.key) if has_other_answers else []
    waiting = flag.schedules.open()
    return DefinitionPlan(
        total, differing, is_estimate and differing > 0, _fields(before, changed), environments,
        users_added=len(users[1] - users[0]), users_removed=len(users[0] - users[1]), needed_by=needed_by,
        open_schedules=waiting.count(),
        schedule_ids=list(waiting.order_by("scheduled_at", "pk").values_list("pk", flat=True)[:MAX_NAMED]),
        hash=_hash(flag, changed, needed, needed_by), flag=flag,
    )  # fmt: skip


def asked_organizations(flag: Flag, total: int) -> int:
    """Return in how many of all organizations the targeting rules of a flag count: the value is not locked there."""
    needed = loader.load_needed(keys=[flag.key])
    if _is_stopped(needed, needed[flag.key]):
        return 0
    return sum(count for group, count in _groups_of(flag, total).items() if not group.locked)


def _fields(before: Mapping[str, Any], changed: Mapping[str, Any]) -> list[FieldChange]:
    old, new = as_json({name: before[name] for name in changed}), as_json(changed)
    return [FieldChange(name, old[name], value) for name, value in new.items()]


def _environments(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the environments whose override changes, or serves another value."""
    old, new = before["environments"], after["environments"]
    is_moved = _by_default(before) != _by_default(after)
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name) or (is_moved and new.get(name)))


def _definition(former: Definition, changed: Mapping[str, Any]) -> Definition:
    """Return the definition that evaluation would read after the change."""
    evaluated = (FIELDS[name].evaluated(value) for name, value in changed.items())
    return replace(former, **{name: value for attributes in evaluated for name, value in attributes.items()})


def _is_stopped(needed: Mapping[str, Definition], definition: Definition) -> bool:
    return off_for_everybody(definition.key, {**needed, definition.key: definition}) is not None


def _groups_of(flag: Flag, total: int) -> Counter[Group]:
    """Return how many organizations have which stored value, from the settings of the flag."""
    settings = settings_everywhere(flag.pk)
    groups: Counter[Group] = Counter()
    nowhere = 0
    for part in parts_of(flag.pk, ([], settings), ([], settings), top_id=nowhere, size=total + 1):
        if not (part.is_itself and part.organization_id == nowhere):
            groups[Group(part.before.enabled, part.before.locked, part.before.variant)] += part.size
    return groups


def _differing(
    groups: Counter[Group], before: Mapping[str, Any], after: Mapping[str, Any], stopped: Sequence[bool]
) -> tuple[int, bool]:
    """Return the number of organizations with another answer, and whether it is an estimate."""
    others = before["prerequisites"] != after["prerequisites"]
    needs = bool(before["prerequisites"] or after["prerequisites"])
    has_rules = bool(before["targeting_rules"] or after["targeting_rules"])
    for_some = _for_some_users(before, stopped=stopped[0]) != _for_some_users(after, stopped=stopped[1])
    differing, is_estimate = 0.0, False
    for group, count in groups.items():
        shares = [0.0 if stopped[0] else _share(before, group), 0.0 if stopped[1] else _share(after, group)]
        fraction, is_expected = _fraction(shares, before, after, group)
        if others and not any(stopped) and any(shares):  # the prerequisites may be off in some of them
            fraction, is_expected = 1.0, True
        if _has_other_values(before, after, group, shares, stopped):
            fraction, is_expected = 1.0, False
        by_default = _by_default_rollout(before, after, group, shares)
        if by_default.fraction > fraction:
            fraction, is_expected = by_default
        if for_some and not group.locked and fraction < 1 and min(shares) < 1:  # for users there, if there are any
            fraction, is_expected = 1.0, True
        differing += count * fraction
        is_estimate |= bool(fraction) and (is_expected or needs or (has_rules and not group.locked))
    return round(differing), is_estimate


def _has_other_values(
    before: Mapping[str, Any], after: Mapping[str, Any], group: Group, shares: Sequence[float], stopped: Sequence[bool]
) -> bool:
    """Return whether organizations of a group get another value where the flag is on, or where it is off."""
    both = (before, after)
    is_split = _is_split(before, group) or _is_split(after, group)
    on = ["", ""] if is_split else [_value_in(values, group.variant, values["default_variant"]) for values in both]
    off = [
        "" if is_stopped else _value_in(values, BY_ENABLED, values["off_variant"])
        for values, is_stopped in zip(both, stopped, strict=True)
    ]
    return (on[0] != on[1] and max(shares) > 0) or (off[0] != off[1] and min(shares) < 1)


def _is_split(values: Mapping[str, Any], group: Group) -> bool:
    """Return whether the default rollout chooses the variant in organizations of a group."""
    is_chosen = is_custom(group.variant) or any(each["number"] == group.variant for each in values["variants"])
    return values["default_rollout"] is not None and not group.locked and not is_chosen


def _by_default_rollout(
    before: Mapping[str, Any], after: Mapping[str, Any], group: Group, shares: Sequence[float]
) -> Moved:
    """Return the fraction of a group in which the default rollout gives some another value."""
    if not (_is_split(before, group) or _is_split(after, group)):
        return Moved(0.0, is_expected=False)
    fraction, is_expected = moved(before, after)
    return Moved(fraction * max(shares) if is_expected else float(max(shares) > 0), is_expected)


def _value_in(values: Mapping[str, Any], number: int, key: str) -> str:
    """Return the value of the variant with a number, or else with a key, as JSON; empty if there is none."""
    if is_custom(number):
        return ""  # a change of the definition does not change it
    found = {each["number"]: each for each in values["variants"]} | {each["key"]: each for each in values["variants"]}
    chosen = found.get(number) or found.get(key)
    return canonical_json(chosen["value"]) if chosen else ""


def _for_some_users(values: Mapping[str, Any], *, stopped: bool) -> str:
    """Return as JSON what decides for some users before the organization's value: the whitelist and targeting rules.

    It has the values that they serve, and the formula of the buckets if a rule has a rollout.
    """
    whitelist, rules = sorted(values["whitelist"]), values["targeting_rules"]
    if stopped or not (whitelist or rules):
        return ""
    texts = {each["key"]: each["value"] for each in values["variants"]}
    served = {key: texts.get(key) for rule in rules for key in served_keys(rule)}
    has_rollout = any("rollout" in rule["serve"] for rule in rules)
    buckets = [values["salt"], values["hash_version"]] if has_rollout else []
    return canonical_json([whitelist, _by_default(values) if whitelist else "", rules, served, buckets])


def _by_default(values: Mapping[str, Any]) -> str:
    """Return as JSON what is served where the flag is on and nothing else has chosen a variant."""
    rollout = values["default_rollout"]
    parts = [rollout, values["salt"], values["hash_version"], values["variants"]] if rollout else []
    return canonical_json([_value_in(values, BY_ENABLED, values["default_variant"]), parts])


def _share(values: Mapping[str, Any], group: Group) -> float:
    """Return the share of the buckets for which organizations of a group have the flag on."""
    if not (values["enabled"] if group.enabled is None else group.enabled):
        return 0.0
    percentage = values["rollout_percentage"]
    return 1.0 if group.locked or percentage is None else float(percentage) / 100


def _fraction(
    shares: Sequence[float], before: Mapping[str, Any], after: Mapping[str, Any], group: Group
) -> tuple[float, bool]:
    """Return the fraction of a group with another answer, and whether this is only an expectation."""
    partial = [values for values, share in zip((before, after), shares, strict=True) if 0 < share < 1]
    has_other_buckets = any(before[name] != after[name] for name in BUCKETS)
    if shares[0] == shares[1] and not (partial and has_other_buckets):
        return 0.0, False
    if not partial or any(values["rollout_unit"] == Flag.Unit.TARGETING_KEY for values in partial):
        return 1.0, False  # some users of each organization
    was, will = shares
    return (was * (1 - will) + will * (1 - was), True) if has_other_buckets else (abs(will - was), True)


def _hash(flag: Flag, changed: Mapping[str, Any], needed: Mapping[str, Definition], needed_by: Sequence[str]) -> str:
    """Return a hash over the request, and what its effect depends on: definitions and settings.

    Its beginning tells the highest change number of the flag's settings and the version of the definition.
    """
    number = FlagSetting.objects.filter(flag=flag).order_by("-number").values_list("number", flat=True).first() or 0
    content = [flag.revision, sorted(as_json(changed).items()), number, list(needed_by)]
    content += sorted((each.id, each.version) for each in needed.values())
    return f"{number}-{flag.version}-{sha256(repr(content).encode()).hexdigest()[:32]}"


def _parts_of_hash(text: str) -> tuple[int, int]:
    parts = text.split("-")
    numbers = [int(part) if part.isascii() and part.isdigit() and len(part) < MOST_DIGITS else 0 for part in parts]
    number, version = (*numbers, 0, 0)[:2]
    return number, version
