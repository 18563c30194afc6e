"""Reading settings with their places: those on a path, and those in a subtree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from django.db import connection

from flags.states.setting_rules import DecidedValue, Piece, PlacedSetting, decide, pieces_of
from orgs.tree.paths import PATH, path_parameters
from orgs.tree.subtrees import Subtree, is_in_subtree, stretch_of, subtree_size, tree_number

BEYOND_A_TREE = 2**64
"""A number that no place in a tree has."""
COLUMNS = """setting.flag_id, setting.organization_id, setting.kind, setting.enabled,
           COALESCE(setting.kept_from_id, setting.organization_id) AS source_id, setting.number, setting.only_here,
           setting.exempt_from_id, setting.variant"""
ON_PATHS = f"""
above AS MATERIALIZED (
    SELECT path.bottom_id, path.distance, {COLUMNS}
      FROM path, LATERAL (
           SELECT * FROM flags_flagsetting
            WHERE organization_id = path.id AND flag_id = ANY(%(flags)s) OFFSET 0) setting)
"""  # noqa: S608 - no input in it
PATH_SETTINGS = f"""
WITH RECURSIVE {PATH}, {ON_PATHS}
SELECT * FROM above ORDER BY bottom_id, flag_id, distance DESC
"""  # noqa: S608 - no input in it
# A setting that has ended counts only for its number, and only if this is higher than the numbers above it. The shorter
# way is taken: from the settings of the flags to their organizations, or from the organizations of the subtree.
PLACE = f"{stretch_of('organization')}, {subtree_size('organization')} AS size"
COUNTS = (
    "(setting.kind <> 'none' OR setting.exempt_from_id IS NOT NULL OR setting.number > COALESCE(highest.number, 0))"
)
SETTINGS_BELOW = f"""
WITH RECURSIVE {PATH}, {ON_PATHS},
highest AS MATERIALIZED (SELECT flag_id, max(number) AS number FROM above GROUP BY flag_id),
{{below}}
SELECT flag_id, organization_id, kind, enabled, source_id, number, only_here, exempt_from_id, variant,
       -distance, -1, -1, 0
  FROM above
 UNION ALL
SELECT {COLUMNS}, 1, setting.starts_at, setting.ends_at, setting.size
  FROM below setting LEFT JOIN highest USING (flag_id) WHERE {COUNTS}
 ORDER BY 1, 10, 11
"""  # noqa: S608 - no input in it
IN_PLACE = f"""LATERAL (
           SELECT {PLACE}
             FROM (SELECT * FROM orgs_organization WHERE id = setting.organization_id OFFSET 0) organization
            WHERE {is_in_subtree("organization")}) place"""  # noqa: S608 - no input in it
BELOW_TOP = f"""
few AS MATERIALIZED (
    SELECT count(*) <= %(size)s AS settings
      FROM (SELECT FROM flags_flagsetting WHERE flag_id = ANY(%(flags)s) LIMIT %(size)s + 1) setting),
below AS (
    SELECT setting.*, place.* FROM flags_flagsetting setting, {IN_PLACE}  -- index setting_of_flag
     WHERE (SELECT settings FROM few) AND setting.flag_id = ANY(%(flags)s) AND setting.organization_id <> %(top)s
     UNION ALL
    SELECT setting.*, {PLACE} FROM orgs_organization organization, LATERAL (
           SELECT * FROM flags_flagsetting
            WHERE organization_id = organization.id AND flag_id = ANY(%(flags)s) OFFSET 0) setting
     WHERE NOT (SELECT settings FROM few) AND {is_in_subtree("organization")} AND organization.id <> %(top)s)
"""  # noqa: S608 - no input in it
# On the paths of a span: the settings in the span itself, and those on organizations above it that are not in the span.
# So a chunk costs what its own organizations cost, however many settings the subtree has.
ON_PATHS_OF_SPAN = f"""
up AS (
    SELECT DISTINCT parent_id AS id FROM orgs_organization
     WHERE id > %(after)s AND id <= %(last)s AND {is_in_subtree()}
     UNION
    SELECT above.parent_id FROM up, LATERAL (
           SELECT parent_id FROM (SELECT * FROM orgs_organization WHERE id = up.id OFFSET 0) one
            WHERE id <> %(top)s AND {is_in_subtree()}) above),
below AS (
    SELECT setting.*, place.* FROM flags_flagsetting setting, {IN_PLACE}  -- index setting_of_flag
     WHERE setting.flag_id = ANY(%(flags)s) AND setting.organization_id > %(after)s
       AND setting.organization_id <= %(last)s AND setting.organization_id <> %(top)s
     UNION ALL
    SELECT setting.*, place.* FROM up, LATERAL (
           SELECT * FROM flags_flagsetting
            WHERE organization_id = up.id AND flag_id = ANY(%(flags)s) OFFSET 0) setting, {IN_PLACE}
     WHERE up.id <> %(top)s AND NOT (up.id > %(after)s AND up.id <= %(last)s))
"""  # noqa: S608 - no input in it
SUBTREE_SETTINGS = SETTINGS_BELOW.replace("{below}", BELOW_TOP)
SPAN_SETTINGS = SETTINGS_BELOW.replace("{below}", ON_PATHS_OF_SPAN)
EVERYWHERE = f"""
SELECT {COLUMNS}, organization.starts_at, organization.ends_at, organization.size, organization.tree
  FROM (SELECT id, {tree_number("organization")} AS tree, {PLACE} FROM orgs_organization organization) organization
  JOIN flags_flagsetting setting ON setting.organization_id = organization.id  -- index setting_of_flag
 WHERE setting.flag_id = %(flag)s AND (setting.kind <> 'none' OR setting.exempt_from_id IS NOT NULL)
 ORDER BY organization.tree, organization.starts_at
