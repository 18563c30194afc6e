"""Plans of moves: what a move would do to the values of all flags in the subtree, and the values that it can keep.

As for other plans, the cost depends on the settings and not on the organizations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from flags.definitions.models import Flag
from flags.definitions.visible_flags import visible_flags
from flags.states.effects import DefaultValue, Effect, Part, differs, effect_of, effective, organizations_changed
from flags.states.placed_settings import SettingsOfSubtree, flags_decided_on, settings_of_subtree, settings_on_paths
from flags.states.planning import (
    MAX_SAMPLES,
    Agreed,
    FlagChanges,
    Sample,
    changes_of,
    parts_between,
    parts_of_hash,
    samples_of,
    settings_since,
    split,
)
from flags.states.setting_rules import LOCK, SET, PlacedSetting, decide, deciding_lock
from flagsite.core.ids import MAX_ID
from orgs.access.caller import Caller
from orgs.tree.move_options import KeptValue, MoveOptions
from orgs.tree.paths import path_ids_of
from orgs.tree.subtrees import Subtree, load_subtree

MAX_SAMPLES_OF_EACH = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that a moved organization keeps as a setting of its own.

    `counts` is false if a lock at the new place decides: the setting then counts when the lock is gone.
    """

    flag: Flag
    setting: PlacedSetting
    counts: bool


@dataclass(frozen=True, slots=True)
class FlagInMove:
    """What a move does to one flag in the moved subtree.

    `lock_lost` and `lock_gained` are the organizations above the moved one whose locks decide for it at the former and
    at the new place; both are None if this is the same organization. `kept` is the value that it keeps as a setting.
    """

    flag: Flag
    before: SettingsOfSubtree
    after: SettingsOfSubtree
    parts: Sequence[Part]
    effect: Effect
    lock_lost: int | None
    lock_gained: int | None
    kept: Kept | None

    @property
    def samples(self) -> list[Sample]:
        """The first parts that get another value."""
        return samples_of(self.parts, self.flag)[:MAX_SAMPLES_OF_EACH]

    @property
    def kept_value(self) -> KeptValue | None:
        """The kept value as the move itself tells it."""
        kept = self.kept
        return KeptValue(self.flag.key, bool(kept.setting.enabled), kept.counts) if kept else None

    @property
    def is_affected(self) -> bool:
        """Whether somebody may want to know of this flag before the move."""
        return bool(self.effect.changed or self.kept or self.lock_lost or self.lock_gained)


@dataclass(frozen=True, slots=True)
class MovePlan:
    """The effect of a move: the flags that somebody has decided about above the former or the new place, by key.

    `changed` is the number of organizations that get another value of at least one flag.
    """

    subtree: Subtree
    flags: Sequence[FlagInMove]
    changed: int
    hash: str

    @property
    def affected(self) -> list[FlagInMove]:
        """The flags with organizations that get another value, with most of them first, and those with other locks."""
        return sorted((each for each in self.flags if each.is_affected), key=lambda each: -each.effect.changed)

    @property
    def unchanged(self) -> int:
        """The number of organizations that keep the values of all flags."""
        return self.subtree.size - self.changed

    @property
    def changes(self) -> list[FlagChanges]:
        """Where organizations get another value, for each flag of which some do."""
        return [
            changes_of(self.subtree, each.flag, each.before, each.after)
            for each in self.affected
            if each.effect.changed
        ]

    def moved_since(self, known: str) -> list[str]:
        """Say in sentences what has changed since a plan with the hash `known`."""
        number, size, versions, _ = parts_of_hash(known)
        moved = [
            f"{each.flag.key}: {sentence}"
            for each in self.flags
            for sentence in settings_since(number, self.subtree, each.before)
        ]
        if size != self.subtree.size:
            moved.append(f"The subtree has {self.subtree.size} organizations now, and had {size}.")
        if versions != _versions(self.flags):
            moved.append("The definition of a flag was changed.")
        return moved[:MAX_SAMPLES] or [
            "The plan was made for another move, or something has changed at the new place or below the organization."
        ]


def of_move(subtree: Subtree, parent_id: int | None, *, keeps_values: bool = False) -> MovePlan:
    """Return the plan of moving a subtree below another parent, or to a root if it is None.

    `keeps_values` is as in `orgs.tree.move_options.MoveOptions`. If the organization is there already, there is nothing
    to do, so no flag is in the plan.
    """
    former_ids = path_ids_of(subtree.organization_id)[:-1]
    is_there = parent_id == (former_ids[-1] if former_ids else None)
    flags = [] if is_there else _flags_in_move(subtree, former_ids, parent_id, keeps_values=keeps_values)
    below = [setting for each in flags for setting in each.before.below]
    of_flags = [(DefaultValue.of(each.flag), each.parts) for each in flags]
    changed = organizations_changed(of_flags, below, top_id=subtree.organization_id, size=subtree.size)
    content: list[object] = [parent_id, keeps_values, subtree.organization_id, former_ids]
    settings = [setting for each in flags for setting in [*each.before.path, *each.before.below, *each.after.path]]
    content += [(each.flag_id, each.organization_id, each.number, each.kind, each.size) for each in settings]
    number = max((setting.number for each in flags for setting in [*each.before.path, *each.before.below]), default=0)
    digest = sha256(repr(content).encode()).hexdigest()[:32]
    return MovePlan(subtree, flags, changed, f"{number}-{subtree.size}-{_versions(flags)}-{digest}")


