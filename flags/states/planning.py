"""Plans: what a change would do to the values of a subtree. Nothing is written.

A plan compares the settings of now with those that the change would leave. So it does not depend on jobs that are under
way, and its cost depends on the settings and not on the organizations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol

from flags.definitions.models import Flag
from flags.errors import BlastRadius, PlanStale
from flags.evaluation.context_loader import CustomValues, load_custom_values
from flags.states.choices import NEW_CUSTOM_VALUE, NOT_GIVEN, Chosen
from flags.states.effects import DefaultValue, Effect, Part, changed_from, differs, effect_of, parts_of, without
from flags.states.placed_settings import SettingsOfSubtree, settings_of_subtree
from flags.states.setting_rules import LOCK, NONE, SET, Below, DecidedValue, PlacedSetting, lock_to_lift, pieces_of
from flags.states.shown_values import ShownValue, shown
from flagsite.core.ids import MAX_ID
from orgs.tree.paths import path_ids_of
from orgs.tree.subtrees import Subtree

MAX_SAMPLES = 10
UNREAD = "…"


@dataclass(frozen=True, slots=True)
class FlagChanges:
    """Where organizations of a subtree get another value of a flag: `changed_from` of `flags.states.effects`."""

    subtree: Subtree
    flag: Flag
    starts: Sequence[tuple[int, bool]]


class AnyPlan(Protocol):
    """A plan of one deed."""

    @property
    def hash(self) -> str:
        """The hash by which a later request says that it knows the effect."""

    @property
    def changed(self) -> int:
        """The number of organizations that get another value."""

    def moved_since(self, known: str) -> list[str]:
        """Say in sentences what has changed since a plan with the hash `known`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Organizations of a subtree that get another value together: `size` at or below one of them.

    Custom values are not read: in place of one, `before` and `after` have UNREAD, and `numbers` has its number.
    """

    organization_id: int
    size: int
    before: ShownValue
    after: ShownValue
    numbers: tuple[int, int]
    """The numbers of the variants or custom values before and after."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The effect of a change on one flag, and the hash by which a later request says that it knows this effect.

    `samples` are parts of the subtree that get another value. `planned` is the custom value that the change would give.
    """

    effect: Effect
    hash: str
    subtree: Subtree
    flag: Flag
    settings: SettingsOfSubtree
    after: SettingsOfSubtree
    samples: Sequence[Sample] = ()
    planned: Any = NOT_GIVEN

    @property
    def changed(self) -> int:
        """The number of organizations that get another value."""
        return self.effect.changed

    @property
    def changes(self) -> list[FlagChanges]:
        """Where organizations get another value."""
        return [changes_of(self.subtree, self.flag, self.settings, self.after)]

    def moved_since(self, known: str) -> list[str]:
        """Say in sentences what has changed since a plan with the hash `known`."""
        number, size, version, _ = parts_of_hash(known)
        moved = settings_since(number, self.subtree, self.settings)
        if size != self.effect.organizations:
            moved.append(f"The subtree has {self.effect.organizations} organizations now, and had {size}.")
        if version != self.flag.version:
            moved.append(f"The definition of the flag has the version {self.flag.version} now, and had {version}.")
        return moved[:MAX_SAMPLES] or [
            "The plan was made for another request, or organizations were created, moved or deleted below."
        ]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a request knows of its effect: at most so many changed organizations, or the hash of its plan."""

    at_most: int | None = None
    plan_hash: str = ""

    def check(self, plan: AnyPlan) -> None:
        """Check that the plan of now is what the request knows of. Raises PlanStale, BlastRadius."""
        if self.plan_hash and self.plan_hash != plan.hash:
            moved = plan.moved_since(self.plan_hash)
            raise PlanStale(f"The plan is out of date. {' '.join(moved)} Make the plan again, and decide again.")
        if self.at_most is not None and plan.changed > self.at_most:
            raise BlastRadius(
                f"The change would give {plan.changed} organizations another value, and the request allows "
                f"{self.at_most}. Make a plan, and send its hash as planHash, or allow more with atMost."
            )


ANYTHING = Agreed()
"""Of a request that says nothing about its effect."""


def of_set(subtree: Subtree, chosen: Chosen, *, below: Below = Below.OVERWRITE, only_here: bool = False) -> Plan:
    """Return the plan of setting a flag on the top of a subtree (`flags.states.set_flag.set_flag_on`)."""
    flag, place = chosen.flag, subtree.organization_id
    own = PlacedSetting(
        id_of(flag), place, LOCK if below is Below.LOCK else SET, chosen.enabled, place, MAX_ID, only_here,
        variant=chosen.number(is_stored=False),
    )  # fmt: skip
    request = f"set {chosen.request} {below.value} {only_here}"
    return replace(_plan(subtree, flag, own, request, ends_below=below is Below.OVERWRITE), planned=chosen.value)


def of_reset(subtree: Subtree, flag: Flag, *, below: bool = False) -> Plan:
    """Return the plan of resetting a flag on the top of a subtree (`flags.states.set_flag.reset_flag_on`)."""
    own = PlacedSetting(id_of(flag), subtree.organization_id, NONE, None, subtree.organization_id, MAX_ID)
    return _plan(subtree, flag, own, f"reset {below}", ends_below=below)


def of_exemption(subtree: Subtree, flag: Flag, *, is_exempt: bool) -> Plan:
    """Return the plan of exempting the top of a subtree from the lock above, or of ending its exemption."""
    settings = settings_of_subtree(subtree, [id_of(flag)])[id_of(flag)]
    lock = lock_to_lift(settings.path, subtree.organization_id)
    above, former = split(settings.path, subtree)
    own = former or PlacedSetting(id_of(flag), subtree.organization_id, NONE, None, subtree.organization_id, 0)
    path = [*above, replace(own, exempt_from_id=lock.organization_id if is_exempt and lock else None)]
    return of_settings(subtree, flag, settings, SettingsOfSubtree(path, settings.below), f"exempt {is_exempt}", ended=0)