"""  # noqa: S608 - no input in it
COUNT = f"""
SELECT COALESCE(sum({subtree_size("organization")}), 0) FROM orgs_organization organization WHERE parent_id IS NULL
"""  # noqa: S608 - no input in it
FLAGS_DECIDED = """
SELECT DISTINCT setting.flag_id
  FROM unnest(%(ids)s::bigint[]) AS place(id), LATERAL (
       SELECT flag_id FROM flags_flagsetting WHERE organization_id = place.id OFFSET 0) setting
  JOIN flags_flag flag ON flag.id = setting.flag_id AND NOT flag.purging
"""


@dataclass(frozen=True, slots=True)
class SettingsOfSubtree:
    """The settings of one flag that decide in a subtree: from the root down to its top, and strictly below."""

    path: list[PlacedSetting]
    below: list[PlacedSetting]


def pieces_of_subtree(subtree: Subtree, flag_ids: Sequence[int]) -> dict[int, list[Piece]]:
    """Return, for each flag, the pieces of a subtree, and what the settings decide in each of them.

    The settings are read now. The caller holds the tree lock, so nobody moves an organization meanwhile.
    """
    return _pieces(subtree, settings_of_subtree(subtree, flag_ids))


def pieces_of_span(subtree: Subtree, flag_ids: Sequence[int], *, after: int, last: int) -> dict[int, list[Piece]]:
    """Return pieces that are right for the organizations of a subtree with ids from `after`, exclusive, to `last`.

    It leaves out the settings that none of these organizations has on its path. As `pieces_of_subtree` otherwise.
    """
    return _pieces(subtree, _settings_below(SPAN_SETTINGS, subtree, flag_ids, {"after": after, "last": last}))


def _pieces(subtree: Subtree, settings: Mapping[int, SettingsOfSubtree]) -> dict[int, list[Piece]]:
    return {
        flag_id: pieces_of(flag_id, found.path, found.below, top_id=subtree.organization_id, start=subtree.starts_at)
        for flag_id, found in settings.items()
    }


def settings_of_subtree(subtree: Subtree, flag_ids: Sequence[int]) -> dict[int, SettingsOfSubtree]:
    """Return the settings that decide in a subtree, for each flag. Those below are in the order of the tree."""
    if subtree.descendant_count:
        return _settings_below(SUBTREE_SETTINGS, subtree, flag_ids, {"size": subtree.size})
    place, found = subtree.organization_id, settings_on_paths([subtree.organization_id], flag_ids)
    return {flag_id: SettingsOfSubtree(found.get((place, flag_id), []), []) for flag_id in flag_ids}


def _settings_below(
    statement: str, subtree: Subtree, flag_ids: Sequence[int], which: Mapping[str, int]
) -> dict[int, SettingsOfSubtree]:
    """Read settings on the path of a subtree and below its top. `which` are parameters of the statement."""
    parameters = {**_parameters([subtree.organization_id], flag_ids), **subtree.parameters(), **which}
    settings = {flag_id: SettingsOfSubtree([], []) for flag_id in flag_ids}
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters | {"top": subtree.organization_id})
        for row in cursor.fetchall():
            of_flag = settings[row[0]]
            (of_flag.below if row[9] > 0 else of_flag.path).append(PlacedSetting(*row[:9], *row[10:]))
    return settings


def settings_everywhere(flag_id: int) -> list[PlacedSetting]:
    """Return the settings of a flag in all trees, in the order of the trees, as if these followed on each other."""
    with connection.cursor() as cursor:
        cursor.execute(EVERYWHERE, {"flag": flag_id})
        rows = cursor.fetchall()
    return [
        replace(PlacedSetting(*row[:-1]), start=row[9] + row[-1] * BEYOND_A_TREE, end=row[10] + row[-1] * BEYOND_A_TREE)
        for row in rows
    ]


def count_organizations() -> int:
    """Return the number of all organizations, from the sizes of the trees."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT)
        return int(cursor.fetchone()[0])


def settings_on_path(organization_id: int, flag_id: int) -> list[PlacedSetting]:
    """Return the settings of a flag on an organization and above it, from the root down."""
    return settings_on_paths([organization_id], [flag_id]).get((organization_id, flag_id), [])


def settings_on_paths(
    organization_ids: Sequence[int], flag_ids: Sequence[int]
) -> dict[tuple[int, int], list[PlacedSetting]]:
    """Return the settings on the paths of organizations, from the root down, by organization and flag."""
    with connection.cursor() as cursor:
        cursor.execute(PATH_SETTINGS, _parameters(organization_ids, flag_ids))
        rows = cursor.fetchall()
    return {
        place: [PlacedSetting(*row[2:]) for row in found]
        for place, found in groupby(rows, lambda row: (row[0], row[2]))
    }


def decided_on_paths(organization_ids: Sequence[int], flag_ids: Sequence[int]) -> dict[tuple[int, int], DecidedValue]:
    """Return what the settings decide, by organization and flag, for those that have settings on their paths."""
    return {
        (organization_id, flag_id): decide(flag_id, settings, organization_id)
        for (organization_id, flag_id), settings in settings_on_paths(organization_ids, flag_ids).items()
    }


def flags_decided_on(organization_ids: Sequence[int]) -> list[int]:
    """Return the flags that have settings on any of these organizations, also ended ones; purged flags are left out."""
    with connection.cursor() as cursor:
        cursor.execute(FLAGS_DECIDED, {"ids": list(organization_ids)})
        return [row[0] for row in cursor.fetchall()]


def _parameters(organization_ids: Sequence[int], flag_ids: Sequence[int]) -> dict[str, Any]:
    return path_parameters(organization_ids) | {"flags": list(flag_ids)}
