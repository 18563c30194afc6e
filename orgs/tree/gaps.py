"""Changes of the nested set: each writes what it creates or moves, its ancestors' counts, and rarely some neighbours.

A new or moved organization becomes the last child of its parent and gets a part of the parent's gap. If the gap is too
small, the neighbours are *spread*: a window around the gap gets new numbers with even gaps, and a wider gap where room
is needed. The window doubles until there is room. It is a range of numbers and not a subtree, so it can begin and end
anywhere. A root has room without end, because its own end can move.

The idea of windows is from lists that keep their order by labels (Bender, Cole, Demaine, Farach-Colton, Zito, "Two
simplified algorithms for maintaining order in a list").

The calling code holds the locks of the trees. In a damaged tree the functions do not fail, but only a repair makes it
correct.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from orgs.tree import locks, spacing

SLOTS_IN_RESERVE = 16
"""A spread opens a gap for at least so many organizations more than those that need it now."""


@dataclass(frozen=True, slots=True)
class Node:
    """An organization as the nested set describes it."""

    id: int
    parent_id: int | None
    tree_id: int
    lft: int
    rght: int
    level: int
    descendant_count: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where an organization belongs: the columns of the nested set."""

    tree_id: int
    lft: int
    rght: int
    level: int


COLUMNS = "id, parent_id, tree_id, lft, rght, level, descendant_count"
# LATERAL with OFFSET 0 makes PostgreSQL read each parent by primary key. UNION ends the recursion in a circle.
PATH_UP = f"""
WITH RECURSIVE path AS (
    SELECT {COLUMNS} FROM orgs_organization WHERE id = %s
     UNION
    SELECT above.* FROM path, LATERAL (
           SELECT {COLUMNS} FROM orgs_organization WHERE id = path.parent_id OFFSET 0) above)
SELECT * FROM path
"""  # noqa: S608 - no input in it


def path_up(organization_id: int) -> list[Node]:
    """Return the organization and its ancestors, from itself up to the root; an empty list if it does not exist."""
    nodes = {node.id: node for node in _nodes(PATH_UP, [organization_id])}
    path: list[Node] = []
    node = nodes.pop(organization_id, None)
    while node is not None:
        path.append(node)
        node = nodes.pop(node.parent_id or 0, None)
    return path


def place_new(parent: list[Node] | None) -> Place:
    """Make room for one new organization below the parent, whose path `path_up` has returned; None for a root.

    The ancestors already count the new organization afterwards.
    """
    if parent is None:
        lft, rght = spacing.numbers(1, spacing.SPACING.unit, index=0, above=0, below=0)
        return Place(_new_tree(), lft, rght, 0)
    start, width = _make_room(parent[0], 1)
    count({node.id: 1 for node in parent})
    return Place(parent[0].tree_id, start, start + width - 1, parent[0].level + 1)


MOVE = """
UPDATE orgs_organization organization
   SET tree_id = %(to_tree)s, level = organization.level + %(levels)s,
       lft = %(start)s + moved.index + %(step)s::bigint * (moved.index - moved.above),
       rght = %(start)s + moved.index + %(step)s::bigint * (moved.index - moved.above + descendant_count + 1)
              + descendant_count  -- as `spacing.numbers`
  FROM (SELECT id, row_number() OVER (ORDER BY lft) - 1 AS index, level - %(level)s AS above
          FROM orgs_organization WHERE tree_id = %(tree)s AND lft BETWEEN %(lft)s AND %(rght)s) moved
 WHERE organization.id = moved.id
"""


def move(organization: list[Node], parent: list[Node] | None) -> None:
    """Give an organization and everything below it numbers below the parent; None for a tree of its own.

    Both are paths as `path_up` returns them. The columns `parent_id` stay as they are.
    """
    size = organization[0].descendant_count + 1
    if parent is None:
        tree_id, start, step, level = _new_tree(), 1, spacing.SPACING.of_tree(size), 0
    else:
        start, width = _make_room(parent[0], size)
        tree_id, step, level = parent[0].tree_id, width // size - 1, parent[0].level + 1
    [moved] = _nodes(f"SELECT {COLUMNS} FROM orgs_organization WHERE id = %s", [organization[0].id])  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(MOVE, {
            "to_tree": tree_id, "levels": level - moved.level, "start": start, "step": step, "level": moved.level,
            "tree": moved.tree_id, "lft": moved.lft, "rght": moved.rght,
        })  # fmt: skip
    former, new = organization[1:], parent or []
    both = {node.id for node in former} & {node.id for node in new}
    count({node.id: -size for node in former if node.id not in both})
    count({node.id: size for node in new if node.id not in both})


COUNT = """
UPDATE orgs_organization organization SET descendant_count = GREATEST(0, descendant_count + change)
  FROM unnest(%s::bigint[], %s::int[]) AS counted (id, change)
 WHERE organization.id = counted.id
"""


def count(changes: Mapping[int, int]) -> None:
    """Let the organizations with these ids count so many descendants more, or fewer."""
    if changes:
        with connection.cursor() as cursor:
            cursor.execute(COUNT, [list(changes), list(changes.values())])


def _new_tree() -> int:
    (tree_id,) = locks.new_trees(1)
    return tree_id