def _plan(subtree: Subtree, flag: Flag, own: PlacedSetting, request: str, *, ends_below: bool) -> Plan:
    """Return the plan of replacing the setting of the top, and of ending those below."""
    settings = settings_of_subtree(subtree, [id_of(flag)])[id_of(flag)]
    above, former = split(settings.path, subtree)
    path = [*above, replace(own, exempt_from_id=former.exempt_from_id if former else None)]
    below = [without(each) for each in settings.below] if ends_below else settings.below
    ended = sum(each.kind != NONE for each in settings.below) if ends_below else 0
    return of_settings(subtree, flag, settings, SettingsOfSubtree(path, below), request, ended=ended)


def split(path: list[PlacedSetting], subtree: Subtree) -> tuple[list[PlacedSetting], PlacedSetting | None]:
    """Return the settings above the top of a subtree, and that of the top, if there is one."""
    if path and path[-1].organization_id == subtree.organization_id:
        return path[:-1], path[-1]
    return path, None


def of_settings(
    subtree: Subtree, flag: Flag, settings: SettingsOfSubtree, after: SettingsOfSubtree, request: str, *, ended: int
) -> Plan:
    """Return the plan of a change that leaves the settings `after`, which are of the same organizations."""
    parts = parts_between(subtree, flag, settings, after)
    effect = effect_of(parts, default=DefaultValue.of(flag), ended=ended)
    samples = samples_of(parts, flag)
    return Plan(effect, _hash(subtree, flag, settings, request), subtree, flag, settings, after, samples)


def samples_of(parts: Sequence[Part], flag: Flag) -> list[Sample]:
    """Return the first parts that get another value, as people read them."""
    default = DefaultValue.of(flag)
    first = [part for part in parts if differs(part.before, part.after, default=default)][:MAX_SAMPLES]
    return [
        Sample(
            part.organization_id, part.size, _shown(flag, part.before), _shown(flag, part.after),
            (part.before.variant, part.after.variant),
        )
        for part in first
    ]  # fmt: skip


def custom_values_of(samples: Iterable[Sample], planned: Any = NOT_GIVEN) -> CustomValues:
    """Return the custom values of samples by their numbers, with one query at most.

    `planned` is the custom value that a change would give, which is perhaps not stored.
    """
    values = load_custom_values(number for sample in samples for number in sample.numbers)
    return values if planned is NOT_GIVEN else {**values, NEW_CUSTOM_VALUE: planned}


def _shown(flag: Flag, value: DecidedValue) -> ShownValue:
    return shown(flag, value.enabled, value.variant, {value.variant: UNREAD})


def changes_of(subtree: Subtree, flag: Flag, before: SettingsOfSubtree, after: SettingsOfSubtree) -> FlagChanges:
    """Return where organizations of a subtree get another value of a flag."""
    pieces = [
        pieces_of(id_of(flag), each.path, each.below, top_id=subtree.organization_id, start=subtree.starts_at)
        for each in (before, after)
    ]
    return FlagChanges(subtree, flag, changed_from(*pieces, default=DefaultValue.of(flag)))


def settings_since(number: int, subtree: Subtree, settings: SettingsOfSubtree) -> list[str]:
    """Say which settings have a higher change number. What is above the subtree has no name: it may be hidden."""
    above, own = split(settings.path, subtree)
    hidden = [
        f"A setting above the organization was changed (change {each.number})."
        for each in above
        if each.number > number
    ]
    return hidden + [
        f"The setting of the organization {each.organization_id} was changed (change {each.number})."
        for each in [*([own] if own else []), *settings.below]
        if each.number > number
    ]


def parts_between(subtree: Subtree, flag: Flag, before: SettingsOfSubtree, after: SettingsOfSubtree) -> list[Part]:
    """Return the parts of a subtree, before and after a change of the settings."""
    return list(
        parts_of(
            id_of(flag), (before.path, before.below), (after.path, after.below),
            top_id=subtree.organization_id, size=subtree.size,
        )
    )  # fmt: skip


def _hash(subtree: Subtree, flag: Flag, settings: SettingsOfSubtree, request: str) -> str:
    """Return a hash over the request, the definition, and the settings and organizations that the effect depends on.

    Its beginning tells the highest change number, the size of the subtree and the version of the definition, so that
    a later request can be told what has moved.
    """
    found = [*settings.path, *settings.below]
    number = max((each.number for each in found), default=0)
    content = [request, flag.key, subtree.organization_id, path_ids_of(subtree.organization_id)]
    content += [(each.organization_id, each.number, each.kind, each.size) for each in found]
    digest = sha256(repr(content).encode()).hexdigest()[:32]
    return f"{number}-{subtree.size}-{flag.version}-{digest}"


def parts_of_hash(text: str) -> tuple[int, int, int, str]:
    """Return the highest change number, the size and the version that a hash tells, and the digest."""
    parts = text.split("-")
    numbers = [int(part) if part.isascii() and part.isdigit() and len(part) < len(str(MAX_ID)) else 0 for part in parts]
    number, size, version, _ = (*numbers, 0, 0, 0, 0)[:4]
    return number, size, version, parts[-1]


def id_of(flag: Flag) -> int:
    """Return the id of a flag, 0 for one that does not exist yet."""
    return int(flag.pk or 0)
