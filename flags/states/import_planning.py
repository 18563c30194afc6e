"""What the moves of an import would do to values, before they are made.

The organizations that stay below the same moved organization, or below none, belong together: their paths change only
above it. So each moved organization has a block, which is its subtree without the subtrees of moved organizations in
it. A block is compared as in the plan of a single move. The cost depends on the moves and the settings.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from django.db import connection

from flags.definitions.models import Flag
from flags.states.effects import DefaultValue, Part, differs, organizations_changed, parts_of
from flags.states.placed_settings import COLUMNS, settings_on_paths
from flags.states.setting_rules import PlacedSetting
from orgs.importing.value_effects import OneEffect, ValueEffects
from orgs.tree.subtrees import stretch_of, subtree_size, tree_number

MAX_SECONDS = 10.0
MAX_SETTINGS = 200_000
MAX_FLAGS = 100
PLACE = f"{tree_number('organization')} AS tree, {stretch_of('organization')}, {subtree_size('organization')} AS size"
MOVED = f"""
SELECT organization.id, {PLACE}
  FROM import_resolved resolved JOIN orgs_organization organization ON organization.id = resolved.former_id
 WHERE resolved.moved
"""  # noqa: S608 - no input in it
# The path above each moved organization as the file has it: a row of the file tells its parent, else the table does.
NEW_ABOVE = f"""
WITH RECURSIVE above AS (
    SELECT former_id AS moved_id, parent_reference AS id, 1 AS distance FROM import_resolved WHERE moved
     UNION ALL
    SELECT above.moved_id,
           CASE WHEN resolved.reference IS NOT NULL THEN resolved.parent_reference ELSE organization.parent_id END,
           above.distance + 1
      FROM above
      LEFT JOIN import_resolved resolved ON resolved.reference = above.id
      LEFT JOIN orgs_organization organization ON organization.id = above.id
     WHERE above.id IS NOT NULL)
SELECT above.moved_id, {COLUMNS}
  FROM above JOIN flags_flagsetting setting ON setting.organization_id = above.id
  JOIN flags_flag flag ON flag.id = setting.flag_id AND NOT flag.purging
 ORDER BY above.moved_id, above.distance DESC
"""  # noqa: S608 - no input in it
FORMER_FLAGS = """
WITH RECURSIVE above AS (
    SELECT former_parent_id AS id FROM import_resolved WHERE moved
     UNION
    SELECT organization.parent_id FROM above JOIN orgs_organization organization ON organization.id = above.id)
SELECT DISTINCT setting.flag_id
  FROM above JOIN flags_flagsetting setting ON setting.organization_id = above.id
  JOIN flags_flag flag ON flag.id = setting.flag_id AND NOT flag.purging
"""
SETTINGS = f"""
SELECT {COLUMNS}, place.starts_at, place.ends_at, place.size, place.tree
  FROM flags_flagsetting setting, LATERAL (
       SELECT {PLACE} FROM orgs_organization organization
        WHERE organization.id = setting.organization_id OFFSET 0) place
 WHERE setting.flag_id = ANY(%(flags)s) AND place.tree = ANY(%(trees)s)
   AND (setting.kind <> 'none' OR setting.exempt_from_id IS NOT NULL)
 LIMIT %(most)s
