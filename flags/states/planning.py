"""Plans: what a change would do to the values of a subtree. Nothing is written.

A plan compares the settings of now with those that the change would leave. So it does not depend on jobs that are under
way, and its cost depends on the settings and not on the organizations.
"""

from __future__ import annotations

from dataclasses import replace

from flags.definitions.models import Flag
from flags.states.effects import Effect, effect_of, parts_of, without
from flags.states.placed_settings import SettingsOfSubtree, flags_decided_on, settings_of_subtree, settings_on_paths
from flags.states.set_flag import Below
from flags.states.setting_rules import LOCK, NONE, SET, PlacedSetting
from flagsite.core.ids import MAX_ID
from orgs.tree.paths import path_ids_of
from orgs.tree.subtrees import Subtree


def of_set(
    subtree: Subtree, flag: Flag, *, enabled: bool, below: Below = Below.OVERWRITE, only_here: bool = False
) -> Effect:
    """Return the effect of setting a flag on the top of a subtree (`flags.states.set_flag.set_flag_on`)."""
    settings = settings_of_subtree(subtree, [flag.pk])[flag.pk]
    kind = LOCK if below is Below.LOCK else SET
    own = PlacedSetting(flag.pk, subtree.organization_id, kind, enabled, subtree.organization_id, MAX_ID, only_here)
    ended = below is Below.OVERWRITE
    return _effect(subtree, flag, settings, own, ends_below=ended)


def of_reset(subtree: Subtree, flag: Flag, *, below: bool = False) -> Effect:
    """Return the effect of resetting a flag on the top of a subtree (`flags.states.set_flag.reset_flag_on`)."""
    settings = settings_of_subtree(subtree, [flag.pk])[flag.pk]
    own = PlacedSetting(flag.pk, subtree.organization_id, NONE, None, subtree.organization_id, MAX_ID)
    return _effect(subtree, flag, settings, own, ends_below=below)


def of_move(subtree: Subtree, parent_id: int | None) -> dict[Flag, Effect]:
    """Return the effects of moving a subtree below another parent, or to a root if it is None, for each flag.

    The flags are those that somebody has decided about above the former or the new place, in the order of their keys.
    """
    path_ids = path_ids_of(parent_id) if parent_id is not None else []
    flag_ids = flags_decided_on([*path_ids, *path_ids_of(subtree.organization_id)[:-1]])
    settings = settings_of_subtree(subtree, flag_ids)
    above = settings_on_paths(path_ids[-1:], flag_ids)
    effects = {}
    for flag in Flag.objects.filter(pk__in=flag_ids).order_by("key"):
        found = settings[flag.pk]
        own = [each for each in found.path if each.organization_id == subtree.organization_id]
        path = [*(above.get((path_ids[-1], flag.pk), []) if path_ids else []), *own]
        effects[flag] = _compare(subtree, flag, found, SettingsOfSubtree(path, found.below), ended=0)
    return effects


def _effect(
    subtree: Subtree, flag: Flag, settings: SettingsOfSubtree, own: PlacedSetting, *, ends_below: bool
) -> Effect:
    """Return the effect of replacing the setting of the top, and of ending those below."""
    former = [each for each in settings.path if each.organization_id == subtree.organization_id]
    own = replace(own, exempt_from_id=former[0].exempt_from_id if former else None)
    path = [*(each for each in settings.path if each.organization_id != subtree.organization_id), own]
    below = [without(each) for each in settings.below] if ends_below else settings.below
    ended = sum(each.kind != NONE for each in settings.below) if ends_below else 0
    return _compare(subtree, flag, settings, SettingsOfSubtree(path, below), ended=ended)


def _compare(
    subtree: Subtree, flag: Flag, before: SettingsOfSubtree, after: SettingsOfSubtree, *, ended: int
) -> Effect:
    parts = parts_of(
        flag.pk, (before.path, before.below), (after.path, after.below),
        top_id=subtree.organization_id, size=subtree.size,
    )  # fmt: skip
    return effect_of(list(parts), default=flag.enabled, ended=ended)