def _make_room(parent: Node, size: int) -> tuple[int, int]:
    """Return the first number and the width of an unused range at the end of the parent, wide enough for `size`."""
    edge, widths = _edge(parent), spacing.SPACING
    if parent.parent_id is None:
        width = size * (widths.unit + 1)
        end = edge + 1 + width + widths.unit
        if end <= widths.limit:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE orgs_organization SET rght = GREATEST(rght, %s) WHERE id = %s", [end, parent.id])
            return edge + 1, width
    least, free = widths.needed(size), parent.rght - edge - 1
    width = spacing.share(free, size, parent.descendant_count, least=least)
    if width > free:
        edge, end = _spread(parent, size)
        free = end - edge - 1
        width = min(free, spacing.share(free, size, parent.descendant_count, least=least))
    return edge + 1, width


# The last organization that starts before the parent's end is the parent itself, or its descendant. All that ends
# between this start and the parent's end is on the path from this descendant up.
EDGE = """
WITH RECURSIVE path AS (
    (SELECT id, parent_id, lft, rght FROM orgs_organization
      WHERE tree_id = %(tree)s AND lft < %(end)s ORDER BY lft DESC LIMIT 1)
     UNION
    SELECT above.* FROM path, LATERAL (
           SELECT id, parent_id, lft, rght FROM orgs_organization
            WHERE id = path.parent_id AND path.id <> %(parent)s OFFSET 0) above)
SELECT max(GREATEST(lft, CASE WHEN rght < %(end)s THEN rght END)) FROM path
"""


def _edge(parent: Node) -> int:
    """Return the last used number before the parent's end: the end of its last child, or its own start."""
    with connection.cursor() as cursor:
        cursor.execute(EDGE, {"tree": parent.tree_id, "end": parent.rght, "parent": parent.id})
        edge = cursor.fetchone()[0]
    return parent.lft if edge is None else int(edge)


BEFORE = f"""
SELECT {COLUMNS} FROM orgs_organization WHERE tree_id = %s AND lft < %s ORDER BY lft DESC LIMIT %s
"""  # noqa: S608 - no input in it
AFTER = f"""
SELECT {COLUMNS} FROM orgs_organization WHERE tree_id = %s AND lft > %s ORDER BY lft LIMIT %s
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class Window:
    """A range of numbers around the end of an organization, and the organizations that start or end in it.

    `low` and `high` are not in the range. Without `high`, it reaches to the end of the tree. `is_all` tells that it
    also begins at the start of the tree.
    """

    low: int
    high: int | None
    nodes: list[Node]
    is_all: bool

    def edges(self) -> list[tuple[int, bool, int]]:
        """Return the used numbers in their order: the number, whether an organization ends there, and its id."""
        found = [(node.lft, False, node.id) for node in self.nodes]
        found += [(node.rght, True, node.id) for node in self.nodes]
        return sorted(edge for edge in found if self.low < edge[0] and (self.high is None or edge[0] < self.high))


def _spread(parent: Node, size: int) -> tuple[int, int]:
    """Give the organizations around the parent's end new numbers; return the last number before its gap, and its end.

    The gap is then wide enough for `size` organizations, and for others after them.
    """
    organizations = spacing.SPACING.window
    while True:
        window = _window(parent, organizations)
        edges = window.edges()
        ends = sum(is_end for _, is_end, _ in edges)
        reserve = 2 * size + max(SLOTS_IN_RESERVE, ends // 2)
        step = _step(window, len(edges) - ends, ends + reserve)
        if window.is_all or step >= spacing.SPACING.needed(ends + reserve):
            return _renumber(parent, window, edges, max(1, step), reserve)
        organizations *= 2


def _window(parent: Node, organizations: int) -> Window:
    """Return the window with so many organizations that start before the parent's end, and so many that start after."""
    before = _nodes(BEFORE, [parent.tree_id, parent.rght, organizations]) or [parent]
    after = _nodes(AFTER, [parent.tree_id, parent.rght, organizations])
    high = after[-1].lft if len(after) == organizations else None
    nodes = {node.id: node for node in (*before, *after, *path_up(before[-1].id), parent)}
    return Window(before[-1].lft, high, [*nodes.values()], high is None and len(before) < organizations)


def _step(window: Window, starts: int, slots: int) -> int:
    """Return the gap before each end if the window has so many starts, and so many ends and slots in reserve."""
    if window.high is not None:
        return (window.high - window.low - 1 - starts) // slots
    return min(spacing.SPACING.unit, (spacing.SPACING.limit - window.low - starts) // slots)


RENUMBER = """
UPDATE orgs_organization organization SET lft = spread.lft, rght = spread.rght
  FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS spread (id, lft, rght)
 WHERE organization.id = spread.id
"""


def _renumber(
    parent: Node, window: Window, edges: list[tuple[int, bool, int]], step: int, reserve: int
) -> tuple[int, int]:
    """Write the window with the gap `step` before each end, and with `reserve` gaps more before the parent's end."""
    numbers = {node.id: [node.lft, node.rght] for node in window.nodes}
    number, edge = window.low, parent.lft
    for _, is_end, organization_id in edges:
        if is_end and organization_id == parent.id:
            edge = number
            number += step * reserve
        number += step if is_end else 1
        numbers[organization_id][is_end] = number
    changed = {node.id for node in window.nodes if [node.lft, node.rght] != numbers[node.id]}
    rows = [(id_, *numbers[id_]) for id_ in sorted(changed)]
    with connection.cursor() as cursor:
        cursor.execute(RENUMBER, [list(column) for column in zip(*rows, strict=True)] if rows else [[], [], []])
    return edge, numbers[parent.id][1]


def _nodes(query: str, parameters: Any) -> list[Node]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [Node(*row) for row in cursor.fetchall()]