def known_to(caller: Caller, flags: list[FlagInMove]) -> list[FlagInMove]:
    """Return the flags of a move that the caller may see."""
    visible = ids_known_to(caller, [each.flag.pk for each in flags])
    return [each for each in flags if each.flag.pk in visible]


def ids_known_to(caller: Caller, flag_ids: Sequence[int]) -> set[int]:
    """Return the ids of those of the flags that the caller may see."""
    if caller.organization_id is None:
        return set(flag_ids)
    return set(visible_flags(caller).filter(pk__in=flag_ids).values_list("pk", flat=True))


def check_agreed(organization_id: int, parent_id: int | None, options: MoveOptions) -> None:
    """Check that a move does what its caller knows of it (`orgs.tree.move_options.checks`).

    Raises PlanStale, BlastRadius.
    """
    subtree = load_subtree(organization_id)
    if subtree is not None:
        plan = of_move(subtree, parent_id, keeps_values=options.keeps_values)
        Agreed(options.at_most, options.plan_hash).check(plan)


def kept_by_move(organization_id: int, *, former_ancestor_ids: Sequence[int], parent_id: int | None) -> list[Kept]:
    """Return the values that an organization has to keep as settings of its own, so that it has them after a move.

    These are the values that would be others there. The organization may have been moved already in the transaction.
    """
    path_ids = path_ids_of(parent_id) if parent_id is not None else []
    flag_ids = flags_decided_on([*path_ids, *former_ancestor_ids])
    own_of = {
        flag_id: path[-1]
        for (_, flag_id), path in settings_on_paths([organization_id], flag_ids).items()
        if path[-1].organization_id == organization_id
    }
    ends = [each[-1] for each in (former_ancestor_ids, path_ids) if each]
    above = settings_on_paths(ends, flag_ids)
    found = []
    for flag in Flag.objects.filter(pk__in=flag_ids, purging=False).order_by("pk"):
        former, new = (above.get((ids[-1], flag.pk), []) if ids else [] for ids in (former_ancestor_ids, path_ids))
        kept = _kept(flag, organization_id, own_of.get(flag.pk), former, new)
        found += [kept] if kept else []
    return found


def _flags_in_move(
    subtree: Subtree, former_ids: Sequence[int], parent_id: int | None, *, keeps_values: bool
) -> list[FlagInMove]:
    path_ids = path_ids_of(parent_id) if parent_id is not None else []
    flag_ids = flags_decided_on([*path_ids, *former_ids])
    settings = settings_of_subtree(subtree, flag_ids)
    new_above = settings_on_paths(path_ids[-1:], flag_ids)
    flags = []
    for flag in Flag.objects.filter(pk__in=flag_ids).order_by("key"):
        before = settings[flag.pk]
        above, own = split(before.path, subtree)
        new = new_above.get((path_ids[-1], flag.pk), []) if path_ids else []
        kept = _kept(flag, subtree.organization_id, own, above, new) if keeps_values else None
        after = SettingsOfSubtree([*new, *([kept.setting] if kept else [own] if own else [])], before.below)
        parts = parts_between(subtree, flag, before, after)
        lock, new_lock = (_lock_above(each, subtree.organization_id) for each in (before, after))
        flags.append(
            FlagInMove(
                flag, before, after, parts, effect_of(parts, default=DefaultValue.of(flag), ended=0),
                *((None, None) if lock == new_lock else (lock, new_lock)), kept,
            )
        )  # fmt: skip
    return flags


def _kept(
    flag: Flag,
    organization_id: int,
    own: PlacedSetting | None,
    above: Sequence[PlacedSetting],
    new_above: Sequence[PlacedSetting],
) -> Kept | None:
    """Return the value of a flag that an organization has to keep; None if the move would not change it.

    An own lock stays a lock, so that what it masks below stays masked.
    """
    owns = [own] if own else []
    former, new = (decide(flag.pk, [*each, *owns], organization_id) for each in (above, new_above))
    default = DefaultValue.of(flag)
    if not differs(former, new, default=default):
        return None
    empty = PlacedSetting(flag.pk, organization_id, SET, None, organization_id, 0)
    setting = replace(
        own or empty,
        kind=LOCK if own and own.kind == LOCK else SET,
        enabled=effective(former, default=default),
        variant=former.variant,
        source_id=organization_id,
        number=MAX_ID,
        only_here=False,
    )
    decided = decide(flag.pk, [*new_above, setting], organization_id)
    return Kept(flag, setting, counts=decided.source_id == organization_id)


def _lock_above(settings: SettingsOfSubtree, organization_id: int) -> int | None:
    lock = deciding_lock(settings.path)
    return lock.organization_id if lock is not None and lock.organization_id != organization_id else None


def _versions(flags: Sequence[FlagInMove]) -> int:
    return sum(each.flag.version for each in flags)