"""  # noqa: S608 - no input in it


@dataclass(slots=True)
class Block:
    """A moved organization with everything that stays below it. `holes` are the moved organizations directly in it."""

    organization_id: int
    tree: int
    start: int
    end: int
    size: int
    holes: list[Block] = field(default_factory=list)
    below: dict[int, list[PlacedSetting]] = field(default_factory=lambda: defaultdict(list))
    """The settings below the top by flag, in the order of the tree."""

    def without_holes(self) -> tuple[int, dict[int, list[PlacedSetting]]]:
        """Return the number of organizations, and the settings with theirs, without the holes."""
        starts = [hole.start for hole in self.holes]
        sums = [0, *accumulate(hole.size for hole in self.holes)]

        def left(setting: PlacedSetting) -> int:
            return setting.size - sums[bisect_right(starts, setting.end)] + sums[bisect_left(starts, setting.start)]

        below = {flag: [replace(each, size=left(each)) for each in found] for flag, found in self.below.items()}
        return self.size - sums[-1], below


Paths = Mapping[tuple[int, int], Sequence[PlacedSetting]]
"""Settings from the root down, by moved organization and flag."""


def effects_of_import() -> ValueEffects | None:
    """Return what the moves of the staged import would do to values (`orgs.importing.value_effects.counts`).

    None if there is too much to count.
    """
    deadline = time.monotonic() + MAX_SECONDS
    blocks = [Block(*row) for row in _rows(MOVED)]
    new_above: dict[tuple[int, int], list[PlacedSetting]] = defaultdict(list)
    for moved_id, *columns in _rows(NEW_ABOVE):
        new_above[moved_id, columns[0]].append(PlacedSetting(*columns))
    flag_ids = {flag_id for _, flag_id in new_above} | {row[0] for row in _rows(FORMER_FLAGS)}
    if not blocks or not flag_ids:
        return ValueEffects(0, 0, ())
    trees = list({block.tree for block in blocks})
    settings = _rows(SETTINGS, {"flags": list(flag_ids), "trees": trees, "most": MAX_SETTINGS + 1})
    if len(settings) > MAX_SETTINGS:
        return None
    _fill(blocks, settings)
    former = settings_on_paths([block.organization_id for block in blocks], list(flag_ids))
    flags = list(Flag.objects.filter(pk__in=flag_ids))
    changed, counts = 0, Counter[str]()
    for block in blocks:
        if time.monotonic() > deadline:
            return None
        changed += _count(block, flags, former, new_above, counts)
    affected = [OneEffect(key, count) for key, count in counts.most_common() if count]
    return ValueEffects(changed, len(affected), tuple(affected[:MAX_FLAGS]))


def _count(block: Block, flags: Sequence[Flag], former: Paths, new_above: Paths, counts: Counter[str]) -> int:
    """Add the organizations of a block that get another value to the counts; return how many do so for any flag."""
    size, below = block.without_holes()
    top_id = block.organization_id
    of_flags: list[tuple[DefaultValue, list[Part]]] = []
    counted: list[PlacedSetting] = []
    for flag in flags:
        path = list(former.get((top_id, flag.pk), ()))
        own = [path.pop()] if path and path[-1].organization_id == top_id else []
        new = list(new_above.get((top_id, flag.pk), ()))
        if path == new:
            continue
        inside = below.get(flag.pk, [])
        parts = list(parts_of(flag.pk, ([*path, *own], inside), ([*new, *own], inside), top_id=top_id, size=size))
        default = DefaultValue.of(flag)
        counts[flag.key] += sum(part.size for part in parts if differs(part.before, part.after, default=default))
        of_flags.append((default, parts))
        counted += inside
    return organizations_changed(of_flags, counted, top_id=top_id, size=size) if of_flags else 0


def _fill(blocks: list[Block], settings: Sequence[Sequence[Any]]) -> None:
    """Give each block its holes and the settings below its top."""
    for entry, around in _enclosed(blocks, settings):
        if isinstance(entry, Block):
            if around is not None:
                around.holes.append(entry)
        elif around is not None and entry.organization_id != around.organization_id:
            around.below[entry.flag_id].append(entry)


def _enclosed(
    blocks: list[Block], settings: Sequence[Sequence[Any]]
) -> Iterator[tuple[Block | PlacedSetting, Block | None]]:
    """Yield each block and each setting, in the order of the tree, with the nearest block around it."""
    entries: list[tuple[int, int, int, Block | PlacedSetting]] = [
        (block.tree, block.start, 0, block) for block in blocks
    ]
    entries += [(row[-1], row[9], 1, PlacedSetting(*row[:-1])) for row in settings]
    around: list[Block] = []
    for tree, start, _, entry in sorted(entries, key=lambda each: each[:3]):
        while around and (around[-1].tree != tree or around[-1].end < start):
            around.pop()
        yield entry, around[-1] if around else None
        if isinstance(entry, Block):
            around.append(entry)


def _rows(query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
